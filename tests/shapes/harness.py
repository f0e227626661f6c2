"""Runs a shape whole, kills it at every line of its journal, resumes, and compares.

A shape is a function from a folder to a plan: one scripted model or more, and its own decoding, judge,
policy or meter. The law of every shape: its pool after kills equals the uninterrupted one in all columns
but time and energy, no reply that was received is asked for again, what the server counted lies between
what finished and that plus what was in flight, and the files open as a pool.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from testtime.analysis.play import play
from testtime.core.history import Ballot
from testtime.core.records import Arm, Problem
from testtime.core.seeds import digest
from testtime.engine.plan import Lane, Plan
from testtime.engine.run import Finished, execute, fill
from testtime.models.scripted import Scripted
from testtime.store.frame import open_pool
from testtime.store.journal import Journal, read_journal
from testtime.store.pool import Pool

TIMED = ("latency_s", "joules", "timestamp")
"""Columns that two runs may differ in."""
Shape = Callable[[Path], Plan]


def problems(count: int) -> list[Problem]:
    return [Problem(f"q{at}", "test", f"what is {at} plus {at}", str(2 * at)) for at in range(count)]


def asked(problem: Problem) -> list[dict[str, str]]:
    return [{"role": "user", "content": problem.question}]


def last_word(problem: Problem, text: str) -> tuple[str | None, str | None]:
    """The answer is the last word, if it is a number."""
    word = text.split()[-1] if text.split() else ""
    return (word, word) if word.isdigit() else (None, None)


def guess(request: Any, seed: int) -> str:
    """Works a little, and is right, off by one, or undecided, as the seed says."""
    luck, right = int(digest(seed, length=6), 16), int(request.messages[0]["content"].split()[-1]) * 2
    return f"I think {'so ' * (luck % 4)}it is {[right, right, right, right + 1, 'unclear'][luck % 5]}"


def server(folder: Path, script: Any = guess, name: str = "scripted:1", **how: Any) -> Scripted:
    """A model whose calls are counted in the folder, whatever becomes of the client."""
    folder.mkdir(parents=True, exist_ok=True)
    return Scripted(script, name=name, count_file=folder / "server", **how)


def plan(model: Scripted, lanes: Iterable[Lane], count: int = 3, **how: Any) -> Plan:
    usual: dict[str, Any] = {"answer": last_word, "models": {model.name: model}, "concurrency": 2, "backoff": 0.0}
    return Plan("shape", "sums", 0, problems(count), list(lanes), **{**usual, **how})


def lane(decoding: Any, due: int, *labels: str, **models: str) -> Lane:
    roles = models or {"model": "scripted:1"}
    return Lane(tuple(Arm(label, roles, decoding={"kind": label}) for label in labels), decoding, asked, due)


@dataclass
class Outcome:
    """A finished run, read back."""

    folder: Path
    plan: Plan
    finished: Finished
    rows: pl.DataFrame
    retries: pl.DataFrame
    """Marked retries; of no row where there are none."""
    calls: pl.DataFrame
    pool: Pool
    records: list[dict[str, Any]]
    served: int
    """How many calls the models counted."""


def finish(shape: Shape, folder: Path) -> Outcome:
    """Runs the shape to its end, from wherever it is, and checks the books."""
    done = asyncio.run(execute(made := shape(folder), folder))
    rows, calls = (pl.read_parquet(folder / f"{name}.parquet") for name in ("candidates", "calls"))
    again = folder / "retries.parquet"
    retries = pl.read_parquet(again) if again.exists() else rows.clear()
    records, served = read_journal(folder).records, (folder / "server").stat().st_size
    outcome = Outcome(folder, made, done, rows, retries, calls, open_pool(folder), records, served)
    check_books(outcome)
    return outcome


def check_books(outcome: Outcome) -> None:
    """No reply twice; the server's count within its bounds; rows bear exactly what calls cost."""
    ended = [line for line in outcome.records if line["kind"] == "call"]
    received = Counter(key for line in ended if line["status"] == "ok" for key in line["children"])
    assert set(received.values()) <= {1}
    finished = sum(line["model"] in outcome.plan.models for line in ended)
    lost = {line["id"] for line in outcome.records if line["kind"] == "sent"} - {line["id"] for line in ended}
    assert finished <= outcome.served <= finished + len(lost)
    assert outcome.calls.height == len(ended) + len(lost)
    answered = outcome.calls.filter(status="ok")
    assert answered["usd"].null_count() == 0
    rows = pl.concat([outcome.rows, outcome.retries])
    assert rows.filter(rows["paid_usd"].is_null())["error"].null_count() == 0
    assert rows["paid_usd"].sum() == pytest.approx(answered["usd"].sum(), abs=1e-12)


def killed_at(shape: Shape, folder: Path, line: int, after: bool) -> bool:
    """Runs the shape in a child that kills itself before or after a journal line; False if it outlived that.

    Windows are not counted: how many there are depends on the clock.
    """
    if (child := os.fork()) == 0:
        append, left = Journal.append, [line]

        def deadly(journal: Journal, kind: Any, id: str, /, **fields: Any) -> None:
            left[0] -= kind != "window"
            if left[0] < 0 and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            append(journal, kind, id, **fields)
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            Journal.append = deadly  # type: ignore[method-assign]
            asyncio.run(fill(shape(folder), folder))
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def same(one: Outcome, other: Outcome) -> None:
    """Equal pools, but for time and energy."""
    for mine, theirs in ((one.rows, other.rows), (one.retries, other.retries)):
        assert_frame_equal(mine.drop(TIMED), theirs.drop(TIMED), check_exact=False, abs_tol=1e-12)
    assert one.pool.arms.keys() == other.pool.arms.keys()
    for label, draws in one.pool.arms.items():
        assert (draws.codes == other.pool.arms[label].codes).all()
        assert draws.floor == other.pool.arms[label].floor


def survives(shape: Shape, folder: Path, points: int = 12) -> Outcome:
    """The law, for kills spread over the whole run; gives the uninterrupted outcome."""
    whole = finish(shape, folder / "whole")
    lines = sum(line["kind"] != "window" for line in whole.records)
    for at in sorted({round(point * (lines - 1) / points) for point in range(points + 1)}):
        there = folder / str(at)
        assert killed_at(shape, there, at, after=bool(at % 2))
        same(finish(shape, there), whole)
    return whole


def live_is_replay(outcome: Outcome) -> None:
    """Each policy executed live saw the draws, and chose the answers, of its replay in issue order."""
    assert outcome.finished.realised
    for live in outcome.finished.realised:
        played = play(live.policy, outcome.pool.worlds(), live.arms)
        assert not played.exhausted[0, live.problems].any()
        for label, seen in live.seen.items():
            assert seen[0].tolist() == played.seen[label][0, live.problems].tolist()
        row = {int(at): row for row, at in enumerate(live.problems)}
        assert votes(live.ballot) == [(row[at], *rest) for at, *rest in votes(played.ballot) if at in row]


def votes(ballot: Ballot) -> list[tuple[Any, ...]]:
    columns = (ballot.row, ballot.draw, ballot.arm, ballot.weight)
    return sorted(zip(*(column.tolist() for column in columns), strict=True))
