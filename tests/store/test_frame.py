"""A table of candidates becomes the pool that brute force over its rows gives."""

from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testtime.analysis.inspection import inspected
from testtime.core.errors import BadInput
from testtime.core.records import Arm
from testtime.store import parquet
from testtime.store.blocks import blocks_of
from testtime.store.frame import open_pool, pool_of, read_columns


def rows(**columns):
    """A table in which scalars are repeated."""
    size = max(len(v) for v in columns.values() if isinstance(v, list))
    return pl.DataFrame({k: v if isinstance(v, list) else [v] * size for k, v in columns.items()}, strict=False)


SMALL = {
    "arm": "a",
    "query_id": ["q1", "q1", "q2", "q2"],
    "candidate_idx": [0, 1, 0, 1],
    "answer_key": ["5", None, "7", "8"],
    "is_verified": [True, False, None, False],
}

candidate = st.tuples(
    st.sampled_from("AB"), st.sampled_from("pqr"), st.integers(0, 6), st.sampled_from(["1", "2", "3", None]),
    st.sampled_from([True, False, None]), st.sampled_from([None, None, "boom"]), st.sampled_from([None, 0.5, 2.0]),
)  # fmt: skip


@given(st.lists(candidate, min_size=1, max_size=40, unique_by=lambda c: c[:3]), st.booleans())
def test_every_draw_lands_in_its_place(candidates, with_gold):
    frame = pl.DataFrame(
        candidates,
        schema={
            "arm": pl.String, "query_id": pl.String, "candidate_idx": pl.Int64, "answer_key": pl.String,
            "is_verified": pl.Boolean, "error": pl.String, "rm": pl.Float64,
        },
        orient="row",
    ).with_columns(ground_truth_answer=pl.lit("1" if with_gold else None, pl.String))  # fmt: skip
    pool = pool_of(frame, {"floor": {"A": 0, "B": 0}})
    judged = any(c[4] is not None for c in candidates)
    for label, draws in pool.arms.items():
        for p, query in enumerate(pool.problems):
            mine = sorted((c for c in candidates if c[:2] == (label, query)), key=lambda c: c[2])
            assert draws.size[p] == len(mine)
            for j, (*_, key, verdict, error, score) in enumerate(mine):
                code = draws.codes[p, j]
                assert (pool.keys[p][code] if code >= 0 else None) == (None if error else key)
                assert draws.column("rm")[p, j] == pytest.approx(np.nan if score is None else score, nan_ok=True)
                if not error or not judged:
                    known = verdict is not None and judged
                    assert draws.right[p, j] == pytest.approx(float(verdict) if known else np.nan, nan_ok=True)
                elif all(c[5] for c in mine) or any(
                    c[1] == query and c[4] is not None and not c[5] for c in candidates
                ):
                    assert draws.right[p, j] == 0
                else:
                    assert np.isnan(draws.right[p, j])
            assert (draws.codes[p, len(mine) :] == -1).all()
            assert np.isnan(draws.right[p, len(mine) :]).all()


@given(st.lists(st.sampled_from([None, *"abcdef"]), min_size=1, max_size=30))
def test_equal_keys_are_equal_codes_by_first_sight(keys):
    frame = rows(arm="a", query_id="q", candidate_idx=list(range(len(keys))), answer_key=keys)
    (codes,) = pool_of(frame.with_columns(pl.col("answer_key").cast(pl.String)), {}).arms["a"].codes
    votes = Counter(key for key in keys if key is not None)
    assert sorted(Counter(codes[codes >= 0].tolist()).values()) == sorted(votes.values())
    assert codes[codes >= 0].tolist()[:1] in ([], [0])


def test_arms_share_the_codes_of_a_problem():
    frame = rows(arm=["a", "a", "b", "b"], query_id="q", candidate_idx=[0, 1, 0, 1], answer_key=["x", "y", "y", "z"])
    pool = pool_of(frame, {})
    assert pool.keys[0] == ["x", "y", "z"]
    assert pool.arms["b"].codes.tolist() == [[1, 2]]


