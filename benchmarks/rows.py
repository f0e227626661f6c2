"""The rows of the table: one kind of work each, at a size, measured in a process of its own.

    python -m benchmarks.rows NAME SIZE      prints {"value": …, "note": …, "used": …} as JSON

A row's value is in the unit of its aim, by the clock; `used` is the processor time of the same work, of all processes
that did it, which other load on the machine changes little. Each is warm where work goes on and cold where a command
starts.
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

Said = tuple[float, str, float]
"""A value, what else is to be said of it, and the processor seconds of the work."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    unit: str
    aim: float | None
    more_is_better: bool
    sizes: tuple[int, int, int]
    """Once, ten times and a hundred times the work, for its growth."""
    whole: int
    """The work that the aim is about (`--full`)."""
    measure: Callable[[int], Said]

    def met(self, value: float) -> bool | None:
        """Whether the aim is met; None where there is none."""
        return None if self.aim is None else (value >= self.aim) == self.more_is_better or value == self.aim


def peak() -> str:
    """The most memory of this process."""
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:,.0f} MB at most"


def processor() -> float:
    """Processor seconds of this process and of all it started, those that still run included (Linux)."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime + sum(map(_living, _children(os.getpid())))


def _children(process: int) -> list[int]:
    texts = [path.read_text() for path in Path(f"/proc/{process}/task").glob("*/children")]
    return [int(word) for text in texts for word in text.split()]


def _living(process: int) -> float:
    try:
        times = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:15]
        return sum(map(int, times)) / os.sysconf("SC_CLK_TCK") + sum(map(_living, _children(process)))
    except OSError:  # it has ended meanwhile, and is counted there
        return 0.0


def again(name: str, *words: object) -> tuple[float, str, float]:
    """A piece of a row in a process of its own: (seconds, what it printed, processor seconds)."""
    began, used = time.perf_counter(), processor()
    line = [sys.executable, "-m", "benchmarks.pieces", name, *map(str, words)]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    return time.perf_counter() - began, done.stdout.strip(), processor() - used


def command(*words: str) -> tuple[float, float]:
    """(Seconds, processor seconds) of the fastest of five runs of the command."""

    def once() -> tuple[float, float]:
        began, used = time.perf_counter(), processor()
        subprocess.run([sys.executable, "-m", "testtime", *words], check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - began, processor() - used

    runs = [once() for _ in range(5)]
    return min(wall for wall, _ in runs), min(used for _, used in runs)


# ---- commands ----
def help_(size: int) -> Said:
    """The help."""
    wall, used = command("--help")
    return wall, "best of 5", used


def small(size: int) -> Said:
    """What is in a small pool."""
    with tempfile.TemporaryDirectory() as room:
        again("pool", room, size)
        wall, used = command("inspect", f"{room}/run")
    return wall, f"best of 5; {size:,} rows", used


# ---- drawing ----
def durable(size: int) -> Said:
    """Candidates a second, each in the journal, by a model that answers at once."""
    from benchmarks import beside
    from benchmarks.engine import measure

    with tempfile.TemporaryDirectory() as room:
        wall, used = min(measure(Path(room) / "run", size, 0.0, 16, False) for _ in range(2))
    told = []
    for name, (peer, code) in beside.CASES.items():
        found = None if peer is None or size != ROWS["durable"].whole else beside.measure(peer, code, beside.USUAL)
        told += [f"{name} {found[0] / found[1]:,.0f}"] if isinstance(found, list) else []
    return size / wall, "; ".join([f"{size / used:,.0f} by processor time", peak(), *told]), used


def in_flight(size: int) -> Said:
    """Of the ideal, with 256 calls of a second in flight."""
    from benchmarks.engine import measure

    with tempfile.TemporaryDirectory() as room:
        wall, used = measure(Path(room) / "run", size, 1.0, 256, False)
    return 100 * size / 256 / wall, f"{size:,} candidates", used


def through_sdk(size: int) -> Said:
    """The same through the openai package and HTTP, to a server in a process of its own."""
    if find_spec("openai") is None:
        raise SystemExit("the package openai is not installed")
    server = subprocess.Popen([sys.executable, "-m", "benchmarks.pieces", "server"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        with tempfile.TemporaryDirectory() as room:
            seconds, said, used = again("client", room, size, url)
    finally:
        server.kill()
        server.wait()
    wall = float(said)
    return 100 * size / 256 / wall, f"{size:,} candidates; {seconds - wall:.1f} s to start", used


def resume(size: int) -> Said:
    """Seconds until a run of a journal of so many lines knows that nothing is left."""
    candidates = size // 3 // 16 * 16
    with tempfile.TemporaryDirectory() as room:
        again("journal", room, candidates)
        _, said, used = again("resume", room, candidates)
        lines = sum(path.read_bytes().count(b"\n") for path in Path(room).glob("journal/*.jsonl"))
    seconds, memory = said.split(" ", 1)
    return float(seconds), f"{lines:,} lines; {memory}; wanted < 500 MB", used


# ---- reading ----
def replayed(size: int) -> Said:
    """Processor seconds of all maj@k and ten rules over 100 orders, so many problems of 40 draws."""
    from benchmarks import replay

    replay.PROBLEMS = size
    pool = replay.synthetic()
    _, best = replay.repeated(
        lambda: replay.outcomes(pool, [*replay.FIXED, *replay.TEN], orders=replay.ORDERS, exact=False), times=3
    )
    package = replay.package(pool)
    beside = package.note if package.seconds != package.seconds else f"{package.seconds:.0f} s, {package.note}"
    return best, f"one rule by AdaptiveConsistency: {beside}", best


def inspected(size: int) -> Said:
    """Seconds to say what is in so many rows of a kilobyte."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_ROOM")) as room:
        again("pool", room, size)
        _, said, used = again("inspect", room)
        beside = again("pandas", room)[1] if find_spec("pandas") else "not installed"
    seconds, memory = said.split(" ", 1)
    return float(seconds), f"{memory}; wanted < 1,500 MB; four columns by pandas: {beside}", used


