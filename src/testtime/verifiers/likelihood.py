"""A score by a language model's own probabilities: how likely would it have written this text, a token?

The role `judge` reads the question and the text, whole or not, by teacher forcing. It sees no reference, and what it
likes is fluent text: a confident error scores high.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from testtime.core.protocols import Ask, Task
from testtime.core.records import Candidate, Problem, Request, Verdict
from testtime.core.seeds import digest

VERSION = 1
"""Of the rule; with another, stored verdicts are not reused."""


@dataclass(frozen=True)
class Likelihood:
    """exp of the mean log-probability of the text's tokens, in (0, 1]; an empty text has 1."""

    task: Task
    prompt: str = ""
    """The template that the text answers; the task's where none is given."""

    stage: ClassVar[str] = "likelihood"
    gold: ClassVar[bool] = False

    @property
    def digest(self) -> str:
        """Of the stage's version and the prompt."""
        return digest(self.stage, VERSION, self.prompt or self.task.prompt)

    def refuses(self, problem: Problem) -> str | None:
        """Nothing."""
        return None

    async def verify(self, problem: Problem, candidate: Candidate, ask: Ask) -> Verdict:
        """The verdict. Raises ModelError."""
        asked = (self.prompt or self.task.prompt).format(question=problem.question)
        (scores,) = await ask.score("judge", Request([{"role": "user", "content": asked}]), [candidate.text])
        mean = float(scores.mean()) if len(scores) else 0.0
        return Verdict(self.stage, self.digest, score=math.exp(mean), method=f"{len(scores)} tokens")
