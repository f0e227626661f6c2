"""`budget`: think for so many tokens, then answer. One budget a draw, one independent thought a draw.

Budget forcing after s1 (Muennighoff et al. 2025): at the budget the thinking is closed and the answer asked for;
where the model ends before it, its end may be replaced by a text that makes it go on (`force_continue`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from testtime.core.protocols import Ask
from testtime.core.records import Candidate, Map, Problem
from testtime.core.settings import setting
from testtime.decoding.forced import Forced


@dataclass(frozen=True)
class Budget(Forced):
    """Thinking never exceeds the budget; facts say how long it was, and what had to be forced."""

    budget: int = setting("tokens of thinking, at most", 512, least=1)

    name: ClassVar[str] = "budget"

    @property
    def settings(self) -> Sequence[Map]:
        """One arm."""
        return [self.arm(self.budget)]

    async def draw(self, problem: Problem, messages: Sequence[Map], idx: int, ask: Ask) -> Sequence[Candidate]:
        """The one candidate. Raises ModelError."""
        trace = self.begun(messages, ask)
        await trace.think(self.budget)
        answer = await self.answered(trace, problem)
        (arm,) = ask.arms
        return [self.candidate(trace, answer, problem, arm.label, idx, self.budget)]
