"""A small model writes and may ask a large one: guided decoding.

The base writes in steps; its trigger says when the oracle writes the next k tokens instead, at most c times. Both see
the same messages and the same text so far, and nothing tells the oracle that it helps. `c=0` is the base alone and
`c=inf,k=inf` the oracle alone, whatever the trigger; in between, c and k are limits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from testtime.core.errors import BadInput
from testtime.core.protocols import Ask, Cap
from testtime.core.records import Candidate, Completion, Map, Problem, Vocabulary
from testtime.core.registry import find, names
from testtime.core.signals import LAW, LISTED, by_token
from testtime.decoding.triggers import ORACLE_PROB, Moment, Trigger
from testtime.decoding.writing import Writing

NO_LIMIT = math.inf


@dataclass(frozen=True)
class Guided:
    """Base and oracle in turns. Raises BadInput for settings that its trigger does not have."""

    sampling: Map = field(default_factory=dict)
    """Parameters of every request: temperature, top_p, max_tokens (of the whole text)."""
    vocabulary: Vocabulary | None = field(default=None, repr=False)
    """That of base and oracle, where it is the same: then joints are exact by token ids."""
    c: float = 5
    k: float = 10
    step_size: int = 10
    trigger: str = "random"
    cheat_probability: str | None = None
    threshold: float | None = None
    every: int | None = None
    weights: str | None = None
    oracle_temperature: float | None = None

    def __post_init__(self) -> None:
        for name in ("c", "k"):
            value = getattr(self, name)
            if not (value == NO_LIMIT or (value >= 0 and value == int(value))):
                raise BadInput(f"{name}={value} cannot be", mend="expected a whole number at least 0, or inf")
        _ = self.when  # a trigger that cannot be is refused now

    @cached_property
    def when(self) -> Trigger:
        """The trigger with its settings. Raises BadInput."""
        kind = find("trigger", self.trigger)
        has = {f.name for f in fields(kind)} & set(_OF_TRIGGERS)
        given = {name: getattr(self, name) for name in _OF_TRIGGERS if getattr(self, name) is not None}
        if strange := sorted(given.keys() - has):
            raise BadInput(
                f"{strange[0]} is no setting of trigger={self.trigger}, which has {', '.join(sorted(has)) or 'none'}",
                mend=f"leave it out, or choose trigger={' or '.join(_triggers_with(strange[0]))}",
            )
        made: Trigger = kind(**given)
        return made

    @property
    def roles(self) -> Mapping[str, frozenset[Cap]]:
        """The base needs logprobs where its statistics are read, the oracle scores where it is asked of each token."""
        base: list[Cap] = ["continuation", *(("logprobs",) if self.when.reads else ())]
        oracle: list[Cap] = ["continuation", *(("score",) if ORACLE_PROB in self.when.reads else ())]
        return {"base": frozenset(base), "oracle": frozenset(oracle)}

    @property
    def settings(self) -> Sequence[Map]:
        """One arm."""
        return ({f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("sampling", "vocabulary")},)

    @property
    def calls(self) -> int | None:
        """Not known before."""
        return None

    async def draw(self, problem: Problem, messages: Sequence[Map], idx: int, ask: Ask) -> Sequence[Candidate]:
        """The one candidate. Raises ModelError."""
        text = Writing(messages, ask, self.sampling, self.vocabulary)
        await self.write(text)
        (arm,) = ask.arms
        made = Candidate(
            arm.label, problem.query_id, idx, text.parts, text.finish or "length", text.alone, facts=facts_of(text)
        )
        return [made]

    async def write(self, text: Writing) -> None:
        """Writes a text to its end."""
        if self.c == self.k == NO_LIMIT:
            await text.write("oracle", NO_LIMIT, **self._oracle)
        while text.finish is None:
            if not self.k or consultations(text) >= self.c:
                await text.write("base", NO_LIMIT)  # nobody is left to be asked
            elif self.when.reads:
                await self._step_read(text)
            elif self.when.wants(moment(text), text.ask.rng):
                await text.write("oracle", self.k, **self._oracle)
            else:
                await text.write("base", self.step_size)

    @property
    def _oracle(self) -> dict[str, Any]:
        return {} if self.oracle_temperature is None else {"temperature": self.oracle_temperature}

    async def _step_read(self, text: Writing) -> None:
        """The base proposes a step; up to the first token at which the trigger wants the oracle it is kept."""
        asked = min(self.step_size, text.left)
        said, got = await text.propose("base", asked, logprobs=LISTED if self.when.reads.intersection(LAW) else 1)
        stats = await self._stats(text, said)
        for at, stat in enumerate(stats):
            if self.when.wants(moment(text, at, stat), text.ask.rng):
                if at:
                    text.keep("base", said, got, asked, upto=at)
                else:
                    text.drop("base", said.tokens or 0)
                await text.write("oracle", self.k, **self._oracle)
                return
        text.keep("base", said, got, asked)

    async def _stats(self, text: Writing, said: Completion) -> list[dict[str, float]]:
        """What the trigger reads, at each token of a proposal."""
        stats = by_token(said.logprobs or ())
        if ORACLE_PROB not in self.when.reads or not said.text:
            return stats
        proposal = said.token_ids if self.vocabulary and said.token_ids is not None else said.text
        (scores,) = await text.ask.score("oracle", text.request(), [proposal])
        text.read("oracle", len(scores))
        if len(scores) != len(stats):  # other tokens than the base's: the step stands or falls as a whole
            stats, scores = stats[:1], scores[[scores.argmin()]]
        return [one | {ORACLE_PROB: math.exp(score)} for one, score in zip(stats, scores.tolist(), strict=True)]


_OF_TRIGGERS = ("cheat_probability", "threshold", "every", "weights")


def _triggers_with(setting: str) -> list[str]:
    return [name for name in names("trigger") if setting in {f.name for f in fields(find("trigger", name))}]


def consultations(text: Writing) -> int:
    """How often the oracle has written."""
    return sum(part.kind == "oracle" for part in text.parts)


def moment(text: Writing, ahead: int = 0, stats: Mapping[str, float] | None = None) -> Moment:
    """Where a text stands, `ahead` tokens into a proposal."""
    since = 0
    for part in reversed(text.parts):
        if part.kind == "oracle":
            break
        since += part.tokens or 0
    return Moment(text.position + ahead, text.most, consultations(text), since + ahead, stats or {})


def facts_of(text: Writing) -> Map:
    """What a guided text notes of itself: counts in tokens, positions of consultations in tokens from its start."""
    positions, at = [], 0
    written = {"base": 0, "oracle": 0}
    for part in text.parts:
        if part.kind == "oracle":
            positions.append(at)
        at += part.tokens or 0
        written[part.kind] = written.get(part.kind, 0) + (part.tokens or 0)
    return {
        "consultations": len(positions),
        "cheat_positions": positions,
        **{f"{role}_tokens": tokens for role, tokens in written.items()},
        **{f"{role}_processed": tokens for role, tokens in text.processed.items()},
        "dropped_tokens": text.dropped.total(),
        "mended_joints": text.mended,
    }
