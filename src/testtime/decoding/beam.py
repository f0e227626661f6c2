"""Beam search over steps: the best partial texts by a step scorer are gone on with.

Best-of-N over `beam` draws, by `search_score`, is DVTS: independent subtrees whose best answers compete.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from testtime.core.protocols import Ask, Cap
from testtime.core.records import Candidate, Map, Problem, Request
from testtime.core.settings import check, setting, settings_of
from testtime.decoding.population import Member, Population, best


@dataclass(frozen=True)
class Beam:
    """`width` texts are kept after each step; each is gone on with in `branch` ways; after `depth` steps they end."""

    sampling: Map = field(default_factory=dict)
    """Parameters of every request; max_tokens are those of one text."""
    width: int = setting("texts that are kept after each step", 2, least=1)
    branch: int = setting("ways in which each is gone on with", 4, least=1)
    depth: int = setting("steps after which texts are written to their end", 8, least=1)
    step_size: int = setting("tokens of a step", 24, least=1)
    scorer: str = setting("the stage that scores steps", "steps")

    name: ClassVar[str] = "beam"
    roles: ClassVar[Mapping[str, frozenset[Cap]]] = {"model": frozenset({"continuation", "n"})}
    calls: ClassVar[int | None] = None
    notes: ClassVar[frozenset[str]] = frozenset({"search_score", "members", "steps", "chosen_tokens"})

    def __post_init__(self) -> None:
        check(self)

    @property
    def settings(self) -> Sequence[Map]:
        """One arm."""
        return (settings_of(self),)

    def probes(self, messages: Sequence[Map]) -> Sequence[tuple[str, Request]]:
        """A first step."""
        return [("model", Request(messages, params={**self.sampling, "max_tokens": self.step_size}))]

    async def draw(self, problem: Problem, messages: Sequence[Map], idx: int, ask: Ask) -> Sequence[Candidate]:
        """The best text of one beam. Raises ModelError."""
        crowd = Population(problem, messages, ask, self.sampling, self.scorer)
        beams, ways = [Member()], self.width * self.branch
        for _ in range(self.depth):
            grown = [one for beam in beams for one in await crowd.grow(beam, ways, self.step_size)]
            beams, rest = self._kept(await crowd.weigh(grown))
            crowd.left_behind += rest
            ways = self.branch
            if all(beam.finish is not None for beam in beams):
                break
        else:  # what has not ended is written to its end
            ended = [one for beam in beams for one in await crowd.grow(beam, 1, None)]
            beams = await crowd.weigh(ended)
        at = best(beams)
        return [crowd.candidate(beams[at], [one for other, one in enumerate(beams) if other != at], idx)]

    def _kept(self, members: Sequence[Member]) -> tuple[list[Member], list[Member]]:
        """(The best, first of equals first; the others)."""
        order = sorted(range(len(members)), key=lambda at: (-members[at].score, at))
        return [members[at] for at in order[: self.width]], [members[at] for at in order[self.width :]]
