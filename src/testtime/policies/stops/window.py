"""Early-stopping self-consistency (ESC; Li et al. ICLR 2024, arXiv 2401.10480): stop when a whole window agrees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from testtime.core.history import Bools, Tally
from testtime.core.settings import check, setting
from testtime.policies.settings import MOST_DRAWS


@dataclass(frozen=True)
class Window:
    """Draws come in windows of `width` that do not overlap; a unanimous window stops, and its answer is given.

    An abstention breaks its window.
    """

    width: int = setting("draws a window", 5, least=1, most=MOST_DRAWS)

    name: ClassVar[str] = "window"
    reads: ClassVar[frozenset[str]] = frozenset({"n", "run"})
    patience: ClassVar[int] = 2

    def __post_init__(self) -> None:
        check(self)

    def stops(self, tally: Tally) -> Bools:
        """Elementwise."""
        stopped: Bools = (tally.n % self.width == 0) & (tally.run >= self.width)
        return stopped

    def expected_draws(self, p: Sequence[float], max_n: int) -> float:
        """E[n] where answers come independently with probabilities p, to max_n = m windows (ESC, control scheme).

        A window of width w is unanimous with q = Σ p^w, so
        E[n] = w (Σ_{i=0}^{m−2} q (1 − q)^i (i + 1) + (1 − q)^{m−1} m).

        >>> Window(5).expected_draws([1.0], 40)
        5.0
        """
        w, m = self.width, max_n // self.width
        q = sum(share**w for share in p)
        early = sum(q * (1 - q) ** i * (i + 1) for i in range(m - 1))
        return float(w * (early + (1 - q) ** (m - 1) * m))
