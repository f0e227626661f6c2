"""The rows of the table: one kind of work each, at a size, measured in a process of its own.

    python -m benchmarks.rows NAME SIZE [DATA]      prints {"value": …, "note": …} as JSON

A row's value is in the unit of its aim. Each is warm where work goes on and cold where a command starts.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

Said = tuple[float, str]
"""A value, and what else is to be said of it."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    unit: str
    aim: float | None
    more_is_better: bool
    sizes: tuple[int, int, int]
    """A tenth or less of the work, a part, and all that the aim is about (`--full`)."""
    measure: Callable[[int, Path | None], Said]

    def met(self, value: float) -> bool | None:
        """Whether the aim is met; None where there is none."""
        return None if self.aim is None else (value >= self.aim) == self.more_is_better or value == self.aim


def peak() -> str:
    """The most memory of this process."""
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:,.0f} MB at most"


def again(name: str, *words: object) -> tuple[float, str]:
    """A piece of a row in a process of its own: (seconds, what it printed)."""
    began = time.perf_counter()
    line = [sys.executable, "-m", "benchmarks.pieces", name, *map(str, words)]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    return time.perf_counter() - began, done.stdout.strip()


def command(*words: str) -> float:
    """Seconds of the fastest of five runs of the command."""

    def once() -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "testtime", *words], check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - began

    return min(once() for _ in range(5))


# ---- commands ----
def help_(size: int, data: Path | None) -> Said:
    """The help."""
    return command("--help"), "best of 5"


def small(size: int, data: Path | None) -> Said:
    """What is in a small pool."""
    with tempfile.TemporaryDirectory() as room:
        again("pool", room, size)
        return command("inspect", f"{room}/run"), f"best of 5; {size:,} rows"


# ---- drawing ----
def durable(size: int, data: Path | None) -> Said:
    """Candidates a second, each in the journal, by a model that answers at once."""
    from benchmarks.engine import measure

    with tempfile.TemporaryDirectory() as room:
        wall, used = min(measure(Path(room) / "run", size, 0.0, 16, False) for _ in range(2))
    return size / wall, f"{size / used:,.0f} by processor time; {peak()}"


def in_flight(size: int, data: Path | None) -> Said:
    """Of the ideal, with 256 calls of a second in flight."""
    from benchmarks.engine import measure

    with tempfile.TemporaryDirectory() as room:
        wall, _ = measure(Path(room) / "run", size, 1.0, 256, False)
    return 100 * size / 256 / wall, f"{size:,} candidates"


