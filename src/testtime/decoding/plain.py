"""One request, one completion, one candidate: the decoding of self-consistency and best of N."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from testtime.core.protocols import Ask, Cap
from testtime.core.records import Candidate, Map, Part, Problem, Request


@dataclass(frozen=True)
class Plain:
    """One request a draw, so draws of one problem can share a request (`n`) or go into a batch file."""

    sampling: Map = field(default_factory=dict)
    """Parameters of the request: temperature, top_p, max_tokens, …"""
    roles: Mapping[str, frozenset[Cap]] = field(default_factory=lambda: {"model": frozenset()}, repr=False)
    settings: Sequence[Map] = field(default=({},), repr=False)
    calls: int | None = 1

    async def draw(self, problem: Problem, messages: Sequence[Map], idx: int, ask: Ask) -> Sequence[Candidate]:
        """The one candidate."""
        got = await ask.generate("model", Request(messages, params=self.sampling))
        (said,) = got.completions
        part = Part("answer", said.text, said.tokens, got.calls[0] if got.calls else None, said.token_ids)
        (arm,) = ask.arms
        return [
            Candidate(
                arm.label, problem.query_id, idx, [part], said.finish, alone={"model": got.spend}, calls=got.calls
            )
        ]
