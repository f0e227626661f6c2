"""One thread that writes many candidates at once: they join and leave between tokens.

Jobs wait in line; their candidates (drafts) take rows as rows become free, at most `rows` of them: more would
not be faster, as tiles are full and the cache of keys would no longer fit the processor's. A prompt is computed
once for all children of a job. The thread lives as long as there is work.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from testtime.core.records import Finish
from testtime.models.pocket import sampling
from testtime.models.pocket.cache import Ids
from testtime.models.pocket.kept import Kept, Saved, Tokens
from testtime.models.pocket.params import Params
from testtime.models.pocket.runtime import Maker, Runtime
from testtime.models.pocket.sampling import Rows
from testtime.models.pocket.tokenizer import Tokenizer
from testtime.models.pocket.weights import Array

T = TypeVar("T")

STEPS = 8
"""Tokens of each row between two looks at what else there is to do; fewer where a row ends."""


@dataclass(eq=False)
class Draft:
    """One candidate, being written."""

    job: Job
    child: int
    ids: list[int] = field(default_factory=list)
    """Drawn so far, an end token included."""
    logprobs: list[dict[str, float]] = field(default_factory=list)
    text: str | None = None
    """Once it ended."""
    finish: Finish = "cut"
    joined: float = 0.0
    """The lane's clock of shared work when it joined."""


@dataclass(eq=False)
class Job:
    """Children of one request that a lane writes."""

    prompt: Tokens
    """Everything before the first token to draw."""
    seeds: Sequence[int]
    """One a child."""
    limit: int
    """Tokens to draw at most, ≥ 1."""
    params: Params
    future: Future[Job] = field(default_factory=Future)
    """Set when all children ended; cancelling it frees their rows at the next token."""
    drafts: list[Draft] = field(default_factory=list)
    begun: int = 0
    """Children that have a row or had one."""
    ended: int = 0
    seconds: float = 0.0
    """Its share of the thread's work."""
    root: Saved | None = None
    """Keys and values of the prompt, while children wait for rows."""


@dataclass(frozen=True)
class Seat:
    """A job whose next children get rows."""

    job: Job
    slot: int
    """The first of their rows."""
    fresh: int
    """How many."""


