"""Components as text: `name:key=value,…`, what the user writes, what every table prints, and what can be pasted back.

    adaptive_margin:stop_rule=beta,threshold=0.95,max_n=40

A component that holds one of another kind (a policy its stopping rule) shows the settings of both as its own. A text
that could be misread (with a comma, a quotation mark, blanks at its ends) stands in quotation marks, as in JSON:
`budget:force_continue="Hmm, wait"`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, Literal, get_args, get_origin

from testtime.core.errors import BadInput, unknown_name
from testtime.core.registry import find, names
from testtime.core.settings import expected, plain, setting_fields

Described = tuple[type, Any, str]
"""(Type, default or None, sentence) of a setting."""


def parse(kind: str, text: str, **given: Any) -> Any:
    """The component of a kind that a text names. Raises BadInput with the text, the key and the mend.

    `given` are fields that no text says (a decoding's sampling, a task's path).

    >>> parse("policy", "adaptive_margin:stop_rule=beta,threshold=.95,max_n=40").most
    40
    """
    name, _, rest = text.strip().partition(":")
    try:
        return _build(kind, name.strip(), _pairs(rest), given)
    except BadInput as error:
        raise type(error)(error.what, where=f"{kind} {text}", mend=error.mend) from None


def _build(kind: str, name: str, pairs: Mapping[str, str], given: Mapping[str, Any]) -> Any:
    made, held_one = find(kind, name), {}
    held = next((f for f, _ in setting_fields(made) if "kind" in f.metadata), None)
    own = {f.name for f, _ in setting_fields(made) if f is not held}
    if held is not None:
        held_one[held.name], pairs = _held(kind, name, held, own, pairs)
    elif pairs.keys() - own:
        raise unknown_name(f"setting of {name}", min(pairs.keys() - own), own)
    return made(**given, **held_one, **_values(made, pairs))


def text_of(record: Any) -> str:
    """A component as text that can be parsed again."""
    settings = setting(record)
    return f"{record.name}:{settings}" if settings else str(record.name)


def setting(record: Any) -> str:
    """The text after the name, in the order of the fields: what a held component says always, other defaults left out.

    >>> setting(parse("policy", "sc_fixed:n=8"))
    'n=8'
    """
    shown: dict[str, str] = {}
    for f, _ in setting_fields(type(record)):
        value = getattr(record, f.name)
        if "kind" in f.metadata:
            shown[f.metadata["key"]] = value.name
            shown |= {own.name: said(getattr(value, own.name)) for own, _ in setting_fields(type(value))}
        elif value != f.default and value != _usual(record, f.name):
            shown[f.name] = said(value)
    return ",".join(f"{key}={value}" for key, value in shown.items())


def fields_of(kind: str, name: str) -> Mapping[str, Described]:
    """Key → description of a component's settings by name, with those of every component it may hold.

    Choices are `str`. A key that several held components have with different defaults has default None here,
    and its sentence says which means what.
    """
    shown: dict[str, Described] = {}
    for f, hint in setting_fields(find(kind, name)):
        if "kind" in f.metadata:
            known = ", ".join(names(f.metadata["kind"]))
            shown[f.metadata["key"]] = (str, f.metadata["usual"], f"{f.metadata['sentence']}: {known}")
            shown |= _held_fields(f.metadata["kind"])
        else:
            shown[f.name] = _described(f, hint)
    return shown


def unusual(kind: str, told: str) -> str:
    """A component of which a table tells every setting, without those that are as usual.

    >>> unusual("decoding", "tools:max_iterations=20,mock_threshold=1,tools=['add', 'clock']")
    'tools:mock_threshold=1,tools=(add,clock)'
    >>> unusual("decoding", "tools:max_iterations=20,tools=[]")
    'tools'
    """
    name, _, rest = told.partition(":")
    if name not in names(kind):
        return told
    known = fields_of(kind, name)
    kept = []
    for part in re.split(r",(?=\w+=)", rest):
        key, _, value = part.partition("=")
        listed = f"({value[1:-1].replace(chr(39), '').replace(', ', ',')})" if value.startswith("[") else value
        if part and not (key in known and {value, listed} & {str(known[key][1]), said(known[key][1])}):
            kept.append(f"{key}={listed}")
    return f"{name}:{','.join(kept)}" if kept else name


def several(kind: str, name: str) -> frozenset[str]:
    """The settings of a component that take several values at once."""
    return frozenset(f.name for f, hint in setting_fields(find(kind, name)) if get_origin(plain(hint)) is tuple)


def held_by(kind: str, name: str) -> tuple[str, str, str] | None:
    """(Kind, key, usual name) of the component that one of this name holds, or None."""
    held = next((f.metadata for f, _ in setting_fields(find(kind, name)) if "kind" in f.metadata), None)
    return (held["kind"], held["key"], held["usual"]) if held else None


def own_keys(kind: str) -> dict[str, set[str]]:
    """Component of a kind → its own settings."""
    return {name: {f.name for f, _ in setting_fields(find(kind, name))} for name in names(kind)}


def said(value: Any) -> str:
    """A setting's value as text.

    >>> said(0.50), said(True), said((8, 16))
    ('0.5', 'true', '(8,16)')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, tuple):
        return f"({','.join(map(said, value))})"
    return quoted(str(value))


