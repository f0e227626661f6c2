"""From a pool of budgets to curves: for each model, dataset, split and decoding, values [problem, budget, completion].

A curve needs arms that differ in `budget` alone: of any decoding whose arm names one (`budget`, `prefix`,
`native_budget`). Failed draws are wrong; a score that is not known stays unknown. Draws beyond those that every
problem has under every budget are left out, so that each value counts alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from testtime.core.errors import BadInput
from testtime.core.history import Floats
from testtime.core.records import canonical
from testtime.core.strings import said
from testtime.store.pool import Draws, Pool

ACCURACY, PROBABILITY, NEGENTROPY = "accuracy", "probability", "negentropy"
METRICS: Mapping[str, tuple[str, float]] = {
    PROBABILITY: ("oracle(answer_probability)", 1.0),
    "log_prob": ("oracle(answer_log_prob)", 1.0),
    "neg_brier": ("oracle(answer_brier)", -1.0),
    NEGENTROPY: ("answer_entropy", -1.0),
    "margin": ("oracle(answer_margin)", 1.0),
    "neg_rank": ("oracle(answer_rank)", -1.0),
    "neg_edit_distance": ("oracle(answer_edit_distance)", -1.0),
}
"""Continuous metric → (column, sign that makes more of it better). Accuracy is the discrete one."""
LENGTHS = ("thinking_tokens", "n_continuations", "forced", "stopped_early", "repeated", "control_error", "completion")
"""Columns that describe the trajectory, beside those of METRICS."""


@dataclass(frozen=True, eq=False)
class Curves:
    """One model on one split with one decoding, over its budgets."""

    run: str
    model: str
    dataset: str
    split: str
    decoding: str
    """Its kind, and what else the arms have in common."""
    budgets: tuple[int, ...]
    """Rising."""
    problems: tuple[str, ...]
    values: Mapping[str, Floats]
    """Metric or trajectory column → [problem, budget, completion]; only those of which any is known."""
    clusters: tuple[str | None, ...]

    @property
    def place(self) -> str:
        """`model on dataset split, decoding`."""
        return f"{self.model} on {self.dataset} {self.split}".strip() + f", {self.decoding}"

    @property
    def metrics(self) -> list[str]:
        """Accuracy first, then the continuous ones that are known."""
        return [name for name in (ACCURACY, *METRICS) if name in self.values]

    def each(self, metric: str) -> Floats:
        """[problem, budget] means over completions; nan where one is not known."""
        out: Floats = self.values[metric].mean(axis=2)
        return out

    @property
    def size(self) -> float | None:
        """Billions of parameters, where the model's name says so."""
        return size_of(self.model)


POCKET = {"pocket-s": 0.17, "pocket-m": 0.83}
"""Millions of parameters of the shipped models, whose names do not say so."""


def size_of(model: str) -> float | None:
    """Billions of parameters by a model's name: the last number before a B.

    >>> size_of("vllm:deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"), size_of("gpt-4o")
    (1.5, None)
    """
    for name, millions in POCKET.items():
        if name in model:
            return millions / 1000
    found = re.findall(r"(?<![\w.])(\d+(?:\.\d+)?)[bB](?![a-zA-Z])", model)
    return float(found[-1]) if found else None


def curves_of(pool: Pool) -> list[Curves]:
    """All curves of a pool, a split each. Raises BadInput where no two arms differ in their budget alone."""
    groups: dict[str, dict[int, Draws]] = {}
    for draws in pool.arms.values():
        if isinstance(budget := draws.arm.decoding.get("budget"), int):
            rest = {key: value for key, value in draws.arm.decoding.items() if key != "budget"}
            same = canonical([draws.arm.models, draws.arm.prompt, draws.arm.persona, rest, draws.arm.sampling])
            groups.setdefault(same, {})[budget] = draws
    found = [one for arms in groups.values() if len(arms) > 1 for one in _splits(pool, arms)]
    if not found:
        have = ", ".join(pool.arms)
        raise BadInput(
            f"no curve over budgets: the arms are {have}",
            where=pool.run,
            mend="draw one with --decoding prefix --budgets 128 256 512",
        )
    return found


def _splits(pool: Pool, arms: Mapping[int, Draws]) -> Iterator[Curves]:
    budgets = tuple(sorted(arms))
    several = [arms[budget] for budget in budgets]
    completions = min(draws.sampled for draws in several)
    every = {name: _stacked(several, name, completions) for name in _columns(several)}
    first = several[0].arm
    for split in dict.fromkeys(pool.splits):
        here = [at for at, one in enumerate(pool.splits) if one == split]
        yield Curves(
            run=pool.run,
            model="+".join(dict.fromkeys(first.models.values())),
            dataset=pool.dataset,
            split=split,
            decoding=_words(first.decoding),
            budgets=budgets,
            problems=tuple(pool.problems[at] for at in here),
            values={name: table[here] for name, table in every.items() if not np.isnan(table[here]).all()},
            clusters=tuple(pool.clusters[at] if pool.clusters else None for at in here),
        )


def _columns(several: Sequence[Draws]) -> list[str]:
    known = set.intersection(*(set(draws.columns) for draws in several))
    return [ACCURACY, *(name for name, (column, _) in METRICS.items() if column in known), *known.intersection(LENGTHS)]


def _stacked(several: Sequence[Draws], name: str, completions: int) -> Floats:
    """[problem, budget, completion]."""
    if name == ACCURACY:
        tables = [draws.right for draws in several]
    else:
        column, sign = METRICS.get(name, (name, 1.0))
        tables = [sign * draws.column(column) for draws in several]
    return np.stack([table[:, :completions] for table in tables], axis=1)


def _words(decoding: Mapping[str, object]) -> str:
    rest = ",".join(f"{key}={said(value)}" for key, value in decoding.items() if key not in ("kind", "budget"))
    return f"{decoding.get('kind', 'budget')}:{rest}" if rest else str(decoding.get("kind", "budget"))
