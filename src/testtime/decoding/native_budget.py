"""`native_budget`: the provider's own thinking budget or effort, where a model cannot be made to go on from a text.

It is asked for, not enforced: what was really thought is noted, and how far that is from what was asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from testtime.core.protocols import Ask, Cap
from testtime.core.records import Candidate, Map, Part, Problem, Request
from testtime.core.settings import check, setting


@dataclass(frozen=True)
class NativeBudget:
    """One request a draw, with a thinking budget in tokens, or an effort that stands for one."""

    sampling: Map = field(default_factory=dict, repr=False)
    """Parameters of the request: temperature, top_p, max_tokens (of the answer; the budget is added)."""
    budget: int = setting("tokens of thinking that are asked for", 1024, least=1)
    effort: str = setting("the provider's effort (low, medium, high) in place of tokens; none sends tokens", "none")

    name: ClassVar[str] = "native_budget"
    roles: ClassVar[Mapping[str, frozenset[Cap]]] = {"model": frozenset({"thinking"})}
    calls: ClassVar[int | None] = 1
    notes: ClassVar[frozenset[str]] = frozenset({"budget", "thinking_tokens", "control_error"})

    def __post_init__(self) -> None:
        check(self)

    @property
    def settings(self) -> Sequence[Map]:
        """One arm."""
        return [{"budget": self.budget, **({"effort": self.effort} if self.effort != "none" else {})}]

    def probes(self, messages: Sequence[Map]) -> Sequence[tuple[str, Request]]:
        """The one request."""
        thinking: Map = {"tokens": self.budget} if self.effort == "none" else {"effort": self.effort}
        params = {**self.sampling, "thinking": thinking}
        if (answer := self.sampling.get("max_tokens")) is not None:
            params["max_tokens"] = answer + self.budget
        return [("model", Request(messages, params=params))]

    async def draw(self, problem: Problem, messages: Sequence[Map], idx: int, ask: Ask) -> Sequence[Candidate]:
        """The one candidate. Raises ModelError."""
        ((role, request),) = self.probes(messages)
        got = await ask.generate(role, request)
        (said,) = got.completions
        part = Part("answer", said.text, said.tokens, next(iter(got.calls), None), said.token_ids)
        (arm,) = ask.arms
        facts: dict[str, Any] = {"budget": self.budget, "thinking_tokens": got.spend.reasoning}
        if got.spend.reasoning is not None:
            facts["control_error"] = (got.spend.reasoning - self.budget) / self.budget
        return [
            Candidate(arm.label, problem.query_id, idx, [part], said.finish, {role: got.spend}, got.calls, facts=facts)
        ]
