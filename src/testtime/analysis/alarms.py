"""Leak alarms: ways in which a result knows more than it may, each looked for by a test that can be told when it lies.

An alarm rings at p < LEVEL of an exact or permutation test, or on a plain fact (a policy that changes with names).
The planted leak and the rate at which clean pools ring are in the tests and in LOG.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from testtime.core.history import Cells, Floats, Ints, Track
from testtime.core.protocols import Learner, Policy
from testtime.core.seeds import rng_of
from testtime.store.pool import Draws, Pool

LEVEL = 0.001
"""A clean pool rings an alarm at most this often; there are few alarms, and a false one costs an afternoon."""
NOTHING = re.compile(r"(none|null|nan|n/?a|invalid|error|unknown|no answer|\[?invalid\]?|failed|empty)?", re.I)
"""Texts that are no answer, whatever the question."""
_FEWEST = 10
"""Problems with a tie that a normal law takes."""
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Alarm:
    """What one test found."""

    name: str
    rings: bool
    p: float | None
    """How probable a clean pool looks so; None for a plain fact."""
    says: str
    """What was found, and what to do, in a sentence."""


def of_pool(pool: Pool) -> list[Alarm]:
    """The alarms of a pool, for each arm."""
    found = []
    for label, draws in pool.arms.items():
        where = f"{label}: " if len(pool.arms) > 1 else ""
        found += [
            sorted_draws(draws, where),
            gold_first(draws, where),
            abstentions_vote(pool, draws, where),
        ]
    return found


def sorted_draws(draws: Draws, where: str = "") -> Alarm:
    """The first n of a sorted pool: draws in issue order should be as right early as late, whatever the problem.

    The statistic is Σ over problems of (place − mean place) · (right − mean right); a permutation of the places
    within each problem leaves it as it is where draws are exchangeable, so its law is normal with known variance.
    Looks at rightness and at being of the problem's most common answer.
    """
    codes, right, size = draws.codes, draws.right, draws.size
    there = np.arange(codes.shape[1]) < size[:, None]
    ps = [_trend(np.where(there, right, np.nan)), _trend(np.where(there, _of_mode(codes), np.nan))]
    p = min(1.0, 2 * min(ps))
    says = "answers get better or worse along the draws: they were sorted, or policies drew them; shuffle them"
    return Alarm("first_n_of_a_sorted_pool", p < LEVEL, p, where + says)


def _of_mode(codes: Ints) -> Floats:
    """[problem, draw] 1 where it is of the problem's most common answer, nan where that is not one."""
    keys = max(int(codes.max(initial=0)) + 1, 1)
    votes = codes >= 0
    slot = np.arange(len(codes))[:, None] * keys + np.where(votes, codes, 0)
    counts = np.bincount(slot[votes], minlength=len(codes) * keys).reshape(len(codes), keys)
    top = counts.max(axis=1, keepdims=True)
    alone = (counts == top).sum(axis=1, keepdims=True) == 1
    of: Floats = np.where(alone, (np.take_along_axis(counts, np.where(votes, codes, 0), 1) == top) & votes, np.nan)
    return of


def _trend(values: Floats) -> float:
    """Two-sided p of a trend of [problem, draw] values along the draws, given each problem's values."""
    known = ~np.isnan(values)
    count = known.sum(axis=1)
    place = np.where(known, np.cumsum(known, axis=1), 0.0)
    x = np.where(known, place - place.sum(axis=1, keepdims=True) / np.maximum(count, 1)[:, None], 0.0)
    filled = np.where(known, values, 0.0)
    y = np.where(known, filled - filled.sum(axis=1, keepdims=True) / np.maximum(count, 1)[:, None], 0.0)
    variance = float(((x**2).sum(axis=1) * (y**2).sum(axis=1) / np.maximum(count - 1, 1)).sum())
    if variance <= 0:
        return 1.0
    z = float((x * y).sum()) / variance**0.5
    return 2 * (1 - _NORMAL.cdf(abs(z)))


def gold_first(draws: Draws, where: str = "") -> Alarm:
    """Gold order: where answers are numbered so that the right one comes first more often than chance lets it.

    Answers are listed by problem. Of those that are equally frequent, a right one is as likely in any place, if they
    are listed by first sight; then a tie-break by the list's order is a coin. The statistic is the sum over problems
    of the share of equally frequent wrong answers after the right one; each is uniform on 0, 1/m, …, 1 by chance.
    """
    shares, variance = [], 0.0
    for codes, right in zip(draws.codes, draws.right, strict=True):
        counts = np.bincount(codes[codes >= 0], minlength=1)
        truth = np.array([_truth(right[codes == code]) for code in range(len(counts))])
        gold = np.flatnonzero((truth == 1) & (counts > 0))
        wrong = np.flatnonzero((truth == 0) & (counts == counts[gold[0]])) if gold.size == 1 else gold[:0]
        if wrong.size:
            shares.append(float((wrong > gold[0]).mean()))
            variance += (wrong.size + 2) / (12 * wrong.size)
    z = (sum(shares) - len(shares) / 2) / variance**0.5 if len(shares) >= _FEWEST else 0.0
    p = 2 * (1 - _NORMAL.cdf(abs(z)))
    share = sum(shares) / len(shares) if shares else 0.5
    says = f"in {len(shares)} problems {share:.0%} of equally frequent wrong answers are listed after the right one"
    return Alarm("gold_order", p < LEVEL, p, where + says)


