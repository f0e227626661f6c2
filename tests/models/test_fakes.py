"""The fakes that ship: what they say, what they count, what they refuse; and dollars from tokens."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from testtime.core.errors import ModelError
from testtime.core.records import Generation, Request
from testtime.core.registry import find
from testtime.core.spend import Spend
from testtime.meters.constant import Constant
from testtime.meters.price import Price, Prices
from testtime.models.echo import Echo
from testtime.models.scripted import Scripted

HELLO = [{"role": "user", "content": "say hello to me"}]


def ask(model: Echo | Scripted, **how: object) -> Generation:
    return asyncio.run(model.generate(Request(HELLO, **how)))  # type: ignore[arg-type]


def test_echo_says_the_last_message_up_to_its_limit() -> None:
    whole, cut = ask(Echo(), n=2), ask(Echo(), params={"max_tokens": 2})
    assert [one.text for one in whole.completions] == ["say hello to me"] * 2
    assert (whole.spend.prompt, whole.spend.completion) == (4, 8)
    assert (cut.completions[0].text, cut.completions[0].finish) == ("say hello", "length")
    assert "cannot continue" in (Echo().refuses(Request(HELLO, prefix="well")) or "")


def test_child_i_of_a_request_is_what_seed_plus_i_gives_alone() -> None:
    model = Scripted(lambda request, seed: f"{seed * 7 % 11}")
    together = [one.text for one in ask(model, n=5, seed=3).completions]
    assert together == [ask(model, seed=3 + child).completions[0].text for child in range(5)]


def test_a_queue_is_taken_in_turn_and_errors_are_raised(tmp_path: Path) -> None:
    model = Scripted(["one", ModelError("busy", retry=True), "two"], count_file=tmp_path / "calls")
    assert ask(model).completions[0].text == "one"
    with pytest.raises(ModelError, match="busy") as caught:
        ask(model)
    assert caught.value.retry
    assert ask(model).completions[0].text == "two"
    assert model.calls == (tmp_path / "calls").stat().st_size == 3


def test_what_it_lacks_is_refused_not_dropped() -> None:
    model = Scripted(["x"], can=frozenset())
    for request in (Request(HELLO, n=2), Request(HELLO, seed=1), Request(HELLO, prefix="a")):
        assert model.refuses(request)
        with pytest.raises(ModelError, match="lacks"):
            asyncio.run(model.generate(request))
    assert model.refuses(Request(HELLO)) is None


def test_scores_are_one_number_a_token() -> None:
    model = Scripted([], surprisal=lambda text: [-float(len(word)) for word in text.split()])
    (law,) = asyncio.run(model.score(Request(HELLO), ["to be or"]))
    assert np.array_equal(law, [-2, -2, -2])


def test_an_unknown_count_or_price_costs_null_never_zero() -> None:
    prices = Prices({"m": Price(prompt=3, completion=15, cached=0.3)})
    assert prices("m", Spend(prompt=2_000_000, cached=1_000_000, completion=1_000_000)) == pytest.approx(18.3)
    assert prices("m", Spend(prompt=10, completion=1)) is None
    assert prices("m", Spend(prompt=10, cached=0)) is None
    assert prices("other", Spend(10, 0, 1)) is None


def test_declared_watts_give_joules_in_proportion_to_time() -> None:
    async def measure(seconds: float) -> float:
        async with Constant(1000.0).window() as seen:
            await asyncio.sleep(seconds)
        return float(seen["joules"])

    assert asyncio.run(measure(0.01)) >= 10.0
    assert "declared" in Constant(5).source


def test_the_fakes_are_found_by_name() -> None:
    assert find("model", "echo") is Echo
    assert find("decoding", "plain").__name__ == "Plain"
