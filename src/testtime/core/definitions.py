"""What a tool says of itself, in one form however it is written, and whether a value obeys a schema.

Both come from files and models, so both are read with care: nothing recurses without end, and no pattern of a schema
is ever run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from testtime.core.errors import ToolError
from testtime.core.records import Map

DEEPEST = 12
"""Levels of a schema that are followed; what lies deeper is not looked at."""
DEEPEST_CALL = 64
"""Levels of a call's arguments: far above what a tool takes, far below what Python's own recursion allows."""
TYPES = {"dict": "object", "float": "number", "double": "number", "int": "integer", "long": "integer",
         "tuple": "array", "list": "array", "bool": "boolean", "str": "string", "any": None}  # fmt: skip
"""Types that datasets write in words of their own → those of JSON Schema; None, as of any other word: whatever."""
_WORD = re.compile(r"[^a-z]")
RETURNS = ("returns", "output_schema", "outputSchema", "response", "result_schema")
"""Keys under which a tool may declare what its results are like."""


@dataclass(frozen=True, slots=True)
class Definition:
    """One tool: what it is called, what it takes and, where that is known, what it gives."""

    name: str
    about: str
    parameters: Map
    """A JSON Schema of type object."""
    returns: Map | None = None
    """A JSON Schema of its results."""

    @property
    def wire(self) -> dict[str, Any]:
        """As OpenAI's chat has it; what it gives is nobody's parameter there."""
        function = {"name": self.name, "description": self.about, "parameters": self.parameters}
        return {"type": "function", "function": function}

    @property
    def plain(self) -> dict[str, Any]:
        """As JSON."""
        more = {} if self.returns is None else {"returns": self.returns}
        return {"name": self.name, "description": self.about, "parameters": self.parameters, **more}


def arguments_of(said: Any) -> Any:
    """A call's arguments as a value that can be written down again, from JSON text or as an SDK read them.

    What is no JSON stays the text that it is, and so does what is nested deeper than `DEEPEST_CALL`.

    >>> arguments_of('{"city": "Graz"}'), arguments_of("Graz")
    ({'city': 'Graz'}, 'Graz')
    """
    try:
        value = json.loads(said) if isinstance(said, str) else said
    except (ValueError, RecursionError):
        return said
    if is_shallow(value):
        return value
    return said if isinstance(said, str) else "(nested too deep)"


def object_of(said: Any) -> Map:
    """The same where only an object will do: none of its members where it is none, or is nested too deep."""
    read = arguments_of(said)
    return read if isinstance(read, Mapping) else {}


def is_shallow(value: Any, most: int = DEEPEST_CALL) -> bool:
    """Whether a JSON value has no more levels than this."""
    level = [value]
    for _ in range(most):
        level = [
            inner for one in level if isinstance(one, (Mapping, list, tuple))
            for inner in (one.values() if isinstance(one, Mapping) else one)
        ]  # fmt: skip
        if not level:
            return True
    return False


def definition(raw: Any) -> Definition:
    """A tool's definition from any of the usual forms. Raises ToolError where it is none.

    >>> definition({"type": "function", "function": {"name": "f", "parameters": {"type": "dict"}}}).parameters
    {'type': 'object', 'properties': {}}
    """
    inner = raw.get("function", raw) if isinstance(raw, Mapping) else None
    if not isinstance(inner, Mapping) or not isinstance(inner.get("name"), str) or not inner["name"].strip():
        raise ToolError(f"a tool is defined without a name: {str(raw)[:80]}")
    given = inner.get("parameters") or inner.get("input_schema") or {}
    schema = normal(given) if isinstance(given, Mapping) else {}
    if schema and "properties" not in schema and not isinstance(schema.get("type"), str):  # parameters, and no more
        schema = {"properties": {name: one if isinstance(one, Mapping) else {} for name, one in schema.items()}}
    parameters = {"type": "object", "properties": {}, **schema} | {"type": "object"}
    returns = next((inner[key] for key in RETURNS if isinstance(inner.get(key), Mapping)), None)
    return Definition(
        inner["name"], str(inner.get("description") or ""), parameters, None if returns is None else normal(returns)
    )


def normal(schema: Any, depth: int = 0) -> Any:
    """A schema with the types of JSON Schema, to a certain depth."""
    if isinstance(schema, Mapping) and depth <= DEEPEST:
        made = {str(key): normal(value, depth + 1) for key, value in schema.items()}
        if isinstance(kind := schema.get("type"), str) and kind not in _IS:
            made["type"] = TYPES.get(_WORD.split(kind.lower(), maxsplit=1)[0])  # "str, optional", "List[str]"
        return {key: value for key, value in made.items() if not (key == "type" and value is None)}
    if isinstance(schema, (list, tuple)) and depth <= DEEPEST:
        return [normal(one, depth + 1) for one in schema]
    return schema if isinstance(schema, (str, int, float, bool)) or schema is None else {}


def disobeys(value: Any, schema: Any, where: str = "", depth: int = 0) -> str | None:
    """Why a value does not obey a schema, in words; None where it does, or the schema says what is not read here.

    >>> disobeys({"n": "x"}, {"type": "object", "properties": {"n": {"type": "integer"}}})
    'n is text, not integer'
    """
    if not isinstance(schema, Mapping) or depth > DEEPEST:
        return None
    return next(
        (why for rule in (_type, _listed, _range, _sizes, _members, _items, _either)
         if (why := rule(value, schema, where, depth))), None
    )  # fmt: skip


def _type(value: Any, schema: Map, where: str, depth: int) -> str | None:
    kinds = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type") or []
    known = [kind for kind in kinds if kind in _IS]
    if not known or any(_IS[kind](value) for kind in known):
        return None
    return f"{where or 'it'} is {_kind(value)}, not {' or '.join(known)}"


def _listed(value: Any, schema: Map, where: str, depth: int) -> str | None:
    allowed = schema["enum"] if isinstance(schema.get("enum"), list) else [schema["const"]] if "const" in schema else []
    if not allowed or any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in allowed):
        return None
    return f"{where or 'it'} is none of {', '.join(map(repr, allowed[:8]))}"


def _range(value: Any, schema: Map, where: str, depth: int) -> str | None:
    if not _IS["number"](value):
        return None
    for key, holds in _LIMITS.items():
        limit = schema.get(key)
        if _IS["number"](limit) and not holds(value, limit):
            return f"{where or 'it'} breaks {key} {limit}"
    return None


def _sizes(value: Any, schema: Map, where: str, depth: int) -> str | None:
    if not isinstance(value, (str, list)):
        return None
    least, most = ("minLength", "maxLength") if isinstance(value, str) else ("minItems", "maxItems")
    if isinstance(limit := schema.get(least), int) and len(value) < limit:
        return f"{where or 'it'} breaks {least} {limit}"
    if isinstance(limit := schema.get(most), int) and len(value) > limit:
        return f"{where or 'it'} breaks {most} {limit}"
    return None


def _members(value: Any, schema: Map, where: str, depth: int) -> str | None:
    if not isinstance(value, Mapping):
        return None
    needed, known = schema.get("required"), schema.get("properties")
    missing = [name for name in needed if name not in value] if isinstance(needed, list) else []
    if missing:
        return f"{_in(where, str(missing[0]))} is missing"
    known = known if isinstance(known, Mapping) else {}
    strange = [name for name in value if name not in known]
    if schema.get("additionalProperties") is False and strange:
        return f"{_in(where, str(strange[0]))} is not known"
    others = schema.get("additionalProperties")
    rules = ((name, known.get(name, others)) for name in value)
    found = (disobeys(value[name], rule, _in(where, str(name)), depth + 1) for name, rule in rules)
    return next(filter(None, found), None)


def _items(value: Any, schema: Map, where: str, depth: int) -> str | None:
    if not isinstance(value, list):
        return None
    found = (disobeys(one, schema.get("items"), f"{where}[{at}]", depth + 1) for at, one in enumerate(value))
    return next(filter(None, found), None)


def _either(value: Any, schema: Map, where: str, depth: int) -> str | None:
    for key in ("anyOf", "oneOf"):
        several = schema.get(key)
        if isinstance(several, Sequence) and several:
            whys = [disobeys(value, one, where, depth + 1) for one in several]
            if None not in whys:
                return str(whys[0])
    both = schema.get("allOf")
    found = (disobeys(value, one, where, depth + 1) for one in both) if isinstance(both, list) else ()
    return next(filter(None, found), None)


def _in(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")


_IS: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, Mapping),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "integer": lambda value: (
        not isinstance(value, bool) and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))
    ),
}
_LIMITS: Mapping[str, Callable[[Any, Any], bool]] = {
    "minimum": lambda value, limit: value >= limit,
    "maximum": lambda value, limit: value <= limit,
    "exclusiveMinimum": lambda value, limit: value > limit,
    "exclusiveMaximum": lambda value, limit: value < limit,
}
