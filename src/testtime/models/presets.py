"""The table of hosted models: what each family takes, what it is good for, and which ids are retired.

The facts are in presets.toml, with the day on which they were read. A retired id is refused with its successor,
never replaced: some providers answer it with another model, at another price.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from testtime.core.errors import BadInput
from testtime.core.protocols import Cap

FILE = Path(__file__).parent / "presets.toml"


@dataclass(frozen=True)
class Family:
    """What models of one kind take. The defaults are a plain model that samples, one completion a request."""

    provider: str
    models: tuple[str, ...]
    """Patterns of names."""
    use: str
    """What it is recommended for."""
    sampling: bool = True
    """Whether temperature and top_p can be set."""
    temperature: float = 1.0
    """The provider's own."""
    top_p: float = 1.0
    """The provider's own."""
    either: bool = False
    """Temperature and top_p cannot both be set."""
    n: int = 1
    """The most completions a request."""
    seed: bool = False
    logprobs: int | None = None
    """The most alternatives a token; None: no log-probabilities."""
    continuation: bool = False
    """Whether it goes on from a text of its own."""
    efforts: tuple[str, ...] = ()
    """Words that steer the thinking."""
    adaptive: bool = False
    """Anthropic's: an effort goes with adaptive thinking."""
    budgets: tuple[int, int] | None = None
    """Thinking tokens that can be asked for: least and most."""
    off: bool = False
    """Whether thinking can be turned off (thinking 0)."""
    tools: bool = True
    schema: bool = True
    cache: int | None = None
    """The least prompt tokens that a cache keeps; None: no cache that is asked for."""

    @property
    def can(self) -> frozenset[Cap]:
        """The capabilities that follow from it."""
        has: Mapping[Cap, object] = {
            "n": self.n > 1,
            "seed": self.seed,
            "temperature": self.sampling,
            "logprobs": self.logprobs,
            "continuation": self.continuation,
            "tools": self.tools,
            "schema": self.schema,
            "thinking": self.efforts or self.budgets,
        }
        return frozenset(cap for cap, there in has.items() if there)


@dataclass(frozen=True)
class Advice:
    """What models are good for whose terms stand elsewhere."""

    provider: str
    models: tuple[str, ...]
    use: str


@dataclass(frozen=True)
class Retired:
    """Ids that end on a day, and what their maker recommends instead."""

    provider: str
    models: tuple[str, ...]
    day: date
    successor: str


@dataclass(frozen=True)
class Table:
    """All that is known, and when it was read."""

    day: date
    prices: str
    """Where prices come from."""
    families: tuple[Family, ...]
    advice: tuple[Advice, ...]
    retired: tuple[Retired, ...]


@cache
def table() -> Table:
    """The table of presets.toml."""
    raw = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return Table(
        raw["day"],
        raw["prices"],
        tuple(Family(**_frozen(row)) for row in raw["family"]),
        tuple(Advice(**_frozen(row)) for row in raw["advice"]),
        tuple(Retired(**_frozen(row)) for row in raw["retired"]),
    )


def family_of(provider: str, model: str) -> Family:
    """The family of a model by its provider's name for it; the provider's last row takes what no other does."""
    if provider == "bedrock" and "anthropic." in model:
        provider, model = "anthropic", model.rpartition("anthropic.")[2]
    return next(row for row in table().families if row.provider == provider and _fits(row.models, model))


def refuse_retired(provider: str, model: str, today: date | None = None) -> None:
    """Raises BadInput for an id that is no more, with its successor."""
    row = retirement(provider, model)
    if row is not None and row.day <= (today or date.today()):
        raise BadInput(
            f"{provider}:{model} retired on {row.day}", mend=f"add --model {provider}:{row.successor}, its successor"
        )


def retires(provider: str, model: str, today: date | None = None) -> str | None:
    """A note where the id is to be retired, or None."""
    row = retirement(provider, model)
    if row is None or row.day <= (today or date.today()):
        return None
    return f"{provider}:{model} retires on {row.day}; its successor is {provider}:{row.successor}"


def retirement(provider: str, model: str) -> Retired | None:
    """When an id ends, or ended, and what its maker recommends instead; None where nothing is known of an end."""
    return next((row for row in table().retired if row.provider == provider and _fits(row.models, model)), None)


def _fits(patterns: tuple[str, ...], model: str) -> bool:
    return any(fnmatchcase(model, pattern) for pattern in patterns)


def _frozen(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