def test_retries_are_not_draws():
    frame = rows(**SMALL).with_columns(is_retry=pl.Series([False, True, None, False]))
    pool = pool_of(frame, {})
    assert pool.arms["a"].size.tolist() == [1, 2]
    assert pool.arms["a"].sampled == 1


@pytest.mark.parametrize(
    ("truth", "verdicts", "right"),
    [
        ("5", [True, None], [1, 0]),  # wrong, because the problem has a gold answer
        (None, [True, None], [1, 0]),  # a verdict tells that it has one (tests, say)
        (None, [None, None], [np.nan, np.nan]),  # nothing was verified
        ("5", [None, None], [np.nan, np.nan]),  # a gold answer, and no verdict yet anywhere
    ],
)
def test_a_failed_draw_abstains_and_is_wrong_where_there_is_gold(truth, verdicts, right):
    frame = rows(
        arm="a", query_id="q", candidate_idx=[0, 1], answer_key=["5", "6"], is_verified=verdicts,
        error=[None, "timeout"], ground_truth_answer=truth,
    )  # fmt: skip
    draws = pool_of(frame, {}).arms["a"]
    assert draws.codes.tolist() == [[0, -1]]
    np.testing.assert_array_equal(draws.right[0], right)


def test_a_failed_draw_of_a_problem_without_gold_is_unknown():
    frame = rows(
        arm="a", query_id=["q1", "q2", "q2"], candidate_idx=[0, 0, 1], answer_key=["5", "6", None],
        is_verified=[True, None, None], error=[None, None, "timeout"], ground_truth_answer=["5", None, None],
    )  # fmt: skip
    assert np.isnan(pool_of(frame, {}).arms["a"].right[1]).all()


@pytest.mark.parametrize(
    ("error", "finish"), [("timeout", "error"), (None, "length"), (None, "refusal"), (None, "stop")]
)
def test_what_gave_no_answer_says_nothing_of_a_problem_that_nobody_can_judge(error, finish):
    """Its verdict is false in the file; were it the only one known, the problem's accuracy would be 0."""
    frame = rows(
        arm="a", query_id=["q1", "q1", "q2", "q2"], candidate_idx=[0, 1, 0, 1], answer_key=["5", None, "6", None],
        is_verified=[True, False, None, False], error=[None, error, None, error],
        finish_reason=["stop", finish, "stop", finish], ground_truth_answer=["5", "5", None, None],
        quality_answer_length=[1, 0, 1, 0],
    ).with_columns(pl.col("error").cast(pl.String))  # fmt: skip
    right = pool_of(frame, {}).arms["a"].right
    np.testing.assert_array_equal(right, [[1, 0], [np.nan, np.nan]])
    (one,) = inspected(blocks_of(frame), {"floor": {"a": 2}})
    assert (one.mean.mean, one.mean.n) == (0.5, 1)
    assert one.row_verdicts == (3, 1)  # over rows it counts, as in pandas


def test_a_problem_whose_draws_all_failed_is_wrong_not_unknown():
    frame = rows(
        arm="a", query_id=["q1", "q2", "q2"], candidate_idx=[0, 0, 1], answer_key=["5", None, None],
        is_verified=[True, None, None], error=[None, "x", "x"],
    )  # fmt: skip
    assert pool_of(frame, {}).arms["a"].right[1].tolist() == [0, 0]


def test_columns_have_the_names_of_spend_and_gold_is_fenced():
    frame = rows(
        **SMALL, prompt_tokens=3, completion_tokens=[1, 2, 3, None], latency_s=0.5, cost_usd=None, joules=2.0,
        finish_reason=["stop", "length", None, "cut"], verification_confidence=0.9, rm_score=[1, 2, 3, 4],
    ).with_columns(pl.col("cost_usd").cast(pl.Float64))  # fmt: skip
    columns = pool_of(frame, {}).arms["a"].columns
    np.testing.assert_array_equal(columns["completion"], [[1, 2], [3, np.nan]])
    np.testing.assert_array_equal(columns["truncated"], [[0, 1], [np.nan, 0]])
    assert "usd" not in columns, "a column of unknowns is no column: a policy that needs it is refused"
    assert {"prompt", "seconds", "joules", "rm_score", "oracle(verification_confidence)"} <= columns.keys()
    assert not {"candidate_idx", "is_verified", "verification_confidence", "prompt_tokens"} & columns.keys()


