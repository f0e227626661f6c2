"""Which (model, policy, setting) to deploy under a budget, with an accuracy that is honest after choosing.

The best of many settings looks better on the problems it was chosen on than it is. So the accuracy of the advice is
measured by nested cross-validation: on each part of the problems, the choice is made on the other parts and met by
this one; its mean, with an interval over problems, is what following the advice gives. A prior that a policy learned
is cross-fitted before that (replay), on votes alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot
from statistics import NormalDist
from typing import Any

import numpy as np
import polars as pl

from testtime.analysis.bootstrap import LEVEL, accuracy_interval, units_of
from testtime.analysis.table import GROUP, floats, groups
from testtime.core.errors import BadInput
from testtime.core.history import Bools, Floats, Ints
from testtime.core.seeds import seed_of
from testtime.policies.settings import MOST_DRAWS

FOLDS = 5
CLEAR = 3.0
"""Standard errors by which a setting leads another that luck does not put before it."""
_UNITS = {
    "tok": "gen_tokens",
    "usd": "usd",
    "j": "joules",
    "rounds": "rounds",
    "draws": "candidates",
    "s": "critical_seconds",
}
"""A budget's unit → the column of outcomes it limits."""
_FORM = re.compile(r"([0-9.eE+-]+)\s*(tok|usd|J|j|rounds|draws|s)(/q)?(?:\s+--questions[ =]([1-9][0-9]*))?")
_UNKNOWN = {
    "usd": "its dollars are unknown: add --price prompt:completion and, where the pool has none, --prompt_tokens",
    "joules": "its joules are unknown: add --joules with joules a token by batch, as in --joules 8:0.455 512:0.07",
}
"""What to do about a pool that lacks what the budget limits."""


@dataclass(frozen=True)
class Budget:
    """The most a problem may cost on average."""

    column: str
    most: float
    unit: str

    @classmethod
    def of(cls, text: str, questions: int | None = None) -> Budget:
        """`2000tok/q, 0.01usd/q, 50J/q, 3rounds, 4draws, 2s`; without `/q`, tokens, dollars and joules are for all
        `questions` together, which may be a part of the text. Raises BadInput.

        >>> Budget.of("50usd", 1000).most, Budget.of("50usd --questions 1000").most
        (0.05, 0.05)
        """
        found = _FORM.fullmatch(text.strip())
        try:
            number = float(found[1]) if found else float("nan")
        except ValueError:
            number = float("nan")
        if not found or not 0 < number < float("inf"):
            raise BadInput(
                f"budget {text!r} cannot be read", mend="write 2000tok/q, 0.01usd/q, 50J/q, 3rounds or 50usd"
            )
        unit, questions = found[2].lower(), int(found[4]) if found[4] else questions
        if questions is not None and questions < 1:
            raise BadInput(f"a budget for {questions} questions cannot be", mend="give 1 or more")
        if unit in ("tok", "usd", "j") and not found[3]:
            if not questions:
                raise BadInput(f"budget {text!r} is for how many questions?", mend="add --questions, or write /q")
            number /= questions
        return cls(_UNITS[unit], number, f"{found[2]}/q")

    def times(self, factor: float) -> Budget:
        """A multiple of it."""
        return Budget(self.column, self.most * factor, self.unit)

    def __str__(self) -> str:
        return f"{self.most:g}{self.unit}"


