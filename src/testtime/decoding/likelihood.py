"""No text is written: each option of a problem is scored by teacher forcing, and the likeliest is the answer.

What multiple-choice benchmarks publish for models that give log-probabilities (TruthfulQA's mc1 and mc2): the sum over
an option's tokens, not divided by their number. The candidate notes the probability of each option, normalised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from testtime.core.errors import ModelError
from testtime.core.protocols import Ask, Cap
from testtime.core.records import Candidate, Map, Part, Problem, Request


@dataclass(frozen=True)
class Likelihood:
    """One scoring call a draw; a second draw would be the same, so one is enough."""

    sampling: Map = field(default_factory=dict)
    """Not used: nothing is sampled."""

    name: ClassVar[str] = "likelihood"
    roles: ClassVar[Mapping[str, frozenset[Cap]]] = {"model": frozenset({"score"})}
    settings: ClassVar[Sequence[Map]] = ({},)
    calls: ClassVar[int | None] = None
    notes: ClassVar[frozenset[str]] = frozenset()

    def probes(self, messages: Sequence[Map]) -> Sequence[tuple[str, Request]]:
        """None: that the model can score is a capability."""
        return []

    async def draw(self, problem: Problem, messages: Sequence[Map], idx: int, ask: Ask) -> Sequence[Candidate]:
        """The one candidate. Raises ModelError for a problem without options."""
        options: Mapping[str, str] = problem.fields.get("choices") or {}
        if not options:
            raise ModelError("the problem has no options to be scored")
        scored = await ask.score("model", Request(messages), list(options.values()))
        total = np.array([float(np.sum(law)) for law in scored])
        share = np.exp(total - total.max())
        share /= share.sum()
        likelihoods = {letter: float(value) for letter, value in zip(options, share, strict=True)}
        best = max(likelihoods, key=likelihoods.__getitem__)
        (arm,) = ask.arms
        facts = {"likelihoods": likelihoods}
        part = Part("answer", f"Final Answer: {best}", 0)
        return [Candidate(arm.label, problem.query_id, idx, [part], "stop", facts=facts)]
