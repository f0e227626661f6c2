"""Dollars from tokens. A model whose price is not known costs null, never 0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from testtime.core.spend import Spend


@dataclass(frozen=True)
class Price:
    """US dollars for a million tokens.

    >>> Price(prompt=3.0, completion=15.0).usd(Spend(prompt=1000, cached=0, completion=200))
    0.006
    """

    prompt: float
    completion: float
    cached: float | None = None
    """For prompt tokens read from the provider's cache; None: the same as `prompt`."""

    def usd(self, spend: Spend) -> float | None:
        """The dollars for these tokens; None where a count it needs is unknown."""
        if spend.prompt is None or spend.completion is None:
            return None
        if self.cached is None:
            return (spend.prompt * self.prompt + spend.completion * self.completion) / 1e6
        if spend.cached is None:
            return None
        read = (spend.prompt - spend.cached) * self.prompt + spend.cached * self.cached
        return (read + spend.completion * self.completion) / 1e6


@dataclass(frozen=True)
class Prices:
    """Prices by model name."""

    of: Mapping[str, Price]

    def __call__(self, model: str, spend: Spend) -> float | None:
        """The dollars of a spend on this model, or None."""
        price = self.of.get(model)
        return price.usd(spend) if price else None
