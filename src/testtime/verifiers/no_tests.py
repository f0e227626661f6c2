"""Code of a dataset without tests: nobody can say by running it, so the verdict is null, and a judge may go on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from testtime.core.protocols import Ask, Task
from testtime.core.records import Candidate, Problem, Verdict
from testtime.core.seeds import digest
from testtime.verifiers.said import unjudgeable, verdict

VERSION = 2
"""Of the rule; with another, stored verdicts are not reused."""


@dataclass(frozen=True)
class NoTests:
    """The stage."""

    task: Task

    stage: ClassVar[str] = "no_tests"
    gold: ClassVar[bool] = False

    @property
    def digest(self) -> str:
        """Of the stage's version."""
        return digest(self.stage, VERSION)

    def refuses(self, problem: Problem) -> str | None:
        """Nothing."""
        return None

    async def verify(self, problem: Problem, candidate: Candidate, ask: Ask) -> Verdict:
        """False where there is no answer, else null."""
        none = unjudgeable(self, problem, candidate)
        return none or verdict(self, None, 0.0, "no_tests", "the dataset has no tests for this problem")
