"""Function calls against those that are right, by structure: names, arguments, and how often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from testtime.core.protocols import Ask, Task
from testtime.core.records import Candidate, Problem, Verdict
from testtime.core.seeds import digest
from testtime.verifiers.said import shown, unjudgeable, verdict

VERSION = 2
"""Of the rule; with another, stored verdicts are not reused."""


@dataclass(frozen=True)
class Tools:
    """Right where the task says that the calls are those that are asked for."""

    task: Task

    stage: ClassVar[str] = "tools"
    gold: ClassVar[bool] = True

    @property
    def digest(self) -> str:
        """Of the stage's version and the task whose rule it is."""
        return digest(self.stage, VERSION, self.task.name)

    def refuses(self, problem: Problem) -> str | None:
        """Nothing."""
        return None

    async def verify(self, problem: Problem, candidate: Candidate, ask: Ask) -> Verdict:
        """The verdict, at once: it asks nobody, and runs nothing."""
        if (none := unjudgeable(self, problem, candidate)) is not None:
            return none
        key = candidate.facts.get("answer_key")
        right = self.task.right(problem, key)
        if right is None:
            return verdict(self, None, 0.0, "no reference", "it is not known which calls are right")
        return verdict(self, right, 1.0, "structure", f"{shown(key)} against {shown(problem.reference)}")
