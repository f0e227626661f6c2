"""What is in a pool, as tables for reading: its facts, its accuracy by candidate, its exact maj@k and pass@k."""

from __future__ import annotations

import numpy as np

from testtime.analysis.bootstrap import accuracy_interval, units_of
from testtime.analysis.estimators import maj_at_k, pass_at_k
from testtime.core.history import Bools, Floats, Ints
from testtime.figures.tables import UNKNOWN, Rows, cost, interval
from testtime.store.pool import Draws, Pool

SHOWN = 8
"""Candidates listed one by one; the rest share a row."""


def inspection(pool: Pool) -> list[Rows]:
    """For each arm: facts, accuracy by candidate index, and maj@k and pass@k where verdicts are known."""
    units = units_of(pool.clusters, len(pool.problems))
    shown = []
    for label, draws in pool.arms.items():
        shown.append(_facts(pool, label, draws))
        if not np.isnan(draws.right).all() and draws.sampled:
            shown += [_by_candidate(draws, units), _by_size(draws, units)]
    return shown


def _facts(pool: Pool, label: str, draws: Draws) -> Rows:
    there = _there(draws)
    sizes = draws.size
    drawn = f"{sizes.min()}" if sizes.min() == sizes.max() else f"{sizes.min()} to {sizes.max()}"
    models = ", ".join(f"{model}" if role == "model" else f"{role} {model}" for role, model in draws.arm.models.items())
    splits = ", ".join(sorted(set(pool.splits) - {""}))
    graded: Bools = np.asarray(~np.isnan(draws.right).all(axis=1))
    facts = {
        "model": models or UNKNOWN,
        "dataset": " ".join(part for part in (pool.dataset, splits) if part) or UNKNOWN,
        "decoding": _decoding(draws),
        "problems × draws": f"{len(pool.problems):,} × {drawn}",
        "floor": f"{draws.sampled} draws of each problem are a sample",
        "problems with verdicts": _share(graded, np.ones_like(graded)),
        "abstentions": _share(draws.codes < 0, there),
        "truncated": _share_known(draws.column("truncated"), there),
        "answers per problem": _mean(_distinct(draws.codes), "candidates"),
        "tokens per draw": _mean(draws.column("completion")[there], "gen_tokens"),
        "columns": ", ".join(sorted(n for n, v in draws.columns.items() if not np.isnan(v).all())) or UNKNOWN,
        "one vote is": pool.vote,
    }
    arms = f", arm {label}" if len(pool.arms) > 1 else ""
    return Rows(f"{pool.run}{arms}", ["", ""], list(facts.items()), left=True)


def _decoding(draws: Draws) -> str:
    settings = {**draws.arm.decoding, **draws.arm.sampling}
    kind = str(settings.pop("kind", "plain"))
    return ", ".join([kind, *(f"{key} {value}" for key, value in settings.items())])


def _there(draws: Draws) -> Bools:
    """[problem, draw] whether there is such a draw."""
    there: Bools = np.arange(draws.codes.shape[1]) < draws.size[:, None]
    return there


def _share(part: Bools, whole: Bools) -> str:
    count, of = int((part & whole).sum()), int(whole.sum())
    return f"{count:,} of {of:,} ({count / of:.1%})" if of else UNKNOWN


def _share_known(values: Floats, there: Bools) -> str:
    known = there & ~np.isnan(values)
    return _share(np.nan_to_num(values) > 0, known) if known.any() else UNKNOWN


def _mean(values: Floats, name: str) -> str:
    known = values[~np.isnan(values)]
    return cost(float(known.mean()), name) if known.size else UNKNOWN


def _distinct(codes: Ints) -> Floats:
    return np.array([len(set(row[row >= 0].tolist())) for row in codes], dtype=float)


def _by_candidate(draws: Draws, units: Ints) -> Rows:
    """Single candidates in issue order, then the first against any."""
    right = draws.right[:, : draws.sampled]
    cells = [[str(at), _accuracy(right[:, at], units)] for at in range(min(SHOWN, draws.sampled))]
    if draws.sampled > SHOWN:
        cells.append([f"{SHOWN} to {draws.sampled - 1}", _accuracy(_rows_mean(right[:, SHOWN:]), units)])
    cells.append(["mean of all", _accuracy(_rows_mean(right), units)])
    cells.append(["any is right", _accuracy(pass_at_k(right, [draws.sampled])[:, 0], units)])
    return Rows("Accuracy by candidate", ["candidate", "accuracy %"], cells)


def _rows_mean(right: Floats) -> Floats:
    """[problem] mean over known verdicts; nan where none is."""
    known = ~np.isnan(right)
    count = known.sum(axis=1)
    sums = np.where(known, right, 0.0).sum(axis=1)
    means: Floats = np.divide(sums, count, out=np.full(len(right), np.nan), where=count > 0)
    return means


def _by_size(draws: Draws, units: Ints) -> Rows:
    """Exact majority vote and pass@k over all subsets of k of the sampled draws, ties shared."""
    codes, right = draws.codes[:, : draws.sampled], draws.right[:, : draws.sampled]
    ks = powers(draws.sampled)
    majority, passed = maj_at_k(codes, right, ks), pass_at_k(right, ks)
    cells = [[str(k), _accuracy(majority[:, at], units), _accuracy(passed[:, at], units)] for at, k in enumerate(ks)]
    return Rows("Exact over all subsets of k draws, random ties", ["k", "maj@k %", "pass@k %"], cells)


def powers(most: int) -> list[int]:
    """1, 2, 4, … up to `most`, and `most` itself.

    >>> powers(40)
    [1, 2, 4, 8, 16, 32, 40]
    """
    return sorted({2**at for at in range(most.bit_length())} - {0} | {most})


def _accuracy(values: Floats, units: Ints) -> str:
    if np.isnan(values).all():
        return UNKNOWN
    low, high = accuracy_interval(values, units)
    return interval(float(np.nanmean(values)), low, high)
