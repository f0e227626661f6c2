"""A step checker: does each step of a text hold by itself? It scores partial texts too, and sees no reference.

What it sees on pocket-math: the digits and carries of every whole line, and whether each operand is a number of the
story or an earlier result. What it does not see: whether the right numbers were put together in the right way. Of 117
wrong greedy answers of pocket-s on validation-medium it finds fault with about two thirds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from testtime.core.errors import BadInput
from testtime.core.protocols import Ask, Task
from testtime.core.records import Candidate, Problem, Verdict
from testtime.core.seeds import digest

VERSION = 1
"""Of the rule; with another, stored verdicts are not reused."""


@runtime_checkable
class Checks(Protocol):
    """A task whose steps can be checked one by one."""

    def unsound(self, problem: Problem, text: str) -> list[str]:
        """The steps that cannot be right."""
        ...


@dataclass(frozen=True)
class Steps:
    """Score 1, halved by every step that cannot be right. Raises BadInput for a task whose steps are not known."""

    task: Task

    stage: ClassVar[str] = "steps"
    gold: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not isinstance(self.task, Checks):
            raise BadInput(f"the steps of {self.task.name} cannot be checked", mend="take another step scorer")

    @property
    def digest(self) -> str:
        """Of the stage's version and the task whose rule it is."""
        return digest(self.stage, VERSION, self.task.name)

    def refuses(self, problem: Problem) -> str | None:
        """Nothing."""
        return None

    async def verify(self, problem: Problem, candidate: Candidate, ask: Ask) -> Verdict:
        """The verdict, at once: it asks nobody."""
        assert isinstance(self.task, Checks)
        found = self.task.unsound(problem, candidate.text)
        told = f"unsound: {', '.join(found)}" if found else "no step is unsound"
        return Verdict(self.stage, self.digest, score=0.5 ** len(found), method="steps", explanation=told)
