"""Policies as text: `name:key=value,…`, what the user writes, what every table prints, and what can be pasted back.

    adaptive_margin:stop_rule=beta,threshold=0.95,max_n=40

A policy with a stopping rule shows the rule's own settings as if they were its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, Literal, get_origin

from testtime.core.errors import BadInput, unknown_name
from testtime.core.protocols import Policy, StoppingRule
from testtime.core.registry import find, names
from testtime.policies.settings import expected, hints_of, plain

RULE = "stop_rule"
DEFAULT_RULE = "sprt"


def parse(text: str) -> Policy:
    """The policy a text names. Raises BadInput with the text, the key and the mend.

    >>> parse("adaptive_margin:stop_rule=beta,threshold=.95,max_n=40").most
    40
    """
    name, _, rest = text.strip().partition(":")
    try:
        return _build(name.strip(), _pairs(rest))
    except BadInput as error:
        raise type(error)(error.what, where=f"policy {text}", mend=error.mend) from None


def setting(policy: Policy) -> str:
    """The text after the name, in the order of the fields: a rule's own settings always, other defaults left out.

    >>> setting(parse("sc_fixed:n=8"))
    'n=8'
    """
    shown: dict[str, str] = {}
    for f in fields(policy):  # type: ignore[arg-type]
        value = getattr(policy, f.name)
        if f.name == "rule":
            shown[RULE] = value.name
            shown |= {own.name: _text(getattr(value, own.name)) for own in fields(value)}
        elif value != f.default and value != _usual(policy, f.name):
            shown[f.name] = _text(value)
    return ",".join(f"{key}={value}" for key, value in shown.items())


def fields_of(name: str) -> Mapping[str, tuple[type, Any, str]]:
    """Key → (type, default or None, sentence) of a policy by name, its stopping rules' included.

    Choices are `str`. A key that several rules have with different defaults has default None here,
    and its sentence says which rule means what.
    """
    shown: dict[str, tuple[type, Any, str]] = {}
    kind = find("policy", name)
    hints = hints_of(kind)
    for f in fields(kind):
        if f.name == "rule":
            known = ", ".join(names("stopping rule"))
            shown[RULE] = (str, DEFAULT_RULE, f"when the votes suffice: {known}")
            shown |= _rule_fields()
        else:
            shown[f.name] = _described(f, hints[f.name])
    return shown


def _rule_fields() -> dict[str, tuple[type, Any, str]]:
    found: dict[str, list[tuple[str, tuple[type, Any, str]]]] = {}
    for rule in names("stopping rule"):
        kind = find("stopping rule", rule)
        hints = hints_of(kind)
        for f in fields(kind):
            found.setdefault(f.name, []).append((rule, _described(f, hints[f.name])))
    merged = {}
    for key, uses in found.items():
        defaults = {described[1] for _, described in uses}
        sentence = "; ".join(f"{rule} ({described[1]}): {described[2]}" for rule, described in uses)
        merged[key] = (uses[0][1][0], defaults.pop() if len(defaults) == 1 else None, sentence)
    return merged


def _described(f: Field[Any], hint: Any) -> tuple[type, Any, str]:
    kind = plain(hint)
    default = None if f.default is MISSING else f.default
    return (str if get_origin(kind) is Literal else kind, default, f.metadata.get("sentence", ""))


def _usual(policy: Any, name: str) -> Any:
    """What a field becomes when it is not given: it may depend on the others."""
    rest = {f.name: getattr(policy, f.name) for f in fields(policy) if f.name != name}
    try:
        return getattr(type(policy)(**rest), name)
    except TypeError:  # it must be given
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
    """At commas, but not inside parentheses."""
    parts, depth, start = [], 0, 0
    for at, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    if depth:
        raise BadInput(f"parentheses do not match in {text!r}", mend="close every ( with a )")
    return [*parts, text[start:]] if text.strip() else []


def _build(name: str, pairs: Mapping[str, str]) -> Policy:
    kind = find("policy", name)
    given: dict[str, Any] = {}
    own = {f.name for f in fields(kind)}
    if "rule" in own:
        rule, pairs = _rule(name, own - {"rule"}, pairs)
        given["rule"] = rule
    elif pairs.keys() - own:
        raise unknown_name(f"setting of {name}", min(pairs.keys() - own), own)
    policy: Policy = kind(**given, **_values(kind, pairs, skip="rule"))
    return policy


def _rule(policy: str, own: set[str], pairs: Mapping[str, str]) -> tuple[StoppingRule, Mapping[str, str]]:
    """The stopping rule, and the settings that are not its own."""
    chosen = pairs.get(RULE, DEFAULT_RULE)
    kind = find("stopping rule", chosen)
    keys = {f.name for f in fields(kind)}
    for key in sorted(pairs.keys() - own - keys - {RULE}):
        owners = [rule for rule in names("stopping rule") if key in hints_of(find("stopping rule", rule))]
        if owners:
            has = ", ".join(sorted(keys)) or "no settings"
            raise BadInput(
                f"{key} is no setting of {RULE}={chosen}, which has {has}",
                mend=f"leave it out, or choose {RULE}={' or '.join(owners)}",
            )
        raise unknown_name(f"setting of {policy}", key, own | keys | {RULE})
    rule: StoppingRule = kind(**_values(kind, {key: pairs[key] for key in keys & pairs.keys()}))
    return rule, {key: value for key, value in pairs.items() if key in own}


def _values(kind: type, pairs: Mapping[str, str], skip: str = "") -> dict[str, Any]:
    """Texts as values of the fields' types. Raises BadInput for a wrong one and for one that is missing."""
    hints, values = hints_of(kind), {}
    for f in fields(kind):
        if f.name == skip:
            continue
        if f.name in pairs:
            values[f.name] = _value(f, hints[f.name], pairs[f.name])
        elif f.default is MISSING and f.default_factory is MISSING:
            raise BadInput(f"{f.name} is missing", mend=f"add {f.name}=… ({expected(f, hints[f.name])})")
    return values


def _value(f: Field[Any], hint: Any, text: str) -> Any:
    kind = plain(hint)
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        if get_origin(kind) is tuple:
            return tuple(part.strip() for part in _split(text.removeprefix("(").removesuffix(")")))
        if kind in (int, float):
            return kind(text)
    except (ValueError, KeyError):
        raise BadInput(f"{f.name}={text} cannot be", mend=f"expected {expected(f, hint)}") from None
    return text


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if value == int(value) else repr(value)
    if isinstance(value, tuple):
        return f"({','.join(value)})"
    return str(value)


__all__ = ["fields_of", "parse", "setting"]
