"""Partial texts of one model that grow step by step and are weighed by a step scorer: what beams and particles share.

One draw is one population and gives one candidate. All texts that were written and not chosen are kept as its
parts of kind `member`; its spend is all that the population cost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from testtime.core.errors import ModelError
from testtime.core.protocols import Ask, Cap
from testtime.core.records import Candidate, Finish, Generation, Map, Part, PartKind, Problem, Request
from testtime.core.settings import check, setting, settings_of
from testtime.core.spend import Spend, add


@dataclass(frozen=True)
class Member:
    """One text of a population."""

    text: str = ""
    ids: tuple[int, ...] | None = ()
    """None where the backend gives none."""
    tokens: int = 0
    finish: Finish | None = None
    """Once it ended."""
    score: float = 0.0
    call: str | None = None

    @property
    def prefix(self) -> str | tuple[int, ...]:
        """What its model goes on from."""
        return self.text if self.ids is None else self.ids


@dataclass(frozen=True)
class Search:
    """What the decodings over a population share: a step's size, its scorer, how many steps, and what is noted."""

    sampling: Map = field(default_factory=dict)
    """Parameters of every request; max_tokens are those of one text."""
    depth: int = setting("steps after which texts are written to their end", 8, least=1)
    step_size: int = setting("tokens of a step", 24, least=1)
    scorer: str = setting("the stage that scores steps", "steps")

    roles: ClassVar[Mapping[str, frozenset[Cap]]] = {"model": frozenset({"continuation", "n"})}
    calls: ClassVar[int | None] = None
    notes: ClassVar[frozenset[str]] = frozenset({"search_score", "members", "steps", "chosen_tokens"})

    def __post_init__(self) -> None:
        check(self)

    @property
    def settings(self) -> Sequence[Map]:
        """One arm."""
        return (settings_of(self),)

    def probes(self, messages: Sequence[Map]) -> Sequence[tuple[str, Request]]:
        """A first step."""
        return [("model", Request(messages, params={**self.sampling, "max_tokens": self.step_size}))]


@dataclass(eq=False)
class Population:
    """The members of one draw, and what they cost."""

    problem: Problem
    messages: Sequence[Map]
    ask: Ask
    sampling: Map
    scorer: str
    spends: list[Spend] = field(default_factory=list)
    left_behind: list[Member] = field(default_factory=list)
    """Members that were not gone on with, each where it stopped."""
    steps: int = 0

    async def grow(self, member: Member, count: int, tokens: int | None) -> list[Member]:
        """`count` continuations of a member, each of at most so many tokens. One that ended stays as it is."""
        if member.finish is not None:
            return [member]
        most = self.sampling.get("max_tokens")
        room = None if most is None else most - member.tokens
        limit = min(one for one in (room, tokens, float("inf")) if one is not None)
        params = {**self.sampling, **({} if limit == float("inf") else {"max_tokens": int(limit)})}
        got = await self.ask.generate("model", Request(self.messages, member.prefix, n=count, params=params))
        self.spends.append(got.spend)
        return [self._longer(member, got, at, room, limit) for at in range(len(got.completions))]

    def _longer(self, member: Member, got: Generation, at: int, room: float | None, limit: float) -> Member:
        said = got.completions[at]
        if said.tokens is None:
            raise ModelError(f"{got.model} does not say how many tokens it wrote, so that no step can be counted")
        ids = None if member.ids is None or said.token_ids is None else (*member.ids, *said.token_ids)
        full = said.finish == "length" and (said.tokens < limit or said.tokens == room)
        finish = said.finish if said.finish != "length" or full else None
        call = got.calls[0] if got.calls else None
        return Member(member.text + said.text, ids, member.tokens + said.tokens, finish, call=call)

    async def weigh(self, members: Sequence[Member]) -> list[Member]:
        """The members with their scores, 0 to 1. Raises ModelError where the scorer has none."""
        self.steps += 1
        said = await self.ask.judge(self.scorer, self.problem, [member.text for member in members])
        for verdict in said:
            if verdict.score is None:
                raise ModelError(f"the step scorer {self.scorer} gave no score: {verdict.explanation or 'no reason'}")
        return [replace(one, score=float(v.score or 0.0)) for one, v in zip(members, said, strict=True)]

    def candidate(self, chosen: Member, others: Sequence[Member], idx: int) -> Candidate:
        """The chosen member as the draw's candidate, all others as its parts."""
        (arm,) = self.ask.arms
        parts = [_part("answer", chosen), *(_part("member", one) for one in (*others, *self.left_behind))]
        spend = add(self.spends)
        facts = {
            "search_score": chosen.score,
            "members": len(parts),
            "member_scores": [one.score for one in (*others, *self.left_behind)],
            "steps": self.steps,
            "chosen_tokens": chosen.tokens,
        }
        return Candidate(
            arm.label, self.problem.query_id, idx, parts, chosen.finish or "length", {"model": spend}, facts=facts
        )


def _part(kind: PartKind, member: Member) -> Part:
    return Part(kind, member.text, member.tokens, member.call, member.ids)


def best(members: Sequence[Member]) -> int:
    """The place of the highest score, the first of equals."""
    return max(range(len(members)), key=lambda at: (members[at].score, -at))
