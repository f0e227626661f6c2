"""Requests leave as fast as a provider takes them and no faster: ceiling, paces, "too many", Retry-After, patience."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plans import plan_of, run

from testtime.core.errors import ModelError
from testtime.core.records import Generation, Request
from testtime.decoding.plain import Plain
from testtime.engine.gate import Gate, Pace
from testtime.models.scripted import ALL, Scripted

ALONE = ALL - {"n"}


class Strict(Scripted):
    """Takes `most` requests at once; to any more it says 429, and for how long it wants peace.

    It notes how many were under way, and every request that came before that was over.
    """

    def __init__(self, most: int, wait: float, seconds: float = 0.02) -> None:
        super().__init__(lambda request, seed: f"s{seed}", can=ALONE)
        self.most, self.wait, self.takes = most, wait, seconds
        self.under_way = self.peak = self.refusals = self.early = 0
        self.peace = 0.0

    async def generate(self, request: Request) -> Generation:
        now = time.monotonic()
        self.early += now < self.peace - 0.002
        if self.under_way >= self.most:
            self.refusals += 1
            self.peace = max(self.peace, now + self.wait)
            raise ModelError("429 too many requests", retry_after=self.wait)
        self.under_way += 1
        self.peak = max(self.peak, self.under_way)
        try:
            await asyncio.sleep(self.takes)
            return await super().generate(request)
        finally:
            self.under_way -= 1


def test_a_busy_provider_is_asked_less_and_every_draw_is_made(tmp_path: Path) -> None:
    """The limit falls to what it takes, and no request leaves while it wants peace."""
    model = Strict(most=4, wait=0.05)
    done, rows, calls = run(plan_of(model, due=8, count=12, concurrency=32, attempts=1), tmp_path)
    assert (done.made, done.failed, rows["error"].null_count()) == (96, 0, 96)
    assert model.peak == 4
    assert model.early == 0
    assert calls["status"].to_list().count("failed") == model.refusals
    assert model.refusals < 96, "a scheduler that does not adapt is refused most of the time"


def test_a_request_is_on_its_way_before_the_next_but_one_is_made(tmp_path: Path) -> None:
    """Made in step, the first of many would leave only when the last is made, and every reply be as late."""
    made, left, most, all_left = [0], [0], [0], asyncio.Event()

    class Sends(Scripted):
        async def generate(self, request: Request) -> Generation:
            made[0] += 1
            most[0] = max(most[0], made[0] - left[0])
            await asyncio.sleep(0)  # as an SDK hands what it has made to a task that writes it
            left[0] += 1
            if left[0] == 32:
                all_left.set()
            await all_left.wait()
            return await super().generate(request)

    model = Sends(lambda request, seed: f"s{seed}", can=ALONE)
    done, *_ = run(plan_of(model, due=2, count=16, concurrency=32), tmp_path)
    assert (done.made, most[0] <= 2) == (32, True), f"{most[0]} were made before one of them left"


def test_a_provider_that_stays_busy_is_given_up_after_the_patience(tmp_path: Path) -> None:
    model = Strict(most=0, wait=0.01)
    done, rows, _ = run(plan_of(model, due=1, count=2, patience=0.05), tmp_path)
    assert done.failed == 2
    assert set(rows["error"]) == {"429 too many requests"}
    model = Strict(most=0, wait=3600.0)
    began = time.monotonic()
    assert run(plan_of(model, due=1, count=1, patience=0.05), tmp_path / "hour")[0].failed == 1
    assert (model.refusals, time.monotonic() - began < 60) == (1, True), "a wait beyond the patience is not begun"


def test_only_what_is_transient_is_tried_again_and_every_attempt_is_in_the_ledger(tmp_path: Path) -> None:
    errors = [ModelError("500", retry=True), ModelError("reset", lost=True), ModelError("503", busy=True)]
    model = Scripted(lambda request, seed: f"s{seed}", can=ALONE, failures=[*errors])
    done, _, calls = run(plan_of(model, due=1, count=1, attempts=3), tmp_path / "mended")
    assert (done.failed, calls["status"].to_list()) == (0, ["failed"] * 3 + ["ok"])
    assert calls["why"].to_list() == ["500", "reset", "503", None]
    assert calls["attempt"].to_list() == [1, 2, 3, 4]
    model = Scripted(lambda request, seed: ModelError("400 bad request"), can=ALONE)
    done, _, calls = run(plan_of(model, due=1, count=1), tmp_path / "final")
    assert (done.failed, calls["why"].to_list()) == (1, ["400 bad request"])


def test_a_call_that_takes_too_long_is_given_up_and_may_have_been_billed(tmp_path: Path) -> None:
    class Slow(Scripted):
        async def generate(self, request: Request) -> Generation:
            if not self.calls:
                self.calls += 1
                await asyncio.sleep(60)
            return await super().generate(request)

    done, rows, calls = run(plan_of(Slow(lambda r, s: "x", can=ALONE), due=1, count=1, timeout=0.05), tmp_path)
    assert (done.failed, rows["candidate_text"].to_list()) == (0, ["x"])
    assert calls["why"].to_list() == ["TimeoutError: no answer within 0.05 s", None]


@given(st.lists(st.integers(0, 50), min_size=1, max_size=40), st.integers(1, 600))
def test_no_minute_holds_more_than_its_pace(amounts: list[int], a_minute: int) -> None:
    """All that leaves within any minute, but for its last request, is at most what a minute may hold."""
    pace, left = Pace(float(a_minute)), list[tuple[float, int]]()
    for amount in amounts:
        left.append((pace.take(amount, 0.0), amount))
    for start, _ in left:
        within = [amount for when, amount in left if start <= when < start + 60.0 - 1e-6]
        assert sum(within[:-1]) <= a_minute + 1e-6


def test_what_was_not_used_is_given_back() -> None:
    pace = Pace(60.0)
    assert pace.take(10, 0.0) == 0.0
    pace.give_back(9)
    assert pace.take(1, 0.0) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("how", "least"), [({"requests_per_minute": 1200.0}, 0.35), ({"tokens_per_minute": 24e3}, 0.5)]
)
def test_a_plan_keeps_its_pace(tmp_path: Path, how: dict[str, Any], least: float) -> None:
    """8 requests at 20 a second take 7 / 20 s; 8 of about 37 tokens at 400 a second (22 were needed) 0.5 s."""
    model, began = Scripted(lambda r, s: "x " * 19 + "x", can=ALONE), time.monotonic()
    run(plan_of(model, due=1, count=8, concurrency=8, decoding=Plain({"max_tokens": 20}), **how), tmp_path)
    assert time.monotonic() - began >= least * 0.95


def test_additive_increase_multiplicative_decrease() -> None:
    async def story() -> list[int]:
        gate, limits = Gate(16), []
        left = [await gate.enter() for _ in range(16)]
        for at in left[:5]:  # five refusals of one burst are one story
            gate.too_many(at, 0.0)
        limits.append(int(gate.limit))
        for _ in range(16):
            gate.leave()
        at = await gate.enter()
        gate.too_many(at + 1.0, 0.0)
        limits.append(int(gate.limit))
        gate.leave()
        for _ in range(4):
            gate.answered()
        limits.append(int(gate.limit))
        for _ in range(1000):
            gate.answered()
        return [*limits, int(gate.limit)]

    assert asyncio.run(story()) == [8, 4, 4, 16]


def test_one_who_is_cancelled_while_it_waits_takes_no_place() -> None:
    async def story() -> int:
        gate = Gate(1)
        await gate.enter()
        waiting = [asyncio.create_task(gate.enter()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        gate.leave()  # hands the place on ...
        waiting[1].cancel()  # ... to one who is cancelled before it comes
        await asyncio.gather(*waiting, return_exceptions=True)
        return gate.inside

    assert asyncio.run(story()) == 1