# ---- judging ----
def programs(size: int) -> Said:
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
        used = processor()
        rate = size / asyncio.run(all_of_them())
    finally:
        sandbox.close()
        used = processor() - used
    began = time.perf_counter()
    for _ in range(20):
        subprocess.run([sys.executable, "-I", "-S", "-c", text + tests], check=True)
    return rate, f"{sandbox.name}; one after another as plain Python: {20 / (time.perf_counter() - began):.0f}", used


def verdicts(size: int) -> Said:
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

    used = processor()
    rate = size / asyncio.run(isolated())
    used, began = processor() - used, time.perf_counter()
    for job in jobs[:400]:
        equality.compare(job["gold"], job["prediction"], {})
    return rate, f"math-verify in this process: {min(size, 400) / (time.perf_counter() - began):,.0f}", used


def tokens(size: int) -> Said:
    """Tokens a second of pocket-m at batch 16; transformers beside it: python -m benchmarks.pocket."""
    from testtime.core.records import Request
    from testtime.models.naming import open_model

    model: Any = open_model("pocket:pocket-m")
    asked = [{"role": "user", "content": "A farmer has 12 cows and buys 3 more. How many cows are there?"}]

    async def written(count: int) -> int:
        request = Request(asked, n=count, seed=1, params={"temperature": 1.0, "max_tokens": 160})
        return sum(one.tokens or 0 for one in (await model.generate(request)).completions)

    async def timed() -> tuple[float, float]:
        await written(16)
        began, used, count = time.perf_counter(), processor(), 0
        for _ in range(size):
            count += await written(16)
        return count / (time.perf_counter() - began), processor() - used

    rate, used = asyncio.run(timed())
    return rate, f"{'numba' if find_spec('numba') else 'numpy'}; its texts end by themselves", used


ROWS: dict[str, Row] = {
    "help": Row("testtime --help", "s", 0.3, False, (1, 1, 1), 1, help_),
    "small": Row("inspect a small run", "s", 0.6, False, (64, 640, 6_400), 640, small),
    "tokens": Row("pocket-m, batch 16", "tokens/s", None, True, (1, 10, 100), 32, tokens),
    "durable": Row("durable candidates, instant model", "1/s", 5_000, True, (160, 1_600, 16_000), 32_000, durable),
    "in_flight": Row("256 in flight at 1 s, direct", "% of ideal", 95, True, (64, 640, 6_400), 5_120, in_flight),
    "through_sdk": Row(
        "256 in flight at 1 s, openai over HTTP", "% of ideal", 95, True, (64, 640, 6_400), 5_120, through_sdk
    ),
    "resume": Row("resume a journal", "s", 5, False, (3_000, 30_000, 300_000), 1_000_000, resume),
    "replay": Row("replay, 40 draws, all policies", "s", 1, False, (66, 659, 6_590), 1_318, replayed),
    "inspect": Row("inspect rows of 1 kB", "s", 5, False, (10_000, 100_000, 1_000_000), 10_000_000, inspected),
    "programs": Row("sandboxed programs", "1/s", 50, True, (5, 50, 500), 1_000, programs),
    "verdicts": Row("mathematical verdicts, isolated", "1/s", 500, True, (50, 500, 5_000), 4_000, verdicts),
}

if __name__ == "__main__":
    value, note, used = ROWS[sys.argv[1]].measure(int(sys.argv[2]))
    print(json.dumps({"value": value, "note": note, "used": used}))
