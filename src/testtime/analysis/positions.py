"""What a model's states say of its text: do its statistics tell right texts from wrong, and errors before they come?

Three questions, each with intervals over problems (a problem's texts and positions are resampled together):

- correlations   of each statistic, as a text's mean over the positions looked at, with whether the text is right;
- foresight      does a statistic tell that the base goes wrong within the next tokens? On problems that the oracle
                 solves and the base does not, the first token at which the two part is taken as the error;
- effects        the statistics where a single consultation helped, hurt, or changed nothing, told by the paired
                 continuation without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from testtime.analysis.bootstrap import percentile
from testtime.analysis.compare import holm
from testtime.analysis.logistic import auc, fit, held_out
from testtime.core.errors import BadInput
from testtime.core.history import Floats, Ints
from testtime.core.seeds import rng_of
from testtime.core.signals import LAW, STATISTICS

RESAMPLES, BLOCK, FEW, LEAST = 2000, 100, 10, 5
"""Of the bootstrap; so many of them at once; how many a class must have, and how many problems there must be, for an
interval to be worth saying."""
Stats = Mapping[str, float | None]
"""Statistic → its value at a position; None where the backend has none."""


@dataclass(frozen=True)
class Text:
    """One text with the statistics at positions of it."""

    query_id: str
    right: float | None
    positions: Sequence[int]
    """Tokens of the text before each."""
    stats: Sequence[Stats]


def correlations(texts: Sequence[Text], *, seed: int = 0, resamples: int = RESAMPLES) -> list[dict[str, Any]]:
    """A row a statistic: Pearson's r of its mean over a text's positions with the text being right.

    `low`, `high` are 95 % bootstrap over problems, `p` twice the smaller tail of the same, `p_holm` corrected for all
    statistics. A statistic that no text has is left out; r is None where it or rightness does not vary.
    """
    known = [text for text in texts if text.right is not None and text.stats]
    rows: list[dict[str, Any]] = []
    for name in STATISTICS:
        pairs = [(text, value) for text in known if (value := _mean(text, name)) is not None]
        if pairs:
            values = np.array([[value, float(text.right or 0.0)] for text, value in pairs])
            groups = _groups([text.query_id for text, _ in pairs])
            rows.append({"statistic": name, "n": len(pairs), "problems": int(groups.max()) + 1,
                         **_with_interval(_pearson, values, groups, 0.0, "r", seed, resamples)})  # fmt: skip
    return _corrected(rows)


def step_correlations(rows: Sequence[Mapping[str, Any]], *, seed: int = 0) -> list[dict[str, Any]]:
    """For rows {query_id, at, rating, statistic: value, …}: r of each statistic with the rating, at start and end."""
    found: list[dict[str, Any]] = []
    for at in dict.fromkeys(row["at"] for row in rows):
        for name in STATISTICS:
            pairs = [row for row in rows if row["at"] == at and row.get(name) is not None]
            if pairs:
                values = np.array([[row[name], float(row["rating"])] for row in pairs])
                groups = _groups([row["query_id"] for row in pairs])
                found.append({"at": at, "statistic": name, "n": len(pairs), "problems": int(groups.max()) + 1,
                              **_with_interval(_pearson, values, groups, 0.0, "r", seed)})  # fmt: skip
    return _corrected(found)


def matrix(texts: Sequence[Text]) -> list[dict[str, Any]]:
    """Pearson's r of every two statistics, and of each with rightness: rows {one, other, r}."""
    columns: dict[str, list[float]] = {name: [] for name in (*STATISTICS, "right")}
    for text in texts:
        for stats in text.stats:
            for name in STATISTICS:
                value = stats.get(name)
                columns[name].append(np.nan if value is None else value)
            columns["right"].append(np.nan if text.right is None else text.right)
    table = {name: np.array(values) for name, values in columns.items() if not np.isnan(values).all()}
    return [
        {"one": one, "other": other, "r": _plain_pearson(table[one], table[other])}
        for one in table for other in table
    ]  # fmt: skip


