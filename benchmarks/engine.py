"""The engine's own cost: durable candidates a second without latency, and its share of the ideal with it.

    python -m benchmarks.engine [FOLDER]

A fake answers at once, or after a second. `durable`: each candidate's request, reply and row are in the journal,
written before the next step and synced to the disk every 100 ms at most, until the journal is closed. The ideal is
candidates × latency ÷ concurrency. Processor time is the process's own; FOLDER is where the journals go.
"""

from __future__ import annotations

import asyncio
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

from testtime.core.records import Arm, Problem
from testtime.decoding.plain import Plain
from testtime.engine.plan import Lane, Plan
from testtime.engine.run import fill
from testtime.models.scripted import ALL, Scripted

CASES = (
    # candidates, latency, concurrency, completions of one request share it
    (32_000, 0.0, 16, False),
    (32_000, 0.0, 16, True),
    (32_000, 0.0, 256, False),
    (5_120, 1.0, 256, False),
)
ROUNDS = 3


def plan(candidates: int, seconds: float, concurrency: int, shared: bool) -> Plan:
    """16 draws of each problem by a model that takes so long."""
    model = Scripted(lambda request, seed: f"{seed} is the answer", seconds=seconds, can=ALL if shared else ALL - {"n"})
    lane = Lane((Arm("arm", {"model": model.name}),), Plain({"max_tokens": 64}), lambda one: [asked(one)], due=16)
    problems = [Problem(f"q{at}", "test", f"what is {at} plus {at}?", str(2 * at)) for at in range(candidates // 16)]
    return Plan(
        "run", "set", 0, problems, [lane], {model.name: model}, lambda one, text: (text, text), concurrency=concurrency
    )


def asked(problem: Problem) -> dict[str, str]:
    """The message."""
    return {"role": "user", "content": problem.question}


def measure(folder: Path, candidates: int, seconds: float, concurrency: int, shared: bool) -> tuple[float, float]:
    """(Wall, processor) seconds of one run into an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    wall, used = time.perf_counter(), time.process_time()
    made = asyncio.run(fill(plan(candidates, seconds, concurrency, shared), folder)).made
    assert made == candidates
    return time.perf_counter() - wall, time.process_time() - used


def main(folder: Path) -> None:
    """Prints a line a case: the best of ROUNDS, so that other load on the machine counts least."""
    heads = [("candidates", 10), ("latency", 9), ("at once", 9), ("shared", 8), ("wall/s", 10), ("cpu/s", 10)]
    print("".join(f"{head:>{width}}" for head, width in [*heads, ("of ideal", 10), ("MB", 6)]))
    for candidates, seconds, concurrency, shared in CASES:
        rounds = [measure(folder / "run", candidates, seconds, concurrency, shared) for _ in range(ROUNDS)]
        wall, used = min(wall for wall, _ in rounds), min(used for _, used in rounds)
        ideal = f"{candidates * seconds / concurrency / wall:.1%}" if seconds else "–"
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        rates = f"{candidates / wall:>10,.0f}{candidates / used:>10,.0f}"
        print(f"{candidates:>10,}{seconds:>9g}{concurrency:>9}{shared!s:>8}{rates}{ideal:>10}{memory:>6.0f}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as room:
            main(Path(room))
