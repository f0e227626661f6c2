"""Each problem by the stage it names: for benchmarks whose splits are judged differently (`fields["verifier"]`).

A stage that is not there yet, as a judge without a model, gives null and says so; verdicts carry the name of the
stage that spoke.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import ClassVar

from testtime.core.needs import Foresees, Need
from testtime.core.protocols import Ask, Task, Verifier
from testtime.core.records import Candidate, Problem, Verdict
from testtime.core.registry import find
from testtime.core.seeds import digest

VERSION = 1
"""Of the rule; with another, stored verdicts are not reused."""


@dataclass(frozen=True)
class Each:
    """The stage that a problem names, else its task's, else a judge; opened when the first problem needs it."""

    task: Task
    opened: dict[str, Verifier] = field(default_factory=dict, compare=False, repr=False)
    """Stages that are open already, by name; others are opened when a problem needs them."""

    stage: ClassVar[str] = "each"
    gold: ClassVar[bool] = True

    @property
    def digest(self) -> str:
        """Of the stage's version, and the task that names the stages."""
        return digest(self.stage, VERSION, self.task.name)

    def refuses(self, problem: Problem) -> str | None:
        """What the problem's stage refuses."""
        return self.of(problem).refuses(problem)

    def foresees(self, problem: Problem) -> Iterable[Need]:
        """What the problem's stage foresees."""
        stage = self.of(problem)
        return stage.foresees(problem) if isinstance(stage, Foresees) else ()

    async def verify(self, problem: Problem, candidate: Candidate, ask: Ask) -> Verdict:
        """The verdict of the problem's stage."""
        said = await self.of(problem).verify(problem, candidate, ask)
        return replace(said, digest=self.digest)

    def of(self, problem: Problem) -> Verifier:
        """The stage that judges a problem."""
        own = self.task.verifier if self.task.verifier != self.stage else "judge"
        name = str(problem.fields.get("verifier", own))
        if name not in self.opened:
            self.opened[name] = find("verifier", name)(self.task)
        return self.opened[name]
