"""Flags made of what they belong to: a spec's fields, and the settings of every policy that is installed."""

from __future__ import annotations

from dataclasses import field, make_dataclass
from typing import Annotated, Any

from cyclopts import Parameter
from pydantic import BaseModel

from testtime.spec import accepted, policy_fields


def says(spec: type[BaseModel], key: str) -> Parameter:
    """The flag of a spec's field: its sentence is the help."""
    return Parameter(help=spec.model_fields[key].description)


def settings_of_policies(taken: frozenset[str]) -> Any:
    """A dataclass with one optional flag for every setting of every policy, built-in or plug-in.

    A setting whose name the command itself has `taken` can only be written in a policy string.
    """
    flags = []
    for key, sentence in policy_fields().items():
        if key in taken:
            continue
        also = "".join(f" (also --{other})" for other in accepted(key))
        about = Parameter(help=f"{sentence}{also}", group="Settings of policies")
        flags.append((key, Annotated[list[str] | None, about], field(default=None)))
    kind = make_dataclass("PolicySettings", flags, frozen=True)
    kind.__module__ = __name__  # where cyclopts looks its annotations up
    return kind
