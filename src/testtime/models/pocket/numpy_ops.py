"""The small operations between matrix products, in numpy, by rows. kernels.py has the same ones compiled.

Constant factors are in the weights (see numpy_runtime.Packed): each call here costs as much as the arithmetic.
"""

from __future__ import annotations

import numpy as np

from testtime.models.pocket.weights import Array


def norm(x: Array, epsilon: float, out: Array) -> None:
    """Out = x / √(x·x + epsilon), row by row: x / rms(x) but for a factor √width, with epsilon · width for epsilon."""
    scale = np.vecdot(x, x)
    scale += np.float32(epsilon)
    np.sqrt(scale, out=scale)
    np.divide(x, scale[:, None], out=out)


def gate(half_gate_up: Array, out: Array) -> None:
    """Out = silu(gate) · up of [row, gate / 2 | up]; silu(g) = g/2 · (1 + tanh(g/2)), which cannot overflow."""
    half = out.shape[1]
    opened = half_gate_up[:, :half]
    np.tanh(opened, out=out)
    out += np.float32(1)
    out *= opened
    out *= half_gate_up[:, half:]
