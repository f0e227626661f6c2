"""Memory of a whole `testtime run`: drawn, judged, written, replayed, printed with its ledger, in a process each.

    python -m benchmarks.whole [CANDIDATES …]        10000 100000 without; a million takes half an hour

A fake model answers at once, one completion a request, so that every candidate is a call; 16 draws of each problem.
What is printed is the largest resident set (ru_maxrss) and the processor's seconds, and what a candidate adds.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import ClassVar

from testtime.core.protocols import Cap
from testtime.core.records import Completion, Generation, Request
from testtime.core.spend import Spend

USUAL = (10_000, 100_000)
RUN = """
import resource, sys
from testtime.cli import main
from testtime.models import BUILTIN

BUILTIN["instant"] = "benchmarks.whole:Instant"
code = main(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_SELF)
print(code, used.ru_maxrss / 2**10, used.ru_utime + used.ru_stime)
"""


class Instant:
    """Right in one draw of three."""

    can: ClassVar[frozenset[Cap]] = frozenset({"seed", "temperature", "deterministic"})

    def __init__(self, model: str) -> None:
        self.name = f"instant:{model}"

    def refuses(self, request: Request) -> str | None:
        """Nothing."""
        return None

    async def generate(self, request: Request) -> Generation:
        """The sum that was asked for, or one beside it."""
        number = int(str(request.messages[-1]["content"]).split("what is ")[1].split()[0])
        said = Completion(
            f"The answer is \\boxed{{{2 * number + (request.seed or 0) * 2654435761 // 128 % 3}}}", "stop", 8
        )
        return Generation([said], Spend(12, 0, 8, 0, 0.001), self.name)


def measure(room: Path, candidates: int) -> tuple[float, float]:
    """(Peak MB, processor seconds) of one run."""
    problems = room / f"{candidates}.jsonl"
    with problems.open("w") as file:
        for at in range(candidates // 16):
            file.write(json.dumps({"question": f"what is {at} plus {at}?", "answer": str(2 * at)}) + "\n")
    command = [
        "run", "--model", "instant:1", "--dataset", "local", "--dataset_path", str(problems), "--num_candidates", "16",
        "--out_dir", str(room), "--run", f"r{candidates}",
    ]  # fmt: skip
    said = subprocess.run([sys.executable, "-c", RUN, *command], check=True, capture_output=True, text=True).stdout
    code, peak, seconds = said.split()[-3:]
    assert code in ("0", "None"), said
    return float(peak), float(seconds)


def main(sizes: tuple[int, ...]) -> None:
    """Prints a line a size."""
    before: tuple[int, float] | None = None
    for candidates in sizes:
        with tempfile.TemporaryDirectory() as room:
            peak, seconds = measure(Path(room), candidates)
        added = f"{(peak - before[1]) / (candidates - before[0]) * 2**20:,.0f} bytes each more" if before else ""
        print(f"{candidates:>12,}{peak:>8,.0f} MB{seconds:>8,.0f} s of the processor  {added}", flush=True)
        before = candidates, peak


if __name__ == "__main__":
    main(tuple(int(one) for one in sys.argv[1:]) or USUAL)