@pytest.mark.parametrize(("saw", "fenced"), [(None, True), (True, True), (False, False)])
def test_a_confidence_that_saw_no_reference_is_not_fenced(saw, fenced):
    frame = rows(**SMALL, verification_confidence=0.9, verification_saw_reference=[saw, saw, None, saw])
    columns = pool_of(frame, {}).arms["a"].columns
    assert ("oracle(verification_confidence)" in columns) is fenced
    assert ("verification_confidence" in columns) is not fenced
    np.testing.assert_array_equal(columns["oracle(is_verified)"], [[1, 0], [np.nan, 0]])


@pytest.mark.parametrize(
    ("meta", "says"),
    [
        ({"floor": [1]}, "floor is no mapping"),
        ({"arms": [{"label": "a"}]}, "arms cannot be read"),
        ({"arms": [3]}, "arms"),
    ],
)
def test_broken_meta_is_one_line(meta, says):
    with pytest.raises(BadInput, match=says):
        pool_of(rows(**SMALL), meta)


def test_meta_names_the_run_and_its_arms():
    frame = rows(**SMALL, split=["dev", "dev", "test", "test"], cluster=[None, None, "c", "c"])
    arm = Arm("a", {"model": "m"}, sampling={"temperature": 0.7})
    meta = {
        "run": "r",
        "provider": "p",
        "total_queries": 5,
        "dataset": "gsm8k",
        "arms": [arm],
        "floor": {"a": 1},
        "caveats": ["told"],
        "vote": "last line",
    }
    pool = pool_of(frame, meta)
    assert (pool.run, pool.dataset, pool.provider, pool.vote) == ("r", "gsm8k", "p", "last line")
    assert pool.splits == ["dev", "test"]
    assert pool.arms["a"].arm is arm
    assert pool.arms["a"].sampled == 1
    assert pool.clusters == [None, "c"]
    assert pool.notes == ["told", "2 of 5 problems were drawn"]


def test_problems_that_a_due_arm_lacks_are_left_out_and_told():
    frame = rows(arm=["a", "a", "b"], query_id=["q1", "q2", "q2"], candidate_idx=0, answer_key=["x", "y", "z"])
    pool = pool_of(frame, {})
    assert pool.problems == ["q2"]
    assert pool.keys == [["y", "z"]]
    assert "1 problems left out" in pool.notes[0]
    cascade = pool_of(frame, {"floor": {"b": 0}})
    assert cascade.problems == ["q1", "q2"]
    assert cascade.arms["b"].size.tolist() == [0, 1]


def test_an_arm_that_no_policy_asked_is_there_without_draws():
    meta = {"arms": [Arm("a", {}), Arm("later", {}), Arm("never", {})], "floor": {"a": 2, "later": 0, "never": 2}}
    pool = pool_of(rows(**SMALL), meta)
    assert list(pool.arms) == ["a", "later"]
    assert pool.arms["later"].codes.shape == (2, 0)
    assert pool.worlds(3).history(["a", "later"])["later"].seen.shape == (3, 2)


def test_missing_candidates_are_told():
    frame = rows(arm="a", query_id="q", candidate_idx=[0, 2], answer_key=["x", "y"])
    assert "missing in 1 problems" in pool_of(frame, {}).notes[0]


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (rows(**SMALL).drop("answer_key"), "no column 'answer_key'"),
        (rows(**SMALL).clear(), "no candidates"),
        (pl.concat([rows(**SMALL)] * 2), "candidate 0 of 'q1' under 'a' occurs twice"),
        (rows(**SMALL).with_columns(arm=pl.lit(None, pl.String)), "a candidate without arm"),
        (rows(**SMALL).with_columns(candidate_idx=pl.lit("one")), "another type"),
        (rows(arm=["a", "b"], query_id=["q", "r"], candidate_idx=0, answer_key="x"), "share no problem"),
    ],
)
def test_what_cannot_be_a_pool_is_refused_in_one_line(frame, says):
    with pytest.raises(BadInput, match=says) as error:
        pool_of(frame, {"run": "r"})
    assert str(error.value).startswith("r: ")
    assert "\n" not in str(error.value)


