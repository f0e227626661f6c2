"""Peak memory of a whole run on pocket-m as candidates grow: sampling, journal, verdicts, pool, replay and figure.

    python -m benchmarks.memory [PROBLEMS] [CANDIDATES …]        100 problems × 16 64 256 without

Each size is a process of its own, which says its peak by its own status. `before` is its peak once the model is open
and one problem is done: what a run takes however small. Flat means that the rest does not grow with the candidates.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time

SIZES = (16, 64, 256)
RUN = """
import sys
import testtime as tt

def peak():
    return int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0]) / 2**10

def run(problems, candidates, name):
    return tt.run(
        model="pocket-m", dataset="pocket-math", split="easy", temperature=0.8, top_p=1.0, max_examples=problems,
        policies=["sc_fixed"], sc_n=[1, candidates], out_dir=sys.argv[1], run=name,
    )

run(1, 16, "one")
before = peak()
made = run(int(sys.argv[2]), int(sys.argv[3]), "all").drawn.progress.made
print(made, before, peak())
"""


def main(problems: int, sizes: tuple[int, ...]) -> None:
    """Prints a line a size."""
    print(
        f"{'candidates':>12}{'each of':>9}{'before MiB':>12}{'peak MiB':>10}{'growth':>8}{'kB each':>9}{'seconds':>9}"
    )
    for candidates in sizes:
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as room:
            command = [sys.executable, "-c", RUN, room, str(problems), str(candidates)]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-3:]
        made, before, peak = (float(one) for one in said)
        each = (peak - before) * 2**10 / made
        wall = time.perf_counter() - start
        print(
            f"{made:>12,.0f}{problems:>12}{before:>12.0f}{peak:>12.0f}{peak - before:>12.0f}{each:>12.2f}{wall:>12.0f}"
        )


if __name__ == "__main__":
    numbers = [int(one) for one in sys.argv[1:]]
    main(numbers[0] if numbers else 100, tuple(numbers[1:]) or SIZES)
