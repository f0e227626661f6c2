"""A tool that is not there is played by its name and schemas: a result that looks right, and how sure that is.

    1.0    computed: the result is true
    0.95   a tool of the catalogue, by its name
    ≤ 0.9  one whose nouns are those of a catalogue's tool: less, the more of its own words that one leaves unsaid
    0.6    of a domain, by the words of its name; 0.45 where another domain fits as well
    ≤ 0.4  of a domain, by its description
    0.2    of none

and 0.1 more where the tool says what its results are like. What a calculation would give cannot be made up: where the
name says that something is reckoned, and it is not computed here, the confidence is at most 0.3. The result depends on
the tool's definition, the arguments and the seed alone.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from testtime.core.definitions import Definition, disobeys
from testtime.core.errors import ToolError
from testtime.core.records import Map, canonical
from testtime.tools import computed
from testtime.tools.catalogue import Entry, catalogue
from testtime.tools.values import Values
from testtime.tools.words import stems

RECKONS = 0.3
"""The most confidence in a made-up result of a calculation."""
CERTAIN_FROM = 0.9
"""The likeness to a tool whose results are computed from which they are computed for this one."""
DISOBEYS = 0.1
"""The confidence in a result that does not obey what the tool declares."""
RECKONING = "reckoning"
"""The domain whose results are computed or not known at all."""
ECHOED = 200
"""Characters of a given value, as JSON, that is said again in a result."""


@dataclass(frozen=True)
class Mocked:
    """A made-up result."""

    result: Any
    """As JSON: an object, unless the tool says otherwise."""
    confidence: float
    """From 0 to 1: how likely it is such as the tool would give."""
    category: str
    """The domain it was taken to be of."""


@dataclass(frozen=True)
class _Fit:
    """What a tool is like."""

    category: str
    returns: Map
    confidence: float
    entry: Entry | None = None


def mock(tool: Definition, arguments: Map, seed: int) -> Mocked:
    """A result for a call. Raises ToolError where the result is computed, and the arguments have none."""
    fit = like(tool)
    if fit.entry is not None and fit.entry.computed and fit.confidence >= CERTAIN_FROM:
        if (true := _true(fit.entry, tool, arguments)) is not None:
            whole = {**arguments, **true} if tool.returns is None else _shaped(tool.returns, true, arguments, ())
            if tool.returns is None or disobeys(whole, tool.returns) is None:
                return Mocked(whole, 1.0, fit.category)
        fit = _Fit(fit.category, fit.returns, min(fit.confidence, RECKONS))
    scope = ("mock", tool.name, canonical(arguments), seed)
    result = _shaped(tool.returns or fit.returns, {}, arguments, scope)
    confidence = fit.confidence
    if tool.returns is not None:
        confidence = DISOBEYS if disobeys(result, tool.returns) else min(0.95, confidence + 0.1)
    return Mocked(result, min(confidence, RECKONS) if _reckons(tool, fit) else confidence, fit.category)


def like(tool: Definition) -> _Fit:
    """The domain and the shape of a tool's results."""
    known = catalogue()
    exact = known.entries.get("_".join(stems(tool.name))) or known.entries.get(tool.name.lower().replace(".", "_"))
    if exact is not None:
        return _Fit(exact.domain, exact.returns, 0.95, exact)
    return _by_nouns(tool) or _by_domain(tool)


def _by_nouns(tool: Definition) -> _Fit | None:
    """The tool of the catalogue all of whose nouns are in this one's name: the one with the most of them."""
    known, nouns = catalogue(), set(catalogue().nouns(tool.name))
    found = [
        (len(own), entry) for entry in known.entries.values() if (own := set(known.nouns(entry.name))) and own <= nouns
    ]
    if not found:
        return None
    most = max(count for count, _ in found)
    doing = known.verbs.of(stems(tool.name))
    best = [entry for count, entry in found if count == most]
    best.sort(key=lambda entry: (known.verbs.of(stems(entry.name)) != doing, entry.name))
    entry, share = best[0], most / len(nouns)
    same = known.verbs.of(stems(entry.name)) == doing
    apart = len({one.domain for one in best}) > 1
    confidence = (0.9 if same else 0.75) * (0.4 + 0.6 * share) - (0.15 if apart else 0.0)
    return _Fit(entry.domain, entry.returns, round(confidence, 2), entry if share == 1 and same else None)


def _by_domain(tool: Definition) -> _Fit:
    """The domain whose words the name uses most, else the description."""
    named, told = set(stems(tool.name)), set(stems(tool.about))
    for said, sure, unsure in ((named, 0.6, 0.45), (told, 0.4, 0.3)):
        hits = sorted(((len(domain.words & said), domain) for domain in catalogue().domains), key=lambda hit: -hit[0])
        (most, first), (second, _) = hits[0], hits[1]
        if most:
            by_chance = said is told and most < 2
            return _Fit(first.name, first.returns, unsure if second == most or by_chance else sure)
    return _Fit("unknown", NOTHING, 0.2)


NOTHING: Map = {"type": "object", "properties": {"status": {"type": "string"}, "summary": {"type": "string"}}}
"""What a tool gives of which nothing is known."""


def _reckons(tool: Definition, fit: _Fit) -> bool:
    """Whether a result would have to be reckoned from the arguments."""
    listed = fit.entry is not None and fit.entry.computed is None
    return not listed and (fit.category == RECKONING or catalogue().verbs.of(stems(tool.name)[:1]) == "compute")


def _true(entry: Entry, tool: Definition, arguments: Map) -> Map | None:
    """The computed result; None where the arguments are not those of the function. Raises ToolError."""
    function: Callable[..., Map] = getattr(computed, str(entry.computed))
    taken = inspect.signature(function).parameters
    needed = [name for name, one in taken.items() if one.default is inspect.Parameter.empty]
    given = dict(arguments)
    if len(needed) == len(given) == 1 and len(taken) == 1:
        given = {needed[0]: next(iter(given.values()))}  # whatever the tool calls it
    if not set(needed) <= given.keys() <= set(taken):
        return None
    texts = {name for name, one in taken.items() if one.annotation == "str"}
    if any(isinstance(value, str) != (name in texts) for name, value in given.items()):
        raise ToolError(f"{tool.name} takes {', '.join(f'{name}: {one.annotation}' for name, one in taken.items())}")
    return function(**given)


def _shaped(returns: Map, true: Map, arguments: Map, scope: tuple[object, ...]) -> Any:
    """A result of the declared shape: what is true, what was given under the same name, and made-up values.

    What was given besides is said again where the shape allows it.
    """
    echoed = {name: value for name, value in arguments.items() if len(canonical(value)) <= ECHOED}
    made = Values(scope, {**echoed, **true}).of(returns)
    if not isinstance(made, dict) or returns.get("additionalProperties") is False:
        return made
    return {**echoed, **true, **made}
