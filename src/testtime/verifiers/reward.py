"""A score by a reward model (hf-reward:ORG/NAME as `judge_model`): how good it finds a text, whole or not.

It sees no reference. Reward models of whole answers and of steps are read alike: where the text now ends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from testtime.core.errors import ModelError
from testtime.core.protocols import Ask
from testtime.core.records import Candidate, Problem, Request, Verdict
from testtime.verifiers.likelihood import Likelihood


@dataclass(frozen=True)
class Reward(Likelihood):
    """σ of the reward, or the probability of the model's last label, in (0, 1)."""

    stage: ClassVar[str] = "reward"

    async def verify(self, problem: Problem, candidate: Candidate, ask: Ask) -> Verdict:
        """The verdict. Raises ModelError where the judge is no reward model."""
        asked = (self.prompt or self.task.prompt).format(question=problem.question)
        (scores,) = await ask.score("judge", Request([{"role": "user", "content": asked}]), [candidate.text])
        if len(scores) != 1:
            raise ModelError("the judge is no reward model; name one: --judge_model hf-reward:ORG/NAME")
        return Verdict(self.stage, self.digest, score=math.exp(float(scores[0])), method="reward")
