"""What every real scheduler must do: a run in four parts, one killed, one told that its time is up, all merged."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from jobs import untimed
from one_node import until

from testtime.cli import main
from testtime.store.journal import read_journal

ASKED = ["--model", "pocket-s", "--dataset", "pocket-math", "--splits", "easy", "--max_queries", "60"]
ASKED += ["--temperature", "0.8", "--policies", "sc_fixed:n=16"]


def four_parts(
    work: Path, kind: str, more: list[str], warn: Callable[[str, int], None], hasten: Callable[[str], None]
) -> None:
    """Submits, kills the first part, warns the second, and compares what is merged with the run undivided.

    `warn` tells a part, by its name in the queue or its process, that its time is up; `hasten` begins again what
    was queued again.
    """
    assert main(["run", *ASKED, "--run", "whole"]) == 0
    assert main(["submit", "--cluster", kind, *ASKED, "--run", "r", "--shards", "4", *more]) == 0
    first, second = (work / f"results/r.{at}of4" for at in (1, 2))
    job = (work / "results/r.submit/job").read_text().split()[0]
    for shard in (first, second):
        until(lambda shard=shard: draws(shard), lambda shard=shard: f"{shard.name} draws nothing")
        pid = int((shard / "lock").read_text().partition('"pid": ')[2].partition(",")[0])
        if shard is first:
            os.kill(pid, signal.SIGKILL)
        else:
            warn(f"{job}_2", pid)
    logs = work / "results/r.submit/log"
    for why in ("part 1 is queued again: killed by signal 9", "part 2 is queued again: its time was nearly up"):
        until(lambda why=why: why in text(logs), lambda why=why: f"no log says {why}: {text(logs)}")
    assert not (work / "results/r").exists()

    def merged() -> bool:
        hasten(job)
        return (work / "results/r/summary.csv").exists()

    until(merged, lambda: f"nothing is merged: {text(logs)}")
    one, other = (untimed(work / f"results/{name}/candidates.parquet") for name in ("r", "whole"))
    assert one.height == 60 * 16
    assert one.equals(other)
    for at in range(1, 5):
        records = read_journal(work / f"results/r.{at}of4").records
        received = Counter(
            key for line in records if line["kind"] == "call" and line["status"] == "ok" for key in line["children"]
        )
        assert set(received.values()) == {1}, "a received reply was asked for again"
    assert main(["run", *ASKED, "--run", "r"]) == 0  # the merged run is whole: nothing is drawn


def draws(shard: Path) -> int:
    return sum(path.read_bytes().count(b',"kind":"draw",') for path in shard.glob("journal/*.jsonl"))


def text(logs: Path) -> str:
    return "\n".join(path.read_text(errors="replace") for path in sorted(logs.iterdir()) if path.is_file())
