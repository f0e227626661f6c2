"""Memory of a large run: candidates drawn, judged, and written as files, then resumed, in one process each.

    python -m benchmarks.million [CANDIDATES] [FOLDER]

A fake model answers at once, a rule judges each answer; 16 draws of each problem. What is printed is the largest
resident set of each process (ru_maxrss), and what a candidate adds to that of a run of a tenth as many. The aim: one
million candidates in under 1 GB.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.engine import plan
from testtime.core.protocols import Ask
from testtime.core.records import Candidate, Problem, Verdict
from testtime.engine.run import execute

USUAL = 1_000_000


@dataclass(frozen=True)
class Same:
    """Right where the answer is the reference."""

    stage: str = "same"
    digest: str = "1"
    gold: bool = True

    def refuses(self, problem: Problem) -> str | None:
        """Nothing."""
        return None

    async def verify(self, problem: Problem, candidate: Candidate, ask: Ask) -> Verdict:
        """The verdict."""
        return Verdict("same", "1", candidate.facts["answer"] == problem.reference, confidence=1.0, gold=True)


def session(folder: Path, candidates: int, told: multiprocessing.SimpleQueue[tuple[float, float]]) -> None:
    """One process: tells its wall seconds and its peak in MB."""
    began = time.perf_counter()
    asyncio.run(execute(replace(plan(candidates, 0.0, 16, True), verifiers=[Same()]), folder))
    told.put((time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10))


def measure(folder: Path, candidates: int) -> tuple[float, float]:
    """(Seconds, peak MB) of a session in a process of its own."""
    context = multiprocessing.get_context("spawn")
    told: multiprocessing.SimpleQueue[tuple[float, float]] = context.SimpleQueue()
    process = context.Process(target=session, args=(folder, candidates, told))
    process.start()
    process.join()
    return told.get()


def main(candidates: int, room: Path) -> None:
    """Prints a line a session."""
    print(f"{'candidates':>12}{'session':>10}{'seconds':>10}{'MB':>8}")
    peaks = {}
    for count in (candidates // 10, candidates):
        for kind in ("first", "resumed"):
            seconds, peaks[count, kind] = measure(room / str(count), count)
            print(f"{count:>12,}{kind:>10}{seconds:>10.1f}{peaks[count, kind]:>8.0f}", flush=True)
        shutil.rmtree(room / str(count))
    for kind in ("first", "resumed"):
        added = (peaks[candidates, kind] - peaks[candidates // 10, kind]) / (candidates * 0.9) * 2**20
        whole = peaks[candidates, kind] + added * (USUAL - candidates) / 2**20
        print(f"{kind}: {added:.0f} bytes a candidate; {USUAL:,} candidates take {whole:,.0f} MB")


if __name__ == "__main__":
    size = int(sys.argv[1]) if len(sys.argv) > 1 else USUAL
    if len(sys.argv) > 2:
        main(size, Path(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(size, Path(temporary))