def parting(base: Sequence[int], oracle: Sequence[int]) -> int | None:
    """The first place at which two texts differ, by tokens; None where one is the other's beginning.

    >>> parting([1, 2, 3], [1, 2, 4]), parting([1, 2], [1, 2, 3])
    (2, None)
    """
    return next((at for at, (one, other) in enumerate(zip(base, oracle, strict=False)) if one != other), None)


def foresight(
    texts: Sequence[Text], errors: Mapping[str, int], ahead: int, *, seed: int = 0, resamples: int = RESAMPLES
) -> list[dict[str, Any]]:
    """A row a statistic: AUC for "the base goes wrong within the next `ahead` tokens", over positions up to the error.

    `errors` is query_id → the place of its first wrong token. Position p foretells an error at e if p ≤ e < p + ahead.
    AUC below 0.5 means that low values warn. `yes` and `no` count positions.
    """
    rows: list[dict[str, Any]] = []
    looked = [text for text in texts if text.query_id in errors]
    for name in STATISTICS:
        points = [
            (value, errors[text.query_id] < position + ahead, text.query_id)
            for text in looked for position, stats in zip(text.positions, text.stats, strict=True)
            if position <= errors[text.query_id] and (value := stats.get(name)) is not None
        ]  # fmt: skip
        if points:
            values = np.array([[value, float(soon)] for value, soon, _ in points])
            groups = _groups([query for *_, query in points])
            rows.append({"statistic": name, "yes": int(values[:, 1].sum()), "no": int((1 - values[:, 1]).sum()),
                         "problems": int(groups.max()) + 1,
                         **_with_interval(_auc, values, groups, 0.5, "auc", seed, resamples)})  # fmt: skip
    return _corrected(rows)


@dataclass(frozen=True)
class Law:
    """A logistic law of the next token's statistics for "the next token is the first wrong one"."""

    weights: str
    """As the trigger `learned` takes them."""
    auc: float | None
    """On problems that it was not fitted on."""
    errors: int
    positions: int


def learn(texts: Sequence[Text], errors: Mapping[str, int], *, seed: int = 0) -> Law:
    """Fits the law over positions up to each problem's error. Raises BadInput where there are too few errors."""
    points = [
        ([float(stats[name] or 0.0) for name in LAW], position == errors[text.query_id], text.query_id)
        for text in texts if text.query_id in errors
        for position, stats in zip(text.positions, text.stats, strict=True)
        if position <= errors[text.query_id] and all(stats.get(name) is not None for name in LAW)
    ]  # fmt: skip
    labels = np.array([wrong for _, wrong, _ in points], dtype=bool)
    if labels.sum() < FEW:
        raise BadInput(f"{int(labels.sum())} errors are too few to learn from", mend="analyse more problems")
    features, groups = np.array([values for values, *_ in points]), _groups([query for *_, query in points])
    found = fit(features, labels)
    told = ";".join(f"{name}:{value:.4g}" for name, value in zip(("bias", *LAW), found.tolist(), strict=True))
    return Law(told, auc(held_out(features, labels, groups, seed=seed), labels), int(labels.sum()), len(labels))


EFFECTS = ("helped", "hurt", "nothing")


def effect(with_it: float, without: float) -> str:
    """What a consultation did, told by the same text with and without it.

    >>> effect(1.0, 0.0), effect(0.0, 1.0), effect(1.0, 1.0)
    ('helped', 'hurt', 'nothing')
    """
    return "helped" if with_it > without else "hurt" if with_it < without else "nothing"


def effects(
    consulted: Sequence[tuple[Text, str]], *, seed: int = 0, resamples: int = RESAMPLES
) -> list[dict[str, Any]]:
    """A row for each statistic and effect: n, its mean and quartiles, and how far the mean lies from where nothing
    changed, with an interval.
    """
    rows: list[dict[str, Any]] = []
    for name in STATISTICS:
        points = [(value, what, text.query_id) for text, what in consulted if (value := _mean(text, name)) is not None]
        for what in EFFECTS:
            mine = [value for value, one, _ in points if one == what]
            row: dict[str, Any] = {"statistic": name, "effect": what, "n": len(mine)}
            row["mean"] = float(np.mean(mine)) if mine else None
            quarters = np.quantile(mine, (0.25, 0.5, 0.75)).tolist() if mine else (None, None, None)
            row |= dict(zip(("low_quarter", "median", "high_quarter"), quarters, strict=True))
            if what != "nothing" and len(mine) >= FEW:
                both = [point for point in points if point[1] in (what, "nothing")]
                values = np.array([[value, float(one == what)] for value, one, _ in both])
                groups = _groups([query for *_, query in both])
                row |= _with_interval(_gap, values, groups, 0.0, "difference", seed, resamples)
            if points:
                rows.append(row)
    return _corrected(rows)


