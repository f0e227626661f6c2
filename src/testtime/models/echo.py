"""The smallest model: it says the last message again. A template for a backend of one's own."""

from __future__ import annotations

from dataclasses import dataclass

from testtime.core.protocols import Cap
from testtime.core.records import Completion, Generation, Request
from testtime.core.spend import Spend


@dataclass(frozen=True)
class Echo:
    """Repeats the last message, up to `max_tokens` words; a token is a word."""

    model: str = "1"
    can: frozenset[Cap] = frozenset({"n", "seed", "temperature", "deterministic"})

    @property
    def name(self) -> str:
        """The whole name."""
        return f"echo:{self.model}"

    def refuses(self, request: Request) -> str | None:
        """It cannot go on from a text."""
        return "echo cannot continue a prefix" if request.prefix else None

    async def generate(self, request: Request) -> Generation:
        """`request.n` copies of the last message."""
        said = str(request.messages[-1]["content"]).split()
        words = said[: request.params.get("max_tokens")]
        one = Completion(" ".join(words), "stop" if len(words) == len(said) else "length", len(words))
        prompt = sum(len(str(message["content"]).split()) for message in request.messages)
        spend = Spend(prompt=prompt, cached=0, completion=len(words) * request.n, reasoning=0)
        return Generation([one] * request.n, spend, self.name)
