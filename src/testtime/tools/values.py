"""Made-up values of fields: such as the name says, the same for the same tool, arguments and seed.

A value depends on where it stands in the result and on nothing else there, so a field more or less changes no other.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any

from testtime.core.definitions import disobeys
from testtime.core.records import Map
from testtime.core.seeds import digest
from testtime.tools.words import split

NOW = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
"""When it is in the world of the mocks: its clock stands still, so that results can be the same tomorrow."""
DEEPEST, MOST = 6, 50
"""Levels of a schema that are filled, and the most items that one may ask for."""
TOPIC = 60
"""Characters of an argument that texts are about."""
EARLIER = (("departs", "arrives"), ("starts", "ends"))
"""Pairs of fields of which the first is never the later one."""
WHOLE = ("currency", "country", "timezone")
"""Fields that are the same wherever they stand in one result."""
_SENTENCES = (
    "A short account of {}, with what is known so far.",
    "What matters about {} in a few lines.",
    "{}: the main points, and where to read on.",
    "Notes on {}, brought up to date this month.",
)
_TITLES = ("{}: an overview", "A guide to {}", "{} in brief", "Questions about {}")
_STREETS = ("Mill Lane", "Harbour Road", "Linden Square", "North Street")


@cache
def makers() -> Mapping[str, Any]:
    """Field → what its value is like (fields.toml)."""
    text = files("testtime.tools").joinpath("fields.toml").read_text(encoding="utf-8")
    known: Mapping[str, Any] = tomllib.loads(text)["fields"]
    return known


def maker(name: str) -> Any:
    """What the value of a field is like, by the last words of its name; None where they say nothing.

    >>> maker("arrival_date"), maker("zzz")
    ('date', None)
    """
    words = split(name)
    endings = ("_".join(words[at:]) for at in range(len(words)))
    return next((makers()[ending] for ending in endings if ending in makers()), None)


def kind_of(name: str) -> str:
    """The JSON type that a field of this name usually has."""
    said = maker(name)
    if said in ("flag", "yes"):
        return "boolean"
    if isinstance(said, list) and not isinstance(said[0], str):
        return "number" if said[2] else "integer"
    return "string"


@dataclass(frozen=True)
class Values:
    """The values of one result."""

    scope: tuple[object, ...]
    """What they depend on: tool, arguments, seed."""
    arguments: Map = field(default_factory=dict)
    """A field of the same name says again what was given."""

    @property
    def topic(self) -> str:
        """What texts are about: the first text that was given."""
        texts = (value for value in self.arguments.values() if isinstance(value, str) and value.strip())
        return next(texts, "this subject").strip()[:TOPIC]

    def of(self, schema: Map, name: str = "", path: tuple[object, ...] = ()) -> Any:
        """A value for a schema, or None beyond a certain depth; whether it obeys in all respects is to be seen."""
        if len(path) > 2 * DEEPEST:
            return None
        if isinstance(listed := schema.get("enum"), list) and listed:
            return listed[self._below(len(listed), path)]
        if "const" in schema:
            return schema["const"]
        for key in ("anyOf", "oneOf"):
            if isinstance(several := schema.get(key), list) and several and isinstance(several[0], Mapping):
                return self.of(several[0], name, path)
        return _OF[_type(schema, name)](self, schema, name, path)

    def object_(self, schema: Map, name: str, path: tuple[object, ...]) -> Any:
        """Every property; of the outermost object those that were given as they were given."""
        known = schema.get("properties")
        known = known if isinstance(known, Mapping) else {}
        rules = {key: rule if isinstance(rule, Mapping) else {} for key, rule in known.items()}
        given = {} if path else {k: v for k, v in self.arguments.items() if disobeys(v, rules.get(k)) is None}
        made = {
            key: given[key] if key in given else self.of(rule, key, _place(key, path)) for key, rule in rules.items()
        }
        for one, other in EARLIER:
            if one not in given and other not in given and str(made.get(other, "")) < str(made.get(one, "")):
                made |= {one: made[other], other: made[one]} if other in made else {}
        return made

    def array(self, schema: Map, name: str, path: tuple[object, ...]) -> Any:
        """Three to five items, or as many as the schema asks for."""
        inner = schema.get("items")
        least, most = (_whole(schema.get(key), usual) for key, usual in (("minItems", 0), ("maxItems", MOST)))
        count = min(max(3 + self._below(3, path), least), most, MOST)
        single = name.removesuffix("s")
        rule = inner if isinstance(inner, Mapping) else {}
        return [self.of(rule, single, (*path, at)) for at in range(count)]

    def number(self, schema: Map, name: str, path: tuple[object, ...]) -> Any:
        """Within the limits of the schema, and of the field where they meet."""
        said = maker(name)
        low, high, digits = said if isinstance(said, list) and not isinstance(said[0], str) else (1.0, 100.0, 2)
        digits = 0 if _type(schema, name) == "integer" else digits
        step = 10.0**-digits
        floor = _real(schema.get("minimum"), _real(schema.get("exclusiveMinimum"), -1e12) + step)
        roof = _real(schema.get("maximum"), _real(schema.get("exclusiveMaximum"), 1e12) - step)
        low, high = max(low, floor), min(high, roof)
        if low > high:
            low, high = (floor, floor + 10) if floor > -1e12 else (roof - 10, roof)
            low, high = max(low, floor), min(high, roof)
        value = round(low + (high - low) * self._share(path), digits)
        return int(value) if digits == 0 else value

    def string(self, schema: Map, name: str, path: tuple[object, ...]) -> str:
        """A text of the field's form or choices, of a length that the schema allows."""
        said = {"date-time": "moment", "uri": "url"}.get(str(schema.get("format")), schema.get("format"))
        said = said if said in _TEXTS else maker(name)
        if isinstance(said, str) and said in _TEXTS:
            text = _TEXTS[said](self, path)
        elif isinstance(said, list):
            numbers = not isinstance(said[0], str)
            text = str(self.number({}, name, path)) if numbers else said[self._below(len(said), path)]
        else:
            text = _TEXTS["title"](self, path)
        least, most = (_whole(schema.get(key), usual) for key, usual in (("minLength", 0), ("maxLength", 10**4)))
        return text.ljust(min(least, 10**4), ".")[:most]

    def boolean(self, schema: Map, name: str, path: tuple[object, ...]) -> bool:
        """Either, but for what is always so."""
        return True if maker(name) == "yes" else self._share(path) < 0.5

    def null(self, schema: Map, name: str, path: tuple[object, ...]) -> None:
        """Nothing."""

    # ---- texts of a form ----
    def _moment(self, path: tuple[object, ...]) -> datetime:
        return NOW + timedelta(minutes=5 * self._below(12 * 24 * 14, path))

    def _pick(self, texts: Sequence[str], path: tuple[object, ...]) -> str:
        return texts[self._below(len(texts), path)].format(self.topic.replace("{", "(").replace("}", ")"))

    def _address(self, path: tuple[object, ...]) -> str:
        return f"{1 + self._below(240, (*path, 'n'))} {_STREETS[self._below(len(_STREETS), path)]}"

    def _hex(self, path: tuple[object, ...], length: int) -> str:
        return digest(*self.scope, *path, length=length)

    def _share(self, path: tuple[object, ...]) -> float:
        """In [0, 1)."""
        return int(digest(*self.scope, *path, length=13), 16) / 16**13

    def _below(self, end: int, path: tuple[object, ...]) -> int:
        return int(self._share(path) * end)


