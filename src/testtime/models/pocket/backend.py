"""The pocket models as a backend: real language models in this very process, on the CPU, without torch.

`generate`, `score` and `states` of concurrent requests run together on a few threads (lanes), one token at a
time; a candidate's text depends on its request and seed alone (see runtime.py, sampling.py).
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from testtime.core.errors import BadInput, ModelError, unknown_name
from testtime.core.history import Floats
from testtime.core.protocols import Cap, Scored
from testtime.core.records import Completion, Generation, Request, Vocabulary
from testtime.core.settings import setting
from testtime.core.spend import Spend
from testtime.models.pocket import numpy_runtime, scoring, weights
from testtime.models.pocket.cache import Cache
from testtime.models.pocket.kept import Kept
from testtime.models.pocket.lane import Draft, Job, Lane
from testtime.models.pocket.params import Params, why_not
from testtime.models.pocket.runtime import Ready
from testtime.models.pocket.tokenizer import Tokenizer

Tokens = tuple[int, ...]

SHIPPED = Path(__file__).parent.parent / "pocket_weights"
LEAST = 4
"""Candidates that a lane writes at once, however little room there is: a tile."""
CACHE_BYTES, KEPT_BYTES = 192 * 2**20, 48 * 2**20
"""Room for keys and values, were every text as long as the context: of all lanes together, and of kept texts."""


@dataclass(eq=False)
class PocketModel:
    """A pocket model by name, or any model of its kind in a folder.

    Raises BadInput for an unknown name or unusable files.
    """

    can: ClassVar[frozenset[Cap]] = frozenset(
        {"n", "seed", "temperature", "logprobs", "continuation", "token_ids", "score", "states", "deterministic"}
    )

    model: str = "pocket-m"
    _: KW_ONLY
    leave_core_free: bool = setting("leave one core of this machine to others", False)
    threads: int | None = None
    """None: as many as pay, see `lanes_here`."""
    folder: Path | None = None
    ready: Ready = field(default_factory=lambda: fastest())

    def __post_init__(self) -> None:
        folder = self.folder or shipped(self.model)
        loaded = weights.load(folder)
        self.name = f"pocket:{self.model}"
        self.config, self.digest = loaded.config, loaded.digest
        self.parameters = loaded.parameters
        self.tokenizer = Tokenizer.load(folder)
        if (there := len(self.tokenizer.tokens)) != self.config.vocab_size:
            raise BadInput(f"the tokenizer has {there} tokens, the model {self.config.vocab_size}", where=str(folder))
        self.vocabulary = Vocabulary(tuple(self.tokenizer.tokens), frozenset(self.config.eos))
        self.kept = Kept(KEPT_BYTES)
        make = self.ready(loaded)
        count = self.threads or lanes_here(self.ready, self.leave_core_free)
        rows = CACHE_BYTES // (count * Cache.bytes_of(self.config, self.config.context)) // LEAST * LEAST
        self._lanes = [Lane(make, self.tokenizer, self.kept, max(LEAST, rows)) for _ in range(count)]

    @staticmethod
    def digest_of_files(model: str) -> str:
        """Digest of a shipped model's files. Raises BadInput for an unknown name."""
        files = [file for file in sorted(shipped(model).iterdir()) if file.is_file()]
        return hashlib.sha256(b"".join(map(Path.read_bytes, files))).hexdigest()[:12]

    def refuses(self, request: Request) -> str | None:
        """Why this request cannot be honoured exactly, or None."""
        try:
            self._read(request)
        except ModelError as error:
            return str(error)
        return None

    async def generate(self, request: Request) -> Generation:
        """`request.n` completions; child i is drawn with seed + i (without a seed, a fresh one).

        `tokens` counts what was drawn, the end token and stop strings included; `token_ids` are those that lie
        wholly in `text`: to go on from. `logprobs`, one mapping for each of `token_ids`, are the model's own
        (temperature 1, nothing cut): the drawn token first, then the most probable ones. `max_tokens` ends at
        the context's end. Seconds are this request's share of the work of the threads, not its latency.
        Raises ModelError for what `refuses` names.
        """
        prompt, prefix, params = self._read(request)
        start = (*prompt, *prefix)
        seed = secrets.randbits(31) if request.seed is None else request.seed
        limit = min(params.max_tokens or self.config.context, self.config.context - len(start))
        shares = self._shares([seed + child for child in range(request.n)])
        jobs = [(lane, Job(start, seeds, limit, params)) for lane, seeds in shares]
        for lane, job in jobs:
            lane.submit(job)
        done = await asyncio.gather(*(asyncio.wrap_future(job.future) for _, job in jobs))
        drafts = [draft for job in done for draft in job.drafts]
        spend = Spend(
            prompt=len(start),
            cached=0,  # alone, nothing is kept from others; what was really reused: `kept.reused`
            completion=sum(len(draft.ids) for draft in drafts),
            reasoning=sum(self._thinking(prefix, draft.ids) for draft in drafts),
            seconds=sum(job.seconds for job in done),
        )
        return Generation([self._completion(draft) for draft in drafts], spend, self.name)

    async def score(
        self, request: Request, texts: Sequence[str | tuple[int, ...]], full: bool = False
    ) -> Sequence[Floats]:
        """Natural log-probabilities of each text's tokens after the prompt and prefix [token], at temperature 1.

        With `full`, the log-law each token would be drawn from [token, vocabulary]. Texts that begin alike are
        computed once as far as they do. Raises ModelError for an unknown token or a text beyond the context.
        """
        prompt, prefix, _ = self._read(request)
        start, tokens = (*prompt, *prefix), [self._ids(text) for text in texts]
        self._fits(len(start) + max(map(len, tokens), default=0))
        work = scoring.laws_after if full else scoring.scores_after
        lane = self._calmest()
        laws = await asyncio.wrap_future(lane.call(lambda runtime: work(runtime, self.kept, start, tokens)))
        return Scored(laws, Spend(len(start) + sum(map(len, tokens)), 0, 0, 0))

    async def states(
        self, request: Request, positions: Sequence[int], mode: Literal["corrected", "original"] = "corrected"
    ) -> Mapping[str, Floats]:
        """Statistics where `position` tokens of `request.prefix` have been read: see `scoring.states_at`.

        Raises ModelError for a position outside the prefix.
        """
        prompt, prefix, _ = self._read(request)
        for position in positions:
            if not 0 <= position <= len(prefix) or not (prompt or position):
                raise ModelError(f"position {position} is outside the prefix of {len(prefix)} tokens")
        lane = self._calmest()
        return await asyncio.wrap_future(
            lane.call(
                lambda runtime: scoring.states_at(runtime, self.kept, prompt, prefix, positions, mode == "original")
            ),
        )

    @property
    def context(self) -> int:
        """The most tokens of prompt and text together."""
        return self.config.context

    def ids(self, request: Request) -> Tokens:
        """The tokens of prompt and prefix. Raises ModelError for what cannot be honoured."""
        prompt, prefix, _ = self._read(request)
        return (*prompt, *prefix)

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The text of each token. Raises ModelError for an unknown one."""
        return [self.tokenizer.tokens[token] for token in self._ids(tuple(ids))]

    def _read(self, request: Request) -> tuple[Tokens, Tokens, Params]:
        """(Prompt, prefix, how to sample). Raises ModelError for what cannot be honoured."""
        if why := why_not(request):
            raise ModelError(why)
        prompt = tuple(self.tokenizer.prompt(request.messages)) if request.messages else ()
        prefix = self._ids(request.prefix)
        if not prompt and not prefix:
            raise ModelError("there is nothing to go on from: no message and no prefix")
        self._fits(len(prompt) + len(prefix) + 1)
        return prompt, prefix, Params.of(request)

    def _ids(self, text: str | tuple[int, ...]) -> Tokens:
        if isinstance(text, str):
            return tuple(self.tokenizer.encode_exactly(text))
        known = len(self.tokenizer.tokens)
        for token in text:
            if not 0 <= token < known:
                raise ModelError(f"unknown token id {token}; the vocabulary has {known}")
        return tuple(text)

    def _fits(self, tokens: int) -> None:
        if tokens > self.config.context:
            raise ModelError(f"{tokens} tokens are more than the context of {self.config.context}")

    def _shares(self, seeds: Sequence[int]) -> list[tuple[Lane, Sequence[int]]]:
        """Children over the lanes, the calmest first; no share is smaller than two tiles but the last."""
        lanes = sorted(self._lanes, key=lambda lane: lane.load)
        size = max(2 * LEAST, -(-len(seeds) // len(lanes)))
        parts = [seeds[low : low + size] for low in range(0, len(seeds), size)]
        return list(zip(lanes, parts, strict=False))

    def _calmest(self) -> Lane:
        return min(self._lanes, key=lambda lane: lane.load)

    def _thinking(self, prefix: Tokens, ids: Sequence[int]) -> int:
        """Drawn tokens up to the end of thinking, where the text is or begins in thought."""
        begin, end = self.tokenizer.ids.get("<think>"), self.tokenizer.ids.get("</think>")
        if end in prefix or (begin not in prefix and begin not in ids):
            return 0
        return ids.index(end) + 1 if end in ids else len(ids)

    def _completion(self, draft: Draft) -> Completion:
        text, kept, length = draft.text or "", 0, 0
        for token in draft.ids:
            length += len(self.tokenizer.tokens[token])
            if length > len(text) or token in self.config.eos:
                break
            kept += 1
        logprobs = None if draft.job.params.logprobs is None else draft.logprobs[:kept]
        return Completion(text, draft.finish, len(draft.ids), tuple(draft.ids[:kept]), logprobs)


def shipped(model: str) -> Path:
    """The folder of a shipped model. Raises BadInput with the names there are."""
    names = [path.name for path in sorted(SHIPPED.glob("*")) if (path / "config.json").exists()]
    if model not in names:
        raise unknown_name("pocket model", model, names)
    return SHIPPED / model


def fastest() -> Ready:
    """The compiled runtime where numba is installed (the extra `fast`), else numpy's."""
    try:
        from testtime.models.pocket import compiled
    except ImportError:
        return numpy_runtime.ready
    return compiled.ready


def lanes_here(ready: Ready, leave_core_free: bool) -> int:
    """Threads that pay: one a core, less one where a core is to be left free; without numba one, as threads of numpy
    take turns at the interpreter: a second gains a tenth at 256 texts, and costs half of the speed at 16.
    """
    return 1 if ready is numpy_runtime.ready else max(1, cores_here() - leave_core_free)


def cores_here() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
