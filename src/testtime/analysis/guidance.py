"""What consultations buy: guided settings beside each other, at equal oracle tokens, and the one to take.

Works on rows of guided candidates (`testtime guide` writes them): `trigger` and its settings, `c`, `k`, `query_id`,
`correct` (1, 0, or null where nothing is known), `parsed`, `oracle_tokens`, `base_tokens`, `flops`, `usd`, `seconds`.
All settings have met the same problems, so every comparison is paired.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from testtime.analysis.bootstrap import accuracy_interval, difference_interval
from testtime.analysis.table import floats
from testtime.core.errors import BadInput
from testtime.core.history import Floats
from testtime.core.seeds import rng_of

COSTS = ("oracle_tokens", "base_tokens", "flops", "usd", "seconds")
FOLDS = 5
SIDES = ("c", "k", "trigger")
"""What names a setting; `trigger` holds the trigger's own settings too, step_size where it is not 10, and a budget."""


@dataclass(frozen=True, eq=False)
class Settings:
    """Guided settings over the same problems."""

    names: Sequence[tuple[str, str, str]]
    """(c, k, trigger) of each."""
    right: Floats
    """[setting, problem] share of the draws that were right; unparsed and failed ones are wrong."""
    costs: Mapping[str, Floats]
    """Cost → [setting, problem]; nan where it is not known."""
    problems: Sequence[str]

    @classmethod
    def of(cls, rows: pl.DataFrame) -> Settings:
        """Problems that every setting has met. Raises BadInput where there is none."""
        known = rows.filter(pl.col("correct").is_not_null())
        if known.is_empty():
            raise BadInput("no row says whether it is right", mend="evaluate on problems with a reference")
        by = [*SIDES, "query_id"]
        means = known.group_by(by, maintain_order=True).agg(
            pl.col("correct").cast(pl.Float64).mean(), *(pl.col(cost).cast(pl.Float64).mean() for cost in COSTS)
        )
        names = list(dict.fromkeys(means.select(SIDES).rows()))
        counts = means.group_by("query_id", maintain_order=True).len()
        met = counts.filter(pl.col("len") == len(names))["query_id"].to_list()
        if not met:
            raise BadInput("no problem was met by all settings", mend="let the run finish")
        at = {one: row for row, one in enumerate(met)}
        place = {name: row for row, name in enumerate(names)}
        tables = {name: np.full((len(names), len(met)), np.nan) for name in ("correct", *COSTS)}
        for row in means.iter_rows(named=True):
            if row["query_id"] in at:
                spot = place[tuple(row[side] for side in SIDES)], at[row["query_id"]]
                for name, table in tables.items():
                    table[spot] = np.nan if row[name] is None else row[name]
        return cls(names, tables.pop("correct"), tables, met)


def grid_table(rows: pl.DataFrame) -> pl.DataFrame:
    """A row a setting, cheapest in oracle tokens first.

    Columns: k, c, trigger; `accuracy` over all rows with its 95 % interval over problems, n problems; `parsed` rows'
    share, and `parsed_accuracy` with its interval over these alone; mean `oracle_tokens`, `consultations` and other
    costs a problem, null where any is unknown.
    """
    found = []
    for (c, k, trigger), group in rows.group_by(SIDES, maintain_order=True):
        whole, parsed = _accuracy(group), _accuracy(group.filter(pl.col("parsed")))
        costs = {cost: group[cost].mean() if group[cost].null_count() == 0 else None for cost in COSTS}
        found.append(
            {"k": k, "c": c, "trigger": trigger, **dict(zip(("accuracy", "low", "high", "n"), whole, strict=True)),
             "parsed": float(group["parsed"].mean() or 0.0),  # type: ignore[arg-type]
             **dict(zip(("parsed_accuracy", "parsed_low", "parsed_high", "parsed_n"), parsed, strict=True)),
             "consultations": group["consultations"].mean(), **costs}
        )  # fmt: skip
    return pl.DataFrame(found, infer_schema_length=None).sort("oracle_tokens", nulls_last=True, maintain_order=True)


def _accuracy(group: pl.DataFrame) -> tuple[float | None, float | None, float | None, int]:
    known = group.filter(pl.col("correct").is_not_null())
    if known.is_empty():
        return None, None, None, 0
    means = known.group_by("query_id", maintain_order=True).agg(pl.col("correct").cast(pl.Float64).mean())
    values = floats(means["correct"])
    low, high = accuracy_interval(values)
    return float(values.mean()), low, high, len(values)


@dataclass(frozen=True)
class Choice:
    """A setting recommended under a budget."""

    name: tuple[str, str, str]
    accuracy: float
    """Of the procedure, on problems it was not chosen on."""
    low: float
    high: float
    tokens: float
    """Oracle tokens a problem that the choice spent there."""
    agreed: int
    """Folds that chose the same setting as all problems together."""
    folds: int


