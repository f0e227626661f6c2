"""Calibration as a person asks for it: a run over a dataset and broken versions of its problems, and what it declined.

Everything is a run with the dataset `corrupted`: the same engine, pool, caps and resume as `testtime run`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from testtime.analysis.calibration import calibration
from testtime.build import open_task
from testtime.core.errors import BadInput, unknown_name
from testtime.runspec import RunSpec, run_spec
from testtime.store.frame import open_pool
from testtime.tasks import HUB
from testtime.tasks.corrupted import MARK
from testtime.tasks.corruptions import CORRUPTIONS


def spec_of(flags: Mapping[str, Any], corruptions: Sequence[str] | None = None) -> RunSpec:
    """The run that is meant; `max_queries` counts originals. Raises BadInput."""
    if "dataset" not in flags:
        raise BadInput("no dataset is named", mend="add --dataset pocket-math")
    for kind in corruptions or ():
        if kind not in CORRUPTIONS:
            raise unknown_name("corruption", kind, CORRUPTIONS)
    name, path = str(flags["dataset"]), flags.get("dataset_path")
    of = HUB.get(name, name)
    path = path or (name if name in HUB else None)
    ways = f",corruptions=({','.join(corruptions)})" if corruptions else ""
    dataset = f"corrupted:of={of}{ways}"
    usual = {"policies": ["sc_fixed:n=1"], **({} if path is None else {"dataset_path": path})}
    spec = run_spec({**usual, **flags, "dataset": dataset})
    if len(spec.splits) > 1:
        raise BadInput("several splits are named", mend="calibrate one split at a time")
    if spec.max_queries is None:
        return spec
    return spec.model_copy(update={"max_queries": _rows(spec, spec.max_queries)})


def _rows(spec: RunSpec, originals: int) -> int:
    """Problems, broken ones among them, up to and with the last version of so many originals."""
    seen = rows = 0
    for problem in open_task(spec.dataset, spec.dataset_path).problems(spec.splits[0]):
        seen += MARK not in problem.query_id
        if seen > originals:
            break
        rows += 1
    return max(rows, 1)


def rates_of(path: Path, seed: int = 0) -> pl.DataFrame:
    """What was declined, of a run's folder: analysis.calibration. Raises BadInput."""
    return calibration(open_pool(path), seed)


def notes_of(table: pl.DataFrame) -> list[str]:
    """What a reader must be told."""
    (unknown,) = table["unknown"].unique().to_list()
    told = ["a text declines by the signs of answers.refusal; --refusal_budget lets a judge settle what they do not"]
    return told + ([f"{unknown} texts were withheld, and nobody can say whether they decline"] if unknown else [])


__all__ = ["notes_of", "rates_of", "spec_of"]
