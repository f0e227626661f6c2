"""Where requests leave and replies arrive: the one place that journals, retries, times and prices calls.

A `sent` line is written before a request leaves, a `call` line when its attempt ends, however it ends.
Replies are kept by what was asked, one completion at a time, so a request answered before a kill is
answered from the journal, and of a group only the missing completions are asked for again.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from testtime.core.errors import Fault, ModelError
from testtime.core.records import Call, Completion, Generation, Map, Request, canonical
from testtime.core.seeds import digest
from testtime.core.spend import Spend
from testtime.engine.foreign import Foreign
from testtime.engine.plan import Plan
from testtime.store.codec import dumps, encode, loads
from testtime.store.journal import Journal

_T = TypeVar("_T")
LONGEST_WAIT = 60.0
TOOL = "tool"
"""The role of a call that runs a tool."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back for one thing asked: a completion, or the value of a score or a tool."""

    call: str
    """The call's key."""
    alone: Spend
    """What it would have cost if asked by itself."""
    asked: str
    """The model asked, by the plan's name for it."""
    model: str
    """The model that answered, as the provider names it."""
    completion: Completion | None = None
    value: Any = None


@dataclass(frozen=True, eq=False)
class Want:
    """One completion that somebody wants."""

    role: str
    model: str
    request: Request
    """With n = 1; its own seed beside it."""
    seed: int
    serves: str
    """The id of the draw or verdict it is for."""

    @cached_property
    def content(self) -> str:
        """Digest of the request without its seed: wants that differ in seed alone can share a request."""
        return digest(self.model, text_of(self.request))

    @cached_property
    def key(self) -> str:
        """Digest of (model, request, seed): what its reply is kept by. Asked again, it has another seed."""
        return digest(self.content, self.seed)


@dataclass(frozen=True, eq=False)
class Errand(Generic[_T]):
    """One thing to get, and how it is written down."""

    key: str
    role: str
    model: str
    serves: Sequence[str]
    work: Callable[[], Awaitable[tuple[_T, Spend]]]
    note: Callable[[_T], Mapping[str, Any]]
    """What a reply adds to its `call` line, so that it can be read back."""
    asked: Mapping[str, Any] = field(default_factory=dict)
    """What the `sent` line says besides, so that a reply lost in flight can be priced as an upper bound."""
    takes_slot: bool = True
    """A tool takes none: it may ask models itself."""


def text_of(request: Request) -> str:
    """A request without its seed and n, as text to be digested."""
    return canonical([request.messages, request.prefix, request.params])


class Clock:
    """Seconds since the epoch that never run backwards within a session."""

    def __init__(self) -> None:
        self._offset = time.time() - time.perf_counter()

    def __call__(self) -> float:
        """Now."""
        return self._offset + time.perf_counter()


