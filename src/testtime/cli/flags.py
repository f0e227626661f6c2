"""Flags made of what they belong to: a spec's fields, and the settings of every component that is installed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, make_dataclass
from typing import Annotated, Any

from cyclopts import Parameter
from pydantic import BaseModel

from testtime.grid import setting_fields
from testtime.spec import accepted


def says(spec: type[BaseModel], key: str) -> Parameter:
    """The flag of a spec's field: its sentence is the help."""
    return Parameter(help=spec.model_fields[key].description)


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
    kind = make_dataclass("Settings", flags, frozen=True)
    kind.__module__ = __name__  # where cyclopts looks its annotations up
    return kind
