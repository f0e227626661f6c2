"""Killed again and again, wherever it is, a run ends as if nothing had happened: the product's own policies, live."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from harness import Outcome, finish, guess, killed_at, lane, live_is_replay, plan, same, server
from hypothesis import given, settings
from hypothesis import strategies as st

from testtime.core.errors import ModelError
from testtime.core.records import Request
from testtime.core.registry import names
from testtime.core.strings import parse
from testtime.decoding.plain import Plain
from testtime.engine.plan import Plan
from testtime.meters.price import Price, Prices

LIVE = (
    "sc_fixed:n=3",
    "adaptive_margin:stop_rule=beta,threshold=.9,max_n=9",
    "adaptive_margin:stop_rule=margin,max_n=6",
)


def sometimes(request: Request, seed: int) -> str | ModelError:
    """Fails for good on one seed in eight."""
    return ModelError("filtered") if seed % 8 == 3 else guess(request, seed)


def shape(folder: Path) -> Plan:
    model = server(folder, sometimes, failures=[ModelError("overloaded", retry=True)])
    price = Prices({model.name: Price(1, 1)})
    return plan(model, [lane(Plain(), 2, "plain")], 6, price=price, policies=[parse("policy", text) for text in LIVE])


def whole() -> Outcome:
    if not _KEPT:
        _KEPT.append(finish(shape, Path(tempfile.mkdtemp())))
    return _KEPT[0]


_KEPT: list[Outcome] = []


@settings(max_examples=12, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 45), st.booleans()), min_size=1, max_size=6))
def test_any_kills_in_sequence_change_nothing(kills: list[tuple[int, bool]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        for line, after in kills:
            killed_at(shape, Path(name), line, after)
        resumed = finish(shape, Path(name))
        same(resumed, whole())
        assert resumed.finished.made + resumed.finished.kept == whole().finished.made


@pytest.mark.parametrize("rule", sorted(names("stopping rule")))
def test_every_stopping_rule_live_is_its_replay_after_a_kill(tmp_path: Path, rule: str) -> None:
    def alone(folder: Path) -> Plan:
        policies = [parse("policy", f"adaptive_margin:stop_rule={rule},max_n={most}") for most in (5, 12)]
        price = Prices({"scripted:1": Price(1, 1)})
        return plan(server(folder, sometimes), [lane(Plain(), 0, "plain")], 8, policies=policies, price=price)

    assert killed_at(alone, tmp_path, line=25, after=True)
    live_is_replay(finish(alone, tmp_path))


def test_live_is_replay_draw_for_draw_for_every_policy_of_the_run() -> None:
    live_is_replay(whole())
    assert whole().pool.arms["plain"].floor >= 3
    assert whole().rows["error"].null_count() < whole().rows.height
