"""Triggers that look at no token: by chance, by the clock, never, always."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from testtime.core.errors import BadInput
from testtime.core.settings import check, setting
from testtime.decoding.triggers import Moment


@dataclass(frozen=True)
class Random:
    """With a probability that changes evenly from the text's start to its end: `start:end`, or one number."""

    cheat_probability: str = setting("chance to ask at each step, start:end over the text's length, or one", "0.3:1.0")

    name: ClassVar[str] = "random"
    reads: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        self.chance(0.0)

    def wants(self, moment: Moment, rng: np.random.Generator) -> bool:
        """One throw a step."""
        return bool(rng.random() < self.chance(min(moment.position / moment.most, 1.0)))

    def chance(self, share: float) -> float:
        """The probability where so much of the text's room is used. Raises BadInput for what is no probability.

        >>> Random("0.3:1.0").chance(0.5), Random("0.25").chance(0.9)
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

    every: int = setting("tokens between consultations", 20, least=1)

    name: ClassVar[str] = "periodic"
    reads: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        check(self)

    def wants(self, moment: Moment, rng: np.random.Generator) -> bool:
        """By the count alone."""
        return moment.since >= self.every


@dataclass(frozen=True)
class Once:
    """One time, as soon as `at` tokens are written: what a single consultation there changes."""

    at: int = setting("tokens before the one consultation", 0, least=0)

    name: ClassVar[str] = "once"
    reads: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        check(self)

    def wants(self, moment: Moment, rng: np.random.Generator) -> bool:
        """By the position alone."""
        return moment.asked == 0 and moment.position >= self.at


@dataclass(frozen=True)
class Never:
    """The base alone, step by step."""

    name: ClassVar[str] = "never"
    reads: ClassVar[frozenset[str]] = frozenset()

    def wants(self, moment: Moment, rng: np.random.Generator) -> bool:
        """No."""
        return False


@dataclass(frozen=True)
class Always:
    """The oracle, as long as it may be asked."""

    name: ClassVar[str] = "always"
    reads: ClassVar[frozenset[str]] = frozenset()

    def wants(self, moment: Moment, rng: np.random.Generator) -> bool:
        """Yes."""
        return True
