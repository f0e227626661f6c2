"""Proves that a draw with stored log-probabilities says how sure it was as DeepConf defines it, and that policies read
it: by hand, and on the pocket model through a run.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from drawing import decoding, drawn
from hypothesis import given
from hypothesis import strategies as st

import testtime as tt
from testtime.core import confidence
from testtime.core.errors import BadInput

WARM = {"temperature": 0.9, "top_p": 1.0, "max_tokens": 200}


def test_equal_logits_have_the_logarithm_of_their_number() -> None:
    even = dict.fromkeys("abcd", float(np.log(0.25)))
    assert confidence.by_token([even], 4)[0] == pytest.approx(np.log(4))


def test_the_token_that_came_besides_does_not_count() -> None:
    assert confidence.by_token([{"rare": -30.0, "a": -0.5, "b": -1.5}], 2)[0] == 1.0


@given(st.lists(st.floats(0, 20), min_size=1, max_size=60), st.integers(1, 70))
def test_groups_are_sliding_means(values: list[float], size: int) -> None:
    each, width = np.array(values), min(size, len(values))
    by_hand = [each[at : at + width].mean() for at in range(len(each) - width + 1)]
    np.testing.assert_allclose(confidence.groups(each, size), by_hand, atol=1e-9)
    told = confidence.summary(each, size)
    assert told["confidence_lowest"] == pytest.approx(min(by_hand), abs=1e-9)
    assert told["confidence_lowest"] <= told["confidence_bottom"] + 1e-9
    assert told["confidence_tail"] == pytest.approx(each[-size:].mean())


def test_a_window_of_one_is_the_least_sure_token() -> None:
    each = np.array([3.0, 1.0, 2.0])
    assert confidence.summary(each, 1)["confidence_lowest"] == 1
    assert confidence.summary(np.array([])) == {}


def test_the_text_is_the_same_and_its_confidence_is_noted(tmp_path: Path) -> None:
    plain = decoding("plain", WARM, shared=False)
    stored = decoding("plain:store_logprobs=5,group=8", WARM, shared=False)
    found = drawn(tmp_path, {"plain": plain, "stored": stored}, count=2, due=2)
    for one, other in zip(found["plain"], found["stored"], strict=True):
        assert not one.facts.keys() & set(confidence.COLUMNS)
        each = np.array(other.facts["confidences"])
        assert len(each) >= 1
        assert other.facts["confidence"] == pytest.approx(each.mean(), abs=1e-3)
        assert set(confidence.COLUMNS) <= other.facts.keys()


def test_policies_weigh_and_stop_by_it(tmp_path: Path) -> None:
    ran = tt.run(
        model="pocket-s", dataset="pocket-math", max_queries=6, num_candidates=8, temperature=0.9,
        decoding="plain", store_logprobs=20, group=16, policies=["sc_fixed:n=8"],
        out_dir=tmp_path, run="sure",
    )  # fmt: skip
    rows = pl.read_parquet(ran.path / "candidates.parquet")
    facts = json.loads(rows["facts"][0])
    assert len(facts["confidences"]) > 10
    texts = [
        "weighted:n=8,by=confidence_bottom,keep=0.5",
        "deepconf:by=confidence_lowest,max_n=8,warmup=4,keep=0.9",
        "weighted:n=8,by=confidence_tail,temperature=0.5",
    ]
    table = tt.load(ran.path).replay(texts).to_polars()
    assert table["policy"].to_list() == ["weighted", "deepconf", "weighted"]
    assert table["accuracy"].is_not_null().all()


def test_a_model_without_alternatives_is_refused_before_the_first_call(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="logprobs"):
        tt.run(
            model="echo:x", dataset="pocket-math", max_queries=1, decoding="plain:store_logprobs=5", out_dir=tmp_path
        )
