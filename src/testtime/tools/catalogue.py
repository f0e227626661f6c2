"""The tools that can be played, by domain (catalogue.toml): what each takes and gives, as definitions."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from testtime.core.definitions import Definition
from testtime.core.records import Map
from testtime.tools.values import kind_of
from testtime.tools.words import stems

_FIELD = re.compile(r"([a-z0-9_]+)(?::([a-z]+))?([?*]?)(?:\[([^\]]*)\])?(?:\s+|$)")


@dataclass(frozen=True)
class Verbs:
    """What the first word of a tool's name says that it does."""

    read: frozenset[str]
    write: frozenset[str]
    compute: frozenset[str]

    def of(self, words: Sequence[str]) -> str:
        """read, write or compute; read where none is said."""
        for word in words:
            for kind in ("compute", "write", "read"):
                if word in getattr(self, kind):
                    return kind
        return "read"

    @property
    def every(self) -> frozenset[str]:
        """All of them."""
        return self.read | self.write | self.compute


@dataclass(frozen=True)
class Entry:
    """One tool."""

    name: str
    domain: str
    about: str
    parameters: Map
    returns: Map
    computed: str | None = None
    also: tuple[str, ...] = ()

    @property
    def definition(self) -> Definition:
        """As a model is told of it."""
        return Definition(self.name, self.about, self.parameters, self.returns)


@dataclass(frozen=True)
class Domain:
    """Tools of one matter."""

    name: str
    words: frozenset[str]
    returns: Map
    """Of a tool that is like none of its entries."""


@dataclass(frozen=True)
class Catalogue:
    """All of them."""

    verbs: Verbs
    domains: tuple[Domain, ...]
    entries: Mapping[str, Entry]
    """By name; other names of a tool lead to it too."""

    @property
    def names(self) -> list[str]:
        """Each tool once."""
        return list(dict.fromkeys(entry.name for entry in self.entries.values()))

    def nouns(self, text: str) -> list[str]:
        """The words of a name that are no verbs."""
        return [word for word in stems(text) if word not in self.verbs.every]


@cache
def catalogue() -> Catalogue:
    """The catalogue, read once."""
    data = tomllib.loads(files("testtime.tools").joinpath("catalogue.toml").read_text(encoding="utf-8"))
    verbs = Verbs(**{kind: frozenset(words.split()) for kind, words in data.pop("verbs").items()})
    domains, entries = [], dict[str, Entry]()
    for name, table in data.items():
        words = frozenset(word for text in table["words"].split() for word in stems(text))
        domains.append(Domain(name, words, schema_of(table["gives"])))
        for entry in _entries(name, table):
            entries |= dict.fromkeys((entry.name, *entry.also), entry)
    return Catalogue(verbs, tuple(domains), entries)


def _entries(domain: str, table: Mapping[str, Any]) -> Iterator[Entry]:
    for name, row in table.items():
        if isinstance(row, Mapping):
            takes, gives = schema_of(row["takes"]), schema_of(row["gives"])
            also = tuple(row.get("also", "").split())
            yield Entry(name, domain, row["about"], takes, gives, row.get("computed"), also)


def schema_of(fields: str) -> dict[str, Any]:
    """The schema of fields in the catalogue's short form.

    >>> schema_of("city days?")["required"], schema_of("rows[name price]")["properties"]["rows"]["type"]
    (['city'], 'array')
    """
    properties, required = dict[str, Any](), list[str]()
    for name, kind, mark, inner in _FIELD.findall(fields):
        one: dict[str, Any] = schema_of(inner) if inner else {"type": kind or kind_of(name)}
        properties[name] = {"type": "array", "items": one} if inner or mark == "*" else one
        if mark != "?":
            required.append(name)
    return {"type": "object", "properties": properties, "required": required}
