"""Where requests leave and replies arrive: the one place that journals, retries, times and prices calls.

A `sent` line is written before a request leaves, a `call` line when its attempt ends, however it ends.
Replies are kept by what was asked, one completion at a time, so a request answered before a kill is
answered from the journal, and of a group only the missing completions are asked for again.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Generic, TypeVar

from testtime.core.errors import Fault, ModelError
from testtime.core.records import Call, Completion, Generation, Map, Request
from testtime.core.seeds import digest
from testtime.core.spend import Spend, count, credible
from testtime.engine.batches import Batcher, Outcome
from testtime.engine.caps import Account
from testtime.engine.costs import FREE, alone, at_most, priced, reads
from testtime.engine.foreign import Foreign
from testtime.engine.gate import Gate, Pace
from testtime.engine.plan import Plan
from testtime.store.codec import decode, dumps, encode, loads
from testtime.store.journal import Journal

_T = TypeVar("_T")
LONGEST_WAIT = 60.0
BYTES_A_TOKEN = 4
"""Of text, about: how many tokens a request will take from a limit a minute, until it is known."""


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
    text: str
    """The request as text, without its seed."""

    @cached_property
    def content(self) -> str:
        """Digest of the request without its seed: wants that differ in seed alone can share a request."""
        return digest(self.model, self.text)

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
    batcher: Batcher | None = None
    """By whose batches it goes, where it does."""


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
    account: Account
    replies: dict[str, Reply] = field(default_factory=dict)
    """By key: received, for draws not yet written down."""
    tries: dict[str, int] = field(default_factory=dict)
    """By key: how often a request was sent, in this session or before, without a reply."""
    told: set[tuple[str, str]] = field(default_factory=set)
    """(Lane scope, query_id) whose problem and messages are in the journal."""
    clock: Clock = field(default_factory=Clock)
    spawn: Callable[[Coroutine[Any, Any, None]], object] = asyncio.ensure_future
    """Starts a task of the session."""

    def __post_init__(self) -> None:
        self._gates: dict[str, Gate] = {}
        self._batchers: dict[str, Batcher] = {}
        self._awaited: dict[str, asyncio.Event] = {}

    def gate(self, model: str) -> Gate:
        """The gate of a model: each has its own, as each provider has its own limits."""
        if model not in self._gates:
            paces = [self.plan.requests_per_minute, self.plan.tokens_per_minute]
            requests, tokens = (Pace(limit) if limit else None for limit in paces)
            self._gates[model] = Gate(self.plan.concurrency, self.account.sleep, requests, tokens)
        return self._gates[model]

    def batcher(self, model: str) -> Batcher | None:
        """What gathers a model's requests in batches; None where they leave one by one."""
        if self.plan.batch is None or "batch" not in self.plan.models[model].can:
            return None
        if model not in self._batchers:
            how = (self.plan.batch, self.plan.linger, self.plan.backoff)
            self._batchers[model] = Batcher(model, self.plan.models[model], self.journal, self.spawn, *how)
        return self._batchers[model]

    def pick_up(self, open_batches: Mapping[tuple[str, str], Sequence[Map]]) -> None:
        """Goes on waiting for batches of earlier sessions: (model, batch) → the `sent` lines of what is out."""
        for (model, batch), sent in open_batches.items():
            batcher = self.batcher(model)
            if batcher is not None:
                landed = asyncio.Event()
                self._awaited |= {key: landed for line in sent for key in line["children"]}
                for line in sent:
                    self.account.hold(at_most(self.plan, line["role"], model, line))
                self.spawn(self._picked_up(batcher, batch, {as_name(line["id"]): line for line in sent}, landed))

    async def _picked_up(self, batcher: Batcher, batch: str, sent: Mapping[str, Map], landed: asyncio.Event) -> None:
        await batcher.collect(batch, sent, lambda id, outcome: self._land(sent[id], outcome))
        for line in sent.values():
            for key in line["children"]:
                self._awaited.pop(key)
        landed.set()

    def _land(self, line: Map, outcome: Outcome) -> None:
        """Writes down what became of a request that an earlier session had sent."""
        call, bound = decode(Call, line), at_most(self.plan, line["role"], line["model"], line)
        if not isinstance(outcome, Generation) or not outcome.completions:
            why = outcome if isinstance(outcome, Exception) else ModelError("no completion came")
            lost = isinstance(why, ModelError) and why.lost
            self.account.settle(bound, Spend() if lost else FREE)
            more = {"lost": True} if lost else {}
            self._end(line["id"], encode(call), status="failed", ended=self.clock(), why=str(why), **more)
            if isinstance(why, Fault):
                raise why
            return
        spend, keys = priced(self.plan, call.model, credible(outcome.spend)), line["children"]
        self.account.settle(bound, spend)
        note = _note(outcome, keys, line["serves"])
        self._end(line["id"], encode(call), status="ok", ended=self.clock(), spend=encode(spend), **note)
        self._file(call.key, call.model, outcome, spend, keys)

    def _file(self, key: str, model: str, got: Generation, spend: Spend, keys: Sequence[str]) -> None:
        """Keeps each completion of a call by what was asked."""
        for child, one in zip(keys, got.completions, strict=False):
            by_itself = alone(self.plan, model, spend, one.tokens, min(len(keys), len(got.completions)))
            self.replies[child] = Reply(key, by_itself, model, got.model, one)

    async def complete(self, wants: Sequence[Want]) -> list[Reply | ModelError]:
        """A reply or a failure for each want, from the journal where it is there.

        What is missing is asked for in as few requests as the model allows. A shared request that is
        refused for good is asked again one by one: each draw fails alone, whatever it was grouped with.
        Raises StoppedEarly, once those under way are home, where the run stops.
        """
        failed: dict[str, ModelError] = {}
        for coming in {landed for want in wants if (landed := self._awaited.get(want.key)) is not None}:
            await coming.wait()
        missing = [want for want in wants if want.key not in self.replies]
        for outcome in await _all([self._shared(group) for group in self._groups(missing)]):
            failed |= outcome
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
            alone = await _all([self._shared([want]) for want in group])
            return {key: failure for each in alone for key, failure in each.items()}
        return {}

    async def _ask(self, group: Sequence[Want]) -> int:
        """One request for one completion each; gives how many came, from the first on. Raises ModelError."""
        first, model = group[0], self.plan.models[group[0].model]
        single, seed = first.request, first.seed if "seed" in model.can else None
        request = Request(single.messages, single.prefix, len(group), seed, single.params)
        with Foreign(f"the model {first.model}"):
            why = model.refuses(request)
        if why:
            raise ModelError(why)

        keys, serves = [want.key for want in group], [want.serves for want in group]
        key = keys[0] if len(keys) == 1 else digest(*keys)
        batcher = self.batcher(first.model)

        async def generate() -> tuple[Generation, Spend]:
            asks = model.generate(request) if batcher is None else batcher.ask(self._name(key), request)
            got = await asks
            if not got.completions:
                raise ModelError(f"{model.name} gave no completion for n = {len(group)}", retry=True)
            said = [replace(one, tokens=count(one.tokens)) for one in got.completions[: len(group)]]
            return replace(got, completions=said), got.spend

        asked: dict[str, Any] = {"n": len(keys), "most": request.params.get("max_tokens"), "reads": reads(first.text)}
        if batcher is not None:
            asked["children"] = keys  # another session must know what a result answers
        errand = Errand(
            key,
            first.role,
            first.model,
            serves,
            generate,
            lambda got: _note(got, keys, serves),
            asked,
            batcher=batcher,
        )
        got, spend = await self._attempt(errand)
        self._file(key, first.model, got, spend, keys)
        return len(got.completions)

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
        """Tries until it succeeds or must not be tried again: (what came, what it cost).

        A provider that is busy is waited for as long as the plan has patience; any other transient failure
        counts against the attempts.
        """
        began, turn, failed = time.monotonic(), 0, 0
        while True:
            try:
                return await self._pass(errand)
            except ModelError as error:
                turn, failed = turn + 1, failed + (not error.busy)
                wait = min(self.plan.backoff * 2 ** (turn - 1), LONGEST_WAIT) * random.uniform(0.75, 1.25)
                patient = time.monotonic() - began + (error.retry_after or wait) < self.plan.patience
                if not error.retry or failed >= self.plan.attempts or (error.busy and not patient):
                    raise
                if error.retry_after is None:  # else its gate is shut for so long
                    await self.account.sleep(wait)

    async def _pass(self, errand: Errand[_T]) -> tuple[_T, Spend]:
        """One try, at a time when it may be made and can be paid."""
        if not errand.takes_slot:
            self.account.go_on()
            return await self._once(errand)
        if errand.batcher is not None:
            return await self._reserved(errand)
        gate = self.gate(errand.model)
        guess = errand.asked.get("reads", 0) // BYTES_A_TOKEN + errand.asked.get("n", 0) * (
            errand.asked.get("most") or 0
        )
        left_at = await gate.enter(guess)
        try:
            got, cost = await self._reserved(errand)
        except ModelError as error:
            if error.busy:
                gate.too_many(left_at, min(error.retry_after or 0.0, self.plan.patience))
            raise
        finally:
            gate.leave()
        used = guess if cost.prompt is None or cost.completion is None else cost.prompt + cost.completion
        gate.answered(guess - used)
        return got, cost

    async def _reserved(self, errand: Errand[_T]) -> tuple[_T, Spend]:
        """One try, once it fits under the caps."""
        bound, cost = at_most(self.plan, errand.role, errand.model, errand.asked), Spend()
        await self.account.reserve(bound)
        try:
            got, cost = await self._once(errand)
        except ModelError as error:
            cost = cost if error.lost else FREE
            raise
        finally:
            self.account.settle(bound, cost)
        return got, cost

    def _name(self, key: str) -> str:
        """What the attempt that runs is called in a batch."""
        return as_name(f"{key}.{self.tries[key]}")

    async def _once(self, errand: Errand[_T]) -> tuple[_T, Spend]:
        """One try: a `sent` line before, a `call` line after."""
        attempt = self.tries[errand.key] = self.tries.get(errand.key, 0) + 1
        id = f"{errand.key}.{attempt}"
        call = Call(errand.key, errand.role, errand.model, errand.serves, attempt, "sent", Spend(), self.clock())
        said = encode(call)
        self.journal.append("sent", id, **said, **errand.asked)
        try:
            with Foreign(f"{errand.role} {errand.model}"):
                patient = self.plan.timeout is None or not errand.takes_slot or errand.batcher is not None
                got, spend = await (errand.work() if patient else _within(self.plan.timeout, errand.work()))
                ended, spend = self.clock(), credible(spend)
                if spend.seconds is None and errand.batcher is None:  # a batch says nothing of how long one took
                    spend = replace(spend, seconds=ended - call.started)
                spend = priced(self.plan, errand.model, spend)
                note = dict(errand.note(got))
                self._end(id, said, status="ok", ended=ended, spend=encode(spend), **note)
        except (ModelError, Fault) as error:
            lost = {"lost": True} if isinstance(error, ModelError) and error.lost else {}
            self._end(id, said, status="failed", ended=self.clock(), why=str(error), **lost)
            raise
        except asyncio.CancelledError:
            if errand.batcher is not None and not errand.batcher.gathers(as_name(id)):
                raise  # it is out, and a later session picks it up
            self._end(id, said, status="cancelled", ended=self.clock(), why="its draw was stopped")
            raise
        self.tries.pop(errand.key)
        return got, spend

    def _end(self, id: str, said: Map, **how: Any) -> None:
        """The `call` line of an attempt: its `sent` line, and how it ended."""
        self.journal.append("call", id, **{**said, **how})


