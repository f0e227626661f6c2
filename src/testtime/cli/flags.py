"""Flags made of what they belong to: a spec's fields, and the settings of every component that is installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, make_dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from cyclopts import Parameter, Token
from pydantic import BaseModel

from testtime.cli import Whole, whole
from testtime.core.errors import BadInput
from testtime.grid import setting_fields
from testtime.runspec import SEVERAL
from testtime.spec import accepted


def points(text: str) -> float:
    """A difference as a part of 1. Raises BadInput.

    >>> points("2pt"), points("0.02")
    (0.02, 0.02)
    """
    try:
        return float(text.removesuffix("pt")) / (100 if text.endswith("pt") else 1)
    except ValueError:
        raise BadInput(f"effect {text!r} cannot be read", mend="write 1pt or 0.01") from None


def says(spec: type[BaseModel], key: str) -> Parameter:
    """The flag of a spec's field: its sentence is the help. A switch can be turned off by --no_KEY."""
    told = spec.model_fields[key]
    negative = f"--no_{key}" if "bool" in str(told.annotation) else ()
    return Parameter(help=told.description, negative=negative)


def flags_of(spec: type[BaseModel], hidden: frozenset[str], headings: Mapping[str, str]) -> Any:
    """A dataclass with one optional flag for every field of a spec, but for the hidden ones; field → its heading.

    Each takes one value or several: a grid, where the field itself takes one. A switch takes none.
    """
    flags = []
    for key, described in spec.model_fields.items():
        if key in hidden:
            continue
        kind = _as_flag(described.annotation)
        about: dict[str, Any] = {"help": described.description, "negative": _off(key, kind)}
        if kind is int:
            about["converter"] = _wholes
        if key in headings:
            about["group"] = headings[key]
        given: Any = bool | None if kind is bool else list[kind] | None  # type: ignore[valid-type]
        flags.append((key, Annotated[given, Parameter(**about)], field(default=None)))
    return _frozen("Flags", flags)


def _wholes(kind: Any, tokens: Sequence[Token]) -> list[int]:
    return [whole(token.value, token.keyword) for token in tokens]


def part_of(spec: type[BaseModel], keys: Sequence[str], group: str) -> Any:
    """A dataclass with a flag for each of these fields of a spec, under a heading of their own."""
    flags = []
    for key in dict.fromkeys(keys):
        kind = _as_flag(spec.model_fields[key].annotation)
        kind = list[kind] if key in SEVERAL else Whole if kind is int else kind  # type: ignore[valid-type]
        about = Parameter(help=spec.model_fields[key].description, group=group, negative=_off(key, kind))
        flags.append((key, Annotated[kind | None, about], field(default=None)))
    return _frozen("Part", flags)


def typed_of(keys: Mapping[str, tuple[type, str]], group: str) -> Any:
    """A dataclass with an optional flag for each of these keys, (type, sentence); a switch is true or false."""
    flags = []
    for key, (kind, sentence) in keys.items():
        given: Any = str if kind is bool else Whole if kind is int else kind
        flags.append((key, Annotated[given | None, Parameter(help=sentence, group=group)], field(default=None)))
    return _frozen("Typed", flags)


def _off(key: str, kind: Any) -> str | tuple[str, ...]:
    """The flag that turns a switch off; nothing else has one."""
    return f"--no_{key}" if kind is bool else ()


def _as_flag(annotation: Any) -> Any:
    """The type of one value: a field's own, without its limits, which the spec checks; of several, that of each."""
    while get_origin(annotation) in (Annotated, Union, UnionType):
        annotation = next(one for one in get_args(annotation) if one is not type(None))
    return get_args(annotation)[0] if get_origin(annotation) is tuple else annotation


def settings_of(kinds: Sequence[str], taken: frozenset[str], given: Any = list[str]) -> Any:
    """A dataclass with one optional flag for every setting of every component of these kinds, built-in or plug-in.

    A setting whose name the command itself has `taken` can only be written in a component's text. A flag is `given`
    several values, a grid, or `str`: one.
    """
    flags = []
    for key, sentence in setting_fields(kinds).items():
        if key in taken:
            continue
        also = "".join(f" (also --{other})" for other in accepted(key))
        about = Parameter(help=f"{sentence}{also}", group="Settings of components")
        flags.append((key, Annotated[given | None, about], field(default=None)))
    return _frozen("Settings", flags)


def _frozen(name: str, flags: Sequence[tuple[str, Any, Any]]) -> Any:
    kind = make_dataclass(name, flags, frozen=True)
    kind.__module__ = __name__  # where cyclopts looks its annotations up
    return kind
