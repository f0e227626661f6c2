"""Proves that where answers have no key (chat, tools, programs without examples) one candidate is worth its verdict, a
vote is unknown and said to be, and splits that vote are as they were, in a table, a comparison and inspect.
"""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from testtime.advice import headrooms
from testtime.analysis.inspection import inspected
from testtime.analysis.replay import outcomes
from testtime.analysis.sides import set_beside
from testtime.analysis.table import notes, summarise
from testtime.analysis.voteless import voting
from testtime.core.errors import BadInput
from testtime.core.strings import parse
from testtime.store.blocks import blocks_of
from testtime.store.frame import pool_of

RIGHT = {"chat": [True, False, True, True], "math": [True, False, True, False]}
"""[draw] of each problem of a split."""
POLICIES = ("sc_fixed:n=1", "sc_fixed:n=4", "adaptive_margin:max_n=4", "best_of_n:n=4,by=oracle(is_verified)")


def frame(turned: bool = False) -> pl.DataFrame:
    made = [
        {
            "arm": "plain", "query_id": f"{split}-{at}", "split": split, "candidate_idx": idx,
            "is_verified": right != turned, "answer_key": None if split == "chat" else str(right),
            "error": None, "finish_reason": "stop",
        }
        for split, verdicts in RIGHT.items() for at in range(3) for idx, right in enumerate(verdicts)
    ]  # fmt: skip
    return pl.DataFrame(made, schema_overrides={"answer_key": pl.String, "error": pl.String})


def pool(run: str, turned: bool = False) -> Any:
    return pool_of(frame(turned), {"run": run, "dataset": "d", "floor": {"plain": 4}})


@pytest.mark.parametrize("realised", [False, True])
def test_one_candidate_is_worth_its_verdict_and_a_vote_is_unknown(realised: bool) -> None:
    found = outcomes(pool("r"), [parse("policy", text) for text in POLICIES], realised=realised)
    correct = {
        (split, f"{policy}:{setting}"): values["correct"].to_list()
        for (split, policy, setting), values in found.group_by("split", "policy", "setting")
    }
    one = [1.0 if realised else 0.75] * 3
    assert correct["chat", "sc_fixed:n=1"] == one
    assert correct["chat", "sc_fixed:n=4"] == [None] * 3
    assert [values for (split, name), values in correct.items() if split == "chat" and "margin" in name] == [[None] * 3]
    assert correct["chat", "best_of_n:n=4,by=oracle(is_verified)"] == [1.0] * 3
    assert correct["math", "sc_fixed:n=1"] == ([1.0] if realised else [0.5]) * 3
    assert correct["math", "sc_fixed:n=4"] == [0.5] * 3
    told = [line for line in notes(found) if "no answer has a vote" in line]
    assert len(told) == 2
    assert all("on chat" in line and "best_of_n or pass@k" in line for line in told)
    silent = summarise(found).filter(split="chat", policy="sc_fixed", setting="n=4")
    assert silent["accuracy"].to_list() == [None]


def test_a_comparison_and_inspect_say_the_same() -> None:
    table = set_beside([pool("a"), pool("b", turned=True)], by="split").filter(split="chat")
    rows = {row["measure"]: row for row in table.iter_rows(named=True)}
    assert (rows["a candidate"]["accuracy_a"], rows["a candidate"]["accuracy_b"]) == (0.75, 0.25)
    assert rows["the first candidate"]["difference"] == -1.0
    assert (rows["vote of 4"]["n"], rows["any of 4"]["accuracy_a"]) == (0, 1.0)
    (one,) = inspected(blocks_of(frame()), {"run": "a", "floor": {"plain": 4}})
    assert [rate.n for rate in one.majority] == [3, 3, 3], "over the problems that vote"
    assert [rate.n for rate in one.passed] == [6, 6, 6]
    assert any("maj@k leaves 3 problems out" in note for note in one.notes)


def test_a_forecast_is_over_the_splits_that_vote() -> None:
    whole = pool("a")
    assert voting(whole).splits == ["math"] * 3
    assert voting(pool_of(frame().filter(split="math"), {})).splits == ["math"] * 3
    with pytest.raises(BadInput, match="no answer has a vote"):
        voting(pool_of(frame().filter(split="chat"), {}))


def test_answers_that_are_none_right_are_wrong_votes_too() -> None:
    """A model that never answers is wrong: that nobody votes is then its own doing."""
    wrong = frame().filter(split="chat").with_columns(is_verified=pl.lit(False))
    found = outcomes(pool_of(wrong, {"floor": {"plain": 4}}), [parse("policy", "sc_fixed:n=4")])
    assert found["correct"].to_list() == [0.0] * 3


def test_a_verifier_is_set_beside_votes_only_where_somebody_votes() -> None:
    silent = pool_of(frame().filter(pl.col("split") == "chat"), {"run": "s", "dataset": "d", "floor": {"plain": 4}})
    ((name, head),) = headrooms([pool("r"), silent])
    assert name == "r, plain"
    assert (head.k, head.maj, head.passes) == (4, 0.5, 1.0), "of mathematics alone"