def as_name(id: str) -> str:
    """A call's id as providers allow the names of a batch's requests: letters, digits, dashes."""
    return id.replace(".", "-")


def as_id(name: str) -> str:
    """The call's id that such a name stands for."""
    return name.replace("-", ".")


def _note(got: Generation, keys: Sequence[str], serves: Sequence[str]) -> Map:
    """What a reply adds to its `call` line: each completion, what it answers, and whom it is for."""
    came = len(got.completions)
    return {
        "serves": list(serves[:came]),
        "children": list(keys[:came]),
        "completions": [encode(one) for one in got.completions],
        "answered": got.model,
    }


async def _within(seconds: float | None, work: Awaitable[_T]) -> _T:
    """What it gives. Raises TimeoutError where that takes longer."""
    try:
        async with asyncio.timeout(seconds) as limit:
            return await work
    except TimeoutError as error:
        if limit.expired():
            raise TimeoutError(f"no answer within {seconds:g} s") from error
        raise


async def _all(works: Sequence[Awaitable[_T]]) -> list[_T]:
    """What all of them give, once all have ended. Raises what the first that failed raised."""
    if len(works) == 1:
        return [await works[0]]
    ended = await asyncio.gather(*works, return_exceptions=True)
    for one in ended:
        if isinstance(one, BaseException):
            raise one
    return [one for one in ended if not isinstance(one, BaseException)]
