"""A text that several roles write in turns: one prefix for all of them, exact at the joints, counted in real tokens.

Where the roles share a vocabulary the text goes on by token ids; otherwise by its characters, which are checked at
each joint: blanks that a backend trimmed from a piece are restored from its tokens, and half a character at
a piece's end is dropped and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from testtime.core.errors import ModelError
from testtime.core.protocols import Ask
from testtime.core.records import Completion, Finish, Generation, Map, Part, PartKind, Request, Vocabulary
from testtime.core.spend import Spend, add

HALF = "\N{REPLACEMENT CHARACTER}"
"""What a backend prints for a character of which only some bytes are there."""


@dataclass(eq=False)
class Writing:
    """One text, being written."""

    messages: Sequence[Map]
    ask: Ask
    sampling: Map
    """Parameters of every request, but for how many tokens; its max_tokens are the text's."""
    vocabulary: Vocabulary | None = None
    """That of all roles, where they have one in common."""
    parts: list[Part] = field(default_factory=list)
    position: int = 0
    """Tokens written, ends of turn included."""
    finish: Finish | None = None
    """Once the text is whole."""
    spends: dict[str, list[Spend]] = field(default_factory=dict)
    mended: int = 0
    """Joints at which half a character was dropped."""
    dropped: Counter[str] = field(default_factory=Counter)
    """By role: tokens that were proposed and not kept."""
    processed: dict[str, int | None] = field(default_factory=dict)
    """By role: tokens its model reads or writes if it never reads the same text twice; what its arithmetic costs."""
    _held: Counter[str] = field(default_factory=Counter)
    """By role: tokens of prompt and text that its model has read or written."""
    _opening: int | None = None
    """Tokens of the messages alone: the first request's prompt."""

    @property
    def most(self) -> float:
        """The most tokens the text may have."""
        limit: int | None = self.sampling.get("max_tokens")
        return float("inf") if limit is None else limit

    @property
    def left(self) -> float:
        """Tokens it may still get."""
        return self.most - self.position

    @property
    def ids(self) -> tuple[int, ...]:
        """Token ids of the text."""
        return tuple(token for part in self.parts for token in part.token_ids or ())

    @property
    def prefix(self) -> str | tuple[int, ...]:
        """What a role goes on from."""
        return self.ids if self.vocabulary else "".join(part.text for part in self.parts)

    def request(self, tokens: float = float("inf"), **params: Any) -> Request:
        """For at most so many tokens more."""
        room = min(tokens, self.left)
        limit = {} if room == float("inf") else {"max_tokens": int(room)}
        return Request(self.messages, self.prefix, params={**self.sampling, **limit, **params})

    async def propose(self, role: str, tokens: float, **params: Any) -> tuple[Completion, Generation]:
        """What a role would write next; it is not part of the text until it is kept. Raises ModelError."""
        got = await self.ask.generate(role, self.request(tokens, **params))
        (said,) = got.completions
        count = said.tokens if said.tokens is not None else got.spend.completion
        if count is None:
            raise ModelError(f"{got.model} does not say how many tokens it wrote, so that no position is known")
        self.spends.setdefault(role, []).append(got.spend)
        self._note(role, got.spend.prompt, count)
        return replace(said, tokens=count, text=spelled(said)), got

    def keep(self, kind: PartKind, said: Completion, got: Generation, asked: float, upto: int | None = None) -> None:
        """Makes a proposal part of the text, or its first `upto` tokens. `asked` is how many it could have had."""
        whole = upto is None
        text, ids = said.text, said.token_ids
        if upto is not None:
            text, ids = self._beginning(said, upto), None if ids is None else ids[:upto]
        if self.vocabulary is None and text.endswith(HALF):
            text, self.mended = text.rstrip(HALF), self.mended + 1
        written = (said.tokens or 0) if upto is None else upto
        self.parts.append(Part(kind, text, written, got.calls[0] if got.calls else None, ids))
        self.position += written
        if not whole:
            self.drop(kind, (said.tokens or 0) - written)
        if whole and said.finish != "length":
            self.finish = said.finish
        elif self.left <= 0 or (whole and written < asked):  # the model's context is full
            self.finish = "length"

    def drop(self, role: str, tokens: int) -> None:
        """Notes that a role's last `tokens` are not part of the text: every model that read them forgets them."""
        self.dropped[role] += tokens
        for one in self._held:
            self._held[one] = min(self._held[one], (self._opening or 0) + self.position)

    async def write(self, role: PartKind, tokens: float, **params: Any) -> None:
        """A role writes on. Raises ModelError."""
        asked = min(tokens, self.left)
        said, got = await self.propose(role, asked, **params)
        self.keep(role, said, got, asked)

    def read(self, role: str, tokens: int) -> None:
        """Notes that a role's model was made to read the text and `tokens` more, by a backend that does not say."""
        prompt = None if self._opening is None else self._opening + self.position + tokens
        self.spends.setdefault(role, []).append(Spend(prompt=prompt, completion=0, reasoning=0))
        self._note(role, prompt, 0)

    @property
    def alone(self) -> Mapping[str, Spend]:
        """By role, what the text would have cost by itself."""
        return {role: add(spends) for role, spends in self.spends.items()}

    def _note(self, role: str, prompt: int | None, written: int) -> None:
        if not self.processed:
            self._opening = prompt
        before = self.processed.get(role, 0)
        if prompt is None or before is None:
            self.processed[role] = None
            return
        self.processed[role] = before + max(prompt - self._held[role], 0) + written
        self._held[role] = prompt + written

    def _beginning(self, said: Completion, upto: int) -> str:
        if self.vocabulary and said.token_ids is not None:
            return "".join(self.vocabulary.tokens[token] for token in said.token_ids[:upto])
        return "".join(next(iter(one)) for one in (said.logprobs or ())[:upto])


def spelled(said: Completion) -> str:
    """A piece's text with the blanks that its tokens have and a backend trimmed."""
    if said.logprobs is None:
        return said.text
    joined = "".join(next(iter(one)) for one in said.logprobs)
    return joined if joined.strip() == said.text.strip() else said.text