def test_problems_that_an_arm_lacks_are_left_out_of_every_array() -> None:
    rows = [
        {"arm": arm, "query_id": query, "candidate_idx": at, "answer_key": f"{arm}{query}{at}", "is_verified": at == 0}
        for arm, queries in (("one", "abc"), ("two", "c"))
        for query in queries
        for at in range(2)
    ]
    pool = pool_of(pl.DataFrame(rows), {"run": "r"})
    assert pool.problems == ["c"]
    assert {draws.codes.shape for draws in pool.arms.values()} == {(1, 2)}
    assert {draws.right.shape for draws in pool.arms.values()} == {(1, 2)}
    assert pool.arms["one"].right.tolist() == [[1.0, 0.0]]


def test_rows_in_any_order_are_one_pool_and_their_order_is_not_taken_for_granted() -> None:
    frame = pl.DataFrame({
        "arm": ["a"] * 6, "query_id": ["p", "p", "p", "q", "q", "q"], "candidate_idx": [0, 1, 2] * 2,
        "answer_key": list("121323"), "is_verified": [True, False, True, False, None, False],
        "rm": [*map(float, range(6))],
    })  # fmt: skip
    sorted_pool, mixed = pool_of(frame, {}), pool_of(frame[[0, 2, 1, 5, 4, 3]], {})
    for draws in (sorted_pool.arms["a"], mixed.arms["a"]):
        assert draws.column("rm").tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
        assert draws.codes.tolist() == [[0, 1, 0], [0, 1, 0]]
    with pytest.raises(BadInput, match="candidate 0 of 'p' under 'a' occurs twice"):
        pool_of(frame[[0, 1, 2, 3, 4, 5, 0]], {})


def test_texts_read_as_codes_from_any_row_groups_make_the_same_pool(tmp_path, monkeypatch) -> None:
    """Each row group has a dictionary of its own: equal texts must stay equal across them."""
    monkeypatch.setattr(parquet, "GROUP", 3)
    mine = rows(
        arm=["b"] * 4 + ["a"] * 6,
        query_id=["q2", "q2", "q1", "q1", "q2", "q2", "q2", "q1", "q1", "q1"],
        candidate_idx=[0, 1, 0, 1, 0, 1, 2, 0, 1, 2],
        answer_key=["7", "5", None, "5", "5", "7", "9", "5", "5", "7"],
        finish_reason=["stop", "length", "stop", None, "stop", "stop", "length", "stop", "stop", "stop"],
        error=[None] * 2 + ["boom"] + [None] * 7,
        is_verified=[True, False, None, True, False, True, False, True, True, None],
        split=["s"] * 10,
        cluster=["c", "c", None, None, "c", "c", "c", None, None, None],
        ground_truth_answer=["7"] * 10,
    )
    parquet.write_frame(tmp_path / "candidates.parquet", mine, {"run": "r"})
    coded = read_columns(tmp_path / "candidates.parquet")
    assert coded["query_id"].dtype == pl.Categorical
    one, other = open_pool(tmp_path), pool_of(mine, {"run": "r"})
    for name in ("problems", "splits", "keys", "clusters", "notes"):
        assert getattr(one, name) == getattr(other, name), name
    assert list(one.arms) == list(other.arms)
    for label, draws in other.arms.items():
        assert (one.arms[label].codes == draws.codes).all()
        assert np.array_equal(one.arms[label].right, draws.right, equal_nan=True)
        assert np.array_equal(one.arms[label].column("truncated"), draws.column("truncated"), equal_nan=True)