@dataclass
class Wire:
    """A session's connection to models, scorers and tools."""

    plan: Plan
    journal: Journal
    replies: dict[str, Reply] = field(default_factory=dict)
    """By key: received, for draws not yet written down."""
    tries: dict[str, int] = field(default_factory=dict)
    """By key: how often a request was sent, in this session or before, without a reply."""
    told: set[tuple[str, str]] = field(default_factory=set)
    """(Lane scope, query_id) whose problem and messages are in the journal."""
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self._slots = asyncio.Semaphore(self.plan.concurrency)

    async def complete(self, wants: Sequence[Want]) -> list[Reply | ModelError]:
        """A reply or a failure for each want, from the journal where it is there.

        What is missing is asked for in as few requests as the model allows. A shared request that is
        refused for good is asked again one by one: each draw fails alone, whatever it was grouped with.
        """
        missing = [want for want in wants if want.key not in self.replies]
        outcomes = await asyncio.gather(*[self._shared(group) for group in self._groups(missing)])
        failed = {key: error for outcome in outcomes for key, error in outcome.items()}
        return [failed[want.key] if want.key in failed else self.replies[want.key] for want in wants]

    def _groups(self, wants: Sequence[Want]) -> list[list[Want]]:
        """Runs of wants that differ in seed alone, by one each: child i of a request is seeded seed + i."""
        groups: list[list[Want]] = []
        for want in sorted(wants, key=lambda want: (want.content, want.seed)):
            last = groups[-1][-1] if groups else None
            if (
                last is not None
                and "n" in self.plan.models[want.model].can
                and len(groups[-1]) < self.plan.share
                and (last.content, last.seed + 1) == (want.content, want.seed)
            ):
                groups[-1].append(want)
            else:
                groups.append([want])
        return groups

    async def _shared(self, group: Sequence[Want]) -> Mapping[str, ModelError]:
        """Asks for the whole group, again for what was left out of a reply; gives the failures by key."""
        try:
            while group:
                group = group[await self._ask(group) :]
        except ModelError as error:
            if len(group) == 1 or error.retry:
                return {want.key: error for want in group}
            alone = await asyncio.gather(*[self._shared([want]) for want in group])
            return {key: failure for each in alone for key, failure in each.items()}
        return {}

    async def _ask(self, group: Sequence[Want]) -> int:
        """One request for one completion each; gives how many came, from the first on. Raises ModelError."""
        first, model = group[0], self.plan.models[group[0].model]
        request = replace(first.request, n=len(group), seed=first.seed if "seed" in model.can else None)
        with Foreign(f"the model {first.model}"):
            why = model.refuses(request)
        if why:
            raise ModelError(why)

        async def generate() -> tuple[Generation, Spend]:
            got = await model.generate(request)
            if not got.completions:
                raise ModelError(f"{model.name} gave no completion for n = {len(group)}", retry=True)
            return replace(got, completions=got.completions[: len(group)]), got.spend

        def note(got: Generation) -> Map:
            came = group[: len(got.completions)]
            return {
                "serves": [want.serves for want in came],
                "children": [want.key for want in came],
                "completions": [encode(one) for one in got.completions],
                "answered": got.model,
            }

        keys, serves = [want.key for want in group], [want.serves for want in group]
        key = keys[0] if len(keys) == 1 else digest(*keys)
        asked = {"n": len(keys), "most": _most(request), "reads": _reads(request)}
        got, spend = await self._attempt(Errand(key, first.role, first.model, serves, generate, note, asked))
        came = len(got.completions)
        for want, one in zip(group, got.completions, strict=False):
            by_itself = alone(self.plan, first.model, spend, one.tokens, came)
            self.replies[want.key] = Reply(key, by_itself, first.model, got.model, one)
        return came

    async def value(self, errand: Errand[Any]) -> Reply:
        """The value of a score or a tool, from the journal where it is there. Raises ModelError."""
        if errand.key not in self.replies:
            got, spend = await self._attempt(errand)
            as_read_back = loads(dumps(got))  # a resumed draw must see what this one sees
            self.replies[errand.key] = Reply(errand.key, spend, errand.model, errand.model, value=as_read_back)
        return self.replies[errand.key]

    def forget(self, keys: Iterable[str]) -> None:
        """Lets go of the replies of a draw that is written down."""
        for key in keys:
            self.replies.pop(key, None)

    async def _attempt(self, errand: Errand[_T]) -> tuple[_T, Spend]:
        """Tries until it succeeds or must not be tried again: (what came, what it cost)."""
        for turn in range(self.plan.attempts):
            try:
                async with self._slots if errand.takes_slot else nullcontext():
                    return await self._once(errand)
            except ModelError as error:
                if not error.retry or turn + 1 == self.plan.attempts:
                    raise
                await asyncio.sleep(min(self.plan.backoff * 2**turn, LONGEST_WAIT) * random.uniform(0.75, 1.25))
        raise ModelError("no attempt was allowed")

    async def _once(self, errand: Errand[_T]) -> tuple[_T, Spend]:
        """One try: a `sent` line before, a `call` line after."""
        attempt = self.tries[errand.key] = self.tries.get(errand.key, 0) + 1
        id = f"{errand.key}.{attempt}"
        call = Call(errand.key, errand.role, errand.model, errand.serves, attempt, "sent", Spend(), self.clock())
        self.journal.append("sent", id, **encode(call), **errand.asked)
        try:
            with Foreign(f"{errand.role} {errand.model}"):
                got, spend = await errand.work()
                seconds = self.clock() - call.started if spend.seconds is None else spend.seconds
                spend = priced(self.plan, errand.model, replace(spend, seconds=seconds))
                self._end(id, call, errand.note(got), status="ok", spend=spend)
        except (ModelError, Fault) as error:
            self._end(id, call, status="failed", why=str(error))
            raise
        except asyncio.CancelledError:
            self._end(id, call, status="cancelled", why="its draw was stopped")
            raise
        self.tries.pop(errand.key)
        return got, spend

    def _end(self, id: str, call: Call, note: Mapping[str, Any] = MappingProxyType({}), **how: Any) -> None:
        self.journal.append("call", id, **{**encode(replace(call, ended=self.clock(), **how)), **note})


def _most(request: Request) -> int | None:
    """The most tokens that one completion can have."""
    most: int | None = request.params.get("max_tokens")
    return most


def _reads(request: Request) -> int:
    """The most tokens that its prompt can have: its bytes, as no token is shorter; JSON's marks are room for roles."""
    return len(text_of(request).encode("utf-8", "surrogatepass"))


def at_most(plan: Plan, sent: Mapping[str, Any]) -> float | None:
    """Dollars that a request can have cost of which nothing came back: all its bytes read, all its tokens written.

    None where it had no token limit, or the price is not known. What has no tokens (a tool) costs nothing itself.
    """
    if sent["role"] == TOOL:
        return 0.0
    if sent.get("most") is None or plan.price is None:
        return None
    return plan.price(sent["model"], Spend(prompt=sent["reads"], cached=0, completion=sent["n"] * sent["most"]))


def priced(plan: Plan, model: str, spend: Spend) -> Spend:
    """The spend with its dollars, where the backend gave none and the price is known."""
    if spend.usd is not None or plan.price is None:
        return spend
    return replace(spend, usd=plan.price(model, spend))


def alone(plan: Plan, model: str, paid: Spend, tokens: int | None, children: int) -> Spend:
    """What one of a call's completions would have cost by itself: all of the prompt, and its own tokens."""
    if children == 1:
        return paid
    reasoning = 0 if paid.reasoning == 0 else None
    return priced(plan, model, Spend(paid.prompt, paid.cached, tokens, reasoning, paid.seconds))
