"""Beam search over steps: the best partial texts by a step scorer are gone on with.

Best-of-N over `beam` draws, by `search_score`, is DVTS: independent subtrees whose best answers compete.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from testtime.core.protocols import Ask
from testtime.core.records import Candidate, Map, Problem
from testtime.core.settings import setting
from testtime.decoding.population import Member, Population, Search, best


@dataclass(frozen=True)
class Beam(Search):
    """`width` texts are kept after each step; each is gone on with in `branch` ways; after `depth` steps they end."""

    width: int = setting("texts that are kept after each step", 2, least=1)
    branch: int = setting("ways in which each is gone on with", 4, least=1)

    name: ClassVar[str] = "beam"

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
