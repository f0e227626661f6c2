"""When a guided text asks its oracle, one trigger a file or two.

A trigger is a frozen dataclass whose fields are its settings. It says which statistics of the base's next token it
`reads`, and `wants` a consultation or not at a moment. One that reads nothing is asked once a step, before the base
writes; one that reads is asked at every token the base proposes, and the first token at which it wants the oracle
is not kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

BUILTIN: dict[str, str] = {
    "random": "testtime.decoding.triggers.blind:Random",
    "periodic": "testtime.decoding.triggers.blind:Periodic",
    "once": "testtime.decoding.triggers.blind:Once",
    "never": "testtime.decoding.triggers.blind:Never",
    "always": "testtime.decoding.triggers.blind:Always",
    "entropy": "testtime.decoding.triggers.unsure:Entropy",
    "varentropy": "testtime.decoding.triggers.unsure:Varentropy",
    "top_prob": "testtime.decoding.triggers.unsure:TopProb",
    "prob_top2_diff": "testtime.decoding.triggers.unsure:ProbTop2Diff",
    "disagreement": "testtime.decoding.triggers.unsure:Disagreement",
    "learned": "testtime.decoding.triggers.learned:Learned",
}

ORACLE_PROB = "oracle_prob"
"""A statistic that only the oracle knows: its probability of the token that the base proposes."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a text stands when its trigger is asked."""

    position: int
    """Tokens written so far."""
    most: float
    """The most tokens the text may have."""
    asked: int
    """Consultations so far."""
    since: int
    """Tokens since the last consultation ended, or since the start."""
    stats: Mapping[str, float] = field(default_factory=dict)
    """Of the base's next token: what the trigger reads."""


class Trigger(Protocol):
    """When to ask the oracle."""

    @property
    def name(self) -> str:
        """As registered."""
        ...

    @property
    def reads(self) -> frozenset[str]:
        """Statistics of the base's next token (core/signals.py), or ORACLE_PROB. None: it looks at no token."""
        ...

    def wants(self, moment: Moment, rng: np.random.Generator) -> bool:
        """Whether to ask now. All its dice come from `rng`."""
        ...
