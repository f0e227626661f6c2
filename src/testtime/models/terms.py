"""What a request asks of a hosted model, read once, and why the model would not honour it.

Of the params: `tools` are as OpenAI's chat has them, [{"type": "function", "function": {"name", "description",
"parameters"}}], `schema` is the JSON Schema of the whole answer, `thinking` is {"tokens": at most, 0 for none} or
{"effort": a word}. Messages are {"role", "content": text}; an assistant's may have `tool_calls` as a completion gave
them or as chat has them, and a tool's names the call by `tool_call_id`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from testtime.core.errors import Reason, mend_of
from testtime.core.records import Map, Request
from testtime.models.presets import Family

ROLES = ("system", "user", "assistant", "tool")


@dataclass(frozen=True)
class Asked:
    """The params of a request, None where nothing is asked."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    tools: Sequence[Map] = ()
    """Each with name and parameters, perhaps a description."""
    schema: Map | None = None
    effort: str | None = None
    thinking: int | None = None
    """Tokens."""
    logprobs: int | None = None

    @classmethod
    def of(cls, request: Request, family: Family) -> Asked:
        """The params that `why_not` has passed; where not both can be sent, what is the provider's own is not."""
        given = {name: value for name, value in request.params.items() if value is not None}
        if family.either or not family.sampling:
            own = {"temperature": family.temperature, "top_p": family.top_p}
            given = {name: value for name, value in given.items() if own.get(name) != value}
        stop, thinking = given.pop("stop", ()), given.pop("thinking", {})
        tools = [tool["function"] for tool in given.pop("tools", ())]
        stops = (stop,) if isinstance(stop, str) else tuple(stop)
        return cls(stop=stops, tools=tools, effort=thinking.get("effort"), thinking=thinking.get("tokens"), **given)


def why_not(name: str, family: Family, request: Request) -> str | None:
    """Why the model would not honour this request exactly, in one line, or None."""
    return next((Reason(f"{name} {why}", mend_of(why)) for why in _reasons(family, request)), None)


def _reasons(family: Family, request: Request) -> Iterator[str]:
    given = {name: value for name, value in request.params.items() if value is not None}
    if not 1 <= request.n <= family.n:
        yield f"gives 1 to {family.n} completions a request, not {request.n}"
    if request.seed is not None and not family.seed:
        yield "takes no seed"
    if request.prefix and (not family.continuation or isinstance(request.prefix, tuple)):
        yield "cannot continue token ids" if family.continuation else "cannot continue a text"
    yield from _of_messages(request.messages)
    yield from _of_params(family, given)
    yield from _of_sampling(family, given)
    yield from _of_thinking(family, given)


def _of_params(family: Family, given: Mapping[str, Any]) -> Iterator[str]:
    for name, value in given.items():
        if name not in _RULES:
            yield f"has no {name}; it knows {', '.join(_RULES)}"
        elif not _RULES[name][1](value):
            yield f"takes as {name} {_RULES[name][0]}, not {value!r}"
    for cap, there in (("tools", family.tools), ("schema", family.schema), ("logprobs", family.logprobs is not None)):
        if given.get(cap) is not None and not there:
            yield f"has no {cap}"
    if family.logprobs is not None and given.get("logprobs", 0) > family.logprobs:
        yield f"gives {family.logprobs} alternatives a token at most"


def _of_messages(messages: Sequence[Map]) -> Iterator[str]:
    if not any(message.get("role") in ("user", "tool") for message in messages):
        yield "needs a message to answer"
    for message in messages:
        if message.get("role") not in ROLES:
            yield f"knows the roles {', '.join(ROLES)}, not {message.get('role')!r}"
        if not isinstance(message.get("content"), str):
            yield "takes text as the content of a message"


def _of_sampling(family: Family, given: Mapping[str, Any]) -> Iterator[str]:
    own = {"temperature": family.temperature, "top_p": family.top_p}
    if not family.sampling:
        other = [name for name, value in own.items() if given.get(name, value) != value]
        if other:
            flags = " ".join(f"--{name} {value:g}" for name, value in own.items())
            yield f"takes no {' and no '.join(other)} but its own: {flags}"
    elif family.either and all(given.get(name, value) != value for name, value in own.items()):
        yield f"takes temperature or top_p, not both: --top_p {family.top_p:g} leaves it out"


def _of_thinking(family: Family, given: Mapping[str, Any]) -> Iterator[str]:
    thinking = given.get("thinking", {})
    if not _thinking(thinking):
        return
    wanted = next(iter(thinking.values()))
    if "effort" in thinking:
        if wanted not in family.efforts:
            yield f"has no effort {wanted!r}; it has {', '.join(family.efforts) or 'none'}"
    elif wanted == 0:
        if not family.off:
            yield "always thinks"
    elif family.budgets is None:
        mend = f"use --decoding native_budget --effort {' or '.join(family.efforts)}" if family.efforts else None
        has = ", ".join(family.efforts) or "none"
        yield Reason(f"takes no number of thinking tokens; it has the efforts {has}", mend)
    elif not family.budgets[0] <= wanted <= family.budgets[1]:
        yield f"thinks {family.budgets[0]} to {family.budgets[1]} tokens, not {wanted}"


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _real(value: Any, most: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= most


def _strings(value: Any) -> bool:
    listed = [value] if isinstance(value, str) else value
    return isinstance(listed, (list, tuple)) and all(isinstance(stop, str) and stop.strip() for stop in listed)


def _tools(value: Any) -> bool:
    listed = isinstance(value, (list, tuple))
    said = [tool.get("function") if isinstance(tool, Mapping) else None for tool in value] if listed else [None]
    return all(
        isinstance(one, Mapping) and isinstance(one.get("parameters"), Mapping) and "name" in one for one in said
    )


def _thinking(value: Any) -> bool:
    if not isinstance(value, Mapping) or len(value) != 1:
        return False
    return isinstance(value.get("effort"), str) or _whole(value.get("tokens"), 0)


def calls_of(message: Map) -> Sequence[Map]:
    """The calls of tools in an assistant's message, each as {"id", "name", "arguments": object}."""
    return [_call(call) for call in message.get("tool_calls") or ()]


def _call(call: Map) -> Map:
    said = {**call, **call.get("function", {})}
    arguments = said["arguments"]
    return {**said, "arguments": json.loads(arguments) if isinstance(arguments, str) else arguments}


_RULES: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "max_tokens": ("a whole number of 1 or more", lambda value: _whole(value, 1)),
    "temperature": ("a number between 0 and 2", lambda value: _real(value, 2)),
    "top_p": ("a number above 0, at most 1", lambda value: _real(value, 1) and value > 0),
    "stop": ("a text that is not blank, or a list of such", _strings),
    "tools": ("a list of functions with name and parameters", _tools),
    "schema": ("a JSON Schema", lambda value: isinstance(value, Mapping)),
    "thinking": ("tokens or effort", _thinking),
    "logprobs": ("how many alternatives, 0 or more", lambda value: _whole(value, 0)),
}
