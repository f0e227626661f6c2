"""Core records to plain JSON values and back, losslessly.

A field equal to its default is left out, so a `Spend` of unknowns is `{}`. Sequences come back as
tuples; a free mapping (`facts`, `params`, `columns`) holds JSON values and comes back as it was.
Strings are kept code point by code point, lone surrogates too: `dumps` writes UTF-8 with surrogates passed.
"""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

_R = TypeVar("_R")


def dumps(value: object) -> bytes:
    """One line of JSON without spaces. Raises TypeError for what is not a JSON value, a record or a numpy number."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain)
    return text.encode("utf-8", "surrogatepass")


def loads(line: bytes) -> Any:
    """What `dumps` wrote. Raises ValueError for anything else."""
    try:
        return json.loads(line.decode("utf-8", "surrogatepass"))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def encode(record: object) -> dict[str, Any]:
    """A frozen record as a dict of JSON values, without the fields that equal their defaults."""
    out: dict[str, Any] = {}
    for field in dataclasses.fields(record):  # type: ignore[arg-type]
        value = getattr(record, field.name)
        if value != _default(field):
            out[field.name] = _value(value)
    return out


def decode(kind: type[_R], values: Mapping[str, Any]) -> _R:
    """The record of this kind that `encode` wrote; keys it does not know are left aside. Raises ValueError."""
    hints = _hints(kind)
    try:
        return kind(**{name: _build(hints[name], value) for name, value in values.items() if name in hints})
    except (TypeError, AttributeError) as error:
        raise ValueError(f"not a {kind.__name__}: {error}") from error


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return encode(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not a JSON value")


def _value(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return encode(value)
    if isinstance(value, Mapping):
        return {name: _value(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_value(inner) for inner in value]
    return value


def _default(field: dataclasses.Field[Any]) -> object:
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default


_HINTS: dict[Any, dict[str, Any]] = {}


def _hints(kind: Any) -> dict[str, Any]:
    if kind not in _HINTS:
        _HINTS[kind] = {name: hint for name, hint in get_type_hints(kind).items() if name in kind.__dataclass_fields__}
    return _HINTS[kind]


def _build(hint: Any, value: Any) -> Any:
    """A JSON value as its field's type wants it: records from mappings, tuples from lists."""
    if value is None or hint is Any:
        return value
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        wants_items = isinstance(value, list)
        fits = [part for part in inner if part is not types.NoneType and _holds_items(part) == wants_items]
        return _build(fits[0], value) if fits else value
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return decode(hint, value)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {name: _build(inner[1], item) for name, item in value.items()}
    if _holds_items(hint):
        return tuple(_build(inner[0], item) for item in value)
    return value


def _holds_items(hint: Any) -> bool:
    origin = get_origin(hint)
    return isinstance(origin, type) and issubclass(origin, Sequence)
