"""A model and its tools in turns, until it answers without a call; what tools give is played, computed, or real.

Tools are the problem's (`fields["tools"]`) and those that the run names; a problem without any is one plain request.
Where the calls themselves are the answer (BFCL), nothing is run. A model that says that it lacks the means after a
mock had made results up may have been told nonsense: the draw is tried once more with a model that plays all tools, as
a marked retry under an arm of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from testtime.answers import refusal
from testtime.core.definitions import Definition, definition
from testtime.core.errors import BoundaryError, ModelError, ToolError
from testtime.core.needs import Need
from testtime.core.protocols import Ask, Cap
from testtime.core.records import Arm, Candidate, Completion, Generation, Map, Part, Problem, Request, canonical
from testtime.core.settings import check, setting, settings_of
from testtime.core.spend import add
from testtime.decoding.talk import Talk, opened

CALLS = "calls"
"""What `fields["answer"]` of a problem says where the calls are the answer."""
PLAYED = 2_000
"""Bytes of a prompt that has a model play a tool, about, beside what is said of the tool."""
REASON = "capability_refusal_dynamic_mock"
PROBE = Definition("look_up", "Looks something up.", {"type": "object", "properties": {"what": {"type": "string"}}})


@dataclass(frozen=True)
class Means:
    """What a run has at hand for its tools."""

    native: bool = False
    """Whether the model has tool calls of its own, and may use them."""
    simulated: bool = False
    """Whether a model is there that plays tools."""
    definitions: Sequence[Definition] = ()
    """Of the tools that the run names."""
    allowed: Sequence[str] = ()
    """Phrases of the persona that are no refusals."""


@dataclass(frozen=True)
class Tools:
    """The loop. Raises BadInput for a setting that cannot be."""

    sampling: Map = field(default_factory=dict)
    """Parameters of every request."""
    means: Means = field(default_factory=Means)
    """As `toolbox` finds them, which knows the models."""
    tools: tuple[str, ...] = setting("tools beside the problem's: functions, names of the catalogue, files (.json)", ())
    max_iterations: int = setting("rounds of calls, at most", 20, least=1)
    mock_threshold: float = setting("confidence from which a made-up result is used", 0.4, least=0, most=1)
    protocol: Literal["auto", "text"] = setting("auto: a model's own tool calls where it has them; text: never", "auto")
    retry_refusals: bool = setting("try again with a model as mock what was declined for want of means", True)

    name: ClassVar[str] = "tools"
    roles: ClassVar[Mapping[str, frozenset[Cap]]] = {"model": frozenset()}
    calls: ClassVar[int | None] = None
    notes: ClassVar[frozenset[str]] = frozenset({"tool_errors", "used_dynamic_mock", "tools_available"})

    def __post_init__(self) -> None:
        check(self)

    @property
    def settings(self) -> Sequence[Map]:
        """One arm."""
        return (settings_of(self),)

    def probes(self, messages: Sequence[Map]) -> Sequence[tuple[str, Request]]:
        """A request with a tool, where they are sent as such."""
        tools = {"tools": [PROBE.wire]} if self.means.native else {}
        return [("model", Request(messages, params={**self.sampling, **tools}))]

    def again_of(self, arm: Arm) -> Arm:
        """The arm of retries."""
        sign = "," if ":" in arm.label else ":"
        return replace(arm, label=f"{arm.label}{sign}mock=llm", decoding={**arm.decoding, "mock": "llm"})

    def known(self, problem: Problem) -> list[Definition]:
        """The tools of a problem: its own, and those that the run names, which win. Raises ToolError."""
        listed = problem.fields.get("tools") or ()
        its_own = [definition(raw) for raw in listed] if isinstance(listed, (list, tuple)) else []
        return list({one.name: one for one in (*its_own, *self.means.definitions)}.values())

    def foresees(self, problem: Problem) -> Iterator[Need]:
        """Results that a model makes up, of nobody knows how many calls."""
        with suppress(ToolError):  # a tool that cannot be read: the draw meets it again, and fails
            sizes = [len(canonical(one.wire).encode("utf-8", "surrogatepass")) for one in self.known(problem)]
            if self.means.simulated and sizes:
                yield Need("mocks", "mock", 0, None, PLAYED + max(sizes), 0, None)

    def opening(self, problem: Problem, messages: Sequence[Map]) -> Sequence[Map]:
        """The messages that a draw begins with; those of a problem with a tool that cannot be read stay as they are."""
        try:
            return messages if self.means.native else opened(self.known(problem), messages)
        except ToolError:  # the draw meets it again, and fails
            return messages

    async def draw(self, problem: Problem, messages: Sequence[Map], idx: int, ask: Ask) -> Sequence[Candidate]:
        """The one candidate, and perhaps a marked retry. Raises ModelError, ToolError."""
        (arm,) = ask.arms
        first = await self._talked(problem, messages, ask, forced=False)
        made = [_candidate(arm.label, problem, idx, first)]
        told_nonsense = first.facts["used_dynamic_mock"] and self.means.simulated
        if self.retry_refusals and told_nonsense and self._lacks_means(made[0].text):
            label = self.again_of(arm).label
            try:
                talk = await self._talked(problem, messages, ask, forced=True)
                second = replace(_candidate(label, problem, idx, talk), calls=talk.calls)
            except BoundaryError as error:  # what was drawn stays
                second = Candidate(label, problem.query_id, idx, (), "error", error=str(error))
            made.append(replace(second, retry_of=idx, facts={**second.facts, "retry_reason": REASON}))
            made[0] = replace(made[0], calls=first.calls)  # each bears its own
        return made

    def _lacks_means(self, text: str) -> bool:
        """Whether a text declines for want of a tool, of access, of knowledge."""
        return refusal.read(text, self.means.allowed).type == "capability"

    async def _talked(self, problem: Problem, messages: Sequence[Map], ask: Ask, forced: bool) -> Talk:
        """A conversation to its end. Raises ModelError."""
        asked = str(problem.fields.get("asked", problem.question))
        own = frozenset(one.name for one in self.means.definitions)
        talk = Talk(self.known(problem), own, self.means.native, asked, self.mock_threshold, forced, list(messages))
        tools: dict[str, Any] = {"tools": talk.tools} if talk.native and talk.defined else {}
        while talk.finish is None:
            got = await ask.generate("model", Request(list(talk.messages), params={**self.sampling, **tools}))
            (said,) = got.completions
            talk.spends.append(got.spend)
            talk.calls += got.calls
            calls = talk.calls_of(said) if said.finish in ("stop", "tools") else []
            if problem.fields.get("answer") == CALLS:
                _answer(talk, said, got, _as_text(calls) if talk.native and calls else said.text)
            elif not calls:
                _answer(talk, said, got, said.text)
            elif talk.rounds == self.max_iterations:
                talk.note(said, got, calls)
                talk.finish, talk.error = "error", f"no answer after {talk.rounds} rounds of tool calls"
            else:
                talk.note(said, got, calls)
                await talk.run(calls, ask)
        return talk


def _as_text(calls: Sequence[Any]) -> str:
    """Calls as the text that a task reads its answer from."""
    return json.dumps([{"name": one.name, "arguments": one.arguments} for one in calls], ensure_ascii=False)


def _answer(talk: Talk, said: Completion, got: Generation, text: str) -> None:
    """Ends a conversation with an answer."""
    talk.parts.append(Part("answer", text, said.tokens, got.calls[0] if got.calls else None))
    talk.finish = "stop" if said.finish == "tools" else said.finish


def _candidate(label: str, problem: Problem, idx: int, talk: Talk) -> Candidate:
    if talk.finish is None:
        raise ModelError("the conversation has no end")
    alone = {"model": add(talk.spends)}
    return Candidate(label, problem.query_id, idx, talk.parts, talk.finish, alone, error=talk.error, facts=talk.facts)
