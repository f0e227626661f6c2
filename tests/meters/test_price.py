"""Dollars are those of the day, cached and written tokens at their own price, batches at theirs; what is not known
costs null, never 0; a user's own prices come first; a run on this machine alone has no dollars.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testtime.core.errors import BadInput
from testtime.core.spend import Spend
from testtime.meters.price import Catalogue, Price, catalogue, read_own

DAY = date(2026, 11, 25)
PRICES = Catalogue(DAY)
MILLION = 1_000_000


@pytest.mark.parametrize(
    ("model", "spend", "dollars"),
    [
        ("openai:gpt-4o-mini", Spend(MILLION, MILLION // 2, MILLION), 0.075 + 0.0375 + 0.6),
        ("anthropic:claude-opus-4-5-20251101", Spend(100_000, 40_000, 10_000), 0.3 + 0.02 + 0.25),
        ("anthropic:claude-opus-4-5", Spend(100_000, 0, 10_000, written=100_000), 0.625 + 0.25),
        ("bedrock:us.meta.llama3-2-1b-instruct-v1:0", Spend(MILLION, 0, MILLION), 0.2),
        ("pocket:pocket-m", Spend(10, 0, 10), 0.0),
    ],
)
def test_dollars_of_published_prices(model: str, spend: Spend, dollars: float) -> None:
    assert PRICES(model, spend) == pytest.approx(dollars)


def test_a_batch_costs_half() -> None:
    spend = Spend(MILLION, 0, MILLION)
    for model in ("openai:gpt-4o-mini", "anthropic:claude-opus-5-5", "gemini:gemini-2.5-flash"):
        whole = PRICES(model, spend)
        assert whole is not None
        assert Catalogue(DAY, batch=True)(model, spend) == pytest.approx(whole / 2)


def test_a_price_is_that_of_its_day() -> None:
    spend = Spend(MILLION, 0, MILLION)
    introductory, later = (Catalogue(date(year, 1, 15))("gemini:gemini-3.8-flash", spend) for year in (2026, 2027))
    assert introductory is not None
    assert later is not None
    assert introductory <= later


@pytest.mark.parametrize(
    ("model", "spend"),
    [
        ("openai:gpt-99", Spend(1, 0, 1)),
        ("vllm:meta-llama/Llama-3.2-1B-Instruct", Spend(1, 0, 1)),
        ("nobody:m", Spend(1, 0, 1)),
        ("openai:gpt-4o-mini", Spend(1, 0)),
        ("openai:gpt-4o-mini", Spend(completion=1)),
        ("openai:gpt-4o-mini", Spend(1, None, 1)),
    ],
)
def test_what_is_not_known_costs_null_never_zero(model: str, spend: Spend) -> None:
    assert PRICES(model, spend) is None


def test_a_model_without_a_price_for_its_cache_needs_no_count_of_it() -> None:
    spend = Spend(MILLION, None, 0)
    assert PRICES("bedrock:meta.llama3-8b-instruct-v1:0", spend) == pytest.approx(0.3)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_more_tokens_cost_more_and_reading_the_cache_never_does(prompt: int, cached: int, completion: int) -> None:
    model = "anthropic:claude-sonnet-4-6"
    plain = PRICES(model, Spend(prompt + cached, 0, completion))
    read = PRICES(model, Spend(prompt + cached, cached, completion))
    more = PRICES(model, Spend(prompt + cached, 0, completion + 1))
    assert plain is not None
    assert read is not None
    assert more is not None
    assert read <= plain < more


def test_a_user_s_own_prices_come_first(tmp_path: Path) -> None:
    own = tmp_path / "prices.yaml"
    own.write_text(
        '"vllm:*": {prompt: 0, completion: 0}\n"openai:gpt-4o-mini": {prompt: 1, completion: 2, cached: 0.5}\n'
    )
    prices = catalogue(DAY, own)
    assert prices("vllm:any", Spend(5, None, 5)) == 0.0
    assert prices("openai:gpt-4o-mini", Spend(MILLION, MILLION, MILLION)) == pytest.approx(2.5)
    assert prices("openai:gpt-4o", Spend(1, 0, 1)) == PRICES("openai:gpt-4o", Spend(1, 0, 1))
    assert prices.source.startswith("your own, then genai-prices ")
    assert prices.source.endswith(", 2026-11-25")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- 1", "not a table of prices"),
        ("a: [", "not YAML"),
        ("m: 3", "a price has cached, completion, prompt"),
        ("m: {prompt: 1}", "a price has"),
        ("m: {prompt: 1, completion: 2, cach: 3}", "a price has"),
        ("m: {prompt: -1, completion: 2}", "a number of 0 or more"),
        ("m: {prompt: yes, completion: 2}", "a number of 0 or more"),
    ],
)
def test_a_table_that_cannot_be_used_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(BadInput, match=says) as caught:
        read_own(tmp_path / "p.yaml")
    assert "p.yaml" in str(caught.value)
    with pytest.raises(BadInput, match="No such file"):
        read_own(tmp_path / "none.yaml")


def test_a_run_on_this_machine_alone_has_no_dollars() -> None:
    assert PRICES.of(["pocket:pocket-m", "hf:org/m"]) is None
    mixed = PRICES.of(["pocket:pocket-m", "openai:gpt-4o-mini"])
    assert mixed is not None
    assert mixed("pocket:pocket-m", Spend(1, 0, 1)) == 0.0
    assert Catalogue(DAY, {"pocket:*": Price(1, 1)}).of(["pocket:pocket-m"]) is not None


def test_what_another_serves_has_no_price_from_its_provider_s_list_but_may_have_your_own() -> None:
    spend = Spend(prompt=1_000_000, cached=0, completion=0)
    there = Catalogue(DAY, elsewhere=frozenset({"openai:gpt-4o-mini"}))
    assert there("openai:gpt-4o-mini", spend) is None
    assert there("openai:gpt-4o", spend) is not None
    mine = Catalogue(DAY, {"openai:*": Price(2.0, 3.0)}, elsewhere=frozenset({"openai:gpt-4o-mini"}))
    assert mine("openai:gpt-4o-mini", spend) == 2.0
