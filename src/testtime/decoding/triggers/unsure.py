"""Triggers on one statistic: the base is unsure of its next token, or the oracle thinks little of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from testtime.decoding.triggers import ORACLE_PROB, Moment


@dataclass(frozen=True)
class Entropy:
    """The entropy of the base's next token reaches a threshold, in bits."""

    threshold: float = 1.0
    reads: frozenset[str] = field(default=frozenset({"entropy"}), repr=False)

    def wants(self, moment: Moment, rng: np.random.Generator) -> bool:
        """At or above it."""
        return moment.stats["entropy"] >= self.threshold


@dataclass(frozen=True)
class Varentropy:
    """The variance of the base's surprisal reaches a threshold, in bits²."""

    threshold: float = 1.0
    reads: frozenset[str] = field(default=frozenset({"varentropy"}), repr=False)

    def wants(self, moment: Moment, rng: np.random.Generator) -> bool:
        """At or above it."""
        return moment.stats["varentropy"] >= self.threshold


@dataclass(frozen=True)
class TopProb:
    """The base's most probable token has at most the threshold's probability."""

    threshold: float = 0.6
    reads: frozenset[str] = field(default=frozenset({"top_prob"}), repr=False)

    def wants(self, moment: Moment, rng: np.random.Generator) -> bool:
        """At or below it."""
        return moment.stats["top_prob"] <= self.threshold


@dataclass(frozen=True)
class ProbTop2Diff:
    """The base's two most probable tokens lie at most the threshold apart in probability."""

    threshold: float = 0.3
    reads: frozenset[str] = field(default=frozenset({"prob_top2_diff"}), repr=False)

    def wants(self, moment: Moment, rng: np.random.Generator) -> bool:
        """At or below it."""
        return moment.stats["prob_top2_diff"] <= self.threshold


@dataclass(frozen=True)
class Disagreement:
    """The oracle gives the token that the base proposes at most the threshold's probability.

    The oracle reads all that the base writes: it writes little, and is not cheap.
    """

    threshold: float = 0.3
    reads: frozenset[str] = field(default=frozenset({ORACLE_PROB}), repr=False)

    def wants(self, moment: Moment, rng: np.random.Generator) -> bool:
        """At or below it."""
        return moment.stats[ORACLE_PROB] <= self.threshold
