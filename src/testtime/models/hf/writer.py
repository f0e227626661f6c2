"""Many candidates written at once: rows of one batch, each with its own prompt, seed and sampling.

A batch is as many waiting rows as fit. Its distinct prompts are computed once; rows that end leave it, and where
the memory of a GPU does not suffice, half as many are tried. All work of a model happens on one thread.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from testtime.core.errors import ModelError
from testtime.core.records import Finish
from testtime.models.hf import sampling
from testtime.models.hf.load import Loaded, Tokens
from testtime.models.pocket.params import Params

T = TypeVar("T")
LINGER = 0.005
"""Seconds to wait for company before a batch that is not full."""
FEWER = 0.75
"""A batch is cut down to its living rows when these are fewer than this share of it."""


@dataclass(eq=False)
class Row:
    """One candidate, being written."""

    job: Job
    seed: int
    ids: list[int] = field(default_factory=list)
    """Drawn so far, an end token included."""
    logprobs: list[dict[str, float]] = field(default_factory=list)
    text: str | None = None
    """Once it ended."""
    finish: Finish = "cut"

    def forget(self) -> None:
        """Back to the start: its seed will draw the same again."""
        self.ids, self.logprobs, self.text = [], [], None


@dataclass(eq=False)
class Job:
    """The children of one request."""

    start: Tokens
    """Prompt and prefix."""
    begin: int
    """Where the prefix begins in it: texts are decoded from there."""
    limit: int
    """Tokens to draw at most, ≥ 1."""
    params: Params
    rows: list[Row] = field(default_factory=list)
    future: Future[Job] = field(default_factory=Future)
    seconds: float = 0.0
    """Its share of the thread's work."""


