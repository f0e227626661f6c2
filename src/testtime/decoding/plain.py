"""One request, one completion, one candidate: the decoding of self-consistency and best of N."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from testtime.core import confidence
from testtime.core.protocols import Ask, Cap
from testtime.core.records import Candidate, Completion, Map, Part, Problem, Request
from testtime.core.settings import check, setting, settings_of


@dataclass(frozen=True)
class Plain:
    """One request a draw, so draws of one problem can share a request (`n`) or go into a batch file."""

    sampling: Map = field(default_factory=dict)
    """Parameters of the request: temperature, top_p, max_tokens, …"""
    store_logprobs: int = setting(
        "most probable tokens whose log-probabilities are asked for in each place; how sure the text was is kept", 0,
        least=0,
    )  # fmt: skip
    group: int = setting("tokens of a group, of which the least sure one counts", confidence.GROUP, least=1)

    name: ClassVar[str] = "plain"
    calls: ClassVar[int | None] = 1

    def __post_init__(self) -> None:
        check(self)

    @property
    def roles(self) -> Mapping[str, frozenset[Cap]]:
        """The one model, which names alternatives where they are stored."""
        needs: frozenset[Cap] = frozenset({"logprobs"}) if self.store_logprobs else frozenset()
        return {"model": needs}

    @property
    def settings(self) -> Sequence[Map]:
        """One arm."""
        return [settings_of(self) if self.store_logprobs else {}]

    @property
    def notes(self) -> frozenset[str]:
        """How sure the text was."""
        return frozenset(confidence.COLUMNS) if self.store_logprobs else frozenset()

    def probes(self, messages: Sequence[Map]) -> Sequence[tuple[str, Request]]:
        """The one request."""
        listed = {"logprobs": self.store_logprobs} if self.store_logprobs else {}
        return [("model", Request(messages, params={**self.sampling, **listed}))]

    async def draw(self, problem: Problem, messages: Sequence[Map], idx: int, ask: Ask) -> Sequence[Candidate]:
        """The one candidate."""
        ((role, request),) = self.probes(messages)
        got = await ask.generate(role, request)
        (said,) = got.completions
        part = Part("answer", said.text, said.tokens, got.calls[0] if got.calls else None, said.token_ids)
        (arm,) = ask.arms
        made = Candidate(
            arm.label, problem.query_id, idx, [part], said.finish, alone={role: got.spend}, calls=got.calls,
            facts=self._sureness(said),
        )  # fmt: skip
        return [made]

    def _sureness(self, said: Completion) -> dict[str, Any]:
        """Confidence of each token, and of the whole; nothing where none is stored or the backend named none."""
        if not self.store_logprobs or not said.logprobs:
            return {}
        each = confidence.by_token(said.logprobs, self.store_logprobs)
        return {"confidences": each.round(4).tolist(), **confidence.summary(each, self.group)}
