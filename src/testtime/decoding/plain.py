"""One request, one completion, one candidate: the decoding of self-consistency and best of N."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from testtime.core.protocols import Ask, Cap
from testtime.core.records import Candidate, Map, Part, Problem, Request


@dataclass(frozen=True)
class Plain:
    """One request a draw, so draws of one problem can share a request (`n`) or go into a batch file."""

    sampling: Map = field(default_factory=dict)
    """Parameters of the request: temperature, top_p, max_tokens, …"""

    name: ClassVar[str] = "plain"
    roles: ClassVar[Mapping[str, frozenset[Cap]]] = {"model": frozenset()}
    settings: ClassVar[Sequence[Map]] = ({},)
    calls: ClassVar[int | None] = 1
    notes: ClassVar[frozenset[str]] = frozenset()

    def probes(self, messages: Sequence[Map]) -> Sequence[tuple[str, Request]]:
        """The one request."""
        return [("model", Request(messages, params=self.sampling))]

    async def draw(self, problem: Problem, messages: Sequence[Map], idx: int, ask: Ask) -> Sequence[Candidate]:
        """The one candidate."""
        ((role, request),) = self.probes(messages)
        got = await ask.generate(role, request)
        (said,) = got.completions
        part = Part("answer", said.text, said.tokens, got.calls[0] if got.calls else None, said.token_ids)
        (arm,) = ask.arms
        alone = {role: got.spend}
        return [Candidate(arm.label, problem.query_id, idx, [part], said.finish, alone=alone, calls=got.calls)]