class Writer:
    """The thread of one model. `submit` and `call` may be used from any thread."""

    def __init__(self, loaded: Loaded, batch: int) -> None:
        self.loaded, self.batch = loaded, batch
        """Rows at once, at most; halved where memory does not suffice."""
        self._waiting: deque[Row] = deque()
        self._lock = threading.Lock()
        self._thread = ThreadPoolExecutor(1, "hf", initializer=self._alone if loaded.small else None)

    def _alone(self) -> None:
        """Products this small are slower on several cores than on one, many times so on a busy machine."""
        import torch

        torch.set_num_threads(1)

    def submit(self, job: Job) -> None:
        """Puts a job in line."""
        with self._lock:
            self._waiting.extend(job.rows)
        self._thread.submit(self._turn)

    def call(self, work: Callable[[], T]) -> Future[T]:
        """Runs something on the thread."""
        return self._thread.submit(self._fitting, work)

    def _fitting(self, work: Callable[[], T]) -> T:
        """Tries with fewer rows at once while memory does not suffice. Raises ModelError where one is too many."""
        while True:
            if (done := self._tried(work)) is not None:
                return done[0]
            if self.batch == 1:
                raise ModelError(f"out of memory on {self.loaded.device} with one text at a time; use a smaller model,"
                                 " fewer bits (--quantization) or a lower --max_tokens")  # fmt: skip
            self.batch = max(1, self.batch // 2)

    def _tried(self, work: Callable[[], T]) -> tuple[T] | None:
        """What came, or None where memory did not suffice: it is freed before the next try."""
        import torch

        try:
            return (work(),)
        except torch.OutOfMemoryError:
            pass
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return None

    def _turn(self) -> None:
        """Writes one batch of what waits; whoever waits for it learns what went wrong."""
        with self._lock:
            crowded = len(self._waiting) >= self.batch
        if not crowded:
            time.sleep(LINGER)
        with self._lock:
            rows = [self._waiting.popleft() for _ in range(min(self.batch, len(self._waiting)))]
            if self._waiting:  # more than fit: theirs is a turn of its own, behind what else is in line
                self._thread.submit(self._turn)
        try:
            while rows:
                self._fitting(partial(self._write_first, rows))
                rows = rows[self.batch :]
        except ModelError as error:
            _tell(rows, error)
        except BaseException as error:
            _tell(rows, error)
            raise

    def _write_first(self, rows: Sequence[Row]) -> None:
        """Writes as many rows as fit to their ends."""
        import torch

        living = [row for row in rows[: self.batch] if not row.job.future.cancelled()]
        for row in living:
            row.forget()
        with torch.inference_mode():
            if living:
                Batch(self.loaded, living).write()
        for job in dict.fromkeys(row.job for row in living):
            if all(row.text is not None for row in job.rows):
                with suppress(InvalidStateError):
                    job.future.set_result(job)


def _tell(rows: Sequence[Row], error: BaseException) -> None:
    """Everyone who waits for these rows learns why they were not written."""
    for job in dict.fromkeys(row.job for row in rows):
        with suppress(InvalidStateError):
            job.future.set_exception(error)


class Batch:
    """Rows that are written together, one token of each at a time."""

    def __init__(self, loaded: Loaded, rows: Sequence[Row]) -> None:
        self.loaded, self.rows = loaded, list(rows)
        """Of the tensors, ended ones among them until the batch is cut down."""
        self.began = time.perf_counter()

    def write(self) -> None:
        """To the end of all rows."""
        logits = self._read()
        while True:
            chosen = self._take(logits)
            living = [at for at, row in enumerate(self.rows) if self._lives(row)]
            if not living:
                return
            if len(living) < FEWER * len(self.rows):
                chosen = self._cut_down(living, chosen)
            logits = self._step(chosen)

    def _lives(self, row: Row) -> bool:
        return row.text is None and not row.job.future.cancelled()

    def _read(self) -> Any:
        """Computes each distinct start once; gives the logits after each row's, [row, vocabulary]."""
        import torch
        from transformers import DynamicCache

        starts = list(dict.fromkeys(row.job.start for row in self.rows))
        ids, self.mask = padded(self.loaded, starts)
        places = (self.mask.cumsum(-1) - 1).clamp_min(0)
        self.cache = DynamicCache(config=self.loaded.model.config)
        logits = self.loaded.forward(ids, self.mask, places, self.cache, last=1)[:, -1]
        whose = torch.tensor([starts.index(row.job.start) for row in self.rows], device=self.loaded.device)
        self.cache.batch_select_indices(whose)
        self.mask = self.mask[whose]
        return logits[whose]

    def _step(self, chosen: Any) -> Any:
        """Reads one more token of each row; gives the logits after it, [row, vocabulary]."""
        places = self.mask.sum(-1, keepdim=True)
        self.mask = self.mask.new_ones((len(self.rows), self.mask.shape[1] + 1)).index_copy_(
            1, self._columns(self.mask.shape[1]), self.mask
        )
        return self.loaded.forward(chosen[:, None], self.mask, places, self.cache, last=1)[:, -1]

    def _columns(self, count: int) -> Any:
        import torch

        return torch.arange(count, device=self.mask.device)

    def _cut_down(self, living: Sequence[int], chosen: Any) -> Any:
        import torch

        kept = torch.tensor(living, device=self.loaded.device)
        self.cache.batch_select_indices(kept)
        self.mask = self.mask[kept]
        self.rows = [self.rows[at] for at in living]
        return chosen[kept]

    def _take(self, logits: Any) -> Any:
        """Draws the next token of each row [row], notes it where the row lives, and shares out the time."""
        rows = self.rows
        positions = [len(row.job.start) + len(row.ids) for row in rows]
        chosen = sampling.choose(logits, [row.seed for row in rows], [row.job.params for row in rows], positions)
        listed = chosen.tolist()
        living = [at for at, row in enumerate(rows) if self._lives(row)]
        for at in living:
            rows[at].ids.append(listed[at])
        self._note_logprobs(logits, [at for at in living if rows[at].job.params.logprobs is not None])
        for at in living:
            self._end(rows[at])
        now = time.perf_counter()
        for at in living:
            rows[at].job.seconds += (now - self.began) / len(living)
        self.began = now
        return chosen

    def _note_logprobs(self, logits: Any, wanted: Sequence[int]) -> None:
        """The model's own log-probabilities (temperature 1, nothing cut): the drawn token first, then the best."""
        if not wanted:
            return
        laws = logits[list(wanted)].float().log_softmax(-1)
        most = max(self.rows[at].job.params.logprobs or 0 for at in wanted)
        best = laws.topk(max(1, most), dim=-1).indices.tolist()
        for law, at, top in zip(laws, wanted, best, strict=True):
            row = self.rows[at]
            named: dict[str, float] = {}
            for token in (row.ids[-1], *top[: row.job.params.logprobs]):
                named.setdefault(self.loaded.decode([token]), float(law[token]))
            row.logprobs.append(named)

    def _end(self, row: Row) -> None:
        """Sets the text and finish of a row that its last token ended."""
        if row.ids[-1] in self.loaded.ends:
            row.text, row.finish = text_after(self.loaded, row.job, row.ids[:-1]), "stop"
            return
        if row.job.params.stops and (cut := self._stopped(row)) is not None:
            row.text, row.finish = cut, "stop"
        elif len(row.ids) >= row.job.limit:
            row.text, row.finish = text_after(self.loaded, row.job, row.ids), "length"

    def _stopped(self, row: Row) -> str | None:
        """The text before the first stop string, where there is one by now."""
        stops = row.job.params.stops
        far = max(map(len, stops)) + 8  # a token has at least one character, or is a part of one
        tail = self.loaded.decode(row.ids[-far:])
        if not any(stop in tail for stop in stops):
            return None
        text = text_after(self.loaded, row.job, row.ids)
        return text[: min(at for at in map(text.find, stops) if at >= 0)] if any(s in text for s in stops) else None


def text_after(loaded: Loaded, job: Job, ids: Sequence[int]) -> str:
    """The text of tokens that go on from a prefix: what they add to it."""
    before = job.start[job.begin :]
    if not before:
        return loaded.decode(ids)
    said, whole = loaded.decode(before), loaded.decode([*before, *ids])
    return whole[len(said) :] if whole.startswith(said) else loaded.decode(ids)


def padded(loaded: Loaded, texts: Sequence[Sequence[int]]) -> tuple[Any, Any]:
    """(Ids, mask) [text, position], padded on the left."""
    import torch

    pad = next(iter(sorted(loaded.ends)), 0)
    longest = max(map(len, texts))
    ids = [[pad] * (longest - len(text)) + list(text) for text in texts]
    mask = [[0] * (longest - len(text)) + [1] * len(text) for text in texts]
    return torch.tensor(ids, device=loaded.device), torch.tensor(mask, device=loaded.device)
