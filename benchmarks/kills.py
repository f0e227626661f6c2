"""One run, killed by SIGKILL at random moments of every stage under injected faults, against one that was left alone.

    python -m benchmarks.kills [KILLS]        100 without

The fake refuses (429 with Retry-After), breaks off, fails for a while or for good on some requests, and keeps its own
count of calls. It must hold: equal pools but for time; no received reply asked for again; what ended ≤ what the
server counted ≤ what ended and what was under way at a kill; dollars over rows equal dollars over calls.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal

from testtime.core.errors import ModelError
from testtime.core.records import Arm, Generation, Problem, Request
from testtime.core.seeds import digest
from testtime.core.strings import parse
from testtime.decoding.plain import Plain
from testtime.engine.plan import Lane, Plan
from testtime.engine.run import execute
from testtime.meters.price import Price, Prices
from testtime.models.scripted import ALL, Scripted
from testtime.store.journal import read_journal

TIMED = ("latency_s", "timestamp", "joules", "alone")
FAULTS = (
    ModelError("429", retry_after=0.003),
    ModelError("reset", lost=True),
    ModelError("500", retry=True),
)


class Faulty(Scripted):
    """Two calls in ten fail for a while, whatever they ask; one request in twenty fails for good."""

    async def _count(self) -> None:
        """As a server counts: what arrives, before anything can go wrong; faults come after."""
        await super()._count()
        if random.random() < 0.2:
            raise random.choice(FAULTS)

    async def generate(self, request: Request) -> Generation:
        """A reply, or a fault."""
        got = await super().generate(request)
        if int(digest(request.seed, length=6), 16) % 20 == 7:
            raise ModelError("400 filtered")
        return got


def plan(folder: Path) -> Plan:
    """40 problems, six draws each and an adaptive rule that may ask for ten."""
    folder.mkdir(parents=True, exist_ok=True)
    model = Faulty(lambda request, seed: f"{seed % 3}", can=ALL - {"n"}, seconds=0.002, count_file=folder / "server")
    problems = [Problem(f"q{at}", "test", f"question {at}", "1") for at in range(40)]
    lane = Lane(
        (Arm("arm", {"model": model.name}),),
        Plain({"max_tokens": 9}),
        lambda one: [{"role": "user", "content": one.question}],
        6,
    )
    return Plan(
        "run", "set", 0, problems, [lane], {model.name: model}, lambda one, text: (text, text), concurrency=8,
        policies=[parse("policy", "adaptive_margin:stop_rule=beta,threshold=.9,max_n=10")],
        price=Prices({model.name: Price(1.0, 3.0)}), attempts=30, backoff=0.001,
    )  # fmt: skip


def killed(folder: Path, after: float) -> bool:
    """Runs it in a child that is killed after so many seconds; whether it was still alive."""
    if (child := os.fork()) == 0:
        try:
            random.seed()
            asyncio.run(execute(plan(folder), folder))
        finally:
            os._exit(0)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def check(folder: Path) -> tuple[int, int, int]:
    """Raises AssertionError where a law does not hold; gives (what ended, what the server counted, its upper bound)."""
    lines = read_journal(folder).records
    ended = [line for line in lines if line["kind"] == "call"]
    received = Counter(key for line in ended if line["status"] == "ok" for key in line["children"])
    assert set(received.values()) == {1}, "a received reply was asked for again"
    lost = {line["id"] for line in lines if line["kind"] == "sent"} - {line["id"] for line in ended}
    served = (folder / "server").stat().st_size
    assert len(ended) <= served <= len(ended) + len(lost), (len(ended), served, len(lost))
    rows, calls = (pl.read_parquet(folder / f"{name}.parquet") for name in ("candidates", "calls"))
    assert abs(rows["paid_usd"].sum() - calls.filter(status="ok")["usd"].sum()) < 1e-9
    return len(ended), served, len(ended) + len(lost)


def main(kills: int, room: Path) -> None:
    """Kills one run so often, starting a new one where it ends before; prints what was counted."""
    began = time.perf_counter()
    asyncio.run(execute(plan(room / "whole"), room / "whole"))
    whole, usual = pl.read_parquet(room / "whole" / "candidates.parquet"), time.perf_counter() - began
    done = runs = most = 0
    while done < kills:
        folder, runs = room / str(runs), runs + 1
        while done < kills and killed(folder, random.uniform(0.0, usual / 4)):
            done += 1
        asyncio.run(execute(plan(folder), folder))
        ended, served, bound = check(folder)
        assert_frame_equal(pl.read_parquet(folder / "candidates.parquet").drop(TIMED), whole.drop(TIMED), abs_tol=1e-9)
        most = max(most, bound - ended)
        print(f"run {runs}: {done} kills so far; ended {ended} ≤ server {served} ≤ {bound}; equal to the whole run")
    print(f"{kills} kills over {runs} runs in {time.perf_counter() - began:.0f} s; at most {most} requests were lost")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 100, Path(name))
