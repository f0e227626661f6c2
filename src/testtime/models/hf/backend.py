"""Local models through `transformers`: hf:ORG/NAME of the hub, hf:FOLDER, or a pocket model's weights (hf:pocket-m).

Candidates of concurrent requests are written in one batch; each is drawn with its own seed, by the law and the random
numbers of the pocket runtime. Weights are loaded at the first call, or by `open`.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from testtime.core.errors import BadInput, ModelError
from testtime.core.history import Floats
from testtime.core.protocols import Cap, Scored
from testtime.core.records import Completion, Generation, Request
from testtime.core.settings import check, setting
from testtime.core.spend import Spend
from testtime.models.hf import looking
from testtime.models.hf.load import Loaded, Tokens, load
from testtime.models.hf.writer import Job, Row, Writer, text_after
from testtime.models.pocket.params import Params, why_not

INSTALL = 'run: pip install "testtime[hf]"'
THINK, THOUGHT = "<think>", "</think>"


@dataclass(eq=False)
class HF:
    """One local model."""

    can: ClassVar[frozenset[Cap]] = frozenset(
        {"n", "seed", "temperature", "logprobs", "continuation", "token_ids", "score", "states"}
    )

    model: str
    dtype: str = setting("numbers of the weights: bfloat16, float16, float32; auto: as they are stored", "auto")
    device: str = setting("cpu, cuda, cuda:1, mps; auto: all GPUs, else the processor", "auto")
    quantization: str | None = setting("fewer bits: 8bit or 4bit", None)
    batch_size: int = setting("texts written at once, at most", 32, least=1)
    _writer: Writer | None = field(default=None, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def __post_init__(self) -> None:
        check(self)

    @property
    def name(self) -> str:
        """The whole name."""
        return f"hf:{self.model}"

    @property
    def context(self) -> int:
        """The most tokens of prompt and text together."""
        return self._loaded.context

    @property
    def _loaded(self) -> Loaded:
        return self._at_work().loaded

    def open(self) -> None:
        """Loads the weights. Raises BadInput: a package is missing, no such model, no such device."""
        self._at_work()

    def _at_work(self) -> Writer:
        with self._lock:
            if self._writer is None:
                try:
                    loaded = load(self.model, self.dtype, self.device, self.quantization)
                except ModuleNotFoundError as error:
                    raise BadInput(f"hf: models need the package {error.name}", mend=INSTALL) from None
                self._writer = Writer(loaded, self.batch_size)
            return self._writer

    def refuses(self, request: Request) -> str | None:
        """Why this request cannot be honoured exactly, or None; of its length only once the weights are loaded."""
        if why := why_not(request, "hf: models"):
            return why
        if not request.messages and not request.prefix:
            return "there is nothing to go on from: no message and no prefix"
        if self._writer is None:
            return None
        try:
            self._read(request)
        except ModelError as error:
            return str(error)
        return None

    async def generate(self, request: Request) -> Generation:
        """`request.n` completions; child i is drawn with seed + i (without a seed, a fresh one).

        `tokens` counts what was drawn, the end token and stop strings included; `token_ids` are those that lie
        wholly in `text`. `logprobs`, one mapping for each of `token_ids`, are the model's own (temperature 1, nothing
        cut): the drawn token first, then the most probable ones; of tokens with one text the first stands.
        `max_tokens` ends at the context's end. Seconds are this request's share of the work. Raises ModelError for
        what `refuses` names, and where memory does not suffice for one text.
        """
        if why := why_not(request, "hf: models"):
            raise ModelError(why)
        await asyncio.to_thread(self.open)
        prompt, prefix = self._read(request)
        start = (*prompt, *prefix)
        params = Params.of(request)
        seed = secrets.randbits(31) if request.seed is None else request.seed
        limit = min(params.max_tokens or self.context, self.context - len(start))
        job = Job(start, len(prompt), limit, params)
        job.rows = [Row(job, seed + child) for child in range(request.n)]
        writer = self._at_work()
        writer.submit(job)
        await asyncio.wrap_future(job.future)
        said = [self._completion(row) for row in job.rows]
        spend = Spend(
            prompt=len(start),
            cached=0,
            completion=sum(len(row.ids) for row in job.rows),
            reasoning=sum(self._thinking(job, row) for row in job.rows),
            seconds=job.seconds,
        )
        which = self._loaded.revision
        return Generation(said, spend, f"{self.name}@{which}" if which else self.name)

    async def score(self, request: Request, texts: Sequence[str | Tokens], full: bool = False) -> Sequence[Floats]:
        """Natural log-probabilities of each text's tokens after the prompt and prefix [token], at temperature 1.

        With `full`, the log-law each token would be drawn from [token, vocabulary]. Raises ModelError for a text
        beyond the context.
        """
        await asyncio.to_thread(self.open)
        prompt, prefix = self._read(request)
        start, ids = (*prompt, *prefix), [self._ids(text) for text in texts]
        self._fits(len(start) + max(map(len, ids), default=0))
        work, writer = looking.laws_after if full else looking.scores_after, self._at_work()
        laws = await asyncio.wrap_future(writer.call(lambda: work(writer.loaded, start, ids, writer.batch)))
        return Scored(laws, Spend(len(start) + sum(map(len, ids)), 0, 0, 0))

    async def states(self, request: Request, positions: Sequence[int]) -> Mapping[str, Floats]:
        """Statistics where `position` tokens of `request.prefix` have been read: see `looking.states_at`.

        Raises ModelError for a position outside the prefix.
        """
        await asyncio.to_thread(self.open)
        prompt, prefix = self._read(request)
        for position in positions:
            if not 0 <= position <= len(prefix) or len(prompt) + position < 1:
                raise ModelError(f"position {position} is outside the prefix of {len(prefix)} tokens")
        writer = self._at_work()
        done = writer.call(lambda: looking.states_at(writer.loaded, prompt, prefix, positions))
        return await asyncio.wrap_future(done)

    def ids(self, request: Request) -> Tokens:
        """The tokens of prompt and prefix. Raises ModelError for what cannot be honoured."""
        prompt, prefix = self._read(request)
        return (*prompt, *prefix)

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The text of each token. Raises ModelError for an unknown one."""
        return [self._loaded.decode([token]) for token in self._ids(tuple(ids))]

    def _read(self, request: Request) -> tuple[Tokens, Tokens]:
        """(Prompt, prefix). Raises ModelError for what cannot be honoured."""
        prompt, prefix = self._loaded.prompt(request.messages), self._ids(request.prefix)
        if not prompt and not prefix:
            raise ModelError("there is nothing to go on from: no message and no prefix")
        self._fits(len(prompt) + len(prefix) + 1)
        return prompt, prefix

    def _ids(self, text: str | Tokens) -> Tokens:
        if isinstance(text, str):
            return self._loaded.encode(text)
        known = self._loaded.model.get_input_embeddings().num_embeddings
        for token in text:
            if not 0 <= token < known:
                raise ModelError(f"unknown token id {token}; the vocabulary has {known}")
        return text

    def _fits(self, tokens: int) -> None:
        if tokens > self.context:
            raise ModelError(f"{tokens} tokens are more than the context of {self.context}")

    def _completion(self, row: Row) -> Completion:
        text = row.text or ""
        ids = row.ids[:-1] if row.ids[-1] in self._loaded.ends else row.ids
        kept = len(ids)
        while kept and not text.startswith(text_after(self._loaded, row.job, ids[:kept])):
            kept -= 1
        logprobs = None if row.job.params.logprobs is None else row.logprobs[:kept]
        return Completion(text, row.finish, len(row.ids), tuple(ids[:kept]), logprobs)

    def _thinking(self, job: Job, row: Row) -> int:
        """Drawn tokens up to the end of thinking, where the text is or begins in thought."""
        before = self._loaded.decode(job.start[min(job.begin, max(0, len(job.start) - 64)) :])
        text = row.text or ""
        if THINK not in before.rpartition(THOUGHT)[2] and THINK not in text:
            return 0
        if THOUGHT not in text:
            return len(row.ids)
        low, high = 1, len(row.ids)
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if THOUGHT in self._loaded.decode(row.ids[:middle]) else (middle + 1, high)
        return low
