"""Flags made of what they belong to: a spec's fields, and the settings of every component that is installed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, make_dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from cyclopts import Parameter
from pydantic import BaseModel

from testtime.grid import setting_fields
from testtime.spec import accepted


def says(spec: type[BaseModel], key: str) -> Parameter:
    """The flag of a spec's field: its sentence is the help. A switch can be turned off by --no_KEY."""
    told = spec.model_fields[key]
    negative = f"--no_{key}" if "bool" in str(told.annotation) else ()
    return Parameter(help=told.description, negative=negative)


def part_of(spec: type[BaseModel], keys: Sequence[str], group: str) -> Any:
    """A dataclass with a flag for each of these fields of a spec, under a heading of their own."""
    flags = []
    for key in dict.fromkeys(keys):
        kind = _as_flag(spec.model_fields[key].annotation)
        off = f"--no_{key}" if kind is bool else None
        about = Parameter(help=spec.model_fields[key].description, group=group, negative=off)
        flags.append((key, Annotated[kind | None, about], field(default=None)))
    return _frozen("Part", flags)


def _as_flag(annotation: Any) -> Any:
    """The type of a flag: a field's own, without its limits, which the spec checks."""
    while get_origin(annotation) in (Annotated, Union, UnionType):
        annotation = next(one for one in get_args(annotation) if one is not type(None))
    return list[str] if get_origin(annotation) is tuple else annotation


def settings_of(kinds: Sequence[str], taken: frozenset[str]) -> Any:
    """A dataclass with one optional flag for every setting of every component of these kinds, built-in or plug-in.

    A setting whose name the command itself has `taken` can only be written in a component's text.
    """
    flags = []
    for key, sentence in setting_fields(kinds).items():
        if key in taken:
            continue
        also = "".join(f" (also --{other})" for other in accepted(key))
        about = Parameter(help=f"{sentence}{also}", group="Settings of components")
        flags.append((key, Annotated[list[str] | None, about], field(default=None)))
    return _frozen("Settings", flags)


def _frozen(name: str, flags: Sequence[tuple[str, Any, Any]]) -> Any:
    kind = make_dataclass(name, flags, frozen=True)
    kind.__module__ = __name__  # where cyclopts looks its annotations up
    return kind
