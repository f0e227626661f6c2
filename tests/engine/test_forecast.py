"""Whatever asks for more than candidates says so, and a dry run makes a part of it: requests, tokens and dollars, each
low, expected and high, and null where nobody can say.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from plans import echo_seed, plan_of

from testtime.core.needs import Need
from testtime.core.records import Arm, Problem
from testtime.decoding.plain import Plain
from testtime.engine.forecast import Range, forecast
from testtime.engine.plan import Lane
from testtime.meters.price import Price, Prices

PRICE = Prices({"scripted:1": Price(1.0, 3.0)})


class Checks:
    """A verifier that will ask about some candidates of the first problem, and one always about the others."""

    stage, digest, gold = "checks", "1", False

    def foresees(self, problem: Problem) -> Iterable[Need]:
        if problem.query_id == "q0":
            yield Need("refusal checks", "judge", 0, 1, 40, 400, 9)
        else:
            yield Need("refusal checks", "judge", 1, 1, 80, 0, 9)


class Mocked(Plain):
    """A decoding whose tools are played, nobody knows how often."""

    def foresees(self, problem: Problem) -> Iterable[Need]:
        yield Need("mocks", "mock", 0, None, 100, 0, None)


def test_a_part_is_the_sum_over_problems_of_what_each_candidate_needs() -> None:
    how: dict[str, Any] = {"verifiers": [Checks()], "roles": {"judge": "scripted:1"}, "price": PRICE}
    generation, checks = forecast(plan_of(echo_seed(), due=6, count=2, **how), tokens=10.0).parts
    assert (checks.name, checks.model) == ("refusal checks", "scripted:1")
    assert checks.requests == Range(6.0, 9.0, 12.0)
    assert checks.prompt == Range(6 * 20.0, 6 * (0.5 * (40 + 40) / 4 + 20), 6 * (440.0 + 80))
    assert checks.completion == Range(6.0, 9 * 5.0, 12 * 9.0)
    assert checks.usd.high == pytest.approx((6 * 520 + 3 * 108) / 1e6)
    assert generation.name == "generation"


def test_where_nobody_says_how_often_or_how_long_it_is_null() -> None:
    how: dict[str, Any] = {"roles": {"mock": "scripted:1"}, "price": PRICE, "decoding": Mocked()}
    _, mocks = forecast(plan_of(echo_seed(), due=2, count=2, **how), tokens=10.0).parts
    assert mocks.name == "mocks"
    assert mocks.requests == Range(0.0, None, None)
    assert mocks.usd == Range(0.0, None, None)
    assert list(forecast(plan_of(echo_seed(), due=2, count=2, **how), tokens=10.0).lines())[2].startswith(
        "  mocks, scripted:1: 0 or more requests, 0 or more tokens in, "
    )
    unknown = forecast(plan_of(echo_seed(), due=6, count=2, verifiers=[Checks()], roles={"judge": "scripted:1"}))
    assert unknown.parts[1].prompt.expected is None


def test_lanes_that_need_the_same_of_one_model_are_one_part() -> None:
    one = plan_of(echo_seed(), due=6, count=2, verifiers=[Checks()], roles={"judge": "scripted:1"})
    other = Lane((Arm("other", {"model": "scripted:1"}, "another prompt"),), Plain(), one.lanes[0].messages, 6)
    both = replace(one, lanes=[*one.lanes, other])
    names = [part.name for part in forecast(both, tokens=1.0).parts]
    assert names == ["generation", "generation", "refusal checks"]
    assert forecast(both, tokens=1.0).parts[2].requests == Range(12.0, 18.0, 24.0)


class Bounded(Checks):
    """Asks no more than seven times in all."""

    def foresees(self, problem: Problem) -> Iterable[Need]:
        yield Need("refusal checks", "judge", 0, 1, 40, 0, 9, 7)


def test_a_limit_of_the_whole_run_bounds_requests_tokens_and_dollars() -> None:
    how: dict[str, Any] = {"verifiers": [Bounded()], "roles": {"judge": "scripted:1"}, "price": PRICE}
    checks = forecast(plan_of(echo_seed(), due=6, count=2, **how), tokens=10.0).parts[1]
    assert checks.requests == Range(0.0, 6.0, 7.0)
    assert checks.completion.high == pytest.approx(7 * 9)
    assert checks.usd.high == pytest.approx((7 * 40 + 3 * 7 * 9) / 1e6)
