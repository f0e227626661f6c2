"""Triggers on one statistic: the base is unsure of its next token, or the oracle thinks little of it.

Each says which statistic it reads, whether little of it asks or much, and from where.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from testtime.core.settings import setting
from testtime.decoding.triggers import ORACLE_PROB, Moment


@dataclass(frozen=True)
class Statistic:
    """A statistic of the next token reaches a threshold: from above where little of it is a doubt, else from below."""

    threshold: float

    reads: ClassVar[frozenset[str]]
    little: ClassVar[bool] = False

    def wants(self, moment: Moment, rng: np.random.Generator) -> bool:
        """At the threshold, or beyond it."""
        (name,) = self.reads
        value = moment.stats[name]
        return value <= self.threshold if self.little else value >= self.threshold


@dataclass(frozen=True)
class Entropy(Statistic):
    """The entropy of the base's next token reaches a threshold, in bits."""

    threshold: float = setting("bits from which the oracle is asked", 1.0, least=0)

    name: ClassVar[str] = "entropy"
    reads: ClassVar[frozenset[str]] = frozenset({"entropy"})


@dataclass(frozen=True)
class Varentropy(Statistic):
    """The variance of the base's surprisal reaches a threshold, in bits²."""

    threshold: float = setting("bits² from which the oracle is asked", 1.0, least=0)

    name: ClassVar[str] = "varentropy"
    reads: ClassVar[frozenset[str]] = frozenset({"varentropy"})


@dataclass(frozen=True)
class TopProb(Statistic):
    """The base's most probable token has at most the threshold's probability."""

    threshold: float = setting("probability down from which the oracle is asked", 0.6, least=0)

    name: ClassVar[str] = "top_prob"
    reads: ClassVar[frozenset[str]] = frozenset({"top_prob"})
    little: ClassVar[bool] = True


@dataclass(frozen=True)
class ProbTop2Diff(Statistic):
    """The base's two most probable tokens lie at most the threshold apart in probability."""

    threshold: float = setting("lead in probability down from which the oracle is asked", 0.3, least=0)

    name: ClassVar[str] = "prob_top2_diff"
    reads: ClassVar[frozenset[str]] = frozenset({"prob_top2_diff"})
    little: ClassVar[bool] = True


@dataclass(frozen=True)
class Disagreement(Statistic):
    """The oracle gives the token that the base proposes at most the threshold's probability.

    The oracle reads all that the base writes: it writes little, and is not cheap.
    """

    threshold: float = setting("probability down from which the oracle is asked", 0.3, least=0)

    name: ClassVar[str] = "disagreement"
    reads: ClassVar[frozenset[str]] = frozenset({ORACLE_PROB})
    little: ClassVar[bool] = True
