"""How a run gets on, counted while it goes: draws, verdicts, tokens, and dollars, of judges too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, cast

from testtime.core.errors import BoundaryError
from testtime.core.protocols import Ask, Cap, Decoding, Verifier
from testtime.core.records import Candidate, Generation, Map, Problem, Request, Verdict
from testtime.engine.plan import Plan


@dataclass
class Progress:
    """How far a run is; it changes while the run goes on, and may be looked at from another thread."""

    due: int
    """Draws that will be made whatever comes out; adaptive policies may add to them."""
    open_end: bool
    """Whether a policy may ask for more."""
    kept: int = 0
    """Draws found in the journal."""
    made: int = 0
    failed: int = 0
    judged: int = 0
    """Of those made: with a verdict."""
    right: int = 0
    tokens: int = 0
    usd: float = 0.0
    """Of those made and of those judged, as far as prices are known."""


Watch: TypeAlias = Callable[[Progress], AbstractContextManager[Any]]
"""Shows the progress of a run while its context is open."""


@dataclass(frozen=True)
class _Counted:
    """A decoding whose draws are counted."""

    decoding: Decoding
    progress: Progress

    @property
    def name(self) -> str:
        return self.decoding.name

    @property
    def notes(self) -> frozenset[str]:
        return self.decoding.notes

    def probes(self, messages: Sequence[Map]) -> Sequence[tuple[str, Request]]:
        return self.decoding.probes(messages)

    @property
    def roles(self) -> Mapping[str, frozenset[Cap]]:
        return self.decoding.roles

    @property
    def settings(self) -> Sequence[Map]:
        return self.decoding.settings

    @property
    def calls(self) -> int | None:
        return self.decoding.calls

    async def draw(self, problem: Problem, messages: Sequence[Map], idx: int, ask: Ask) -> Sequence[Candidate]:
        try:
            made = await self.decoding.draw(problem, messages, idx, ask)
        except BoundaryError:
            self.progress.made += 1
            self.progress.failed += 1
            raise
        self.progress.made += 1
        self.progress.tokens += sum(spend.completion or 0 for one in made for spend in one.alone.values())
        self.progress.usd += sum(spend.usd or 0.0 for one in made for spend in one.alone.values())
        return made


@dataclass(frozen=True)
class _Scored:
    """A verifier whose verdicts are counted, if it is the first, and what a judge takes for them."""

    verifier: Verifier
    progress: Progress
    first: bool

    @property
    def stage(self) -> str:
        return self.verifier.stage

    @property
    def digest(self) -> str:
        return self.verifier.digest

    @property
    def gold(self) -> bool:
        return self.verifier.gold

    def refuses(self, problem: Problem) -> str | None:
        return self.verifier.refuses(problem)

    async def verify(self, problem: Problem, candidate: Candidate, ask: Ask) -> Verdict:
        verdict = await self.verifier.verify(problem, candidate, cast(Ask, _Paid(ask, self.progress)))
        if self.first:
            self.progress.judged += verdict.value is not None
            self.progress.right += verdict.value is True
        return verdict


@dataclass(frozen=True)
class _Paid:
    """`Ask` of a verifier, whose dollars are counted."""

    ask: Ask
    progress: Progress

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ask, name)

    async def generate(self, role: str, request: Request) -> Generation:
        got = await self.ask.generate(role, request)
        self.progress.usd += got.spend.usd or 0.0
        return got


def watched(plan: Plan, progress: Progress) -> Plan:
    """The plan with its draws, the verdicts of its first stage, and what all stages pay a judge, counted."""
    lanes = [replace(lane, decoding=_Counted(lane.decoding, progress)) for lane in plan.lanes]
    verifiers = [_Scored(stage, progress, first=at == 0) for at, stage in enumerate(plan.verifiers)]
    return replace(plan, lanes=lanes, verifiers=verifiers)
