"""Dollars from tokens. A model whose price is not known costs null, never 0.

`catalogue(day, own)` gives prices of hosted models on a day, by the package genai-prices, after the user's own;
`Catalogue.of(models)` is what `Plan.price` takes: (whole name, spend) → dollars or None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, time
from fnmatch import fnmatchcase
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from testtime.core.errors import BadInput
from testtime.core.spend import Spend

SELLERS = {
    "anthropic": "anthropic",
    "bedrock": "aws",
    "gemini": "google",
    "hyperbolic": "huggingface_hyperbolic",
    "openai": "openai",
    "together": "together",
}
"""Our word for a provider → that of genai-prices."""
HERE = frozenset({"pocket", "hf", "hf-reward", "echo", "scripted"})
"""Providers that run on this machine: nobody is paid for a token."""


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


@dataclass(frozen=True)
class Catalogue:
    """Prices of hosted models on a day.

    >>> prices = Catalogue(date(2026, 11, 25))
    >>> prices("openai:gpt-4o-mini", Spend(prompt=1_000_000, cached=0, completion=0))
    0.15
    >>> prices("openai:gpt-99", Spend(prompt=1, cached=0, completion=1)) is None
    True
    """

    day: date
    own: Mapping[str, Price] = field(default_factory=dict)
    """Pattern of whole names → price; before all others, the first that fits."""
    batch: bool = False
    """Priced as batches."""
    elsewhere: frozenset[str] = frozenset()
    """Whole names of models that another than their provider serves: the provider's list does not hold for them."""

    @property
    def source(self) -> str:
        """Where the prices come from, and of which day they are; they are indicative, bills are the provider's."""
        mine = "your own, then " if self.own else ""
        return f"{mine}genai-prices {version('genai-prices')}, {self.day}"

    def __call__(self, model: str, spend: Spend) -> float | None:
        """The dollars of a spend on a model by its whole name; None where the price or a count it needs is unknown."""
        provider, _, name = model.partition(":")
        mine = next((price for pattern, price in self.own.items() if fnmatchcase(model, pattern)), None)
        if mine is not None:
            return mine.usd(spend)
        if provider in HERE:
            return 0.0
        if provider not in SELLERS or model in self.elsewhere or spend.prompt is None or spend.completion is None:
            return None
        counted = Spend(spend.prompt, spend.cached, spend.completion, written=spend.written)
        return _listed(SELLERS[provider], name, self.day, self.batch, counted)

    def of(self, models: Iterable[str]) -> Callable[[str, Spend], float | None] | None:
        """What `Plan.price` takes; None where all models run on this machine, for which dollars say nothing."""
        named = list(models)
        paid = any(model.partition(":")[0] not in HERE or self._mine(model) for model in named)
        return self if paid else None

    def _mine(self, model: str) -> bool:
        return any(fnmatchcase(model, pattern) for pattern in self.own)


@lru_cache(maxsize=2**14)
def _listed(seller: str, name: str, day: date, batch: bool, spend: Spend) -> float | None:
    """Dollars by genai-prices, which counts cached tokens among the input, as a spend does.

    Kept for spends that come again, as those of draws of one problem do: a look-up takes a third of a millisecond.
    """
    import genai_prices

    usage = genai_prices.Usage(
        input_tokens=spend.prompt,
        cache_read_tokens=spend.cached or 0,
        cache_write_tokens=spend.written or 0,
        output_tokens=spend.completion,
    )
    at = datetime.combine(day, time(12), UTC)
    context = {"processing": "batch"} if batch else None
    try:
        found = genai_prices.calc_price(
            usage, name, provider_id=seller, genai_request_timestamp=at, price_context=context
        )
    except LookupError:
        return None
    if spend.cached is None and getattr(found.model_price, "cache_read_mtok", None) is not None:
        return None
    return float(found.total_price)


def catalogue(
    day: date | None = None, own: Path | None = None, *, batch: bool = False, elsewhere: Iterable[str] = ()
) -> Catalogue:
    """Prices of a day, by default today's, after those of the user's own file. Raises BadInput for that file."""
    return Catalogue(day or datetime.now(UTC).date(), read_own(own) if own else {}, batch, frozenset(elsewhere))


def read_own(path: Path) -> dict[str, Price]:
    """The user's own prices: YAML of `provider:pattern: {prompt: …, completion: …, cached: …}` in $ per million tokens.

    Raises BadInput.
    """
    mend = "write lines like vllm:*: {prompt: 0, completion: 0}, in dollars for a million tokens"
    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(error.strerror or str(error), where=str(path)) from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise BadInput("not YAML", where=str(path), mend=mend) from None
    if not isinstance(said, dict):
        raise BadInput("not a table of prices", where=str(path), mend=mend)
    return {str(pattern): _own(row, f"{path}: {pattern}", mend) for pattern, row in said.items()}


def _own(row: Any, where: str, mend: str) -> Price:
    known = {f.name for f in fields(Price)}
    if not isinstance(row, dict) or not {"prompt", "completion"} <= row.keys() <= known:
        raise BadInput(f"a price has {', '.join(sorted(known))}", where=where, mend=mend)
    if not all(
        isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0 for value in row.values()
    ):
        raise BadInput("a price is a number of 0 or more", where=where, mend=mend)
    return Price(**row)
