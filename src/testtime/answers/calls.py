"""Function calls that a text writes, and whether they are among those that are right. Read, never run.

Two notations: JSON (`[{"name": "f", "arguments": {"a": 1}}]`, one call alone, or `{"f": {"a": 1}}`) and Python
(`[f(a=1), g(b="x")]`), in a fenced block or bare.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from testtime.answers.extract import unthink

LONGEST = 20_000
"""Characters in which calls are looked for, from the end of the text."""
_FENCE = re.compile(r"```[ ]?[A-Za-z_]{0,20}[ ]{0,3}\n(.*?)```", re.DOTALL)
_TAG = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)
_MARKS = re.compile(r"[\s,./\-_*^'\"]")

Call = tuple[str, dict[str, Any]]


def calls_of(text: str | None) -> list[Call] | None:
    r"""The calls of a text as (name, arguments); None where it writes none.

    >>> calls_of('Sure: [{"name": "math.hypot", "arguments": {"x": 4, "y": 5}}]')
    [('math.hypot', {'x': 4, 'y': 5})]
    >>> calls_of("```python\n[spotify.play(artist='Maroon 5', duration=15)]\n```"), calls_of("I would call none.")
    ([('spotify.play', {'artist': 'Maroon 5', 'duration': 15})], None)
    """
    said = unthink(text or "")[-LONGEST:]
    tagged = _TAG.findall(said)
    if tagged:
        several = [_read(one.strip()) for one in tagged]
        return [call for calls in several if calls for call in calls] or None
    for block in [*reversed(_FENCE.findall(said)), said, *_bare(said)]:
        if calls := _read(block.strip()):
            return calls
    return None


def key_of(calls: Sequence[Call]) -> str:
    """One text for the same calls in any order."""
    return json.dumps(sorted(_plain(call) for call in calls), ensure_ascii=False)


def from_key(key: str) -> list[Call]:
    """The calls of a key."""
    return [(name, arguments) for name, arguments in map(json.loads, json.loads(key))]


def matches(calls: Sequence[Call], possible: Sequence[Mapping[str, Mapping[str, Any]]]) -> bool:
    """Whether the calls are those that are asked for, each once, in any order.

    `possible` is a list of {name: {argument: [values that are right]}}; an argument with "" among them may be left
    out. Numbers are compared by value, texts without case, spaces and marks.
    """
    if len(calls) != len(possible):
        return False
    fits = [[_is(call, wanted) for call in calls] for wanted in possible]
    taken: dict[int, int] = {}
    return all(_placed(at, fits, taken, set()) for at in range(len(possible)))


def _is(call: Call, wanted: Mapping[str, Mapping[str, Any]]) -> bool:
    return call[0] in wanted and _fits(call[1], wanted[call[0]])


def _placed(at: int, fits: Sequence[Sequence[bool]], taken: dict[int, int], tried: set[int]) -> bool:
    """Finds a call for what is wanted, moving others to another call of theirs where that frees one."""
    for call, fit in enumerate(fits[at]):
        if fit and call not in tried:
            tried.add(call)
            if call not in taken or _placed(taken[call], fits, taken, tried):
                taken[call] = at
                return True
    return False


def _fits(given: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether the arguments given are right: none unknown, none missing, each among its possible values."""
    missing = [name for name, values in wanted.items() if name not in given and "" not in values]
    return not missing and all(name in wanted and _among(value, wanted[name]) for name, value in given.items())


def _among(value: Any, possible: Sequence[Any]) -> bool:
    return any(_same(value, one) for one in possible)


def _same(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, bool) or isinstance(value, bool):
        return value is wanted
    if isinstance(wanted, (int, float)):
        return isinstance(value, (int, float)) and value == wanted
    if isinstance(wanted, str):
        return isinstance(value, str) and _MARKS.sub("", value).casefold() == _MARKS.sub("", wanted).casefold()
    if isinstance(wanted, Mapping):
        return isinstance(value, Mapping) and _fits(value, wanted)
    if isinstance(wanted, list):
        long = isinstance(value, (list, tuple)) and len(value) == len(wanted)
        return long and all(_same(one, two) for one, two in zip(value, wanted, strict=True))
    return bool(value == wanted)


def _read(block: str) -> list[Call] | None:
    if not block or len(block) > LONGEST:
        return None
    try:
        return _from_json(json.loads(block))
    except (ValueError, RecursionError):
        return _from_python(block)


def _bare(said: str) -> list[str]:
    """What stands between the first and the last bracket or brace."""
    spans = [(said.find(one), said.rfind(other)) for one, other in ("[]", "{}")]
    return [said[start : end + 1] for start, end in sorted(spans) if 0 <= start < end]


def _from_json(value: Any) -> list[Call] | None:
    several = value if isinstance(value, list) else [value]
    calls = [_one(item) for item in several]
    return None if not calls or None in calls else [call for call in calls if call]


def _one(item: Any) -> Call | None:
    if not isinstance(item, dict):
        return None
    item = item.get("function", item) if isinstance(item.get("function"), dict) else item
    if "name" in item:
        arguments: Any = next((item[name] for name in ("arguments", "parameters", "args", "input") if name in item), {})
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments)
            except (ValueError, RecursionError):
                return None
        return (str(item["name"]), arguments) if isinstance(arguments, dict) else None
    if len(item) == 1:
        ((name, arguments),) = item.items()
        return (name, arguments) if isinstance(arguments, dict) else None
    return None


def _from_python(block: str) -> list[Call] | None:
    try:
        body = ast.parse(block.strip(), mode="eval").body
        several = body.elts if isinstance(body, (ast.List, ast.Tuple)) else [body]
        calls = [(_dotted(one.func), _literal(one)) for one in several if isinstance(one, ast.Call)]
    except (SyntaxError, ValueError, RecursionError, MemoryError, TypeError):
        return None
    return calls if calls and len(calls) == len(several) else None


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    if isinstance(node, ast.Name):
        return node.id
    raise ValueError


def _literal(call: ast.Call) -> dict[str, Any]:
    if call.args or any(one.arg is None for one in call.keywords):
        raise ValueError
    return {str(one.arg): ast.literal_eval(one.value) for one in call.keywords}


def _plain(call: Call) -> str:
    return json.dumps([call[0], call[1]], sort_keys=True, ensure_ascii=False, default=str)
