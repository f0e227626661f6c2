"""Examples of like length into padded batches."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import torch
from torch import Tensor

from testtime.tasks.pocket_story import Dice
from training.traces import Mix, stream

POOL = 2048
"""Examples that are sorted by length together."""


def batches(
    seed: int, levels: tuple[str, ...], size: int, longest: int, mix: Mix | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """(Ids, taught) of about `size` tokens each, [row, position], without end; longer examples are left out."""
    examples, dice = stream(seed, levels, mix or Mix()), Dice(seed + 1)
    while True:
        pool = sorted((one for one in islice(examples, POOL) if len(one[0]) <= longest), key=lambda one: len(one[0]))
        made: list[tuple[Tensor, Tensor]] = []
        while pool:
            rows = max(1, size // len(pool[-1][0]))
            pool, taken = pool[:-rows], pool[-rows:]
            made.append(_padded(taken))
        yield from dice.shuffled(made)


def _padded(rows: list[tuple[list[int], list[bool]]]) -> tuple[Tensor, Tensor]:
    width = max(len(ids) for ids, _ in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    taught = torch.zeros(len(rows), width, dtype=torch.bool)
    for row, (some, learn) in enumerate(rows):
        ids[row, : len(some)] = torch.tensor(some)
        taught[row, : len(some)] = torch.tensor(learn)
    return ids, taught
