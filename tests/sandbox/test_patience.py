"""Proves that a program is late by what it does and not by what else the machine does: what it waited for a processor
is given again, and nothing to one that used its time, sleeps, or has waited for longer than anybody should.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from testtime.core.records import Limits
from testtime.sandbox import bubblewrap, patience
from testtime.sandbox.bubblewrap import Bubblewrap
from testtime.sandbox.patience import Deadline, Used, Watched
from testtime.sandbox.rlimits import Rlimits

COUNTED = Path("/proc/thread-self/schedstat").exists()


@dataclass
class Clock:
    """Seconds of the clock, and those that the processes of a program used."""

    now: float = 0.0
    program: Used = field(default_factory=Used)
    tests: Used = field(default_factory=Used)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    told = Clock()
    monkeypatch.setattr(patience.time, "monotonic", lambda: told.now)
    monkeypatch.setattr(patience, "_of_thread", lambda: 0.0)
    monkeypatch.setattr(Watched, "used", lambda self: told.program if self.pid == 1 else told.tests)
    return told


def deadline(program: Watched | None = Watched(1, 0)) -> Deadline:  # noqa: B008
    return Deadline(10.0, program, [Watched(2, 1)])


def test_by_the_clock_alone_where_nobody_counts(clock: Clock) -> None:
    until = deadline(None)
    clock.now = 9.0
    assert until.left() == 1.0
    clock.now, clock.tests = 10.0, Used(5.0, 1.0)
    assert until.left() == 0.0


def test_what_was_waited_is_given_again(clock: Clock) -> None:
    until = deadline()
    clock.now, clock.program, clock.tests = 10.0, Used(6.0, 2.0), Used(1.0, 0.5)
    assert until.left() == pytest.approx(7.0)
    clock.now = 17.0
    assert until.left() == 0.0, "and no more"


@pytest.mark.parametrize(
    "used", [Used(0.0, 0.1), Used(60.0, 10.0)], ids=["it slept", "its processes used its seconds among them"]
)
def test_nothing_is_given_to_one_that_sleeps_or_had_its_time(clock: Clock, used: Used) -> None:
    until = deadline()
    clock.now, clock.program = 10.0, used
    assert until.left() == 0.0


def test_nobody_waits_for_ever(clock: Clock) -> None:
    until = deadline()
    clock.now, clock.program = patience.MOST * 10.0, Used(10_000.0, 0.0)
    assert until.left() == 0.0


def test_a_process_that_has_ended_or_is_none_of_ours_used_nothing() -> None:
    assert Watched(2**30, 0).used() == Used()
    assert Watched(os.getpid(), 5).used() == Used()


def spin(ready: Any) -> None:
    ready.release()
    while True:
        pass


@pytest.mark.skipif(not COUNTED, reason="this system does not count how long a thread waits")
@pytest.mark.parametrize("kind", ["bubblewrap", "subprocess"])
def test_a_right_program_is_right_on_a_machine_with_other_work(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of processors that others hold it gets a quarter: by the clock it would be late."""
    monkeypatch.setattr(patience, "MOST", 1000)  # the machine of this test may have other work still
    if kind == "bubblewrap" and (why := bubblewrap.missing()) is not None:
        pytest.skip(f"no bubblewrap: {why}")
    context = multiprocessing.get_context("spawn")
    ready = context.Semaphore(0)
    others = [context.Process(target=spin, args=(ready,), daemon=True) for _ in range(3 * (os.cpu_count() or 1))]
    work = "import time\ndef f(x):\n    while time.process_time() < 0.6: pass\n    return 2 * x\n"
    box = Bubblewrap(1) if kind == "bubblewrap" else Rlimits(1)
    try:
        for other in others:
            other.start()
        for _ in others:
            ready.acquire()
        began = time.monotonic()
        ran = asyncio.run(box.check(work, "", "assert f(2) == 4", Limits(seconds=1.0)))
        took = time.monotonic() - began
        printed = asyncio.run(box.run(f"{work}print(f(3))", "", Limits(seconds=1.0)))
    finally:
        for other in others:
            other.kill()
        box.close()
    assert ran.verdict is True, f"{ran} after {took:.1f} s"
    assert (printed.ended, printed.stdout) == ("exit", "6\n")