def recommend(settings: Settings, budget: float, *, seed: int = 0, folds: int = FOLDS) -> Choice:
    """The most accurate setting of at most `budget` oracle tokens a problem, cheapest of equals.

    What it promises is measured by cross-validation: each fold is scored with what the other folds would have
    chosen, so that the choice among many settings does not flatter itself. Raises BadInput where none is so cheap.
    """
    count = len(settings.problems)
    fold = rng_of(seed, "folds", count).permutation(count) % min(folds, count)
    everything = _pick(settings, np.ones(count, dtype=bool), budget)
    right, tokens, agreed = np.zeros(count), np.zeros(count), 0
    for at in range(fold.max() + 1):
        held = fold == at
        chosen = _pick(settings, ~held if count > 1 else held, budget)
        right[held], tokens[held] = settings.right[chosen, held], settings.costs["oracle_tokens"][chosen, held]
        agreed += chosen == everything
    low, high = accuracy_interval(right)
    name = settings.names[everything]
    return Choice(name, float(right.mean()), low, high, float(tokens.mean()), agreed, int(fold.max()) + 1)


def _pick(settings: Settings, seen: Any, budget: float) -> int:
    tokens = settings.costs["oracle_tokens"][:, seen].mean(axis=1)
    right = settings.right[:, seen].mean(axis=1)
    allowed = [at for at in range(len(tokens)) if tokens[at] <= budget]
    if not allowed:
        raise BadInput(f"no setting takes at most {budget:g} oracle tokens", mend=f"the least is {tokens.min():.1f}")
    return max(allowed, key=lambda at: (right[at], -tokens[at]))


def at_equal_cost(settings: Settings, cost: str, spend: float) -> pl.DataFrame:
    """Triggers at one mean cost a problem: what each gets, and what it gains over `random`, paired over problems.

    Between two settings of a trigger the value is that of tossing a coin for them, which is a policy that anyone
    can run. Settings that are the base or the oracle alone belong to every trigger. Triggers that do not span the
    spend are left out. Columns: trigger, accuracy, low, high, gain, gain_low, gain_high.
    """
    kinds = list(dict.fromkeys(_kind(name) for name in settings.names if _kind(name) not in _ENDS))
    mixed = {kind: values for kind in kinds if (values := _mixture(settings, kind, cost, spend)) is not None}
    rows = []
    for kind, values in mixed.items():
        low, high = accuracy_interval(values)
        row: dict[str, Any] = {"trigger": kind, "accuracy": float(values.mean()), "low": low, "high": high}
        if "random" in mixed and kind != "random":
            gap = values - mixed["random"]
            row |= dict(zip(("gain_low", "gain_high"), difference_interval(gap), strict=True))
            row["gain"] = float(gap.mean())
        rows.append(row)
    columns = ("accuracy", "low", "high", "gain", "gain_low", "gain_high")
    return pl.DataFrame(rows, schema={"trigger": pl.String, **dict.fromkeys(columns, pl.Float64)}).sort(
        "accuracy", descending=True
    )


_ENDS = ("never", "always")


def _kind(name: tuple[str, str, str]) -> str:
    return name[2].partition(" ")[0]


def _mixture(settings: Settings, kind: str, cost: str, spend: float) -> Floats | None:
    """[problem] chance to be right when two neighbouring settings are mixed so that the mean cost is `spend`."""
    mine = [at for at, name in enumerate(settings.names) if _kind(name) in (kind, *_ENDS)]
    spent = settings.costs[cost][mine].mean(axis=1)
    order = np.argsort(spent, kind="stable")
    for one, other in pairwise(order):
        if spent[one] <= spend <= spent[other]:
            share = 0.0 if spent[other] == spent[one] else (spend - spent[one]) / (spent[other] - spent[one])
            low, high = settings.right[mine[one]], settings.right[mine[other]]
            return np.asarray((1 - share) * low + share * high)
    return None


@dataclass(frozen=True)
class Dial:
    """The setting of a trigger that makes it ask more or less, as a position from 0 (never) to 1 (always)."""

    key: str
    value: Callable[[float], float]


def _high(top: float) -> Callable[[float], float]:
    return lambda at: top * (1e-4 / top) ** at


DIALS: Mapping[str, Dial] = {
    "random": Dial("cheat_probability", lambda at: at),
    "periodic": Dial("every", lambda at: max(1, round(300 * (1 / 300) ** at))),
    "entropy": Dial("threshold", _high(6.0)),
    "varentropy": Dial("threshold", _high(12.0)),
    "top_prob": Dial("threshold", lambda at: at),
    "prob_top2_diff": Dial("threshold", lambda at: at),
    "disagreement": Dial("threshold", lambda at: 1e-6 ** (1 - at)),
    "learned": Dial("threshold", _high(1.0)),
}
"""Trigger → its dial; a dial further up asks at least as often at the same text."""


def turn(tried: Sequence[tuple[float, float]], target: float) -> float:
    """Where to set a dial next, by bisection: `tried` are (position, cost) so far, costs rising with the position.

    >>> turn([(0.5, 8.0)], 4.0), turn([(0.5, 8.0), (0.25, 2.0)], 4.0)
    (0.25, 0.375)
    """
    low = max((at for at, cost in tried if cost <= target), default=0.0)
    high = min((at for at, cost in tried if cost > target), default=1.0)
    return (min(low, high) + max(low, high)) / 2