@dataclass(frozen=True, eq=False)
class Field:
    """All settings on the problems they have in common."""

    named: pl.DataFrame
    """A row a setting: the columns of GROUP."""
    correct: Floats
    """[setting, problem]"""
    spend: Floats
    """[setting, problem] in the budget's column; nan where unknown."""
    unit: Ints
    """[problem] its cluster."""
    fold: Ints
    """[problem] the part it belongs to."""

    @classmethod
    def of(cls, outcomes: pl.DataFrame, column: str) -> Field:
        """All splits of a pool together. Raises BadInput where no problem is common to all settings, or none has a
        known verdict and spend.
        """
        joined = outcomes.with_columns(_split=pl.col("split"), split=pl.lit(None, dtype=pl.String))
        parts = [*groups(joined.filter(pl.col("exhausted").fill_null(0) == 0, pl.col("correct").is_not_null()))]
        if not parts:
            raise BadInput("no setting has an outcome with a verdict", mend="give a pool with gold answers")
        common = parts[0].select("_split", "query_id", "cluster")
        for part in parts[1:]:
            common = common.join(
                part.select("_split", "query_id"), on=["_split", "query_id"], nulls_equal=True, maintain_order="left"
            )
        if common.is_empty():
            raise BadInput("the pools share no problem", mend="give pools over the same dataset")
        key = ["_split", "query_id"]
        met = [common.join(part, on=key, how="left", nulls_equal=True, maintain_order="left") for part in parts]
        unit = units_of(common["cluster"].to_list(), common.height)
        needs_two(unit)
        first = {int(u): query for u, query in reversed(list(zip(unit, common["query_id"], strict=True)))}
        order = sorted(first, key=lambda u: seed_of(0, "advice", first[u]))
        part_of = {u: at % FOLDS for at, u in enumerate(order)}
        return cls(
            named=pl.concat([part.select(GROUP).head(1) for part in parts]),
            correct=np.stack([floats(part["correct"]) for part in met]),
            spend=np.stack([floats(part[column]) for part in met]),
            unit=unit,
            fold=np.array([part_of[int(u)] for u in unit]),
        )

    def chosen(self, most: float, among: Bools) -> int | None:
        """The most accurate setting within the budget on some problems, the cheaper of equals; None where none fits."""
        accuracy, spend = self.correct[:, among].mean(axis=1), self.spend[:, among].mean(axis=1)
        fits = np.flatnonzero(spend <= most * (1 + 1e-9))
        return None if not fits.size else int(fits[np.lexsort((spend[fits], -accuracy[fits].round(12)))[0]])

    def honest(self, most: float) -> tuple[Floats, list[int]]:
        """[problem] how right the setting is that the other parts choose, and the choice of each part."""
        out, choices = np.full(self.correct.shape[1], np.nan), []
        for fold in np.unique(self.fold):
            here = self.fold == fold
            choice = self.chosen(most, ~here) if (~here).any() else None
            if choice is not None:
                out[here] = self.correct[choice, here]
                choices.append(choice)
        return out, choices

    def doubt(self, most: float) -> float:
        """The largest standard error, over units, of a difference from the chosen setting to one that it may not beat.

        May: its lead is within `CLEAR` such errors. 0 where one setting alone is within the budget, or none comes near.
        """
        every = np.ones(self.correct.shape[1], dtype=bool)
        best = self.chosen(most, every)
        if best is None:
            return 0.0
        near = self.spend.mean(axis=1) <= most * (1 + 1e-9)
        gaps = self.correct[best] - self.correct[near]
        lead = gaps.mean(axis=1)
        order = np.argsort(self.unit, kind="stable")
        starts = np.flatnonzero(np.diff(self.unit[order], prepend=-1))
        sums = np.add.reduceat((gaps - lead[:, None])[:, order], starts, axis=1)
        number = len(starts)
        errors = np.sqrt((sums**2).sum(axis=1) * number / (number - 1)) / gaps.shape[1]
        return float(errors[lead < CLEAR * errors].max(initial=0.0))


@dataclass(frozen=True, eq=False)
class Advice:
    """What to deploy."""

    budget: Budget
    ranked: pl.DataFrame
    """Settings within the budget, best first: the columns of GROUP, `accuracy`, `low`, `high`, `spend`."""
    honest: tuple[float, float, float]
    """Accuracy of following the advice, with its interval."""
    stable: float
    """Share of the parts in which the same setting was chosen as on all problems."""
    other_budgets: pl.DataFrame
    """Half, the whole and twice the budget: the columns of GROUP, `budget, accuracy` (honest), `low, high`."""
    tried: int
    """Settings that were compared."""
    telling: tuple[str, ...]
    """Columns that say whose draws a setting is for, where there are several: `model` or `run`, and `arm`."""

    @property
    def optimism(self) -> float:
        """How much better the chosen setting looks on the problems it was chosen on."""
        return float(self.ranked["accuracy"][0]) - self.honest[0]


def needs_two(unit: Ints, where: str | None = None) -> None:
    """Raises BadInput for problems of one source, or one problem: there are no others to measure a choice on."""
    if len(np.unique(unit)) < 2:
        what = "one problem alone" if len(unit) < 2 else "all problems are of one cluster"
        mend = "a choice is measured on problems that it was not made on: give two or more"
        raise BadInput(what, where=where, mend=mend)


