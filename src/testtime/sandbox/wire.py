"""Values on the wire between tests and candidate: plain data both ways, never an object of the other side.

What comes from the candidate's side is data whatever it claims: numbers, texts and containers are rebuilt from
builtins, so no foreign `__eq__` takes part in a comparison; anything else is a handle, which equals only itself.
Runs inside sandboxes too: standard library only.
"""

from __future__ import annotations

import builtins
import collections
import importlib
from collections.abc import Callable
from typing import Any

DEEPEST = 50
"""Containers in containers beyond this are refused."""
_LISTED: dict[str, Any] = {"l": list, "t": tuple, "s": set, "f": frozenset, "q": collections.deque}
_EXACT = {"D": ("decimal", "Decimal"), "F": ("fractions", "Fraction")}
"""Exact numbers, by module and name: the modules take a third of a guest's start, and few programs need them."""


class Caught:
    """Keeps what is raised inside it, whatever it is: foreign code may raise anything, and that is its answer."""

    error: BaseException | None = None

    def __enter__(self) -> Caught:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        self.error = error
        return True

    def why(self, most: int = 300) -> str:
        """Its text, which its own __str__ may refuse to give."""
        with Caught():
            return str(self.error)[:most]
        return ""


def encode(value: Any, keep: Callable[[Any], int], depth: int = 0) -> Any:
    """A value as JSON; `keep` numbers an object that stays on this side. Raises ValueError for what is too deep."""
    if depth > DEEPEST:
        raise ValueError("nested too deeply")
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, dict):
        return {"d": [[encode(k, keep, depth + 1), encode(v, keep, depth + 1)] for k, v in dict.items(value)]}
    for tag, kind in _LISTED.items():
        if isinstance(value, kind):
            return {tag: [encode(one, keep, depth + 1) for one in kind.__iter__(value)]}
    return _single(value) or {"h": keep(value)}


def _single(value: Any) -> dict[str, Any] | None:
    """A value that holds no others, or a builtin type; None for an object of another kind."""
    kind = type(value)
    if kind in (bytes, bytearray):
        return {"b": bytes(value).hex()}
    if kind is complex:
        return {"c": [value.real, value.imag]}
    name = value.__name__ if isinstance(value, type) else ""
    if name and vars(builtins).get(name) is value:
        return {"T": name}
    named = (kind.__module__, kind.__qualname__)
    return next(({tag: str(value)} for tag, exact in _EXACT.items() if named == exact), None)


def decode(data: Any, remote: Callable[[int], Any]) -> Any:
    """The value again; `remote` makes of a number what stands for the other side's object. Raises ValueError."""
    if not isinstance(data, dict):
        if isinstance(data, list):
            raise ValueError("a bare list is no value")
        return data
    ((tag, inside),) = data.items()
    if tag in _LISTED:
        return _LISTED[tag](decode(one, remote) for one in inside)
    if tag in _EXACT:
        module, name = _EXACT[tag]
        return getattr(importlib.import_module(module), name)(inside)
    if tag == "T" and isinstance(kind := getattr(builtins, inside), type):
        return kind
    if tag == "d":
        return {decode(key, remote): decode(value, remote) for key, value in inside}
    if tag == "b":
        return bytes.fromhex(inside)
    if tag == "c":
        return complex(*inside)
    if tag == "h":
        return remote(int(inside))
    raise ValueError(f"no value is written {tag!r}")
