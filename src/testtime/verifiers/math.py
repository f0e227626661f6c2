"""A final answer against the reference, by the task's own rule of equality: exact decimals for numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from testtime.core.protocols import Ask, Task
from testtime.core.records import Candidate, Problem, Verdict
from testtime.core.seeds import digest

VERSION = 1
"""Of the rule; with another, stored verdicts are not reused."""


@dataclass(frozen=True)
class Math:
    """Right where the candidate's answer key is the reference; no answer is wrong; no reference is unknown."""

    task: Task

    stage: ClassVar[str] = "math"
    gold: ClassVar[bool] = True

    @property
    def digest(self) -> str:
        """Of the stage's version and the task whose rule it is."""
        return digest(self.stage, VERSION, self.task.name)

    async def verify(self, problem: Problem, candidate: Candidate, ask: Ask) -> Verdict:
        """The verdict, at once: it asks nobody."""
        printed, key = candidate.facts.get("answer"), candidate.facts.get("answer_key")
        right = self.task.right(problem, key)
        if right is None:
            return Verdict(self.stage, self.digest, method="none", explanation="no reference", gold=True)
        told = f"{printed!r} against {problem.reference!r}" if key is not None else "no answer was found"
        return Verdict(
            self.stage,
            self.digest,
            value=right,
            confidence=1.0,
            method="key" if key is not None else "no answer",
            explanation=told,
            gold=True,
        )