def recommend(outcomes: pl.DataFrame, budget: Budget, *, seed: int = 0, keep: int = 8) -> Advice:
    """The advice from the outcomes of many settings, of one pool or several. Raises BadInput where none fits."""
    field = Field.of(outcomes, budget.column)
    every = np.ones(field.correct.shape[1], dtype=bool)
    best = field.chosen(budget.most, every)
    if best is None:
        known = field.spend.mean(axis=1)
        cheapest = np.nanmin(known) if (~np.isnan(known)).any() else None
        unknown = _UNKNOWN.get(budget.column, "its cost is unknown")
        what = f"no setting costs at most {budget}"
        raise BadInput(what, mend=unknown if cheapest is None else f"the cheapest costs {cheapest:.4g}")
    values, choices = field.honest(budget.most)
    low, high = _interval(field, values, budget.most, seed)
    others = [_at(field, budget.times(factor), seed) for factor in (0.5, 1.0, 2.0)]
    return Advice(
        budget=budget,
        ranked=_ranked(field, budget.most, seed, keep),
        honest=(float(np.nanmean(values)), low, high),
        stable=float(np.mean([choice == best for choice in choices])) if choices else float("nan"),
        other_budgets=pl.DataFrame(others),
        tried=field.correct.shape[0],
        telling=_telling(field.named),
    )


def _telling(named: pl.DataFrame) -> tuple[str, ...]:
    runs, models = named["run"].n_unique(), named["model"].drop_nulls().n_unique()
    whose = () if runs == 1 else ("model",) if models == runs else ("run",)
    return (*whose, "arm") if named.select("run", "arm").n_unique() > runs else whose


def _interval(field: Field, values: Floats, most: float, seed: int) -> tuple[float, float]:
    """Over problems, and wider by as much as luck may have chosen (`Field.doubt`).

    The parts share most of their problems, and with them their luck: where one setting of many equal ones is chosen on
    every part, its mean over the parts is the mean it was chosen by.
    """
    low, high = accuracy_interval(values, field.unit, seed=seed)
    mean, luck = float(np.nanmean(values)), NormalDist().inv_cdf((1 + LEVEL) / 2) * field.doubt(most)
    return max(mean - hypot(mean - low, luck), 0.0), min(mean + hypot(high - mean, luck), 1.0)


def _ranked(field: Field, most: float, seed: int, keep: int) -> pl.DataFrame:
    accuracy, spend = field.correct.mean(axis=1), field.spend.mean(axis=1)
    fits = np.flatnonzero(spend <= most * (1 + 1e-9))
    order = fits[np.lexsort((spend[fits], -accuracy[fits].round(12)))][:keep]
    ends = [accuracy_interval(field.correct[at], field.unit, seed=seed) for at in order]
    named: pl.DataFrame = field.named[order.tolist()]
    return named.with_columns(
        accuracy=pl.Series(accuracy[order]),
        low=pl.Series([low for low, _ in ends]),
        high=pl.Series([high for _, high in ends]),
        spend=pl.Series(spend[order]),
    )


def _at(field: Field, budget: Budget, seed: int) -> dict[str, Any]:
    row: dict[str, Any] = {"budget": str(budget), **dict.fromkeys((*GROUP, "accuracy", "low", "high"))}
    best = field.chosen(budget.most, np.ones(field.correct.shape[1], dtype=bool))
    if best is None:
        return row
    values, _ = field.honest(budget.most)
    low, high = _interval(field, values, budget.most, seed)
    named = field.named.row(best, named=True)
    return row | {name: named[name] for name in GROUP} | {
        "accuracy": float(np.nanmean(values)), "low": low, "high": high
    }  # fmt: skip


def ladder(draws: int, columns: Sequence[str]) -> list[str]:
    """The policies that are compared where none is named: policy strings up to `draws` draws a problem."""
    draws = min(draws, MOST_DRAWS)
    steps = [n for n in (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 64, 96, 128) if n <= draws]
    found = [f"sc_fixed:n={n}" for n in sorted({*steps, draws})]
    top, planned = min(draws, 128), min(draws, 64)  # what is planned by tables that grow with the square of max_n
    if draws >= 3:
        found += [f"adaptive_margin:stop_rule=beta,threshold={t},max_n={draws}" for t in (0.8, 0.9, 0.95, 0.99)]
        found += [f"adaptive_margin:stop_rule=sprt,max_n={draws}", f"adaptive_margin:stop_rule=lossless,max_n={draws}"]
        found += [f"bayes:max_n={planned},agreement={a}" for a in (0.95, 0.98, 0.99, 0.995, 0.999)]
        found += [f"curtail:max_n={top},epsilon={e}" for e in (0.05, 0.01)] if top <= 64 else []
        found += [f"greedy_budget:mean_n={m},max_n={top}" for m in (1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 8, 10) if m < top]
        found += [f"batch_sequential:max_n={planned},agreement={a}" for a in (0.95, 0.99, 0.995)]
    for name in columns:
        found += [f"{kind}:n={n},by={name}" for kind in ("best_of_n", "weighted") for n in steps if n > 1]
    return found
