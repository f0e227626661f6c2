"""What a setting is: a dataclass field with a sentence and a range, read by checks, flags and docs.

Any component a user can configure (policy, stopping rule, decoding, task) is a frozen dataclass. Its settings are the
fields whose type a text can say: numbers, true or false, text, a choice, several of these, or a component of another
kind. All other fields are given to it by `build` (a path, the sampling).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, field, fields
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np

from testtime.core.errors import BadInput


def setting(
    sentence: str,
    default: Any = MISSING,
    *,
    above: float | None = None,
    below: float | None = None,
    least: float | None = None,
    most: float | None = None,
) -> Any:
    """A dataclass field with its sentence for flags and docs, and the range its values must lie in."""
    limits = {"above": above, "below": below, "at least": least, "at most": most}
    kept = {word: limit for word, limit in limits.items() if limit is not None}
    return field(default=default, metadata={"sentence": sentence, "limits": kept})


def component(sentence: str, kind: str, *, key: str, usual: str) -> Any:
    """A dataclass field that holds a component of another kind, whose settings are written as the holder's own.

    `key` names it in the text (`stop_rule=beta,threshold=0.95`); `usual` is its name where the text does not.
    """
    return field(metadata={"sentence": sentence, "kind": kind, "key": key, "usual": usual})


def settings_of(record: Any) -> dict[str, Any]:
    """A component's settings and their values, those of a component in it among them, under the keys of its text.

    >>> from testtime.policies.sc_fixed import ScFixed
    >>> settings_of(ScFixed(n=4))
    {'n': 4, 'ties': 'uniform'}
    """
    said: dict[str, Any] = {}
    for f, _ in setting_fields(type(record)):
        value = getattr(record, f.name)
        if "kind" in f.metadata:
            said |= {f.metadata["key"]: value.name, **settings_of(value)}
        else:
            said[f.name] = value
    return said


def setting_fields(kind: Any) -> tuple[tuple[Field[Any], Any], ...]:
    """The fields of a component, a class, that are settings, with their types."""
    return _setting_fields(kind)


@cache
def _setting_fields(kind: Any) -> tuple[tuple[Field[Any], Any], ...]:
    """Once a class: to resolve the names of types takes far longer than all else of a text."""
    hints = hints_of(kind)
    said = ((f, hints[f.name]) for f in fields(kind) if f.init)
    return tuple((f, hint) for f, hint in said if "kind" in f.metadata or _can_be_said(hint))


def _can_be_said(hint: Any) -> bool:
    kind = plain(hint)
    return kind in (int, float, bool, str) or get_origin(kind) in (Literal, tuple)


def check(record: Any) -> None:
    """Raises BadInput where a setting of a dataclass lies outside its range. Use as `__post_init__`."""
    for f, hint in setting_fields(type(record)):
        if "kind" not in f.metadata:
            _check_one(f, hint, getattr(record, f.name))


def hints_of(kind: type) -> Mapping[str, Any]:
    """Field → type, with names resolved."""
    return get_type_hints(kind)


def expected(f: Field[Any], hint: Any) -> str:
    """What a setting may be, in words.

    >>> from testtime.policies.sc_fixed import ScFixed
    >>> expected(fields(ScFixed)[0], int)
    'a whole number at least 1'
    """
    kind = plain(hint)
    if get_origin(kind) is tuple:
        return f"(…,…), each {expected(f, get_args(kind)[0])}"
    if get_origin(kind) is Literal:
        return " or ".join(get_args(kind))
    noun = {int: "a whole number", float: "a number", bool: "true or false"}.get(kind, "text")
    limits = f.metadata.get("limits", {})
    return " ".join([noun, " and ".join(f"{word} {limit:,g}" for word, limit in limits.items())]).strip()


def plain(hint: Any) -> Any:
    """The type itself where None is allowed besides."""
    kinds = [kind for kind in get_args(hint) if kind is not type(None)]
    return kinds[0] if len(kinds) == 1 and type(None) in get_args(hint) else hint


def _check_one(f: Field[Any], hint: Any, value: Any) -> None:
    if value is None and type(None) in get_args(hint):
        return
    kind = plain(hint)
    if get_origin(kind) is tuple:
        for one in value:
            _check_one(f, get_args(kind)[0], one)
        return
    wrong = (
        (kind is int and (isinstance(value, bool) or not isinstance(value, (int, np.integer))))
        or (kind is float and (isinstance(value, bool) or not isinstance(value, (int, float, np.floating))))
        or (kind is bool and not isinstance(value, bool))
        or (get_origin(kind) is Literal and value not in get_args(kind))
        or not _within(value, f.metadata.get("limits", {}))
    )
    if wrong:
        raise BadInput(f"{f.name}={value} cannot be", mend=f"expected {expected(f, hint)}")


def _within(value: Any, limits: Mapping[str, float]) -> bool:
    holds = {
        "above": lambda limit: value > limit,
        "below": lambda limit: value < limit,
        "at least": lambda limit: value >= limit,
        "at most": lambda limit: value <= limit,
    }
    return all(holds[word](limit) for word, limit in limits.items())
