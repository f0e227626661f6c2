"""A trigger fitted to where the base goes wrong: a logistic law of its statistics."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from testtime.core.errors import BadInput, unknown_name
from testtime.core.settings import check, setting
from testtime.core.signals import LAW
from testtime.decoding.triggers import Moment

BIAS = "bias"


@dataclass(frozen=True)
class Learned:
    """The chance that the base errs here, σ(bias + Σ weight · statistic), reaches a threshold.

    `weights` is written `bias:-4.1;entropy:2.3;…`: `testtime stats --learn` fits and prints it.
    """

    weights: str = setting("what it weighs, as bias:-4.1;entropy:2.3")
    threshold: float = setting("chance of an error from which the oracle is asked", 0.5, least=0, most=1)

    name: ClassVar[str] = "learned"

    def __post_init__(self) -> None:
        check(self)
        _ = self.coefficients  # what cannot be read is refused now

    @property
    def coefficients(self) -> Mapping[str, float]:
        """Statistic → weight. Raises BadInput for what is no such text."""
        found: dict[str, float] = {}
        for part in filter(None, self.weights.split(";")):
            name, _, value = part.partition(":")
            if name not in (BIAS, *LAW):
                raise unknown_name("statistic", name, (BIAS, *LAW), where=f"weights={self.weights}")
            try:
                found[name] = float(value)
            except ValueError:
                raise BadInput(f"{part!r} is no weight", mend="write bias:-4.1;entropy:2.3") from None
        return found

    @property
    def reads(self) -> frozenset[str]:
        """The statistics it has weights for."""
        return frozenset(self.coefficients) - {BIAS}

    def wants(self, moment: Moment, rng: np.random.Generator) -> bool:
        """At or above it."""
        return chance(self.coefficients, moment.stats) >= self.threshold


def chance(coefficients: Mapping[str, float], stats: Mapping[str, float]) -> float:
    """σ of the weighted sum.

    >>> chance({"bias": 0.0, "entropy": 1.0}, {"entropy": 0.0})
    0.5
    """
    height = sum(weight * (1.0 if name == BIAS else stats[name]) for name, weight in coefficients.items())
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, height))))