def _truth(verdicts: Floats) -> float:
    known = verdicts[~np.isnan(verdicts)]
    return float(known[0]) if known.size and (known == known[0]).all() else float("nan")


def abstentions_vote(pool: Pool, draws: Draws, where: str = "") -> Alarm:
    """An answer key that says there is no answer votes like any other."""
    votes = 0
    for codes, keys in zip(draws.codes, pool.keys, strict=False):
        empty = [code for code, key in enumerate(keys) if NOTHING.fullmatch(key.strip())]
        votes += int(np.isin(codes, empty).sum())
    says = f"{votes} votes are for an answer that says there is none; write null, which abstains"
    return Alarm("abstentions_voting", votes > 0, None, where + says)


# ---- of policies ----
def ties_by_name(policy: Policy, pool: Pool, label: str, draws: int = 2) -> Alarm:
    """Tie-breaks by label order: the same votes under other names of answers give other answers.

    Looks at what the policy chooses after `draws` draws of every problem, and after they were renamed backwards.
    """
    codes = pool.arms[label].codes
    columns = {name: pool.arms[label].columns[name] for name in policy.needs}
    most = np.where(codes >= 0, codes.max(axis=1, keepdims=True) - codes, codes)
    chosen = []
    for names in (codes, most):
        track = Cells(names, columns).track(min(draws, codes.shape[1]))
        ballot = policy.choose({label: Track(track.cells, track.rows, track.seen)})
        weights = np.zeros((len(codes), int(codes.max(initial=0)) + 2))
        np.add.at(weights, (ballot.row, codes[ballot.row, ballot.draw]), ballot.weight)
        chosen.append(weights)
    changed = int((np.abs(chosen[0] - chosen[1]).max(axis=1) > 1e-9).sum())
    says = f"{changed} answers of {policy.name} change with the names of the answers: ties go by label"
    return Alarm("tie_breaks_by_label_order", changed > 0, None, says)


def prior_from_the_question(
    fit: Callable[[int], Policy], pool: Pool, label: str, problems: Sequence[int] | None = None
) -> Alarm:
    """A prior from the test question: what is asked of a problem depends on its own unseen draws.

    `fit(problem)` is the policy as it meets that problem. It is fitted again with the problem's own draws replaced
    by unanimous ones; a policy that did not learn from them comes out the same.
    """
    asked = range(min(len(pool.problems), 10)) if problems is None else problems
    draws = pool.arms[label]
    changed = 0
    for problem in asked:
        before = fit(problem)
        kept = draws.codes[problem].copy()
        draws.codes[problem] = np.where(kept >= 0, 0 if (kept != 0).any() else np.arange(kept.size) % 2, kept)
        changed += fit(problem) != before
        draws.codes[problem] = kept
    says = f"what {changed} of {len(asked)} problems meet was learned from their own answers; cross-fit it"
    return Alarm("prior_from_the_test_question", changed > 0, None, says)


def cross_fitted(policy: Learner, pool: Pool, label: str) -> Callable[[int], Policy]:
    """How a replay fits it: to the problems outside a problem's part."""
    from testtime.analysis.replay import folds

    parts = folds(pool)

    def fit(problem: int) -> Policy:
        part = next(part for part in parts if problem in part)
        rest = np.setdiff1d(np.arange(len(pool.problems)), part)
        draws = pool.arms[label]
        columns = {name: draws.columns[name][rest] for name in policy.needs}  # type: ignore[attr-defined]
        return policy.fitted(draws.codes[rest, : draws.sampled], columns)

    return fit


# ---- of results ----
def tuned_on_test(correct: Floats, chosen: int, seed: int = 0) -> Alarm:
    """Tuning on test: the winner of many settings is no better on problems it was not chosen on.

    `correct` [setting, problem]; `chosen` is the one reported. In random halves, the best of one half is met by the
    other: the loss from half to half, beside the reported setting's lead over the median setting. Rings where what
    is lost is more than half of what is claimed, with more than one setting tried.
    """
    settings, problems = correct.shape
    if settings < 2 or problems < 4:
        return Alarm("tuning_on_test", False, None, "one setting, or too few problems to part")
    generator = rng_of(seed, "tuned", settings, problems)
    gaps, leads = [], []
    for _ in range(200):
        half = generator.permutation(problems) < problems // 2
        best = int(correct[:, half].mean(axis=1).argmax())
        gaps.append(
            correct[best, half].mean()
            - correct[best, ~half].mean()
            - (correct[:, half].mean() - correct[:, ~half].mean())
        )
        leads.append(correct[best, half].mean() - np.median(correct[:, half].mean(axis=1)))
    lost, lead = float(np.mean(gaps)), float(np.mean(leads))
    claim = float(correct[chosen].mean() - np.median(correct.mean(axis=1)))
    rings = lead > 1e-9 and lost > lead / 2 and chosen == int(correct.mean(axis=1).argmax())
    says = (
        f"the best of {settings} settings leads the median by {100 * claim:.2f} points; chosen on one half, "
        f"it loses {100 * lost:.2f} of {100 * lead:.2f} on the other: report nested cross-validation (recommend)"
    )
    return Alarm("tuning_on_test", rings, None, says)
