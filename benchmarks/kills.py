"""One run, killed by SIGKILL at random moments of every stage under injected faults, against one that was left alone.

    python -m benchmarks.kills [KILLS]        100 without

The fake refuses (429 with Retry-After), breaks off, fails for a while or for good on some requests, and keeps its own
count of calls. Each candidate is judged in two stages: by a slow rule, and by a model. It must hold: equal pools but
for time; no received reply asked for again and no verdict given anew; what ended ≤ what the server counted ≤ what ended
and what was under way at a kill; dollars over rows equal dollars over calls.
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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
from polars.testing import assert_frame_equal

from testtime.core.errors import ModelError
from testtime.core.protocols import Ask
from testtime.core.records import Arm, Candidate, Generation, Problem, Request, Verdict
from testtime.core.seeds import digest
from testtime.core.strings import parse
from testtime.decoding.plain import Plain
from testtime.engine.plan import Lane, Plan
from testtime.engine.run import execute
from testtime.meters.price import Price, Prices
from testtime.models.scripted import ALL, Scripted
from testtime.store.journal import journal_folder, read_journal

TIMED = ("latency_s", "timestamp", "joules", "alone")
STAGES, CONCURRENCY = 2, 8
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


@dataclass(frozen=True)
class Slow:
    """A rule that takes its time, and counts what it is asked in a file."""

    count: Path
    stage: ClassVar[str] = "rule"
    digest: ClassVar[str] = "1"
    gold: ClassVar[bool] = True

    def refuses(self, problem: Problem) -> str | None:
        """Nothing."""
        return None

    async def verify(self, problem: Problem, candidate: Candidate, ask: Ask) -> Verdict:
        """Right or wrong."""
        self._begin()
        await asyncio.sleep(random.uniform(0, 0.006))
        value = candidate.facts.get("answer") == problem.reference
        return Verdict(self.stage, self.digest, value=value, confidence=1.0, gold=True)

    def _begin(self) -> None:
        with self.count.open("ab") as file:
            file.write(b".")


@dataclass(frozen=True)
class Opinion(Slow):
    """What a model says of it: its calls are paid for, and fail, as those of draws are."""

    stage: ClassVar[str] = "judge"

    async def verify(self, problem: Problem, candidate: Candidate, ask: Ask) -> Verdict:
        """Whatever the model says."""
        asked = [{"role": "user", "content": f"Is {candidate.text!r} right? {problem.question}"}]
        self._begin()
        got = await ask.generate("judge", Request(asked, params={"max_tokens": 4}))
        return Verdict(
            self.stage, self.digest, value=got.completions[0].text != "0", confidence=0.8, gold=True, calls=got.calls
        )


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
        "run", "set", 0, problems, [lane], {model.name: model}, lambda one, text: (text, text), concurrency=CONCURRENCY,
        policies=[parse("policy", "adaptive_margin:stop_rule=beta,threshold=.9,max_n=10")],
        price=Prices({model.name: Price(1.0, 3.0)}), attempts=30, backoff=0.001, roles={"judge": model.name},
        verifiers=[Slow(folder / "judged"), Opinion(folder / "judged")],
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


def check(folder: Path, kills: int) -> tuple[int, int, int]:
    """Raises AssertionError where a law does not hold; gives (what ended, what the server counted, its upper bound)."""
    lines = read_journal(folder).records
    ended = [line for line in lines if line["kind"] == "call"]
    received = Counter(key for line in ended if line["status"] == "ok" for key in line["children"])
    assert set(received.values()) == {1}, "a received reply was asked for again"
    lost = {line["id"] for line in lines if line["kind"] == "sent"} - {line["id"] for line in ended}
    served = (folder / "server").stat().st_size
    assert len(ended) <= served <= len(ended) + len(lost), (len(ended), served, len(lost))
    verdicts = Counter(line["id"] for line in lines if line["kind"] == "verdict")
    assert set(verdicts.values()) == {1}, "a verdict was given anew"
    assert len(verdicts) == STAGES * judged_of(lines)
    begun = (folder / "judged").stat().st_size
    assert len(verdicts) <= begun <= len(verdicts) + kills * CONCURRENCY, "verdicts that were there were asked for"
    rows, calls = (pl.read_parquet(folder / f"{name}.parquet") for name in ("candidates", "calls"))
    assert abs(rows["paid_usd"].sum() - calls.filter(status="ok")["usd"].sum()) < 1e-9
    return len(ended), served, len(ended) + len(lost)


def judged_of(lines: Sequence[Mapping[str, Any]]) -> int:
    """How many candidates are due verdicts: those that did not fail."""
    drawn = {line["id"]: line["candidates"] for line in lines if line["kind"] == "draw"}
    return int(sum(one.get("error") is None for candidates in drawn.values() for one in candidates))


def between_verdicts(folder: Path) -> bool:
    """Whether a kill left a draw without some of its verdicts."""
    if not journal_folder(folder).exists():
        return False
    lines = read_journal(folder).records
    return sum(line["kind"] == "verdict" for line in lines) < STAGES * judged_of(lines)


def main(kills: int, room: Path) -> None:
    """Kills one run so often, starting a new one where it ends before; prints what was counted."""
    began = time.perf_counter()
    asyncio.run(execute(plan(room / "whole"), room / "whole"))
    whole, usual = pl.read_parquet(room / "whole" / "candidates.parquet"), time.perf_counter() - began
    done = runs = most = unjudged = 0
    while done < kills:
        folder, runs, before = room / str(runs), runs + 1, done
        while done < kills and killed(folder, random.uniform(0.0, usual / 4)):
            done += 1
            unjudged += between_verdicts(folder)
        asyncio.run(execute(plan(folder), folder))
        ended, served, bound = check(folder, done - before)
        assert_frame_equal(pl.read_parquet(folder / "candidates.parquet").drop(TIMED), whole.drop(TIMED), abs_tol=1e-9)
        most = max(most, bound - ended)
        print(f"run {runs}: {done} kills so far; ended {ended} ≤ server {served} ≤ {bound}; equal to the whole run")
    print(f"{kills} kills over {runs} runs in {time.perf_counter() - began:.0f} s; at most {most} requests were lost")
    print(f"{unjudged} of the kills left draws without some of their verdicts")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 100, Path(name))
