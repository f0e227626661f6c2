"""One budget over all problems: the next draw goes where it is worth most, until the budget is spent.

Every problem's state (v1, v2, n) has an index, the highest price at which another draw is still worth it
(worth.py), and draws go to the highest. With `by`, the prior is another one for problems whose draws have a small or
a large mean of a column so far (tokens: long answers are uncertain ones). `rank=blend` ranks by the two posteriors
that Blend-ASC mixes (arXiv 2511.12309): the chance that the runner-up is ahead, and the prior-posterior ratio.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from math import lgamma, log
from typing import ClassVar, Literal

import numpy as np

from testtime.core.errors import BadInput, Refused
from testtime.core.history import Asks, Ballot, Floats, History, Ints, Track, only
from testtime.core.settings import check, setting
from testtime.policies.bayes import PRIOR
from testtime.policies.counted import MOST_TABLED
from testtime.policies.priors import LEARN, Prior, learn, read_prior
from testtime.policies.settings import TIES
from testtime.policies.votes.majority import Majority
from testtime.policies.worth import index

_QUARTERS = (0.25, 0.5, 0.75)
_SHRINK = 20.0
"""Problems that the prior of all weighs in the prior of a part."""


@dataclass(frozen=True)
class GreedyBudget:
    """mean_n draws a problem on average: one for each, then one by one where it helps most."""

    mean_n: float = setting("draws a problem on average", least=1)
    max_n: int = setting("the most draws one problem may get", 40, least=1, most=MOST_TABLED)
    rank: Literal["worth", "blend"] = setting("what a draw goes by: worth (the prior's index) or blend", "worth")
    prior: tuple[str, ...] = setting(f"{PRIOR}; none is a broad one", ())
    by: str = setting("a column by whose mean so far the learned prior differs (completion: tokens); none", "")
    cuts: tuple[str, ...] = setting("means of `by` that part one prior from the next", ())
    ties: Literal["uniform", "first"] = setting(TIES, "uniform")

    name: ClassVar[str] = "greedy_budget"
    grade: ClassVar[str] = "bayes"
    arms: ClassVar[tuple[str, ...]] = ()
    across: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check(self)
        if self.mean_n > self.max_n:
            raise BadInput(f"mean_n={self.mean_n:g} is more than max_n={self.max_n}", mend="raise max_n or lower it")
        if not self.learns:
            read_prior([text.rpartition("/")[2] for text in self.prior])

    @property
    def needs(self) -> frozenset[str]:
        """The column that parts the priors."""
        return frozenset({self.by}) if self.by else frozenset()

    @property
    def _priors(self) -> list[Prior]:
        """By part; an atom `2/p1:p2:weight` is of the part 2."""
        if not self.by:
            return [read_prior(self.prior)]
        parts: dict[str, list[str]] = {}
        for text in self.prior:
            part, _, atom = text.rpartition("/")
            parts.setdefault(part, []).append(atom)
        if not self.cuts or len(parts) != len(self.cuts) + 1:
            raise Refused(f"by={self.by} with {len(parts)} priors for {len(self.cuts)} cuts", mend="add prior=(learn)")
        return [read_prior(parts[part]) for part in sorted(parts)]

    @property
    def floor(self) -> int:
        """One draw each; all of them while it has still to learn, for then only a replay can play it."""
        return self.max_n if self.learns else 1

    @property
    def most(self) -> int:
        """No problem gets more."""
        return self.max_n

    @property
    def learns(self) -> bool:
        """Whether it needs other problems before it can say anything."""
        return self.prior == (LEARN,)

    def fitted(self, codes: Ints, columns: Mapping[str, Floats]) -> GreedyBudget:
        """The same with the prior that fits these problems [problem, draw], or each quarter of them by `by`.

        Raises Refused where no problem has that column.
        """
        whole = learn(codes)
        if not self.by:
            return replace(self, prior=whole.texts())
        means = running_means(columns[self.by])[-1]
        known = means[~np.isnan(means)]
        if not known.size:
            raise Refused(f"the column {self.by} is unknown throughout", mend="leave `by` out")
        cuts = np.unique(np.quantile(known, _QUARTERS))
        part = np.searchsorted(cuts, np.nan_to_num(means, nan=-np.inf), side="right")
        atoms = [
            f"{at}/{atom}" for at in range(cuts.size + 1) for atom in learn(codes[part == at], whole, _SHRINK).texts()
        ]
        return replace(self, prior=tuple(atoms), cuts=tuple(f"{cut:.6g}" for cut in cuts))

    def ask(self, history: History) -> Asks:
        """One draw for every problem that gets one whatever the others bring.

        The highest indices come first. A problem gets its draw now if those above it, even if they went on to
        max_n, could not use up what is left of the budget: so many draws at once, and none that one by one
        would not have made.
        """
        arm, track = only(history)
        seen = track.seen
        left = int(self.mean_n * seen.shape[-1]) - seen.sum(axis=-1, keepdims=True)
        score = np.where(seen < self.max_n, self._scores(track), 0.0)
        order = np.argsort(-score, axis=-1, kind="stable")
        room = np.take_along_axis(np.where(score > 0, self.max_n - seen, 0), order, axis=-1)
        granted = (np.cumsum(room, axis=-1) - room < left) & (room > 0)
        asks = np.zeros_like(seen)
        np.put_along_axis(asks, order, granted.astype(seen.dtype), axis=-1)
        return {arm: np.where(seen == 0, 1, asks)}

    def _scores(self, track: Track) -> Floats:
        """Elementwise, by look-up."""
        if self.learns:
            raise Refused(f"{self.name} has not learned its prior", mend="run: testtime policies fit, and paste it")
        tally, n = track.tally, np.minimum(track.seen, self.max_n)
        place = tally.v1 * (self.max_n + 1) + tally.v2
        if self.rank == "blend":
            found: Floats = _blend(self.max_n)[place]
            return found
        tables = [index(prior, self.max_n) for prior in self._priors]
        if not self.by:
            found = tables[0][n, place]
            return found
        means = track.scan(f"mean {self.by}", lambda cells: running_means(cells.columns[self.by]))
        part = np.searchsorted([float(cut) for cut in self.cuts], np.nan_to_num(means, nan=-np.inf), side="right")
        found = np.stack(tables)[part, n, place]
        return found

    def choose(self, history: History) -> Ballot:
        """The majority of all that was drawn."""
        _, track = only(history)
        return Majority(self.ties).ballot(track)


def running_means(column: Floats) -> Floats:
    """[draws + 1, row] the mean of a column's known values after each draw; nan while none is known."""
    known = ~np.isnan(column)
    sums = np.cumsum(np.where(known, column, 0.0), axis=1).T
    counts = np.cumsum(known, axis=1).T
    means = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return np.concatenate([np.full((1, column.shape[0]), np.nan), means])


@lru_cache(maxsize=8)
def _blend(max_n: int) -> Floats:
    """[v1 · (max_n + 1) + v2] the geometric mean of the chance that the runner-up is ahead and of 1 / the ratio."""
    size = max_n + 1
    found = np.zeros((size, size))
    for v1 in range(size):
        for v2 in range(min(v1, max_n - v1) + 1):
            m = v1 + v2 + 1
            logs = [lgamma(m + 1) - lgamma(k + 1) - lgamma(m - k + 1) for k in range(v2 + 1)]
            behind = sum(np.exp(np.array(logs) - m * log(2)))
            ratio = (v1 + v2) * log(2) + lgamma(v1 + 1) + lgamma(v2 + 1) - lgamma(m + 1)
            found[v1, v2] = (behind * min(1.0, np.exp(-ratio))) ** 0.5
    return found.reshape(-1)
