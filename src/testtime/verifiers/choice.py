"""A choice against the reference: the letter, or the probability that a model gives to the options that are right.

A candidate of the decoding `likelihood` carries the probability of each option (the fact `likelihoods`). Where several
options are right (TruthfulQA's `mc2`), its score is their share, and whether it is right is not a question.
"""

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
class Choice:
    """Right where the answer key is the reference."""

    task: Task

    stage: ClassVar[str] = "choice"
    gold: ClassVar[bool] = True

    @property
    def digest(self) -> str:
        """Of the stage's version and the task whose rule it is."""
        return digest(self.stage, VERSION, self.task.name)

    def refuses(self, problem: Problem) -> str | None:
        """Nothing."""
        return None

    async def verify(self, problem: Problem, candidate: Candidate, ask: Ask) -> Verdict:
        """The verdict, at once: it asks nobody."""
        if (none := unjudgeable(self, problem, candidate)) is not None:
            return none
        if problem.reference is None:
            return verdict(self, None, 0.0, "no reference", "there is no reference to compare with")
        printed, key = candidate.facts.get("answer"), candidate.facts.get("answer_key")
        likelihoods = candidate.facts.get("likelihoods")
        if problem.split == "mc2" and isinstance(likelihoods, dict):
            share = sum(likelihoods.get(letter, 0.0) for letter in problem.fields["correct"])
            return verdict(self, None, 0.0, "mc2", f"{share:.3f} of the probability is on right options", score=share)
        if key is None:
            return verdict(self, False, 0.0, "unreadable", f"{shown(printed)} is none of the options")
        method = problem.split if likelihoods is not None else "letter"
        return verdict(self, bool(self.task.right(problem, key)), 1.0, method, f"{key} against {problem.reference}")
