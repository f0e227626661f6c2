"""Names to components. Built-ins and plug-ins come through the same door, as lazy strings.

A room lists its own in `BUILTIN = {"sc_fixed": "testtime.policies.sc_fixed:ScFixed"}`; a plug-in
declares an entry point in the group `testtime.<room>`. Nothing is imported until it is asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from testtime.core.errors import BadInput, unknown_name

ROOMS = {
    "policy": "policies",
    "stopping rule": "policies.stops",
    "vote": "policies.votes",
    "task": "tasks",
    "model": "models",
    "decoding": "decoding",
    "trigger": "decoding.triggers",
    "tool": "tools",
    "verifier": "verifiers",
    "sandbox": "sandbox",
    "importer": "importers",
    "cluster": "cluster",
}


def names(kind: str) -> Mapping[str, str]:
    """Every component of a kind: name → "module:attribute", built-ins first, none of them imported.

    Raises BadInput where a plug-in has the name of a built-in.
    """
    room = ROOMS[kind]
    builtin: dict[str, str] = dict(importlib.import_module(f"testtime.{room}").BUILTIN)
    plugged = _plugged(f"testtime.{room}")
    if clash := builtin.keys() & plugged.keys():
        raise BadInput(f"a plug-in redefines the built-in {kind} {sorted(clash)[0]!r}", mend="rename the entry point")
    return builtin | plugged


@cache
def _plugged(group: str) -> dict[str, str]:
    """The entry points of a group, read once a process: that takes longer than most look-ups."""
    return {point.name: point.value for point in entry_points(group=group)}


def find(kind: str, name: str) -> Any:
    """The component itself. Raises BadInput with the nearest names, or the line that installs its library."""
    known = names(kind)
    if name not in known:
        raise unknown_name(kind, name, known)
    module, _, attribute = known[name].partition(":")
    return getattr(importlib.import_module(module), attribute)
