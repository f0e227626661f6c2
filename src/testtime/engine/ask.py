"""The handle that decodings, judges and tools hold: roles, seeds, the journal and sharing, in one place.

A decoding never chooses a seed. The opening request of draw j (the problem's own messages, nothing to
continue, one completion) takes the draw's seed `seed_of(seed, arm, query_id) + j`; every other request
takes one from (the draw's seed, what is asked), so neither the order in which a decoding asks nor a
kill between two requests changes any of them, and the children of one draw are never those of the next.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from testtime.core.errors import BoundaryError, ModelError, Refused, StoppedEarly, ToolError, unknown_name
from testtime.core.history import Floats
from testtime.core.protocols import Scored, Verifier
from testtime.core.records import Arm, Candidate, Generation, Map, Part, Problem, Request, Verdict, canonical
from testtime.core.seeds import digest, rng_of, seed_of
from testtime.core.spend import Spend, add
from testtime.engine.costs import FREE, TOOL, priced, reads, text_of
from testtime.engine.foreign import Foreign
from testtime.engine.wire import Errand, Reply, Want, Wire

_T = TypeVar("_T")


@dataclass(eq=False)
class Handle:
    """`Ask` for one draw, or for one verdict. Its scope is what the calls are made for."""

    wire: Wire
    arms: Sequence[Arm]
    scope: str
    """The id of the draw or verdict."""
    seed: int
    luck: tuple[object, ...]
    """What its randomness is of, besides the run's seed."""
    opening: Sequence[Map] = ()
    """The problem's own messages: a request of nothing more takes the seed as it is."""
    group: Group | None = None
    """The draws it may share a request with."""
    keys: list[str] = field(default_factory=list)
    """Of the replies it got: they can be forgotten when the draw is written down."""
    calls: list[str] = field(default_factory=list)
    """Keys of the calls that answered it, in order, once each."""
    received: dict[str, list[Spend]] = field(default_factory=dict)
    """By role: what its replies would have cost alone."""
    _asked: Counter[str] = field(default_factory=Counter)

    @cached_property
    def rng(self) -> np.random.Generator:
        """All randomness of the decoding; made when it is first asked for, as most decodings throw no dice."""
        return rng_of(self.wire.plan.seed, *self.luck)

    async def generate(self, role: str, request: Request) -> Generation:
        """`request.n` completions, with what they would have cost by themselves. Raises ModelError."""
        wants = self._wants(role, request)
        replies = await (self.group.complete(wants) if self.group else self.wire.complete(wants))
        got = [self._keep(want.key, reply) for want, reply in zip(wants, replies, strict=True)]
        self.received.setdefault(role, []).append(alone := self._alone(got))
        said = [reply.completion for reply in got if reply.completion is not None]
        return Generation(said, alone, got[0].model, calls=list(dict.fromkeys(r.call for r in got)))

    async def score(
        self, role: str, request: Request, texts: Sequence[str | tuple[int, ...]], full: bool = False
    ) -> Sequence[Floats]:
        """Teacher forcing by the role's model. Raises ModelError, Refused where it cannot."""
        laws = await self.measure(role, request, texts, lambda laws: [law.tolist() for law in laws], full)
        return [np.asarray(law, dtype=float) for law in laws]

    async def measure(
        self,
        role: str,
        request: Request,
        texts: Sequence[str | tuple[int, ...]],
        of: Callable[[Sequence[Floats]], _T],
        full: bool = False,
    ) -> _T:
        """What `of` makes of the scores, all that is journalled of them. Raises like `score`."""
        name = self._model(role)
        model: Any = self.wire.plan.models[name]
        if "score" not in model.can:
            raise Refused(f"the role {role!r} is asked to score, which {name} cannot", mend="use another model")

        async def work() -> tuple[_T, Spend]:
            laws = await model.score(request, texts, full)
            return of(laws), laws.spend if isinstance(laws, Scored) else Spend()

        most = len(texts) * reads(text_of(request)) + reads(canonical(list(texts)))  # each text after the same start
        reply = await self._value(role, name, [text_of(request), list(texts), full], work, most=most)
        measured: _T = reply.value
        return measured

    async def judge(self, name: str, problem: Problem, texts: Sequence[str]) -> Sequence[Verdict]:
        """A step scorer's verdicts on partial texts."""
        judges = self.wire.plan.judges
        if name not in judges:
            raise unknown_name("judge", name, judges)
        partial = [
            Candidate(self.arms[0].label, problem.query_id, -1, [Part("step", text)], finish="cut") for text in texts
        ]
        return await asyncio.gather(*[verdict_of(judges[name], problem, one, self) for one in partial])

    async def tool(self, name: str, arguments: Map) -> Map:
        """Runs a tool, once a request: its result is journalled like a reply. Raises ToolError."""
        tools = self.wire.plan.tools
        if name not in tools:
            raise ToolError(f"there is no tool {name!r}")

        ran = False

        async def work() -> tuple[Map, Spend]:
            nonlocal ran
            ran, calls, asked = True, len(self.calls), Counter(self._asked)
            try:
                said: dict[str, Any] = {"result": dict(await tools[name](arguments, self))}
            except ToolError as error:
                said = {"error": str(error)}
            inner = {"calls": self.calls[calls:], "asked": dict(self._asked - asked)}
            return said | {key: value for key, value in inner.items() if value}, FREE

        reply = await self._value(TOOL, name, arguments, work, takes_slot=False)
        if not ran:  # it came from the journal: what the tool asked then is as if asked now
            at = self.calls.index(reply.call)
            self.calls[at:at] = [key for key in reply.value.get("calls", ()) if key not in self.calls]
            self._asked.update(reply.value.get("asked", {}))
        if "error" in reply.value:
            raise ToolError(reply.value["error"])
        result: Map = reply.value["result"]
        return result

    def _wants(self, role: str, request: Request) -> list[Want]:
        name, text = self._model(role), text_of(request)
        place = self._place(role, request.n, text)
        opens = request.n == 1 and not place and not request.prefix
        shared = opens and self._is_opening(request.messages)
        seed = self.seed if shared else seed_of(self.seed, role, text, request.n, place)
        single = Request(request.messages, request.prefix, params=request.params, again=shared)
        return [Want(role, name, single, seed + child, self.scope, text) for child in range(request.n)]

    def _is_opening(self, messages: Sequence[Map]) -> bool:
        return messages is self.opening or canonical(messages) == canonical(self.opening)

    def _place(self, *asked: object) -> int:
        """How often this was asked before in this scope."""
        said = digest(*asked)
        self._asked[said] += 1
        return self._asked[said] - 1

    def _model(self, role: str) -> str:
        name = self.wire.plan.name_of(self.arms[0], role)
        if name not in self.wire.plan.models:
            raise Refused(f"arm {self.arms[0].label} has no model for the role {role!r}", mend="name one")
        return name

    async def _value(
        self, role: str, name: str, asked: object, work: Any, takes_slot: bool = True, most: int = 0
    ) -> Reply:
        """What `work` gives, from the journal where it is there; it reads so many tokens at most. Raises ModelError."""
        text = canonical(asked)
        key = digest(role, name, text, self._place(role, name, text), self.scope)

        def note(got: Any) -> Map:
            return {"children": [key], "value": got}

        asked = {} if role == TOOL else {"n": 1, "most": 0, "reads": most}
        errand = Errand(key, role, name, [self.scope], work, note, asked, takes_slot=takes_slot)
        return self._keep(key, await self.wire.value(errand))

    def _keep(self, key: str, reply: Reply | ModelError) -> Reply:
        if isinstance(reply, ModelError):
            raise reply
        self.keys.append(key)
        if reply.call not in self.calls:
            self.calls.append(reply.call)
        return reply

    def _alone(self, replies: Sequence[Reply]) -> Spend:
        """One request's worth: its prompt once, the tokens of all its completions."""
        if len(replies) == 1:
            return replies[0].alone
        first, total = replies[0].alone, add(reply.alone for reply in replies)
        tokens = Spend(first.prompt, first.cached, total.completion, total.reasoning, first.seconds)
        return priced(self.wire.plan, replies[0].asked, tokens)


