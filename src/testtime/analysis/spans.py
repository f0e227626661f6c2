"""How long anything was under way: the length of the union of intervals."""

from __future__ import annotations

import numpy as np

from testtime.core.history import Floats, Ints


def covered(row: Ints, started: Floats, ended: Floats, rows: int) -> Floats:
    """[row] the length of the union of its intervals, each given by its row, its beginning and its end.

    Every beginning and end of a row, in the order of time, adds or takes one that is under way: at a row's last end
    none is.

    >>> covered(np.array([0, 0, 1]), np.array([0.0, 1.0, 10.0]), np.array([2.0, 3.0, 11.0]), 2).tolist()
    [3.0, 1.0]
    """
    owners, times = np.concatenate([row, row]), np.concatenate([started, np.maximum(started, ended)])
    order = np.lexsort((times, owners))
    under_way = np.cumsum(np.where(order < len(row), 1, -1))
    lengths = np.where(under_way[:-1] > 0, np.diff(times[order]), 0.0)
    found: Floats = np.bincount(owners[order][:-1], weights=lengths, minlength=rows)[:rows].astype(float)
    return found
