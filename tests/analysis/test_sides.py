"""Two pools are compared on the problems they share, each measure by hand: means, the first, the vote and any of N;
McNemar's exact p on what helped and hurt; splits apart where asked; and what cannot be compared is one line.
"""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from testtime.analysis.compare import sign_test
from testtime.analysis.sides import columns_beside, known_to_all, set_beside, watched
from testtime.core.errors import BadInput
from testtime.store.frame import pool_of
from testtime.store.pool import Pool

A = {"q0": [1, 1], "q1": [0, 1], "q2": [0, 0], "q3": [1, 0], "only a": [1, 1]}
B = {"q0": [1, 1], "q1": [1, 1], "q2": [1, 0], "q3": [0, 0], "only b": [0, 0]}


def pool(run: str, right: dict[str, list[int]], **more: Any) -> Pool:
    rows = [
        {
            "arm": "plain", "query_id": query, "candidate_idx": at, "answer_key": "gold" if one else f"wrong {at}",
            "is_verified": bool(one), "split": "odd" if query in ("q1", "q3") else "even",
            "completion_tokens": 10 * (at + 1) + len(run), **more,
        }
        for query, draws in right.items()
        for at, one in enumerate(draws)
    ]  # fmt: skip
    return pool_of(pl.DataFrame(rows), {"run": run, "floor": {"plain": 2}})


def test_each_measure_is_what_one_counts_by_hand() -> None:
    rows = set_beside([pool("a", A), pool("bb", B)])
    by = {row["measure"]: row for row in rows.iter_rows(named=True)}
    assert list(by) == ["a candidate", "the first candidate", "vote of 2", "any of 2"]
    assert {row["n"] for row in by.values()} == {4}
    assert (by["a candidate"]["accuracy_a"], by["a candidate"]["accuracy_b"]) == (0.5, 5 / 8)
    first = by["the first candidate"]
    assert (first["accuracy_a"], first["accuracy_b"], first["better"], first["worse"]) == (0.5, 0.75, 2, 1)
    assert first["p"] == sign_test(2, 1)
    assert first["p_holm"] >= first["p"]
    some = by["any of 2"]
    assert (some["accuracy_a"], some["accuracy_b"], some["better"], some["worse"]) == (0.75, 0.75, 1, 1)
    assert by["a candidate"]["gen_tokens_difference"] == 1


def test_watched_comparisons_are_those_that_are_set_beside() -> None:
    rows = watched([pool("a", A), pool("bb", B)], 0.02)
    beside = set_beside([pool("a", A), pool("bb", B)])
    for name, other in (("measure", "measure"), ("problems", "n"), ("difference", "difference"), ("e_value",) * 2):
        assert rows[name].to_list() == beside[other].to_list()
    assert rows["settled_after"].null_count() == 4
    assert ((rows["power"] >= 0) & (rows["mean_after"] <= 4)).all()


def test_splits_are_compared_apart_where_asked() -> None:
    rows = set_beside([pool("a", A), pool("b", B)], by="split")
    first = rows.filter(measure="the first candidate").select("split", "n", "difference").rows()
    assert sorted(first) == [("even", 2, 0.5), ("odd", 2, 0.0)]


def test_every_further_pool_is_set_against_the_first() -> None:
    rows = set_beside([pool("a", A), pool("b", B), pool("c", A)])
    assert rows["side"].unique(maintain_order=True).to_list() == ["b", "c"]
    assert set(rows.filter(side="c")["difference"]) == {0.0}
    twins = set_beside([pool("a", A), pool("a", B), pool("a", A)])
    assert twins["side"].unique(maintain_order=True).to_list() == ["a (2)", "a (3)"]


def test_columns_are_compared_by_their_means_over_common_problems() -> None:
    (row,) = columns_beside([pool("a", A), pool("bbb", B)], ["completion"]).iter_rows(named=True)
    assert (row["n"], row["a"], row["b"], row["difference"], row["low"], row["high"]) == (4, 16, 18, 2, 2, 2)
    names = ["completion_tokens", "is_verified", "refusal_is_refusal", "latency_s"]  # as the file calls them
    told = {"refusal_is_refusal": False, "latency_s": 0.5}
    found = columns_beside([pool("a", A, **told), pool("bbb", B, **told)], names)
    assert found.select("column", "a", "b").rows() == [
        ("completion_tokens", 16, 18), ("is_verified", 0.5, 0.625), ("refusal_is_refusal", 0, 0),
        ("latency_s", 0.5, 0.5),
    ]  # fmt: skip


def test_what_a_persona_costs_is_compared_by_itself_and_by_split() -> None:
    told = {"cost_usd": 0.5, "quality_total_response_length": 100}
    plain = pool("plain", A, **told, refusal_is_refusal=False)
    marked = pool("marked", A, **told, refusal_is_refusal=True, persona_markers=2)
    assert known_to_all([plain, marked]) == ["quality_total_response_length", "refused", "usd"]
    assert known_to_all([plain, pool("b", {"else": [1, 0]}, **told)]) == []
    rows = columns_beside([plain, marked], ["refused", "usd"], by="split")
    assert rows.select("column", "split", "n", "difference").rows() == [
        ("refused", "even", 3, 1.0), ("refused", "odd", 2, 1.0), ("usd", "even", 3, 0.0), ("usd", "odd", 2, 0.0)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("pools", "how", "says"),
    [
        ([pool("a", A)], {}, "a comparison needs two pools"),
        ([pool("a", A), pool("b", B)], {"by": "moon"}, "cannot compare by 'moon'"),
        ([pool("a", A), pool("b", {"else": [1, 0]})], {}, "no problem in common"),
        ([pool("a", A), pool("b", B, is_verified=None)], {}, "no answer is known to be right or wrong"),
    ],
)
def test_what_cannot_be_compared_is_one_line(pools: list[Pool], how: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says) as caught:
        set_beside(pools, **how)
    assert "\n" not in str(caught.value)


def test_a_column_that_is_not_there_is_said_with_those_that_are() -> None:
    with pytest.raises(BadInput, match="no column 'colour'; it has: completion"):
        columns_beside([pool("a", A), pool("b", B)], ["colour"])