def quoted(text: str) -> str:
    """A text as it stands in a component's text: in quotation marks where it would be misread without.

    >>> quoted("f(a,b)"), quoted("Hmm, wait")
    ('f(a,b)', '"Hmm, wait"')
    """
    try:
        whole = _split(text) == [text] and text == text.strip() and text.isprintable() and '"' not in text
    except BadInput:  # parentheses that do not match
        whole = False
    return text if whole else json.dumps(text, ensure_ascii=False)


def unquoted(text: str) -> str:
    """A text without its quotation marks, where it has them. Raises BadInput where they are not well formed."""
    if not text.startswith('"'):
        return text
    try:
        return str(json.loads(text))
    except json.JSONDecodeError:
        raise BadInput(f"{text} is no text in quotation marks", mend='write \\" for a mark within') from None


def _held_fields(kind: str) -> dict[str, Described]:
    found: dict[str, list[tuple[str, Described]]] = {}
    for name in names(kind):
        for f, hint in setting_fields(find(kind, name)):
            found.setdefault(f.name, []).append((name, _described(f, hint)))
    merged = {}
    for key, uses in found.items():
        defaults = {described[1] for _, described in uses}
        sentence = "; ".join(f"{name} ({described[1]}): {described[2]}" for name, described in uses)
        merged[key] = (uses[0][1][0], defaults.pop() if len(defaults) == 1 else None, sentence)
    return merged


def _described(f: Field[Any], hint: Any) -> Described:
    kind = plain(hint)
    default = None if f.default is MISSING else f.default
    return (str if get_origin(kind) is Literal else kind, default, f.metadata.get("sentence", ""))


def _usual(record: Any, name: str) -> Any:
    """What a field becomes when it is not given: it may depend on the others."""
    rest = {f.name: getattr(record, f.name) for f in fields(record) if f.init and f.name != name}
    try:
        return getattr(type(record)(**rest), name)
    except (TypeError, BadInput):  # it must be given
        return MISSING


def _pairs(rest: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for part in _split(rest):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not key or not value:
            raise BadInput(f"{part.strip()!r} is not key=value", mend="write name:key=value,key=value")
        if key in pairs:
            raise BadInput(f"{key} is given twice", mend="give it once")
        pairs[key] = value
    return pairs


def _split(text: str) -> list[str]:
    """At commas, but not inside parentheses and quotation marks."""
    parts, depth, start, inside = [], 0, 0, False
    for at, letter in enumerate(text):
        if letter == '"' and not (inside and _escaped(text, at)):
            inside = not inside
        elif not inside:
            depth += (letter == "(") - (letter == ")")
            if letter == "," and depth == 0:
                parts.append(text[start:at])
                start = at + 1
    if depth or inside:
        what, each = ("quotation marks", 'every "') if inside else ("parentheses", "every ( with a )")
        raise BadInput(f"{what} do not match in {text!r}", mend=f"close {each}")
    return [*parts, text[start:]] if text.strip() else []


def _escaped(text: str, at: int) -> bool:
    """Whether an odd number of backslashes stands before a place."""
    before = text[:at]
    return (len(before) - len(before.rstrip("\\"))) % 2 == 1


def _held(
    kind: str, name: str, held: Field[Any], own: set[str], pairs: Mapping[str, str]
) -> tuple[Any, Mapping[str, str]]:
    """The component that one holds, and the settings that are not its own."""
    inner, key = held.metadata["kind"], held.metadata["key"]
    chosen = pairs.get(key, held.metadata["usual"])
    made = find(inner, chosen)
    keys = {f.name for f, _ in setting_fields(made)}
    for other in sorted(pairs.keys() - own - keys - {key}):
        if owners := [one for one, theirs in own_keys(inner).items() if other in theirs]:
            has = ", ".join(sorted(keys)) or "no settings"
            raise BadInput(
                f"{other} is no setting of {key}={chosen}, which has {has}",
                mend=f"leave it out, or choose {key}={' or '.join(owners)}",
            )
        raise unknown_name(f"setting of {name}", other, own | keys | {key})
    inside = made(**_values(made, {one: pairs[one] for one in keys & pairs.keys()}))
    return inside, {one: value for one, value in pairs.items() if one in own}


def _values(made: type, pairs: Mapping[str, str]) -> dict[str, Any]:
    """Texts as values of the settings' types. Raises BadInput for a wrong one and for one that is missing."""
    values = {}
    for f, hint in setting_fields(made):
        if "kind" in f.metadata:
            continue
        if f.name in pairs:
            values[f.name] = _value(f, hint, pairs[f.name])
        elif f.default is MISSING and f.default_factory is MISSING:
            raise BadInput(f"{f.name} is missing", mend=f"add {f.name}=… ({expected(f, hint)})")
    return values


def _value(f: Field[Any], hint: Any, text: str) -> Any:
    kind = plain(hint)
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        if get_origin(kind) is tuple:
            parts = _split(text.removeprefix("(").removesuffix(")"))
            return tuple(_value(f, get_args(kind)[0], part.strip()) for part in parts)
        if kind in (int, float):
            return kind(text)
    except (ValueError, KeyError):
        raise BadInput(f"{f.name}={text} cannot be", mend=f"expected {expected(f, hint)}") from None
    return unquoted(text)


__all__ = ["Described", "fields_of", "held_by", "own_keys", "parse", "quoted", "said", "setting", "several", "text_of"]
