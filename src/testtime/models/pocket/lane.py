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
from testtime.models.pocket.kept import Kept, Saved, Tokens
from testtime.models.pocket.numpy_ops import Ops
from testtime.models.pocket.params import Params
from testtime.models.pocket.runtime import Packed, Runtime
from testtime.models.pocket.sampling import Settings
from testtime.models.pocket.tokenizer import Tokenizer
from testtime.models.pocket.weights import Array

T = TypeVar("T")


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
    cached: int = 0
    """Tokens of the prompt that were kept from earlier."""
    seconds: float = 0.0
    """Its share of the thread's work."""
    root: tuple[Array, Saved] | None = None
    """Logits after the prompt and its keys and values, while children wait for rows."""


class Lane:
    """A thread with its rows. `submit` and `call` may be used from any thread."""

    def __init__(self, packed: Packed, ops: Ops, tokenizer: Tokenizer, kept: Kept, rows: int) -> None:
        self.runtime, self.scorer = Runtime(packed, ops), Runtime(packed, ops)
        self.tokenizer, self.kept, self.most = tokenizer, kept, rows
        self.load = 0
        """Candidates here: written or waiting."""
        self._jobs: deque[Job] = deque()
        self._calls: deque[tuple[Callable[[Runtime], Any], Future[Any]]] = deque()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._drafts: list[Draft] = []
        self._clock = 0.0
        size = packed.config.vocab_size
        self._ends = np.zeros(size, dtype=bool)
        self._ends[list(packed.config.eos)] = True
        self._token, self._position, self._left = (np.zeros(rows, dtype=np.int64) for _ in range(3))
        self._stoppers = np.zeros((rows, size), dtype=bool)
        """[row, token] whether a stop string may be complete with this token."""
        self._settings = Settings.room(rows)

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
        while self._jobs and len(self._drafts) < self.most:
            job = self._jobs[0]
            start = time.perf_counter()
            fresh = min(len(job.seeds) - job.begun, self.most - len(self._drafts))
            logits = self._root(job, fresh)
            low = len(self._drafts)
            for row in range(low, low + fresh):
                self._join(row, job)
            job.seconds += time.perf_counter() - start
            if job.begun == len(job.seeds):
                job.root = None
                with self._lock:
                    self._jobs.popleft()
            self._take(np.repeat(logits, fresh, axis=0), low)

    def _root(self, job: Job, fresh: int) -> Array:
        """Fills the next `fresh` slots with the prompt; gives the logits after it, [1, vocabulary]."""
        cache, slot, length = self.runtime.cache, len(self._drafts), len(job.prompt)
        cache.reserve(self.most, length + job.limit, self._position[:slot])
        if job.root is None:
            logits, saved, job.cached = self.kept.fill(self.runtime, slot, job.prompt)
            job.root = logits, saved
        else:
            cache.restore(slot, job.root[1], length)
        if fresh > 1:
            cache.copy(slot, slice(slot + 1, slot + fresh), length)
        return job.root[0]

    def _join(self, row: int, job: Job) -> None:
        draft = Draft(job, job.begun, joined=self._clock)
        self._drafts.append(draft)
        job.drafts.append(draft)
        self._position[row], self._left[row] = len(job.prompt) - 1, job.limit
        self._settings.set(row, job.seeds[job.begun], job.params)
        lasts = {stop[-1] for stop in job.params.stops}
        self._stoppers[row] = [bool(lasts.intersection(token)) for token in self.tokenizer.tokens] if lasts else False
        job.begun += 1

    def _step(self) -> None:
        start = time.perf_counter()
        rows = len(self._drafts)
        states = self.runtime.forward(self._token[:rows], np.arange(rows), self._position[:rows])
        logits = self.runtime.logits(states)
        computed = time.perf_counter()
        self._clock += (computed - start) / rows
        self._take(logits, 0)
        self._clock += (time.perf_counter() - computed) / max(len(self._drafts), 1)

    def _take(self, logits: Array, low: int) -> None:
        """Draws the next token of the rows from `low` on, and lets those go that ended."""
        rows = slice(low, low + len(logits))
        self._position[rows] += 1
        self._left[rows] -= 1
        chosen = sampling.choose(logits, self._settings.at(rows), self._position[rows])
        self._token[rows] = chosen
        drafts = self._drafts[rows]
        for draft, token in zip(drafts, chosen.tolist(), strict=True):
            draft.ids.append(token)
        self._note_logprobs(logits, drafts)
        ended, full = self._ends[chosen], self._left[rows] <= 0
        looked_at = ended | full | self._stoppers[np.arange(rows.start, rows.stop), chosen]
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
        job, length = draft.job, int(self._position[row])
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
        if row != last:
            self.runtime.cache.copy(last, [row], int(self._position[last]))
            for values in (self._token, self._position, self._left, self._stoppers, *self._settings.columns):
                values[row] = values[last]
            self._drafts[row] = self._drafts[last]
        self._drafts.pop()
        with self._lock:
            self.load -= 1


def _settle(future: Future[T], result: T) -> None:
    with suppress(InvalidStateError):  # cancelled meanwhile
        future.set_result(result)