def through_sdk(size: int, data: Path | None) -> Said:
    """The same through the openai package and HTTP, to a server in a process of its own."""
    if find_spec("openai") is None:
        raise SystemExit("the package openai is not installed")
    server = subprocess.Popen([sys.executable, "-m", "benchmarks.pieces", "server"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        with tempfile.TemporaryDirectory() as room:
            seconds, said = again("client", room, size, url)
    finally:
        server.kill()
        server.wait()
    wall = float(said)
    return 100 * size / 256 / wall, f"{size:,} candidates; {seconds - wall:.1f} s to start"


def resume(size: int, data: Path | None) -> Said:
    """Seconds until a run of a journal of so many lines knows that nothing is left."""
    candidates = size // 3 // 16 * 16
    with tempfile.TemporaryDirectory() as room:
        again("journal", room, candidates)
        _, said = again("resume", room, candidates)
        lines = sum(path.read_bytes().count(b"\n") for path in Path(room).glob("journal/*.jsonl"))
    seconds, memory = said.split(" ", 1)
    return float(seconds), f"{lines:,} lines; {memory}; wanted < 500 MB"


# ---- reading ----
def replayed(size: int, data: Path | None) -> Said:
    """Processor seconds of all maj@k and ten rules over 100 orders, so many problems of 40 draws."""
    from benchmarks import replay

    replay.PROBLEMS = size
    pool = replay.synthetic()
    _, best = replay.repeated(
        lambda: replay.outcomes(pool, [*replay.FIXED, *replay.TEN], orders=replay.ORDERS, exact=False)
    )
    package = replay.package(pool)
    beside = package.note if package.seconds != package.seconds else f"{package.seconds:.0f} s, {package.note}"
    return best, f"one rule by AdaptiveConsistency: {beside}"


def inspected(size: int, data: Path | None) -> Said:
    """Seconds to say what is in so many rows of a kilobyte."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_ROOM")) as room:
        again("pool", room, size)
        _, said = again("inspect", room)
        beside = again("pandas", room)[1] if find_spec("pandas") else "not installed"
    seconds, memory = said.split(" ", 1)
    return float(seconds), f"{memory}; wanted < 1,500 MB; four columns by pandas: {beside}"


# ---- judging ----
def programs(size: int, data: Path | None) -> Said:
    """Programs a second with their tests, in the sandbox that passes the attack suite."""
    from testtime.core.records import Limits
    from testtime.sandbox.opening import strongest

    text, tests = "def f(x):\n    return x + 1\n", "assert f(1) == 2\nassert f(-1) == 0\n"

    async def all_of_them() -> float:
        await asyncio.gather(*[sandbox.check(text, "", tests, Limits(seconds=10.0)) for _ in range(8)])
        began = time.perf_counter()
        ran = await asyncio.gather(*[sandbox.check(text, "", tests, Limits(seconds=10.0)) for _ in range(size)])
        assert all(one.verdict for one in ran)
        return time.perf_counter() - began

    sandbox = strongest()
    try:
        rate = size / asyncio.run(all_of_them())
    finally:
        sandbox.close()
    began = time.perf_counter()
    for _ in range(20):
        subprocess.run([sys.executable, "-I", "-S", "-c", text + tests], check=True)
    return rate, f"{sandbox.name}; one after another as plain Python: {20 / (time.perf_counter() - began):.0f}"


def verdicts(size: int, data: Path | None) -> Said:
    """Mathematical verdicts a second, each pair in a worker that can be killed alone."""
    from testtime.verifiers import equality
    from testtime.verifiers.math import workers

    golds = (r"\frac{1}{2}", r"x^2 + 2x + 1", "(1, 2)", r"\sqrt{8}", "[0, 1)", "12", r"\{1, 2\}", "2.50")
    said = ("0.5", "(x+1)^2", "(2, 1)", r"2\sqrt{2}", "[0,1]", "12.0", "{2,1}", r"\frac{5}{2}")
    jobs = [{"gold": golds[at % 8], "prediction": f"{said[at % 8]}"} for at in range(size)]

    async def isolated() -> float:
        pool = workers()
        await asyncio.gather(*[pool.ask({"gold": "1", "prediction": "1"}) for _ in range(16)])
        began = time.perf_counter()
        await asyncio.gather(*[pool.ask(job) for job in jobs])
        return time.perf_counter() - began

    rate = size / asyncio.run(isolated())
    began = time.perf_counter()
    for job in jobs[:400]:
        equality.compare(job["gold"], job["prediction"], {})
    return rate, f"math-verify in this process: {min(size, 400) / (time.perf_counter() - began):,.0f}"


def tokens(size: int, data: Path | None) -> Said:
    """Tokens a second of pocket-m at batch 16; transformers beside it: python -m benchmarks.pocket."""
    from testtime.core.records import Request
    from testtime.models.naming import open_model

    model: Any = open_model("pocket:pocket-m")
    asked = [{"role": "user", "content": "A farmer has 12 cows and buys 3 more. How many cows are there?"}]

    async def written(count: int) -> int:
        request = Request(asked, n=count, seed=1, params={"temperature": 1.0, "max_tokens": 160})
        return sum(one.tokens or 0 for one in (await model.generate(request)).completions)

    async def timed() -> float:
        await written(16)
        began, count = time.perf_counter(), 0
        for _ in range(size):
            count += await written(16)
        return count / (time.perf_counter() - began)

    return asyncio.run(timed()), f"{'numba' if find_spec('numba') else 'numpy'}; its texts end by themselves"


ROWS: dict[str, Row] = {
    "help": Row("testtime --help", "s", 0.3, False, (1, 1, 1), help_),
    "small": Row("inspect a small run", "s", 0.6, False, (64, 640, 3_200), small),
    "tokens": Row("pocket-m, batch 16", "tokens/s", None, True, (2, 8, 32), tokens),
    "durable": Row("durable candidates, instant model", "1/s", 5_000, True, (3_200, 32_000, 320_000), durable),
    "in_flight": Row("256 in flight at 1 s, direct", "% of ideal", 95, True, (512, 2_560, 5_120), in_flight),
    "through_sdk": Row("the same by openai over HTTP", "% of ideal", 95, True, (512, 2_560, 5_120), through_sdk),
    "resume": Row("resume a journal of 1 M lines", "s", 5, False, (10_000, 100_000, 1_000_000), resume),
    "replay": Row("replay 1,318 × 40, all policies", "s", 1, False, (132, 1_318, 13_180), replayed),
    "inspect": Row("inspect 10 M rows of 1 kB", "s", 5, False, (100_000, 1_000_000, 10_000_000), inspected),
    "programs": Row("sandboxed programs", "1/s", 50, True, (20, 100, 1_000), programs),
    "verdicts": Row("mathematical verdicts, isolated", "1/s", 500, True, (400, 4_000, 40_000), verdicts),
}  # fmt: skip
"""`replay` is about its middle size; the largest shows how it grows."""

if __name__ == "__main__":
    name, size, *data = sys.argv[1:]
    value, note = ROWS[name].measure(int(size), Path(data[0]) if data else None)
    print(json.dumps({"value": value, "note": note}))
