"""Exact speculative decoding: the base drafts, the oracle verifies, and the text is distributed as the oracle's own.

Of a drafted token x with law q of the base and p of the oracle, it is kept with probability min(1, p(x) / q(x)); at
the first that is not, the token comes from (p − q)⁺, scaled; where all are kept, the oracle adds one (Leviathan
et al. 2023). So it is the lossless end of the scale on which guided decoding lies: it saves time, never tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from testtime.core.errors import BadInput, ModelError
from testtime.core.history import Floats
from testtime.core.protocols import Ask, Cap
from testtime.core.records import Candidate, Completion, Map, Part, PartKind, Problem, Request, Vocabulary
from testtime.core.settings import check, setting, settings_of
from testtime.decoding.guided import facts_of
from testtime.decoding.writing import Writing

_NEEDS: frozenset[Cap] = frozenset({"continuation", "token_ids", "score"})


@dataclass(frozen=True)
class Speculative:
    """Whole laws of both models are needed, over one vocabulary."""

    sampling: Map = field(default_factory=dict)
    """temperature, top_p, max_tokens."""
    vocabulary: Vocabulary | None = field(default=None, repr=False)
    draft: int = setting("tokens that the base drafts at a time", 4, least=1)

    name: ClassVar[str] = "speculative"
    roles: ClassVar[Mapping[str, frozenset[Cap]]] = {"base": _NEEDS, "oracle": _NEEDS}
    calls: ClassVar[int | None] = None
    notes: ClassVar[frozenset[str]] = frozenset({"accepted_share", "rounds", "base_tokens", "oracle_tokens"})

    def __post_init__(self) -> None:
        check(self)

    @property
    def settings(self) -> Sequence[Map]:
        """One arm."""
        return (settings_of(self),)

    def probes(self, messages: Sequence[Map]) -> Sequence[tuple[str, Request]]:
        """One draft; the oracle only scores."""
        return [("base", Request(messages, params={**self.sampling, "max_tokens": self.draft}))]

    async def draw(self, problem: Problem, messages: Sequence[Map], idx: int, ask: Ask) -> Sequence[Candidate]:
        """The one candidate. Raises ModelError, BadInput where the models have no vocabulary in common."""
        if self.vocabulary is None or len(self.vocabulary.ends) != 1:
            raise BadInput("speculative decoding needs one vocabulary", mend="take two models of one tokenizer")
        if strange := sorted(self.sampling.keys() - {"temperature", "top_p", "max_tokens"}):
            raise BadInput(f"speculative decoding knows no {strange[0]}", mend="leave it out")
        text = Writing(messages, ask, self.sampling, self.vocabulary)
        rounds = drafted = 0
        while text.finish is None:
            drafted += await self._round(text)
            rounds += 1
        kept = sum(part.tokens or 0 for part in text.parts if part.kind == "base")
        facts = {**facts_of(text), "rounds": rounds, "accepted_share": kept / max(drafted, 1)}
        (arm,) = ask.arms
        return [
            Candidate(arm.label, problem.query_id, idx, text.parts, text.finish or "length", text.alone, facts=facts)
        ]

    async def _round(self, text: Writing) -> int:
        """One draft and its verification; gives how many tokens were drafted."""
        said, got = await text.propose("base", min(self.draft, text.left))
        ids = self._drafted(said)
        if not ids:
            raise ModelError(f"{got.model} drafted nothing")
        start = text.request()
        (q,) = await text.ask.score("base", start, [ids], full=True)  # known while drafting: no further work
        (p,) = await text.ask.score("oracle", start, [(*ids, ids[-1])], full=True)
        text.read("oracle", len(ids))
        laws = [shaped(law, self.sampling) for law in (p, q)]
        accepted, last = verified(ids, laws[0], laws[1], text.ask.rng)
        call = got.calls[0] if got.calls else None
        for token in ids[:accepted]:
            self._take(text, "base", token, call)
        text.drop("base", len(ids) - accepted)
        self._take(text, "oracle", last, None)
        return len(ids)

    def _drafted(self, said: Completion) -> tuple[int, ...]:
        """The drafted ids, the end of turn included."""
        assert self.vocabulary is not None
        ids = said.token_ids or ()
        return (*ids, *self.vocabulary.ends) if said.finish == "stop" else ids

    def _take(self, text: Writing, kind: PartKind, token: int, call: str | None) -> None:
        """Puts one token into the text, unless it ended."""
        assert self.vocabulary is not None
        if text.finish is not None:
            return
        ends = token in self.vocabulary.ends
        piece, ids = ("", ()) if ends else (self.vocabulary.tokens[token], (token,))
        last = text.parts[-1] if text.parts else None
        if last is not None and last.kind == kind:
            text.parts[-1] = replace(
                last, text=last.text + piece, tokens=(last.tokens or 0) + 1, token_ids=(*(last.token_ids or ()), *ids)
            )
        else:
            text.parts.append(Part(kind, piece, 1, call, ids))
        text.position += 1
        text.finish = "stop" if ends else "length" if text.left <= 0 else None


def verified(ids: Sequence[int], p: Floats, q: Floats, rng: np.random.Generator) -> tuple[int, int]:
    """(How many of the drafted ids are kept, the token that follows them).

    `p` [draft + 1, token] and `q` [draft, token] are probabilities after each prefix of the draft.
    """
    for at, token in enumerate(ids):
        if rng.random() * q[at, token] >= p[at, token]:
            rest = np.maximum(p[at] - q[at], 0)
            return at, _drawn(rest if rest.sum() > 0 else p[at], rng)
    return len(ids), _drawn(p[len(ids)], rng)


def _drawn(weights: Floats, rng: np.random.Generator) -> int:
    heights = np.cumsum(weights)
    return int(np.searchsorted(heights, rng.random() * heights[-1], side="right"))


def shaped(law: Floats, sampling: Mapping[str, Any]) -> Floats:
    """Probabilities [position, token] of natural log-laws at a temperature, cut to the nucleus top_p.

    >>> shaped(np.log([[0.5, 0.3, 0.2]]), {"temperature": 1.0, "top_p": 0.7}).round(3).tolist()
    [[0.625, 0.375, 0.0]]
    """
    given, nucleus = sampling.get("temperature"), sampling.get("top_p")
    temperature = 1.0 if given is None else float(given)
    if temperature == 0:
        return np.asarray(np.eye(law.shape[1])[law.argmax(axis=1)])
    weights = np.exp((law - law.max(axis=1, keepdims=True)) / temperature)
    if nucleus is not None and nucleus < 1:
        order = np.argsort(-weights, axis=1, kind="stable")
        falling = np.take_along_axis(weights, order, axis=1)
        before = np.cumsum(falling, axis=1) - falling
        floor = np.where(before < nucleus * falling.sum(axis=1, keepdims=True), falling, np.inf).min(axis=1)
        weights = np.where(weights >= floor[:, None], weights, 0.0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
