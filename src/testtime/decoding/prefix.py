"""`prefix`: one long thought serves many budgets. It is stopped at each of them, and asked to answer there.

A thought cut after b tokens is distributed as one that was given b tokens, so each budget's rows follow the same
law as those of `budget`, at the price of one thought instead of their sum. What differs: the rows of one draw
share their thinking, so curves over budgets are smoother than independent ones, and where the model ended by
itself the larger budgets share the very answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from testtime.core.errors import BadInput
from testtime.core.protocols import Ask
from testtime.core.records import Candidate, Map, Problem
from testtime.core.settings import setting
from testtime.decoding.forced import Answer, Forced


@dataclass(frozen=True)
class Prefix(Forced):
    """One arm a budget; one draw serves them all."""

    budget: tuple[int, ...] = setting("tokens of thinking at which it is asked to answer", (128, 256, 512))

    name: ClassVar[str] = "prefix"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.budget or min(self.budget) < 1 or len(set(self.budget)) < len(self.budget):
            raise BadInput(f"budget={self.budget} cannot be", mend="give different whole numbers of at least 1")

    @property
    def settings(self) -> Sequence[Map]:
        """One arm a budget, in the order given."""
        return [self.arm(budget) for budget in self.budget]

    async def draw(self, problem: Problem, messages: Sequence[Map], idx: int, ask: Ask) -> Sequence[Candidate]:
        """A candidate for each budget. Raises ModelError."""
        trace = self.begun(messages, ask)
        labels = dict(zip(self.budget, (arm.label for arm in ask.arms), strict=True))
        made: list[Candidate] = []
        answer: Answer | None = None
        for budget in sorted(self.budget):
            before = len(trace.parts)
            await trace.think(budget)
            if answer is None or len(trace.parts) > before:
                answer = await self.answered(trace, problem)
            made.append(self.candidate(trace, answer, problem, labels[budget], idx, budget))
        return made
