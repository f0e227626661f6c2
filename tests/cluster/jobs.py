"""Jobs as tests hand them over, and what each scheduler is."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl

from testtime.cluster.gridengine import GridEngine
from testtime.cluster.job import Job, Part, Resources, Scheduler
from testtime.cluster.slurm import Slurm

SCHEDULERS: dict[str, type[Scheduler]] = {"slurm": Slurm, "gridengine": GridEngine}
NEEDS = Resources(
    gpus="a100:2", cpus=8, memory="64G", time="1-02:00:00", queue="long", at_once=3,
    setup=("module load cuda", "source '/opt/my env/bin/activate'"), options=("--account=lab",),
)  # fmt: skip


def part(name: str, shards: int, *serves: str) -> Part:
    folders = [Path(f"/data/results/{name}.{i}of{shards}") for i in range(1, shards + 1)]
    return Part(folders, Path(f"/data/results/{name}.jsonl"), serves)


PLAIN = Job("tt.plain", Path("/data/results/plain.submit"), Path("/data"), [part("plain", 4)], 4, python="/env/python")
GRID = Job(
    "tt.grid", Path("/data/results/grid.submit"), Path("/data/my work"),
    [part("a", 2, "model", "oracle_model"), part("b c", 2)], 2, NEEDS, python="/env/python",
)  # fmt: skip


TIMED = {"seconds", "joules"}


def untimed(candidates: Path) -> pl.DataFrame:
    """A pool without what two runs may differ in: time, latency and energy; costs `alone` are left without theirs."""
    frame = pl.read_parquet(candidates)
    costs = [json.loads(text) for text in frame["alone"]]
    for one in costs:
        for cost in one.values():
            for name in TIMED & cost.keys():
                del cost[name]
    kept = pl.Series([json.dumps(one) for one in costs])
    return frame.drop("latency_s", "joules", "timestamp").with_columns(alone=kept)
