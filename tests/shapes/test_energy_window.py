"""Energy is known for a window in which calls overlapped; what calls and rows are given sums to what was measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from harness import Outcome, finish, guess, killed_at, lane, plan, same, server, survives

from testtime.decoding.plain import Plain
from testtime.engine.plan import Plan
from testtime.meters.constant import Constant
from testtime.meters.price import Price, Prices


def shape(folder: Path) -> Plan:
    model = server(folder, guess, can=frozenset({"seed"}), seconds=0.003)
    price = Prices({model.name: Price(1, 1)})
    return plan(model, [lane(Plain(), 3, "plain")], meter=Constant(250.0), window=0.004, concurrency=3, price=price)


def windows(outcome: Outcome) -> list[dict[str, float]]:
    return [line for line in outcome.records if line["kind"] == "window"]


def test_what_was_measured_is_shared_out_whole(tmp_path: Path) -> None:
    whole = survives(shape, tmp_path, points=6)
    spans = list(zip(whole.calls["started"], whole.calls["ended"], strict=True))
    busy = [w for w in windows(whole) if any(s < w["ended"] and w["started"] < e for s, e in spans)]
    measured = sum(window["joules"] for window in busy)
    assert len(busy) > 1
    assert whole.calls["joules"].null_count() == whole.rows["joules"].null_count() == 0
    assert whole.calls["joules"].sum() == pytest.approx(measured)
    assert whole.rows["joules"].sum() == pytest.approx(measured)


def test_draws_that_share_a_request_share_its_joules_by_the_tokens_they_wrote(tmp_path: Path) -> None:
    def shared(folder: Path) -> Plan:
        made = shape(folder)
        model = server(folder, guess, seconds=0.003)
        return replace(made, models={model.name: model})

    whole = survives(shared, tmp_path, points=2)
    assert whole.calls.height == 3
    assert whole.rows["joules"].sum() == pytest.approx(whole.calls["joules"].sum())
    for rows in whole.rows.partition_by("query_id"):
        a_token = (rows["joules"] / rows["completion_tokens"]).to_list()
        assert a_token == pytest.approx(a_token[:1] * rows.height)
        assert rows["completion_tokens"].n_unique() > 1


def test_calls_of_a_window_lost_in_a_kill_have_unknown_joules_not_none(tmp_path: Path) -> None:
    def one_window(folder: Path) -> Plan:
        made = shape(folder)
        object.__setattr__(made, "window", 60.0)
        return made

    assert killed_at(one_window, tmp_path, line=11, after=True)
    resumed = finish(one_window, tmp_path)
    same(resumed, finish(one_window, tmp_path / "whole"))
    assert 0 < resumed.rows["joules"].null_count() < resumed.rows.height
    assert resumed.rows["joules"].drop_nulls().min() > 0
