"""The question answered: which policy under which budget, and how certain that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import floor, log10
from typing import Any

import polars as pl

from testtime.analysis.compare import paired
from testtime.analysis.recommend import Advice, Budget, recommend
from testtime.analysis.table import GROUP
from testtime.core.errors import BadInput
from testtime.core.registry import find, names
from testtime.figures.tables import UNKNOWN, Rows, cost, interval, signed
from testtime.report.blocks import Block, Card, Cards, Says, Section, Shows
from testtime.report.material import Material
from testtime.report.naming import arm_words, places, setting_of

ENOUGH = 0.01
"""The page leads with the least budget that keeps all but this much of the best accuracy."""
_MOST = 7
"""Budgets that are shown."""
WIDE = 0.3
"""An interval wider than this hardly tells settings apart, and the page says so."""


def answer(material: Material) -> Section:
    """The first screen."""
    blocks: list[Block] = []
    if material.outcomes is None:
        blocks.append(Says("No answer here is known to be right or wrong, so no policy can be scored.", "lead"))
        blocks.append(Says("Judge the candidates (testtime verify), or give each row its gold answer.", "note"))
    else:
        for outcomes in _together(material.outcomes):
            blocks += _answered(outcomes, material)
    return Section("answer", "Which policy, under which budget?", "Answer", blocks)


def _together(outcomes: pl.DataFrame) -> list[pl.DataFrame]:
    """Runs that can be chosen among: those of one dataset that share problems; else each by itself."""
    found = []
    for part in outcomes.partition_by("dataset", maintain_order=True):
        runs = part.partition_by("run", maintain_order=True)
        shared = set.intersection(*(set(run["query_id"]) for run in runs))
        found += [part] if shared else runs
    return found


def _answered(outcomes: pl.DataFrame, material: Material) -> list[Block]:
    column = "gen_tokens" if outcomes["gen_tokens"].null_count() == 0 else "candidates"
    if outcomes.select(pl.coalesce("cluster", "query_id")).to_series().n_unique() < 2:
        return [Says("A policy cannot be chosen on a single problem: there is no other to measure it on.", "lead")]
    asked = [Budget.of(text) for text in material.budgets] or _budgets(outcomes, column)
    found = []
    for budget in asked:
        try:
            found.append(recommend(outcomes, budget, seed=material.seed))
        except BadInput:  # nothing is so cheap, or its cost is unknown
            continue
    if not material.budgets:
        found = _once(found)
    if not found:
        return [Says("No setting fits any of the budgets that were asked about.", "lead")]
    best = found[0] if material.budgets else _leading(found)
    return [
        *_first(best, outcomes, material),
        _every(found, best, places(material) if outcomes["run"].n_unique() > 1 else {}),
    ]


def _once(found: Sequence[Advice]) -> list[Advice]:
    """Without budgets that buy what a smaller one does."""
    kept: list[Advice] = []
    for advice in found:
        chosen, before = (
            one.ranked.row(0)[: len(GROUP)] if one else None for one in (advice, kept[-1] if kept else None)
        )
        kept += [advice] if chosen != before else []
    return kept


def _budgets(outcomes: pl.DataFrame, column: str) -> list[Budget]:
    """Round budgets: what fixed numbers of draws cost, rounded up to two digits."""
    fixed = outcomes.filter(pl.col("exhausted").fill_null(0) == 0)
    means = fixed.group_by("run", "arm", "policy", "setting").agg(pl.col(column).mean())[column].drop_nulls()
    least, most = float(means.min()), float(means.max())  # type: ignore[arg-type]
    steps: list[float] = []
    at = least
    while at < most * 1.001 and len(steps) < 12:
        steps.append(_up(at))
        at *= 2
    steps = sorted({*steps, _up(most)})
    unit = "tok/q" if column == "gen_tokens" else "draws/q"
    return [Budget(column, value, unit) for value in steps[-_MOST:]]


def _up(value: float) -> float:
    """The next number of two digits.

    >>> _up(131.4), _up(2.0)
    (140.0, 2.0)
    """
    step = 10.0 ** (floor(log10(value)) - 1)
    return round(-(-round(value / step, 9) // 1) * step, 9)


def _leading(found: Sequence[Advice]) -> Advice:
    most = max(one.honest[0] for one in found)
    return next(one for one in found if one.honest[0] >= most - ENOUGH)


def _first(advice: Advice, outcomes: pl.DataFrame, material: Material) -> list[Block]:
    row = advice.ranked.row(0, named=True)
    several = outcomes["run"].n_unique() > 1
    one, arm = setting_of(row) == "sc_fixed:n=1", arm_words(row)
    what = f"{'one draw' if one else setting_of(row)}{f' of {arm}' if arm else ''}"
    on = f"{row['dataset'] or 'the recorded questions'}"
    verb = f"take {places(material)[row['run']]} and {what}" if several else f"{'take' if one else 'use'} {what}"
    sentence = f"On {on}, with at most {_words(advice.budget)}: {verb}."
    nothing = max(advice.honest[0], float(advice.ranked["accuracy"].max() or 0.0)) == 0.0  # type: ignore[arg-type]
    if nothing:
        sentence = f"On {on}, no policy gives a right answer within {_words(advice.budget)}."
    cards = [_accuracy(advice, outcomes), *_gain(row, outcomes, material.seed), _spent(row, advice), _certain(advice)]
    why = (
        "" if material.budgets
        else f"The least of the budgets below that keeps all but {100 * ENOUGH:g} point of the best accuracy. "
    )  # fmt: skip
    how = (
        f"{why}Chosen among {advice.tried} settings; the accuracy is measured on problems the choice did not see "
        "(nested cross-validation), so it is what following the advice gives."
    )
    meaning = _meaning(str(row["policy"])) if not nothing else ""
    if any(run.guided is not None for run in material.runs) and advice.budget.column == "gen_tokens":
        how += " Tokens of base and oracle count alike here; what help costs is under Guidance."
    _, low, high = advice.honest
    if None not in (low, high) and high - low > WIDE:
        how += f" The interval is {100 * (high - low):.0f} points wide: draw more problems before choosing by it."
    return [Says(sentence, "lead"), *([Says(meaning, "note")] if meaning else []), Cards(cards), Says(how, "note")]


def _meaning(policy: str) -> str:
    """What a policy does, in its own words; nothing where it is not installed here."""
    said = (find("policy", policy).__doc__ or "") if policy in names("policy") else ""
    first = " ".join(said.partition("\n\n")[0].split()).replace("`", "")
    return f"{policy}: {first[:1].lower()}{first[1:]}" if first else ""


def _words(budget: Budget) -> str:
    words = {"gen_tokens": "generated tokens", "candidates": "candidates", "usd": "dollars", "joules": "joules",
             "rounds": "rounds", "critical_seconds": "seconds"}  # fmt: skip
    word = words[budget.column]
    return f"{budget.most:,.6g} {word.removesuffix('s') if budget.most == 1 else word} a question"


def _accuracy(advice: Advice, outcomes: pl.DataFrame) -> Card:
    (value, low, high), n = advice.honest, outcomes["query_id"].n_unique()
    around = f"95 % interval {100 * low:.1f} to {100 * high:.1f}, over {n:,} problems"
    return Card("Accuracy", f"{100 * value:.1f} %", around)


def _gain(row: dict[str, Any], outcomes: pl.DataFrame, seed: int) -> list[Card]:
    """Paired with one draw of the same model, where that is another policy."""
    here = outcomes.filter(pl.col(name).eq_missing(row[name]) for name in ("run", "arm"))
    one = here.filter((pl.col("policy") == "sc_fixed") & (pl.col("setting") == "n=1"))
    chosen = here.filter(pl.col(name).eq_missing(row[name]) for name in ("policy", "setting", "kind"))
    if one.is_empty() or setting_of(row) == "sc_fixed:n=1":
        return []
    found = paired(one, chosen, seed=seed).row(0, named=True)
    if found["difference"] is None:
        return []
    around = f"points, 95 % interval {signed(found['low'])} to {signed(found['high'])}, paired over problems"
    return [Card("Over one draw", signed(found["difference"]), around)]


def _spent(row: dict[str, Any], advice: Advice) -> Card:
    words = {"gen_tokens": "tokens", "candidates": "candidates", "usd": "dollars", "critical_seconds": "seconds"}
    name = words.get(advice.budget.column, advice.budget.column)
    return Card("It spends", cost(row["spend"], advice.budget.column), f"{name} a question, on average")


def _certain(advice: Advice) -> Card:
    return Card("The choice is stable", f"{100 * advice.stable:.0f} %", "of five parts choose the same setting")


def _every(found: Sequence[Advice], best: Advice, named: Mapping[str, str]) -> Shows:
    """A row a budget; `named` has what the page calls each run, where there are several."""
    cells = []
    for advice in found:
        row = advice.ranked.row(0, named=True)
        name = " ".join(part for part in (setting_of(row), arm_words(row)) if part)
        who = f"{named[row['run']]}: " if named else ""
        cells.append([
            f"{advice.budget.most:,.6g}", f"{who}{name}", interval(*advice.honest),
            signed(advice.optimism), cost(row["spend"], advice.budget.column),
            UNKNOWN if advice.stable != advice.stable else f"{100 * advice.stable:.0f} %",
        ])  # fmt: skip
    unit = {"gen_tokens": "tokens", "candidates": "candidates"}.get(found[0].budget.column, found[0].budget.column)
    heads = [f"{unit} a question at most", "take", "accuracy %", "looks better by", "spends", "stable"]
    note = (
        "Accuracy: honest after choosing, 95 % interval over problems. Looks better by: points by which the choice "
        "flatters itself on the problems it was chosen on."
    )
    return Shows(
        Rows("What another budget buys", heads, cells), strong=frozenset({found.index(best)}), words=frozenset({1}),
        note=note,
    )  # fmt: skip
