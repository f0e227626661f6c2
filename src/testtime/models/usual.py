"""What a run samples with where nobody says, as far as its models take it, and what of it a model is not sent.

Some models have a temperature of their own alone; some take a temperature or a nucleus, not both. A wish that they
cannot honour is refused by the model; what is no wish, only our default, is left to the maker's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from testtime.models import presets
from testtime.models.openai import hosts

USUAL = {"temperature": 0.7, "top_p": 0.95}


def usual(models: Sequence[str], given: Mapping[str, float | None], api: hosts.Api | None = None) -> dict[str, Any]:
    """The sampling that all of these models take, by whole name; None: it is left to them.

    >>> usual(["pocket:pocket-m"], {"temperature": None, "top_p": 0.5})
    {'temperature': 0.7, 'top_p': 0.5}
    >>> usual(["anthropic:claude-opus-5-5"], {"temperature": None, "top_p": None})
    {'temperature': None, 'top_p': None}
    """
    fixed = {name for model in models for name in _own(model, api) if not _either(model)}
    chosen = {
        name: value if (value := given[name]) is not None or name in fixed else usual for name, usual in USUAL.items()
    }
    if any(map(_either, models)) and None in given.values():
        spare = "top_p" if given["top_p"] is None else "temperature"
        chosen[spare] = None
    return chosen


def unsent(model: str, sampling: Mapping[str, Any], api: hosts.Api | None = None) -> frozenset[str]:
    """Names of what is asked at the value that is the maker's own, and not sent therefore."""
    own = _own(model, api)
    return frozenset(name for name, value in own.items() if sampling.get(name) == value)


def _own(model: str, api: hosts.Api | None) -> Mapping[str, float]:
    """What a model is not sent at these values: its maker's own."""
    provider, _, name = model.partition(":")
    if provider in hosts.table():
        return hosts.host(provider, name, api).fixed
    family = _family(model)
    if family is None or (family.sampling and not family.either):
        return {}
    return {"temperature": family.temperature, "top_p": family.top_p}


def _either(model: str) -> bool:
    """Whether it takes one of them alone."""
    family = _family(model)
    return family is not None and family.sampling and family.either


def _family(model: str) -> presets.Family | None:
    provider, _, name = model.partition(":")
    listed = any(row.provider == provider for row in presets.table().families)
    return presets.family_of(provider, name) if listed else None
