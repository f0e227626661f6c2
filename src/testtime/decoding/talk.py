"""A conversation between a model and its tools: what was said, what was called, and where results came from.

Two protocols. Models with tools of their own get definitions and give calls as their provider has them; of the others
calls are read from the text (`<tool_call>`), and results go back as a message. Names that providers do not take (dots,
blanks) are rewritten for them and read back.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from testtime.answers.extract import unthink
from testtime.core.definitions import Definition, arguments_of
from testtime.core.errors import ToolError
from testtime.core.protocols import Ask
from testtime.core.records import Completion, Finish, Generation, Map, Part, canonical
from testtime.core.spend import Spend

PROTOCOL = """\
You may call tools. To call one, write

<tool_call>{{"name": "…", "arguments": {{…}}}}</tool_call>

with the arguments as a JSON object, once for each call, and end your message there; the results come as the next
message. Without a call your message is the final answer. The tools, as JSON:

{tools}"""
EXECUTE = "execute"
"""The tool of the plan that runs all others."""
MOST = 32
"""Calls of one message that are run; what one message may cost is bounded by it."""
SHOWN = 1000
"""Characters of the problem that a simulated tool is told."""
_TAG = re.compile(r"<tool_call>(.*?)(?:</tool_call>|$)", re.DOTALL)
_STRANGE = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True)
class Called:
    """One call that a model made."""

    id: str
    name: str
    """As the tool is defined."""
    arguments: Any
    """A JSON object; whatever was written where that is none."""


@dataclass(eq=False)
class Talk:
    """One conversation, going on."""

    definitions: Sequence[Definition]
    own: frozenset[str]
    """Names of the tools that the run itself names."""
    native: bool
    problem: str
    threshold: float
    forced: bool
    """Every call is played by a model."""
    messages: list[Map]
    parts: list[Part] = field(default_factory=list)
    spends: list[Spend] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    """Keys of the model's calls."""
    rounds: int = 0
    """Of calls."""
    finish: Finish | None = None
    error: str | None = None
    counts: Counter[str] = field(default_factory=Counter)
    sources: dict[str, list[str]] = field(default_factory=dict)
    """Tool → where its results came from, each once, in order."""
    errors: int = 0
    _known: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Tool and arguments → (result, source): the same call has the same result, unless a function gives it."""

    def __post_init__(self) -> None:
        self.defined = {one.name: one for one in self.definitions}
        self.wire = wire_names(list(self.defined))
        self.back = {name: own for own, name in self.wire.items()}
        if self.defined:
            self.parts.append(Part("tools", canonical([one.plain for one in self.defined.values()])))

    @property
    def tools(self) -> list[Map]:
        """The definitions as they are sent."""
        sent = [Definition(self.wire[one.name], one.about, one.parameters) for one in self.defined.values()]
        return [one.wire for one in sent]

    def calls_of(self, said: Completion) -> list[Called]:
        """The calls of a message."""
        if self.native:
            return [
                Called(str(call["id"]), self.back.get(str(call["name"]), str(call["name"])), call["arguments"])
                for call in said.tool_calls
            ]
        texts = _TAG.findall(unthink(said.text)) if self.defined else []
        return [_read(text, f"call-{self.rounds}-{at}") for at, text in enumerate(texts)]

    def note(self, said: Completion, got: Generation, calls: Sequence[Called]) -> None:
        """Writes a message with calls down: in the trace, and in the conversation."""
        inputs = [{"id": one.id, "name": one.name, "input": one.arguments} for one in calls]
        before = unthink(said.text) if self.native else _before(said.text)
        trace = json.dumps({"thinking": before, "tool_calls": inputs}, ensure_ascii=False)
        self.parts.append(Part("call", trace, said.tokens, got.calls[0] if got.calls else None))
        if self.native:
            self.messages.append({"role": "assistant", "content": before, "tool_calls": list(said.tool_calls)})
        else:
            self.messages.append({"role": "assistant", "content": _upto(unthink(said.text))})

    async def run(self, calls: Sequence[Called], ask: Ask) -> None:
        """Runs the calls one after another, and tells the model what came of them. Raises ModelError."""
        self.rounds += 1
        told = [(one, await self._one(one, ask)) for one in calls[:MOST]]
        told += [(one, _error(f"not run: more than {MOST} calls in one message")) for one in calls[MOST:]]
        self.errors += len(calls[MOST:])
        for one, text in told:
            self.parts.append(
                Part("result", json.dumps({"tool_use_id": one.id, "content": text}, ensure_ascii=False), 0)
            )
        if self.native:
            self.messages += [{"role": "tool", "tool_call_id": one.id, "content": text} for one, text in told]
        else:
            shown = [f"<tool_result>{json.dumps({'name': one.name})} {text}</tool_result>" for one, text in told]
            self.messages.append({"role": "user", "content": "\n".join(shown)})

    async def _one(self, call: Called, ask: Ask) -> str:
        """What the model is told of one call: its result as JSON, or why there is none."""
        self.counts[call.name] += 1
        asked = canonical([call.name, call.arguments])
        if asked not in self._known:
            text, source = await self._result(call, ask)
            if source == "function":
                return self._told(call.name, text, source)
            self._known[asked] = text, source
        return self._told(call.name, *self._known[asked])

    def _told(self, name: str, text: str, source: str) -> str:
        known = self.sources.setdefault(name, [])
        if source not in known:
            known.append(source)
        self.errors += source == "error"
        return text

    async def _result(self, call: Called, ask: Ask) -> tuple[str, str]:
        """(What is told, where it came from)."""
        if call.name not in self.defined:
            known = ", ".join(self.defined)
            return _error(f"there is no tool {call.name[:60]!r}; there are: {known}"), "error"
        if not isinstance(call.arguments, Mapping):
            return _error(f"the arguments of {call.name} are no JSON object"), "error"
        asked = {
            "tool": self.defined[call.name].plain,
            "arguments": dict(call.arguments),
            "problem": self.problem[:SHOWN],
            "own": call.name in self.own,
            "forced": self.forced,
            "threshold": self.threshold,
        }
        try:
            got = await ask.tool(EXECUTE, asked)
        except ToolError as error:
            return _error(str(error)), "error"
        return json.dumps(got["result"], ensure_ascii=False), str(got["source"])

    @property
    def facts(self) -> dict[str, Any]:
        """What a row notes of it."""
        return {
            "tool_iterations": self.rounds,
            "tool_calls_total": self.counts.total(),
            "tool_calls_by_name": dict(self.counts),
            "mock_sources": {name: "+".join(sources) for name, sources in self.sources.items()},
            "used_dynamic_mock": int(any("dynamic_mock" in sources for sources in self.sources.values())),
            "tool_errors": self.errors,
            "tools_available": len(self.defined),
            "tool_protocol": "native" if self.native else "text",
        }


def opened(definitions: Sequence[Definition], messages: Sequence[Map]) -> list[Map]:
    """The opening messages of a conversation by text: the system's message says how tools are called."""
    if not definitions:
        return list(messages)
    said = PROTOCOL.format(tools=json.dumps([one.plain for one in definitions], ensure_ascii=False))
    first = messages[0]["content"] if messages and messages[0]["role"] == "system" else None
    rest = messages[1:] if first is not None else messages
    return [{"role": "system", "content": said if first is None else f"{first}\n\n{said}"}, *rest]