_OF: Mapping[str, Callable[[Values, Map, str, tuple[object, ...]], Any]] = {
    "object": Values.object_,
    "array": Values.array,
    "number": Values.number,
    "integer": Values.number,
    "string": Values.string,
    "boolean": Values.boolean,
    "null": Values.null,
}
_TEXTS: Mapping[str, Callable[[Values, tuple[object, ...]], str]] = {
    "date": lambda values, path: f"{values._moment(path):%Y-%m-%d}",
    "time": lambda values, path: f"{values._moment(path):%H:%M}",
    "moment": lambda values, path: values._moment(path).isoformat().replace("+00:00", "Z"),
    "sunrise": lambda values, path: f"0{6 + values._below(3, path)}:{values._below(60, (*path, 'm')):02}",
    "sunset": lambda values, path: f"{17 + values._below(5, path)}:{values._below(60, (*path, 'm')):02}",
    "id": lambda values, path: values._hex(path, 8).upper(),
    "plate": lambda values, path: f"TT {values._hex(path, 4).upper()}",
    "email": lambda values, path: f"user{values._below(900, path)}@example.org",
    "phone": lambda values, path: f"+000 555 {values._below(9000, path) + 1000}",
    "url": lambda values, path: f"https://example.org/{values._hex(path, 8)}",
    "ip": lambda values, path: f"192.0.2.{1 + values._below(250, path)}",
    "postcode": lambda values, path: f"{10000 + values._below(89999, path)}",
    "address": lambda values, path: values._address(path),
    "title": lambda values, path: values._pick(_TITLES, path),
    "sentence": lambda values, path: values._pick(_SENTENCES, path),
}
"""Form → the text; names, addresses and numbers are of the ranges that are kept free for examples."""


def _place(key: str, path: tuple[object, ...]) -> tuple[object, ...]:
    """Where a field stands, or that it stands anywhere."""
    return ("*", key) if key in WHOLE else (*path, key)


def _type(schema: Map, name: str) -> str:
    said = schema.get("type")
    kinds = [
        kind for kind in ([said] if isinstance(said, str) else said if isinstance(said, list) else []) if kind in _OF
    ]
    if kinds:
        return next((kind for kind in kinds if kind != "null"), "null")
    return "object" if "properties" in schema else "array" if "items" in schema else kind_of(name)


def _whole(value: Any, usual: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else usual


def _real(value: Any, usual: float) -> float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= 1e12
    return float(value) if number else usual
