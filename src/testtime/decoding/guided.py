"""A small model writes and may ask a large one: guided decoding.

The base writes in steps; its trigger says when the oracle writes the next k tokens instead, at most c times. Both see
the same messages and the same text so far, and nothing tells the oracle that it helps. `c=0` is the base alone and
`c=inf,k=inf` the oracle alone, whatever the trigger; in between, c and k are limits. At a `budget` of tokens the base
is made to answer, as under the decoding `budget`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from testtime.core.errors import BadInput
from testtime.core.protocols import Ask, Cap
from testtime.core.records import Candidate, Completion, Map, Part, Problem, Request, Vocabulary
from testtime.core.settings import check, component, setting, settings_of
from testtime.core.signals import LAW, LISTED, by_token
from testtime.core.strings import said
from testtime.decoding.thinking import marks_of
from testtime.decoding.triggers import ORACLE_PROB, Moment, Trigger
from testtime.decoding.writing import Writing

NO_LIMIT = math.inf
OPEN = "<think>"
ANSWER_TOKENS = 10
"""Of an answer that a budget asks for, as the decoding `budget` usually has it."""


@dataclass(frozen=True)
class Guided:
    """Base and oracle in turns. Raises BadInput for limits that cannot be."""

    trigger: Trigger = component("when the oracle is asked", "trigger", key="trigger", usual="random")
    sampling: Map = field(default_factory=dict)
    """Parameters of every request: temperature, top_p, max_tokens (of the whole text)."""
    vocabulary: Vocabulary | None = field(default=None, repr=False)
    """That of base and oracle, where it is the same: then joints are exact by token ids."""
    c: float = setting("consultations at most, or inf", 5.0, least=0)
    k: float = setting("tokens of one consultation at most, or inf", 10.0, least=0)
    step_size: int = setting("tokens that the base writes, or proposes, at a time", 10, least=1)
    oracle_temperature: float | None = setting("temperature of the oracle, where it is another one", None, least=0)
    budget: int | None = setting(
        "tokens after which the base is made to answer, where there is such a limit", None, least=1
    )

    name: ClassVar[str] = "guided"
    calls: ClassVar[int | None] = None
    notes: ClassVar[frozenset[str]] = frozenset(
        {
            "consultations",
            "base_tokens",
            "oracle_tokens",
            "base_processed",
            "oracle_processed",
            "dropped_tokens",
            "forced",
        }
    )

    def __post_init__(self) -> None:
        check(self)
        for name in ("c", "k"):
            value = getattr(self, name)
            if value != NO_LIMIT and value != int(value):
                raise BadInput(f"{name}={value} cannot be", mend="expected a whole number at least 0, or inf")

    @property
    def roles(self) -> Mapping[str, frozenset[Cap]]:
        """The base needs logprobs where its statistics are read, the oracle scores where it is asked of each token."""
        base: list[Cap] = ["continuation", *(("logprobs",) if self.trigger.reads else ())]
        oracle: list[Cap] = ["continuation", *(("score",) if ORACLE_PROB in self.trigger.reads else ())]
        return {"base": frozenset(base), "oracle": frozenset(oracle)}

    @property
    def settings(self) -> Sequence[Map]:
        """One arm; c and k as whole numbers, or "inf"."""
        limits = {
            name: said(limit) if (limit := getattr(self, name)) == NO_LIMIT else int(limit) for name in ("c", "k")
        }
        own = {name: value for name, value in settings_of(self).items() if name != "budget" or value is not None}
        return ({**own, **limits},)

    def probes(self, messages: Sequence[Map]) -> Sequence[tuple[str, Request]]:
        """A first step of the base, and one of the oracle."""
        step = {"max_tokens": self.step_size, **({"logprobs": LISTED} if self.trigger.reads else {})}
        return [
            ("base", Request(messages, params={**self.sampling, **step})),
            ("oracle", Request(messages, params={**self.sampling, "max_tokens": 1, **self._oracle})),
        ]

    async def draw(self, problem: Problem, messages: Sequence[Map], idx: int, ask: Ask) -> Sequence[Candidate]:
        """The one candidate. Raises ModelError."""
        text = Writing(messages, ask, self.sampling, self.vocabulary)
        if self.budget is not None:
            text.sampling = {**self.sampling, "max_tokens": int(min(self.budget, text.most))}
        await self.write(text)
        if text.finish == "length" and text.position == self.budget:
            await self._answer(text)
        (arm,) = ask.arms
        made = Candidate(
            arm.label, problem.query_id, idx, text.parts, text.finish or "length", text.alone, facts=facts_of(text)
        )
        return [made]

    async def _answer(self, text: Writing) -> None:
        """The base answers in a few tokens; a thought that is open is closed, and where none is begun it is asked."""
        (arm,) = text.ask.arms
        marks, written = marks_of(arm.models["base"]), "".join(part.text for part in text.parts)
        thinks = OPEN in written and marks.close.strip() not in written
        if thinks or "\\boxed{" not in written:
            text.parts.append(Part("forced", (marks.close if thinks else "") + marks.ask))
            text.vocabulary = None  # what is put there has no ids
        text.finish = None
        text.sampling = {**self.sampling, "max_tokens": text.position + ANSWER_TOKENS}
        await text.write("base", ANSWER_TOKENS)

    async def write(self, text: Writing) -> None:
        """Writes a text to its end."""
        if self.c == self.k == NO_LIMIT:
            await text.write("oracle", NO_LIMIT, **self._oracle)
        while text.finish is None:
            if not self.k or consultations(text) >= self.c:
                await text.write("base", NO_LIMIT)  # nobody is left to be asked
            elif self.trigger.reads:
                await self._step_read(text)
            elif self.trigger.wants(moment(text), text.ask.rng):
                await text.write("oracle", self.k, **self._oracle)
            else:
                await text.write("base", self.step_size)

    @property
    def _oracle(self) -> dict[str, Any]:
        return {} if self.oracle_temperature is None else {"temperature": self.oracle_temperature}

    async def _step_read(self, text: Writing) -> None:
        """The base proposes a step; up to the first token at which the trigger wants the oracle it is kept."""
        asked = min(self.step_size, text.left)
        step, got = await text.propose("base", asked, logprobs=LISTED if self.trigger.reads.intersection(LAW) else 1)
        stats = await self._stats(text, step)
        for at, stat in enumerate(stats):
            if self.trigger.wants(moment(text, at, stat), text.ask.rng):
                if at:
                    text.keep("base", step, got, asked, upto=at)
                else:
                    text.drop("base", step.tokens or 0)
                await text.write("oracle", self.k, **self._oracle)
                return
        text.keep("base", step, got, asked)

    async def _stats(self, text: Writing, step: Completion) -> list[dict[str, float]]:
        """What the trigger reads, at each token of a proposal."""
        stats = by_token(step.logprobs or ())
        if ORACLE_PROB not in self.trigger.reads or not step.text:
            return stats
        proposal = step.token_ids if self.vocabulary and step.token_ids is not None else step.text
        (scores,) = await text.ask.score("oracle", text.request(), [proposal])
        text.read("oracle", len(scores))
        if len(scores) != len(stats):  # other tokens than the base's: the step stands or falls as a whole
            stats, scores = stats[:1], scores[[scores.argmin()]]
        return [one | {ORACLE_PROB: math.exp(score)} for one, score in zip(stats, scores.tolist(), strict=True)]


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
        "forced": any(part.kind == "forced" for part in text.parts),
    }
