"""Core records to plain JSON values and back, losslessly.

A field equal to its default is left out, so a `Spend` of unknowns is `{}`. Sequences come back as
tuples; a free mapping (`facts`, `params`, `columns`) holds JSON values and comes back as it was.
Strings are kept code point by code point, lone surrogates too: `dumps` writes UTF-8 with surrogates passed.
"""

from __future__ import annotations

import dataclasses
import json
import re
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
import numpy as np

SURROGATE = re.compile("[\ud800-\udfff]")
"""What UTF-8 cannot hold, and a model's bytes can leave in a text."""
_R = TypeVar("_R")


def dumps(value: object) -> bytes:
    """One line of JSON without spaces. Raises TypeError for what is not a JSON value, a record or a numpy number."""
    return _ENCODER.encode(value).encode("utf-8", "surrogatepass")


def loads(line: bytes) -> Any:
    """What `dumps` wrote. Raises ValueError for anything else."""
    try:
        text = line.decode("utf-8", "surrogatepass")
        value, end = _DECODER.raw_decode(text)  # a third of what `json.loads` takes for a short line is spent around it
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if end != len(text):
        raise ValueError("more than one JSON value")
    return value


def fields_of(wanted: type[Any]) -> Callable[[bytes], dict[str, Any]]:
    """What reads these fields of an object that `dumps` wrote, and passes over the rest of it: texts above all.

    `wanted` is a TypedDict. What only `loads` can read (NaN, a lone surrogate, a value of another type) is read by
    that, and has all its fields. That raises ValueError for anything else.
    """
    decoder = msgspec.json.Decoder(wanted)

    def read(line: bytes) -> dict[str, Any]:
        try:
            found: dict[str, Any] = decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            found = loads(line)
        return found

    return read


def encode(record: object) -> dict[str, Any]:
    """A frozen record as a dict of JSON values, without the fields that equal their defaults."""
    kind, said = type(record), dict[str, Any]()
    if (defaults := _DEFAULTS.get(kind)) is None:
        defaults = _DEFAULTS[kind] = {field.name: _default(field) for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for name, default in defaults.items():
        value = getattr(record, name)
        if value is not default and value != default:
            said[name] = value if type(value) in _JSON else _value(value)
    return said


def decode(kind: type[_R], values: Mapping[str, Any]) -> _R:
    """The record of this kind that `encode` wrote; keys it does not know are left aside. Raises ValueError."""
    builders = _BUILDERS.get(kind) or _learn(kind)
    try:
        return kind(**{name: builders[name](value) for name, value in values.items() if name in builders})
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
    if value is None or isinstance(value, (str, int, float)):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return encode(value)
    if isinstance(value, Mapping):
        return {name: _value(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_value(inner) for inner in value]
    return value


_JSON = frozenset({str, int, float, bool})
"""Types that are written as they are."""
_DEFAULTS: dict[type, dict[str, object]] = {}
"""Kind of record → field → its default, which is never changed."""


def _default(field: dataclasses.Field[Any]) -> object:
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default


_DECODER = json.JSONDecoder()
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_plain)
_BUILDERS: dict[Any, dict[str, Callable[[Any], Any]]] = {}
"""Kind of record → field → what makes its value from a JSON value."""


def _learn(kind: Any) -> dict[str, Callable[[Any], Any]]:
    """Works out a kind's builders, once."""
    hints = {name: hint for name, hint in get_type_hints(kind).items() if name in kind.__dataclass_fields__}
    return _BUILDERS.setdefault(kind, {name: _builder(hint) for name, hint in hints.items()})


def _builder(hint: Any) -> Callable[[Any], Any]:
    """A JSON value as its field's type wants it: records from mappings, tuples from lists; null stays null."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _either([part for part in inner if part is not types.NoneType])
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return lambda value: None if value is None else decode(hint, value)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        build = _builder(inner[1])
        return lambda value: None if value is None else {name: build(item) for name, item in value.items()}
    if _holds_items(hint):
        build = _builder(inner[0])
        return lambda value: None if value is None else tuple(map(build, value))
    return _as_it_is


def _either(parts: Sequence[Any]) -> Callable[[Any], Any]:
    """For a union: what holds items is made from a list, what does not from anything else."""
    by_list: dict[bool, Callable[[Any], Any]] = {}
    for part in parts:
        by_list.setdefault(_holds_items(part), _builder(part))
    if all(build is _as_it_is for build in by_list.values()):
        return _as_it_is
    return lambda value: by_list.get(isinstance(value, list), _as_it_is)(value)


def _as_it_is(value: Any) -> Any:
    return value


def _holds_items(hint: Any) -> bool:
    origin = get_origin(hint)
    return isinstance(origin, type) and issubclass(origin, Sequence)