# ---- statistics of points (value, outcome) under weights [resample, point]: one number a resample ----
def _pearson(values: Floats, weights: Floats) -> Floats:
    centred = values - values.mean(axis=0)  # the same correlation, and no digits lost
    total = weights.sum(axis=1)
    means = weights @ centred / total[:, None]
    squares = weights @ centred**2 / total[:, None] - means**2
    product = weights @ centred.prod(axis=1) / total - means.prod(axis=1)
    spread = np.sqrt(np.maximum(squares, 0).prod(axis=1))
    return _divided(product, np.where((squares > 1e-12).all(axis=1), spread, 0.0))


def _plain_pearson(one: Floats, other: Floats) -> float:
    both = np.column_stack([one, other])
    known = both[~np.isnan(both).any(axis=1)]
    return float(_pearson(known, np.ones((1, len(known))))[0]) if len(known) else float("nan")


def _auc(values: Floats, weights: Floats) -> Floats:
    """The chance that a yes lies above a no, ties half; by sums over equal values, in their order."""
    order = np.argsort(values[:, 0], kind="stable")
    heights, yes = values[order, 0], values[order, 1] > 0.5
    starts = np.flatnonzero(np.append(True, heights[1:] != heights[:-1]))
    here = weights[:, order]
    ayes, noes = (np.add.reduceat(here * side, starts, axis=1) for side in (yes, ~yes))
    below = np.cumsum(noes, axis=1) - noes / 2
    return _divided((ayes * below).sum(axis=1), ayes.sum(axis=1) * noes.sum(axis=1))


def _gap(values: Floats, weights: Floats) -> Floats:
    yes = values[:, 1] > 0.5
    high, low = (_divided(weights[:, side] @ values[side, 0], weights[:, side].sum(axis=1)) for side in (yes, ~yes))
    return np.asarray(high - low)


def _divided(above: Floats, below: Floats) -> Floats:
    """Nan where nothing is below."""
    out: Floats = np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0)
    return out


def _mean(text: Text, name: str) -> float | None:
    values = [value for stats in text.stats if (value := stats.get(name)) is not None]
    return float(np.mean(values)) if values else None


def _groups(queries: Sequence[str]) -> Ints:
    names: dict[str, int] = {}
    return np.array([names.setdefault(query, len(names)) for query in queries])


def _with_interval(
    statistic: Callable[[Floats, Floats], Floats],
    values: Floats,
    groups: Ints,
    null: float,
    key: str,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """The statistic, its percentile interval over resampled groups, p against `null`; None where there is none."""
    found, count = float(statistic(values, np.ones((1, len(values))))[0]), int(groups.max()) + 1
    if np.isnan(found) or count < LEAST:
        return {key: None if np.isnan(found) else found, "low": None, "high": None, "p": None}
    rng, sampled = rng_of(seed, "positions", count), list[Floats]()
    for start in range(0, resamples, BLOCK):  # never all weights at once
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=min(BLOCK, resamples - start))
        sampled.append(statistic(values, drawn[:, groups].astype(float)))
    every = np.concatenate(sampled)
    kept = every[~np.isnan(every)]
    if len(kept) < resamples / 2:
        return {key: found, "low": None, "high": None, "p": None}
    low, high = percentile(kept)
    tail = min((kept <= null).mean(), (kept >= null).mean())
    return {key: found, "low": low, "high": high, "p": float(min(1.0, max(2 * tail, 2 / len(kept))))}


def _corrected(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for row, p in zip(rows, holm([row.get("p") for row in rows]), strict=True):
        row["p_holm"] = p
    return rows