async def verdict_of(verifier: Verifier, problem: Problem, candidate: Candidate, ask: Handle) -> Verdict:
    """The stage's verdict; where it fails, a null one that says why."""
    try:
        with Foreign(f"the verifier {verifier.stage} at {ask.scope}"):
            return await verifier.verify(problem, candidate, ask)
    except BoundaryError as error:
        return Verdict(verifier.stage, verifier.digest, explanation=str(error), method="failed", gold=verifier.gold)


class Group:
    """Draws of one problem that may share a request: it leaves when each of them has asked or ended.

    Whoever asks or ends last sends for all, so no task is needed that outlives them.
    """

    def __init__(self, wire: Wire, members: int) -> None:
        self._wire, self._open = wire, members
        self._waiting: list[tuple[Sequence[Want], asyncio.Future[list[Reply | ModelError]]]] = []

    async def complete(self, wants: Sequence[Want]) -> list[Reply | ModelError]:
        """What came for a member's wants."""
        future: asyncio.Future[list[Reply | ModelError]] = asyncio.get_running_loop().create_future()
        self._waiting.append((wants, future))
        await self._send()
        return await future

    async def leave(self) -> None:
        """A member has ended, and asks for nothing more."""
        self._open -= 1
        await self._send()

    def abandon(self) -> None:
        """The run stops: nothing is sent any more."""
        self._open = sys.maxsize

    async def _send(self) -> None:
        if not self._waiting or len(self._waiting) < self._open:
            return
        waiting, self._waiting = self._waiting, []
        try:
            came = iter(await self._wire.complete([want for wants, _ in waiting for want in wants]))
            for wants, future in waiting:
                future.set_result([next(came) for _ in wants])
        except StoppedEarly as stopped:
            for _, future in waiting:
                future.set_exception(stopped)
        finally:
            for _, future in waiting:
                future.cancel()  # of no effect on those that have their result
