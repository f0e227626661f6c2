"""What is trained, with every number that decides the result."""

from __future__ import annotations

from dataclasses import dataclass

from training.llama import Shape
from training.vocabulary import tokens

VOCABULARY = len(tokens())


@dataclass(frozen=True)
class Recipe:
    """One model and its training."""

    name: str
    shape: Shape
    steps: int
    fall: int
    """The last steps, in which the learning rate falls to 0."""
    size: int = 3072
    """Tokens of a batch, padding included."""
    rate: float = 5e-3
    """Peak learning rate."""
    warm: int = 100
    """First steps, in which the learning rate rises to its peak."""
    early: int = 300
    """First steps, on the shortest problems only."""
    seed: int = 1

    def rate_at(self, step: int, first: int = 0) -> float:
        """Up, level, and down to 0, each linear; and up in a fifth of the time where a training goes on at `first`."""
        again = 5 * (step + 1 - first) / self.warm if first else 1.0
        return self.rate * min(1.0, again, (step + 1) / self.warm, (self.steps - step) / self.fall)


RECIPES = {
    "pocket-s": Recipe("pocket-s", Shape(VOCABULARY, width=64, layers=3, heads=2, kv_heads=1, inner=160), 1500, 300),
    "pocket-m": Recipe("pocket-m", Shape(VOCABULARY, width=128, layers=4, heads=4, kv_heads=2, inner=256), 3000, 900),
}
