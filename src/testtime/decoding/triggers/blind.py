"""Triggers that look at no token: by chance, by the clock, never, always."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from testtime.core.errors import BadInput
from testtime.decoding.triggers import Moment


@dataclass(frozen=True)
class Random:
    """With a probability that changes evenly from the text's start to its end: `start:end`, or one number."""

    cheat_probability: str = "0.3:1.0"
    reads: frozenset[str] = field(default=frozenset(), repr=False)

    def __post_init__(self) -> None:
        self.at(0.0)

    def wants(self, moment: Moment, rng: np.random.Generator) -> bool:
        """One throw a step."""
        return bool(rng.random() < self.at(min(moment.position / moment.most, 1.0)))

    def at(self, share: float) -> float:
        """The probability where so much of the text's room is used. Raises BadInput for what is no probability.

        >>> Random("0.3:1.0").at(0.5), Random("0.25").at(0.9)
        (0.65, 0.25)
        """
        start, _, end = self.cheat_probability.partition(":")
        try:
            low, high = float(start), float(end or start)
        except ValueError:
            low = high = -1.0
        if not (0 <= low <= 1 and 0 <= high <= 1):
            raise BadInput(
                f"cheat_probability={self.cheat_probability} cannot be", mend="write a number from 0 to 1, or start:end"
            )
        return low + (high - low) * share


@dataclass(frozen=True)
class Periodic:
    """Once `every` tokens have passed since the last consultation, or since the start."""

    every: int = 20
    reads: frozenset[str] = field(default=frozenset(), repr=False)

    def wants(self, moment: Moment, rng: np.random.Generator) -> bool:
        """By the count alone."""
        return moment.since >= self.every


@dataclass(frozen=True)
class Once:
    """One time, as soon as `every` tokens are written: what a single consultation there changes."""

    every: int = 0
    reads: frozenset[str] = field(default=frozenset(), repr=False)

    def wants(self, moment: Moment, rng: np.random.Generator) -> bool:
        """By the position alone."""
        return moment.asked == 0 and moment.position >= self.every


@dataclass(frozen=True)
class Never:
    """The base alone, step by step."""

    reads: frozenset[str] = field(default=frozenset(), repr=False)

    def wants(self, moment: Moment, rng: np.random.Generator) -> bool:
        """No."""
        return False


@dataclass(frozen=True)
class Always:
    """The oracle, as long as it may be asked."""

    reads: frozenset[str] = field(default=frozenset(), repr=False)

    def wants(self, moment: Moment, rng: np.random.Generator) -> bool:
        """Yes."""
        return True