class Lane:
    """A thread with its rows. `submit` and `call` may be used from any thread."""

    def __init__(self, make: Maker, tokenizer: Tokenizer, kept: Kept, rows: int) -> None:
        self.runtime, self.scorer = make(), make()
        self.tokenizer, self.kept, self.most = tokenizer, kept, min(rows, self.runtime.best)
        self.load = 0
        """Candidates here: written or waiting."""
        self._jobs: deque[Job] = deque()
        self._calls: deque[tuple[Callable[[Runtime], Any], Future[Any]]] = deque()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._drafts: list[Draft] = []
        self._clock = 0.0
        config = self.runtime.config
        self._ends = np.zeros(config.vocab_size, dtype=bool)
        self._ends[list(config.eos)] = True
        self._rows = Rows.room(self.most, config.vocab_size)

    def submit(self, job: Job) -> None:
        """Puts a job in line."""
        with self._lock:
            self._jobs.append(job)
            self.load += len(job.seeds)
            self._start()

    def call(self, work: Callable[[Runtime], T]) -> Future[T]:
        """Runs something on this thread between two tokens, with a runtime that no candidate uses."""
        future: Future[T] = Future()
        with self._lock:
            self._calls.append((work, future))
            self._start()
        return future

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="pocket", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        try:
            while self._has_work():
                self._turn()
        except BaseException as error:
            self._fail(error)
            raise

    def _has_work(self) -> bool:
        with self._lock:
            if self._jobs or self._calls or self._drafts:
                return True
            self._thread = None
            return False

    def _turn(self) -> None:
        """All that happens between two tokens, then one token."""
        while self._calls:
            work, future = self._calls[0]
            if not future.cancelled():
                _settle(future, work(self.scorer))
            self._calls.popleft()
        self._drop_cancelled()
        self._admit()
        if self._drafts:
            self._step()

    def _fail(self, error: BaseException) -> None:
        """Everyone who waits for this thread learns why it died; the next job starts another."""
        with self._lock:
            futures = [future for _, future in self._calls]
            futures += [job.future for job in self._jobs] + [draft.job.future for draft in self._drafts]
            self._calls.clear()
            self._jobs.clear()
            self._drafts.clear()
            self.load, self._thread = 0, None
        for future in futures:
            with suppress(InvalidStateError):
                future.set_exception(error)

    def _drop_cancelled(self) -> None:
        for row in reversed([row for row, draft in enumerate(self._drafts) if draft.job.future.cancelled()]):
            self._free(row)
        with self._lock:
            gone = [job for job in self._jobs if job.future.cancelled()]
            for job in gone:
                self._jobs.remove(job)
                self.load -= len(job.seeds) - job.begun

    def _admit(self) -> None:
        """Gives rows to waiting jobs while there are some; prompts that are new are computed together."""
        while self._jobs and len(self._drafts) < self.most:
            start, low = time.perf_counter(), len(self._drafts)
            seats = self._seats()
            logits, work = self._roots(seats)
            for seat in seats:
                for row in range(seat.slot, seat.slot + seat.fresh):
                    self._join(row, seat.job)
                if seat.job.begun == len(seat.job.seeds):
                    seat.job.root = None
                    with self._lock:
                        self._jobs.popleft()
            spent = (time.perf_counter() - start) / sum(work)
            for seat, share in zip(seats, work, strict=True):
                seat.job.seconds += spent * share
            self._begin(np.repeat(logits, [seat.fresh for seat in seats], axis=0), low)

    def _seats(self) -> list[Seat]:
        """The next jobs and the slots they get. Jobs with one prompt come one after the other, to share its keys."""
        seats: list[Seat] = []
        slot, begun = len(self._drafts), set[Tokens]()
        with self._lock:
            waiting = list(self._jobs)
        for job in waiting:
            fresh = min(len(job.seeds) - job.begun, self.most - slot)
            if not fresh or job.prompt in begun:
                break
            begun.add(job.prompt)
            seats.append(Seat(job, slot, fresh))
            slot += fresh
        return seats

    def _roots(self, seats: Sequence[Seat]) -> tuple[Array, list[int]]:
        """Fills the slots with the prompts; the logits after each [seat, vocabulary], and the work each took."""
        self.runtime.cache.reserve(self.most)
        shared = [self._restored(seat) for seat in seats]
        rows = [len(seat.job.prompt) - known for seat, known in zip(seats, shared, strict=True)]
        tokens = [token for seat, known in zip(seats, shared, strict=True) for token in seat.job.prompt[known:]]
        slots = np.repeat([seat.slot for seat in seats], rows)
        places = np.concatenate([np.arange(known, known + count) for known, count in zip(shared, rows, strict=True)])
        logits = self.runtime.logits(
            self.runtime.forward(np.array(tokens), slots, places, np.cumsum(rows) - 1),
        )
        for seat, known in zip(seats, shared, strict=True):
            self._share(seat, known)
        return logits, [count + seat.fresh for seat, count in zip(seats, rows, strict=True)]

    def _restored(self, seat: Seat) -> int:
        """How many tokens of the prompt were put into the seat's slot: all but the last at most."""
        job, last = seat.job, len(seat.job.prompt) - 1
        if job.root is None:
            return self.kept.restore(self.runtime, seat.slot, job.prompt, last)
        self.runtime.cache.restore(seat.slot, job.root, last)
        return last

    def _share(self, seat: Seat, known: int) -> None:
        """The prompt to all rows of the seat, and to those that will come later."""
        job, cache, length = seat.job, self.runtime.cache, len(seat.job.prompt)
        if job.root is None:
            self.kept.note(self.runtime, seat.slot, job.prompt, known)
            if job.begun + seat.fresh < len(job.seeds):
                job.root = cache.save(seat.slot, length)
        if seat.fresh > 1:
            cache.copy(seat.slot, range(seat.slot + 1, seat.slot + seat.fresh), length)

    def _join(self, row: int, job: Job) -> None:
        draft = Draft(job, job.begun, joined=self._clock)
        self._drafts.append(draft)
        job.drafts.append(draft)
        rows = self._rows
        rows.position[row], rows.left[row] = len(job.prompt), job.limit - 1
        rows.settings.set(row, job.seeds[job.begun], job.params)
        lasts = {stop[-1] for stop in job.params.stops}
        rows.stoppers[row] = [bool(lasts.intersection(token)) for token in self.tokenizer.tokens] if lasts else False
        job.begun += 1

    def _begin(self, logits: Array, low: int) -> None:
        """Draws the first token of the rows from `low` on: their prompt has been computed."""
        first = self.runtime.choose(logits, self._rows, low)
        self._rows.token[low : low + len(first)] = first
        self._took(first[None], logits, low)

    def _step(self) -> None:
        """Draws further tokens of all rows."""
        start = time.perf_counter()
        count = len(self._drafts)
        most = 1 if any(draft.job.params.logprobs is not None for draft in self._drafts) else STEPS
        drawn, logits = self.runtime.write(self._rows, count, self._ends, most)
        computed = time.perf_counter()
        self._clock += (computed - start) / count
        self._took(drawn, logits, 0)
        self._clock += (time.perf_counter() - computed) / max(len(self._drafts), 1)

    def _took(self, drawn: Ids, logits: Array, low: int) -> None:
        """Notes the tokens [step, row] of the rows from `low` on, and lets those go that ended with the last one."""
        rows, last = slice(low, low + drawn.shape[1]), drawn[-1]
        drafts = self._drafts[rows]
        for draft, tokens in zip(drafts, drawn.T.tolist(), strict=True):
            draft.ids += tokens
        self._note_logprobs(logits, drafts)
        ended, full = self._ends[last], self._rows.left[rows] <= 0
        looked_at = ended | full | self._rows.stoppers[np.arange(rows.start, rows.stop), last]
        for index in np.flatnonzero(looked_at)[::-1].tolist():
            if self._finished(drafts[index], bool(ended[index]), bool(full[index])):
                self._leave(low + index)

    def _note_logprobs(self, logits: Array, drafts: Sequence[Draft]) -> None:
        wanted = [index for index, draft in enumerate(drafts) if draft.job.params.logprobs is not None]
        if not wanted:
            return
        laws = sampling.log_law(np.ascontiguousarray(logits[wanted]))
        for index, law in zip(wanted, laws, strict=True):
            draft = drafts[index]
            best = np.argsort(-law, kind="stable")[: draft.job.params.logprobs]
            named = [draft.ids[-1], *best.tolist()]
            draft.logprobs.append({self.tokenizer.tokens[token]: float(law[token]) for token in named})

    def _finished(self, draft: Draft, ended: bool, full: bool) -> bool:
        """Whether a draft ended with its last token; if so its text and finish are set."""
        if ended:
            del draft.logprobs[len(draft.ids) - 1 :]
            draft.text, draft.finish = self.tokenizer.decode(draft.ids[:-1]), "stop"
            return True
        cut = self._stopped(draft)
        if cut is not None:
            draft.text, draft.finish = cut, "stop"
        elif full:
            draft.text, draft.finish = self.tokenizer.decode(draft.ids), "length"
        return draft.text is not None

    def _stopped(self, draft: Draft) -> str | None:
        """The text before the first stop string, where the last token completed one."""
        stops = draft.job.params.stops
        if not stops:
            return None
        far = max(map(len, stops))  # a token has at least one character
        tail = self.tokenizer.decode(draft.ids[-far:])
        found = [at for at in map(tail.find, stops) if at >= 0]
        if not found:
            return None
        return self.tokenizer.decode(draft.ids[:-far]) + tail[: min(found)]

    def _leave(self, row: int) -> None:
        draft = self._drafts[row]
        job, length = draft.job, int(self._rows.position[row])
        if not self._ends[draft.ids[-1]]:  # it may be gone on from; its last token is not in the cache yet
            text = (*job.prompt, *draft.ids[:-1])
            if len(text) > len(job.prompt):
                self.kept.put(text, self.runtime.cache.save(row, length))
        job.seconds += self._clock - draft.joined
        job.ended += 1
        self._free(row)
        if job.ended == len(job.seeds):
            _settle(job.future, job)

    def _free(self, row: int) -> None:
        """Gives a row back; the last one moves into its place."""
        last = len(self._drafts) - 1
        self.runtime.cache.release(row)
        if row != last:
            self.runtime.cache.move(last, row)
            self._rows.move(last, row)
            self._drafts[row] = self._drafts[last]
        self._drafts.pop()
        with self._lock:
            self.load -= 1


def _settle(future: Future[T], result: T) -> None:
    with suppress(InvalidStateError):  # cancelled meanwhile
        future.set_result(result)
