"""Particle filtering over steps: texts are drawn again in proportion to what a step scorer gives them.

A sampler where beam search is greedy: a text of low score may live on, so an erring scorer costs less (Puri et al.
2025). One draw is one population and gives the particle of the highest score at the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from testtime.core.history import Floats
from testtime.core.protocols import Ask
from testtime.core.records import Candidate, Map, Problem
from testtime.core.settings import setting
from testtime.decoding.population import Member, Population, Search, best


@dataclass(frozen=True)
class Particles(Search):
    """`number` texts; after each step as many are drawn again, with weights score ** sharpness."""

    number: int = setting("texts", 8, least=1)
    resampling: Literal["systematic", "multinomial", "none"] = setting("how texts are drawn again", "systematic")
    sharpness: float = setting("weights are score ** sharpness", 4.0, least=0)

    name: ClassVar[str] = "particles"

    async def draw(self, problem: Problem, messages: Sequence[Map], idx: int, ask: Ask) -> Sequence[Candidate]:
        """The best particle at the end. Raises ModelError."""
        crowd = Population(problem, messages, ask, self.sampling, self.scorer)
        counts = Counter({Member(): self.number})
        members: list[Member] = []
        for _ in range(self.depth):
            members = await crowd.weigh(await self._grown(crowd, counts, self.step_size))
            if all(one.finish is not None for one in members):
                break
            counts = self._drawn_again(crowd, members, ask.rng)
        else:
            members = await crowd.weigh(await self._grown(crowd, counts, None))
        at = best(members)
        return [crowd.candidate(members[at], [one for other, one in enumerate(members) if other != at], idx)]

    async def _grown(self, crowd: Population, counts: Mapping[Member, int], tokens: int | None) -> list[Member]:
        """Every particle a step further; those that ended stay, as many as they were."""
        grown: list[Member] = []
        for member, count in counts.items():
            further = await crowd.grow(member, count, tokens)
            grown += further if member.finish is None else further * count
        return grown

    def _drawn_again(self, crowd: Population, members: Sequence[Member], rng: np.random.Generator) -> Counter[Member]:
        if self.resampling == "none":
            return Counter(replace(one, score=0.0) for one in members)
        weights = np.array([one.score for one in members]) ** self.sharpness
        if not weights.any():
            weights = np.ones(len(members))
        taken = Counter(indices(weights, self.resampling, rng).tolist())
        crowd.left_behind += [one for at, one in enumerate(members) if at not in taken]
        again: Counter[Member] = Counter()
        for at, count in taken.items():
            again[replace(members[at], score=0.0)] += count
        return again


def indices(weights: Floats, resampling: str, rng: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """As many places as there are weights, drawn in proportion to them.

    Systematic: one throw, evenly spaced, so a weight w of n particles is drawn ⌊w·n⌋ or ⌈w·n⌉ times.

    >>> indices(np.array([1.0, 0.0, 1.0, 0.0]), "systematic", np.random.default_rng(0)).tolist()
    [0, 0, 2, 2]
    """
    n = len(weights)
    heights = np.cumsum(weights) / weights.sum()
    throws = (np.arange(n) + rng.random()) / n if resampling == "systematic" else np.sort(rng.random(n))
    return np.minimum(np.searchsorted(heights, throws, side="right"), n - 1)
