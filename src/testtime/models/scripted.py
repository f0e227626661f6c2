"""A model that says what it is told to: for tests, documentation, and trying a decoding without cost.

Its reply is a function of (request, seed of the child), so a run with it is reproducible, or a queue
of texts and errors taken in turn. It counts its calls, also in a file: the count a server would have
kept when the client was killed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from testtime.core.errors import ModelError
from testtime.core.history import Floats
from testtime.core.protocols import Cap, Scored
from testtime.core.records import Completion, Generation, Request
from testtime.core.spend import Spend

Reply = str | Completion | ModelError
ALL: frozenset[Cap] = frozenset(
    {"n", "seed", "temperature", "continuation", "tools", "schema", "score", "deterministic"},
)


@dataclass
class Scripted:
    """Replies from a script; a token is a word.

    >>> model = Scripted(lambda request, seed: f"draw {seed}")
    >>> asyncio.run(model.generate(Request([{"role": "user", "content": "hi"}], n=2, seed=4))).completions[1].text
    'draw 5'
    """

    script: Callable[[Request, int], Reply] | list[Reply]
    """(request, seed + child) → a text, a completion, or an error to raise; or a queue of these.
    Without a seed in the request, the count of completions so far stands for it."""
    name: str = "scripted:1"
    can: frozenset[Cap] = ALL
    seconds: float = 0.0
    """How long a call takes."""
    failures: list[ModelError] = field(default_factory=list)
    """Raised by the first calls, one each, before the script is asked."""
    surprisal: Callable[[str], Sequence[float]] = lambda text: [-1.0] * len(text.split())
    """Log-probability of each token of a text, for `score`."""
    count_file: Path | None = None
    """One byte is appended for each call."""
    calls: int = 0
    given: int = 0
    """Completions so far."""

    def refuses(self, request: Request) -> str | None:
        """What its capabilities exclude."""
        needed: dict[Cap, object] = {
            "continuation": request.prefix,
            "n": request.n > 1,
            "seed": request.seed is not None,
        }
        lacks = [cap for cap, used in needed.items() if used and cap not in self.can]
        return f"{self.name} lacks {', '.join(lacks)}" if lacks else None

    async def generate(self, request: Request) -> Generation:
        """`request.n` replies of the script. Raises ModelError where the script says so, or the request is refused."""
        await self._count()
        if why := self.refuses(request):
            raise ModelError(why)
        if self.failures:
            raise self.failures.pop(0)
        said = [self._child(request, child) for child in range(request.n)]
        prompt = _words(request.prefix) + sum(_words(message.get("content")) for message in request.messages)
        spend = Spend(prompt, 0, sum(one.tokens or 0 for one in said), 0, self.seconds)
        return Generation(said, spend, self.name)

    async def score(
        self, request: Request, texts: Sequence[str | tuple[int, ...]], full: bool = False
    ) -> Sequence[Floats]:
        """The scripted log-probabilities. Raises ModelError where whole laws are wanted."""
        await self._count()
        if full:
            raise ModelError(f"{self.name} has no vocabulary")
        laws = [np.asarray(self.surprisal(str(text)), dtype=float) for text in texts]
        prompt = _words(request.prefix) + sum(_words(message.get("content")) for message in request.messages)
        return Scored(laws, Spend(prompt + sum(map(len, laws)), 0, 0, 0, self.seconds))

    async def _count(self) -> None:
        self.calls += 1
        if self.count_file:
            with self.count_file.open("ab") as file:
                file.write(b".")
        await asyncio.sleep(self.seconds)

    def _child(self, request: Request, child: int) -> Completion:
        seed = self.given if request.seed is None else request.seed + child
        reply = self.script.pop(0) if isinstance(self.script, list) else self.script(request, seed)
        self.given += 1
        if isinstance(reply, ModelError):
            raise reply
        if isinstance(reply, Completion):
            return reply
        words, limit = reply.split(" "), request.params.get("max_tokens")
        if limit is None or len(words) <= limit:
            return Completion(reply, "stop", _words(reply))
        return Completion(" ".join(words[:limit]), "length", limit)


def _words(text: object) -> int:
    return len(str(text or "").split())
