"""Proves the small laws of core: unknown sums stay unknown, seeds are order-free, names are found or explained."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testtime.core import registry
from testtime.core.errors import BadInput, ModelError, unknown_name
from testtime.core.records import Arm, canonical
from testtime.core.seeds import digest, rng_of, seed_of
from testtime.core.spend import Spend, add, total


def test_an_unknown_part_makes_a_sum_a_lower_bound() -> None:
    assert str(total([1, None, 2.5])) == "≥ 3.5, 1 unknown"
    assert total([1, None]).value is None
    assert total([]).value == 0


def test_spends_add_by_quantity_and_tokens_stay_whole() -> None:
    both = add([Spend(prompt=3, completion=4, usd=0.1), Spend(prompt=5, completion=None, usd=0.2)])
    assert (both.prompt, both.completion) == (8, None)
    assert both.usd == pytest.approx(0.3)
    assert isinstance(both.prompt, int)


@given(st.integers(0, 2**31), st.text(), st.text())
def test_a_seed_leaves_room_for_a_million_draws_in_32_bits(seed: int, arm: str, query: str) -> None:
    assert 0 <= seed_of(seed, arm, query) <= 2**31 - 2**20


def test_a_generator_depends_on_its_scope_alone() -> None:
    first = rng_of(0, "arm", "q1", 3).random(4)
    rng_of(0, "arm", "q2", 3).random(100)
    assert np.array_equal(first, rng_of(0, "arm", "q1", 3).random(4))
    assert not np.array_equal(first, rng_of(1, "arm", "q1", 3).random(4))


def test_a_digest_keeps_its_parts_apart() -> None:
    assert digest("ab", "c") != digest("a", "bc")


def test_an_arm_is_named_by_what_shapes_its_draws_and_not_by_its_label() -> None:
    one = Arm("a", {"model": "m"}, sampling={"temperature": 0.7, "top_p": 0.95})
    same = Arm("b", {"model": "m"}, sampling={"top_p": 0.95, "temperature": 0.7})
    other = Arm("a", {"model": "m"}, sampling={"temperature": 0.8, "top_p": 0.95})
    assert one.id == same.id != other.id


def test_canonical_text_is_free_of_key_order() -> None:
    assert canonical({"b": (1, 2), "a": {"d": None, "c": "é"}}) == '{"a":{"c":"é","d":null},"b":[1,2]}'


def test_an_error_is_one_line_with_place_and_mend() -> None:
    error = BadInput("no rows\nat all", where="data.jsonl:3", mend="give rows")
    assert str(error) == "data.jsonl:3: no rows at all; give rows"
    assert error.exit_code == 2


def test_an_unknown_name_suggests_the_nearest() -> None:
    assert "did you mean sc_fixed?" in str(unknown_name("policy", "sc-fixed", ["sc_fixed", "best_of_n"]))
    assert "known: a, b" in str(unknown_name("policy", "zzz", ["b", "a", "b"]))


def test_of_many_names_an_error_lists_a_few_or_says_where_they_stand() -> None:
    many = [f"name{at}" for at in range(200)]
    assert str(unknown_name("tool", "zzz", many)).endswith(", … 200 in all")
    assert str(unknown_name("flag", "zzz", many, look="--help lists them")) == "unknown flag 'zzz'; --help lists them"


@pytest.mark.parametrize("kind", sorted(registry.ROOMS))
def test_every_registered_built_in_is_there(kind: str) -> None:
    try:
        known = registry.names(kind)
    except ModuleNotFoundError as missing:
        pytest.skip(f"room not built yet: {missing.name}")
    for name in known:
        assert registry.find(kind, name) is not None


def test_a_name_nobody_registered_is_refused() -> None:
    with pytest.raises(BadInput, match="unknown policy 'nope'"):
        registry.find("policy", "nope")


def test_what_a_model_error_says_of_itself_decides_whether_it_is_asked_again() -> None:
    assert not ModelError("400 no such model").retry
    assert ModelError("reset", lost=True).retry
    assert ModelError("429", retry_after=0.0).busy
    assert ModelError("529", busy=True).retry
    assert not ModelError("500", retry=True).busy
