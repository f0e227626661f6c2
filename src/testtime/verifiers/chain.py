"""A rule first, a judge where the rule is unsure: a chain of two stages that records every step it tried.

Confidence in "right" is the rule's confidence where it says right, and 0 where it says anything else: an answer that
could not be parsed, and one that was parsed and is different, may both be right after all. When the judge is asked:

- mathematics (and other answers against a reference): under `math`, where that confidence is below `threshold`;
- code, where there is a judge: where the confidence in the verdict itself is below `threshold`. Tests that ran are
  sure, passed or failed, so a judge never overrules them;
- no rule (no tests, chat, stem, tool_calling): always;
- besides, for a share `audit` of the other verdicts of these kinds, chosen by the candidate's id: the judge's word is
  noted there and changes nothing. A judge that is only asked about "wrong" can only raise accuracy; the audit shows
  what it would also have taken away.

An answer that is none is never judged. The judge's verdict counts from a confidence of `ACCEPTED`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from testtime.core.needs import Foresees, Need
from testtime.core.protocols import Ask, Verifier
from testtime.core.records import Candidate, Problem, Verdict
from testtime.core.seeds import digest, seed_of
from testtime.verifiers.each import Each
from testtime.verifiers.said import verdict

VERSION = 2
"""Of the rules; with another, stored verdicts are not reused."""
ACCEPTED = 0.7
"""Confidence from which a judge's verdict takes the place of the rule's."""
NONE = ("no_tests", "judge")
"""Stages that are no rule: the judge alone decides."""


@dataclass(frozen=True)
class Chain:
    """`primary`, then `judge` where it is asked for."""

    primary: Verifier
    judge: Verifier
    math: bool = False
    """Ask the judge about mathematical answers too."""
    threshold: float = 0.4
    audit: float = 0.02

    gold: ClassVar[bool] = True

    @property
    def stage(self) -> str:
        """The primary's."""
        return self.primary.stage

    @property
    def digest(self) -> str:
        """Of both stages and when the second is asked."""
        return digest(VERSION, self.primary.digest, self.judge.digest, self.math, self.threshold, self.audit)

    def refuses(self, problem: Problem) -> str | None:
        """What the primary refuses."""
        return self.primary.refuses(problem)

    def foresees(self, problem: Problem) -> Iterator[Need]:
        """What the judge foresees: always where there is no rule, else for the audit at least."""
        first = self.primary.of(problem) if isinstance(self.primary, Each) else self.primary
        alone = first.stage in NONE
        if isinstance(self.judge, Foresees) and (alone or first.stage == "code" or self.math):
            for need in self.judge.foresees(problem):
                yield need if alone else replace(need, low=self.audit)

    async def verify(self, problem: Problem, candidate: Candidate, ask: Ask) -> Verdict:
        """The verdict, with what the rule and the judge said of it in columns."""
        first = await self.primary.verify(problem, candidate, ask)
        asked = self._asked(problem, candidate, first)
        if asked is None or first.stage == "judge":
            alone = asked is not None and first.value is not None
            columns = {"judge_said": float(bool(first.value)), "judge_audited": 0.0} if alone else {}
            return replace(first, digest=self.digest, columns={**first.columns, **columns})
        said = await self.judge.verify(problem, candidate, ask)
        return self._together(first, said, asked)

    def _asked(self, problem: Problem, candidate: Candidate, first: Verdict) -> str | None:
        """Why the judge is asked; None where it is not."""
        if first.method in ("no answer", "no reference"):
            return None
        if first.stage in NONE:
            return "no rule"
        code = first.stage == "code"
        if not code and not self.math:
            return None
        sure = (first.confidence or 0.0) if code or first.value is True else 0.0
        if sure < self.threshold:
            return "unsure"
        dice = seed_of(0, "audit", problem.query_id, candidate.arm, candidate.candidate_idx) / (2**31 - 2**20)
        return "audit" if first.value is not None and dice < self.audit else None

    def _together(self, first: Verdict, said: Verdict, asked: str) -> Verdict:
        """One verdict of two: the judge's where it is to count, else the rule's; the steps in order."""
        sure = said.value is not None and (said.confidence or 0.0) >= ACCEPTED
        counts = asked != "audit" and sure
        chosen = said if counts else first
        steps = f"{first.method}: {first.explanation} → {said.method} ({asked}): {said.explanation}"
        columns: dict[str, Any] = {**first.columns, **said.columns, "judge_audited": float(asked == "audit")}
        columns |= {name: float(one.value) for name, one in _words(first, said) if one.value is not None}
        columns |= {"judge_sure": float(sure)} if said.value is not None else {}
        method = f"{first.method}+{said.method}"
        made = verdict(self, chosen.value, chosen.confidence or 0.0, method, steps, columns=columns, score=first.score)
        stage = said.stage if counts else first.stage
        return replace(made, stage=stage, calls=(*first.calls, *said.calls))


def _words(first: Verdict, said: Verdict) -> tuple[tuple[str, Verdict], tuple[str, Verdict]]:
    return ("rule_said", first), ("judge_said", said)