def wire_names(names: Sequence[str]) -> dict[str, str]:
    """Name → a name that every provider takes, each another one.

    >>> wire_names(["math.hypot", "math_hypot"])
    {'math.hypot': 'math_hypot', 'math_hypot': 'math_hypot_2'}
    """
    found: dict[str, str] = {}
    for name in names:
        plain = made = _STRANGE.sub("_", name)[:60] or "tool"
        number = 1
        while made in found.values():
            number += 1
            made = f"{plain}_{number}"
        found[name] = made
    return found


def _read(text: str, id: str) -> Called:
    """A call as it is written between the tags."""
    try:
        said = json.loads(text.strip())
    except (ValueError, RecursionError):
        return Called(id, "(unreadable)", text.strip()[:SHOWN])
    if not isinstance(said, dict) or not isinstance(said.get("name"), str):
        return Called(id, "(unreadable)", text.strip()[:SHOWN])
    return Called(id, said["name"], arguments_of(said.get("arguments", {})))


def _before(text: str) -> str:
    """What a text says before its first call."""
    return unthink(text).partition("<tool_call>")[0].strip()


def _upto(text: str) -> str:
    """A text to the end of its last call: what a model makes up of results is not kept."""
    head, tag, _ = text.rpartition("</tool_call>")
    return head + tag if tag else text


def _error(why: str) -> str:
    return json.dumps({"error": why}, ensure_ascii=False)
