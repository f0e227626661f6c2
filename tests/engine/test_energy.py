"""Joules of a window are shared out whole over the calls in it, by their tokens; what no window covers is unknown."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plans import echo_seed, plan_of, run

from testtime.core.history import Floats
from testtime.core.spend import Spend
from testtime.engine import energy
from testtime.engine.energy import Window, attribute, level, tokens_of
from testtime.engine.finish import write_pool
from testtime.engine.ledger import Session, at_once
from testtime.engine.run import fill
from testtime.meters.constant import Constant as Steady
from testtime.meters.trace import integral, rise
from testtime.store.journal import read_journal

times = st.floats(0, 100, allow_nan=False)


def contiguous(edges: list[float], joules: list[float]) -> list[Window]:
    cuts = sorted(edges)
    return [Window(a, b, j) for a, b, j in zip(cuts[:-1], cuts[1:], joules, strict=False)]


def shares(windows: list[Window], calls: list[tuple[float, float]], tokens: list[float]) -> list[float]:
    started, ended = np.array(calls, dtype=float).reshape(-1, 2).T
    found: Floats = attribute(windows, started, ended, np.array(tokens, dtype=float))
    return found.tolist()


@given(
    st.lists(st.integers(0, 100), min_size=2, max_size=8, unique=True),
    st.lists(st.floats(0, 1000), min_size=7, max_size=7),
    st.lists(st.tuples(times, times, st.sampled_from([0.0, 3.0, 40.0, np.nan])), max_size=12),
    st.integers(1, 5),
)
def test_the_sum_over_calls_is_the_sum_over_windows_with_a_call(
    edges: list[int], joules: list[float], drawn: list[tuple[float, float, float]], at_once: int
) -> None:
    windows = contiguous([float(edge) for edge in edges], joules)
    low, high = windows[0].started, windows[-1].ended
    spans = [(min(a, b), max(a, b), tokens) for a, b, tokens in drawn]
    calls = [one for one in spans if low <= one[0] and one[1] <= high and one[1] - one[0] > 1e-6]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(energy, "AT_ONCE", at_once)
        found = shares(windows, [one[:2] for one in calls], [one[2] for one in calls])
    busy = [w for w in windows if any(min(b, w.ended) > max(a, w.started) for a, b, _ in calls)]
    assert not np.isnan(found).any()
    assert sum(found) == pytest.approx(sum(w.joules or 0.0 for w in busy), abs=1e-6)


def test_two_calls_share_by_their_tokens_in_each_window() -> None:
    windows = [Window(0, 10, 100.0), Window(10, 20, 60.0)]
    found = shares(windows, [(0, 12), (5, 10), (14, 15)], [120, 30, 50])
    assert found == pytest.approx([100 * 100 / 130 + 60 * 20 / 70, 100 * 30 / 130, 60 * 50 / 70])


def test_where_one_does_not_say_its_tokens_or_nobody_has_any_the_window_goes_by_seconds() -> None:
    calls: list[tuple[float, float]] = [(0, 10), (5, 10), (12, 14)]
    assert shares([Window(0, 10, 90.0), Window(10, 20, 7.0)], calls, [1, np.nan, 5]) == pytest.approx([60, 30, 7])
    assert shares([Window(0, 10, 90.0), Window(10, 20, 7.0)], calls, [0, 0, 0]) == pytest.approx([60, 30, 7])


def test_what_no_closed_window_covers_or_measured_is_unknown() -> None:
    windows = [Window(0, 10, 100.0), Window(10, 20, None)]
    outside, half, unmeasured, known = shares(windows, [(30, 31), (15, 25), (9, 11), (1, 2)], [1, 1, 1, 1])
    assert np.isnan([outside, half, unmeasured]).all()
    assert known == pytest.approx(100 * 1 / 1.5)  # half of the tokens of the one from 9 to 11 were in this window


def test_what_a_cache_gave_took_no_energy_and_what_is_not_known_is_not_guessed() -> None:
    assert tokens_of(Spend(prompt=100, cached=90, completion=5)) == 15
    assert tokens_of(Spend(prompt=100, completion=5)) == 105
    assert np.isnan(tokens_of(Spend(prompt=100)))


class Heater:
    """Takes 50 watts at rest and 1000 joules in every window besides: power is integrated, or a counter read."""

    source = "heater"

    def __init__(self, begin: int = 0) -> None:
        self.windows, self.counter = 0, begin

    @asynccontextmanager
    async def window(self) -> AsyncIterator[dict[str, float | None]]:
        seen: dict[str, float | None] = {}
        self.windows += 1
        yield seen
        seen["joules"] = 10.0 if self.windows == 1 else self.joules()

    def joules(self) -> float | None:
        return 1000.0


class Constant(Heater):
    def joules(self) -> float | None:
        return integral([(0.0, 200.0), (1.0, 200.0), (5.0, 200.0)])


class Ramp(Heater):
    def joules(self) -> float | None:
        return integral([(0.0, 0.0), (0.5, 40.0), (5.0, 400.0)])


class WrapAround(Heater):
    """A counter of 32 bits of microjoules that comes round."""

    def joules(self) -> float | None:
        before, self.counter = self.counter, (self.counter + 1_000_000_000) % 2**32
        rose = rise(before, self.counter, 2**32 - 1)
        return None if rose is None else rose / 1e6


@pytest.mark.parametrize("meter", [Constant(), Ramp(), WrapAround(2**32 - 5)], ids=["constant", "ramp", "wrap-around"])
def test_what_rows_bear_is_what_the_windows_measured(
    tmp_path: Path, meter: Heater, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(energy, "TOLERANCE", 1.0)  # a busy machine leaves milliseconds between two windows
    model = echo_seed(seconds=0.02)
    plan = plan_of(model, due=4, count=6, concurrency=2, share=2, meter=meter, window=0.03, idle=0.02)
    _, rows, calls = run(plan, tmp_path)
    said: dict[str, Any] = json.loads(pq.read_schema(tmp_path / "candidates.parquet").metadata[b"energy_windows"])
    busy = meter.windows - 1
    assert said["joules"] == pytest.approx(1000.0 * busy)
    assert rows["joules"].sum() == pytest.approx(calls["joules"].sum()) == pytest.approx(said["attributed"])
    with_calls = said["attributed"] / 1000.0  # all but those, as the last may be, in which no call was under way
    assert with_calls == pytest.approx(round(with_calls))
    assert 1 <= round(with_calls) <= busy
    assert rows["joules"].null_count() == said["unknown_calls"] == 0
    assert said["source"] == "heater"
    assert 0 < said["idle_watts"] <= 10.0 / 0.02
    assert 0 < said["batch_size"] <= 2.001


def test_a_window_that_could_not_be_read_leaves_its_rows_unknown_and_others_known(tmp_path: Path) -> None:
    class Blinks(Heater):
        def joules(self) -> float | None:
            return None if self.windows == 2 else 1000.0

    plan = plan_of(echo_seed(seconds=0.02), due=4, count=20, concurrency=2, share=2, meter=Blinks(), window=0.03)
    _, rows, _ = run(plan, tmp_path)
    assert 0 < rows["joules"].null_count() < len(rows)
    said = json.loads(pq.read_schema(tmp_path / "candidates.parquet").metadata[b"energy_windows"])
    assert said["joules"] is None
    assert said["idle_watts"] is None


def test_without_a_meter_nothing_is_said_of_energy(tmp_path: Path) -> None:
    _, rows, _ = run(plan_of(echo_seed()), tmp_path)
    assert rows["joules"].null_count() == len(rows)
    assert b"energy_windows" not in pq.read_schema(tmp_path / "candidates.parquet").metadata


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 20), st.floats(0, 100)), min_size=1, max_size=8))
def test_a_power_that_several_measured_at_once_is_counted_once(spans: list[tuple[int, int, float]]) -> None:
    power = 7.0  # of the machine, the same for all who look
    windows = [Window(start, start + length, power * length) for start, length, _ in spans]
    line = level(windows)
    assert all(one.ended <= other.started for one, other in pairwise(line))
    covered = {second for start, length, _ in spans for second in range(start, start + length)}
    assert sum(window.joules or 0 for window in line) == pytest.approx(power * len(covered))


def test_windows_that_do_not_overlap_are_left_as_they_are() -> None:
    windows = [Window(10, 20, None), Window(0, 10, 3.0), Window(25, 30, 1.0)]
    assert level(windows) == sorted(windows, key=lambda window: window.started)


def test_where_one_could_not_read_the_counter_the_other_says_it() -> None:
    line = level([Window(0, 10, None), Window(5, 15, 20.0)])
    assert line == [Window(0, 5, None), Window(5, 10, 10.0), Window(10, 15, 10.0)]


def test_shards_of_one_machine_share_its_joules_and_those_of_two_do_not() -> None:
    def one(run: str, host: str | None, start: float) -> Session:
        return Session(run, host, 0, [Window(start, start + 5, 1.0), Window(start + 5, start + 10, 1.0)])

    first, beside, later = one("r.1of3", "a", 0), one("r.2of3", "a", 8), one("r.1of3", "a", 18)
    again, there, unknown = one("r.1of3", "a", 6), one("r.3of3", "b", 3), one("r.3of3", None, 4)
    groups = at_once([later, unknown, there, beside, first])
    assert [[session.windows[0].started for session in group] for group in groups] == [[0, 8], [3], [4], [18]]
    assert at_once([first, again]) == [[first], [again]]  # one folder: its clock has jumped


def test_the_calls_of_shards_that_ran_at_once_bear_what_the_machine_took_once(tmp_path: Path) -> None:
    watts, meter = 100.0, Steady(100.0)
    whole = plan_of(echo_seed(seconds=0.1), due=4, count=8, concurrency=2, meter=meter, window=0.03)
    shards = [replace(whole, problems=whole.problems[at::2], run=f"run.{at + 1}of2") for at in range(2)]

    async def at_the_same_time() -> None:
        await asyncio.gather(*(fill(shard, tmp_path / shard.run) for shard in shards))

    asyncio.run(at_the_same_time())
    (tmp_path / "run/journal").mkdir(parents=True)
    for shard in shards:
        for path in (tmp_path / shard.run / "journal").iterdir():
            copyfile(path, tmp_path / "run/journal" / f"{shard.run}.{path.name}")
    write_pool(whole, tmp_path / "run")
    calls = pl.read_parquet(tmp_path / "run/calls.parquet")
    windows = [line for line in read_journal(tmp_path / "run").records if line["kind"] == "window"]
    spans = [window["ended"] - window["started"] for window in windows]
    span = max(window["ended"] for window in windows) - min(window["started"] for window in windows)
    assert sum(spans) > 1.2 * span, "the shards did run at once"
    assert calls["joules"].null_count() == 0
    assert 0.3 * span * watts < calls["joules"].sum() <= span * watts * (1 + 1e-6)
