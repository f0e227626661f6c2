"""Proves that a tally after any number of draws is what counting by hand gives, and that nothing unseen shows."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testtime.core.history import ABSTAINS, TOP, UNSEEN, Ballot, Cells, Tally, only

ROWS = st.integers(1, 12).flatmap(
    lambda draws: st.lists(st.lists(st.integers(-1, 4), min_size=draws, max_size=draws), min_size=1, max_size=6)
)


def by_hand(votes: list[int]) -> dict[str, object]:
    """Every tally quantity of one row, the slow way."""
    counts = Counter(v for v in votes if v >= 0)
    sizes = [*sorted(counts.values(), reverse=True), 0, 0]
    run = 0
    for vote in reversed(votes):
        if vote < 0 or vote != votes[-1]:
            break
        run += 1
    best = [key for key, c in counts.items() if c == sizes[0]]
    return {
        "n": len(votes),
        "voted": sum(counts.values()),
        "v1": sizes[0],
        "v2": sizes[1],
        "tied": len(best),
        "leader": min((votes.index(key) for key in best), default=0),
        "distinct": len(counts),
        "spread": sum(c * np.log2(c) for c in counts.values()),
        "run": run,
        "top": (sizes + [0] * TOP)[:TOP],
    }


@given(ROWS, st.data())
def test_a_tally_is_the_count_of_the_visible_draws(rows: list[list[int]], data: st.DataObject) -> None:
    seen = data.draw(st.lists(st.integers(0, len(rows[0])), min_size=len(rows), max_size=len(rows)))
    tally = Cells(np.array(rows)).track().more(np.array(seen)).tally
    for at, (row, n) in enumerate(zip(rows, seen, strict=True)):
        for name, expected in by_hand(row[:n]).items():
            assert np.allclose(getattr(tally, name)[at], expected), (name, row, n)


@given(ROWS, st.randoms(use_true_random=False))
def test_code_names_do_not_matter(rows: list[list[int]], random: object) -> None:
    names = list(range(5))
    random.shuffle(names)  # type: ignore[attr-defined]
    renamed = [[names[v] if v >= 0 else v for v in row] for row in rows]
    one, other = (Cells(np.array(r)).track(len(rows[0])) for r in (rows, renamed))
    assert np.array_equal(one.answer, other.answer)
    for name in ("v1", "v2", "tied", "leader", "distinct", "run"):
        assert np.array_equal(getattr(one.tally, name), getattr(other.tally, name))


def test_unseen_cells_are_masked() -> None:
    cells = Cells(np.array([[3, ABSTAINS, 3, 1], [0, 1, 1, 2]]), {"score": np.arange(8.0).reshape(2, 4)})
    track = cells.track().more(np.array([3, 1]))
    assert track.answer.tolist() == [[0, ABSTAINS, 0], [0, UNSEEN, UNSEEN]]
    assert np.array_equal(track.column("score"), [[0, 1, 2], [4, np.nan, np.nan]], equal_nan=True)


def test_a_tally_of_given_numbers_answers_for_those_only() -> None:
    tally = Tally.of(v1=np.array([2]), v2=np.array([1]))
    assert tally.v1 - tally.v2 == 1
    with pytest.raises(KeyError):
        _ = tally.run
    with pytest.raises(AttributeError, match="it has n, voted"):
        _ = tally.votes


def test_a_ballot_scales_each_row_and_leaves_out_rows_without_weight() -> None:
    ballot = Ballot.of(np.array([[2.0, 2.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 5.0]]))
    right = np.array([[1.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
    assert ballot.expect(right[ballot.row, ballot.draw], 3).tolist() == [0.5, 0.0, 1.0]


def test_only_refuses_a_history_of_two_arms() -> None:
    track = Cells(np.array([[0]])).track()
    with pytest.raises(ValueError, match="too many values"):
        only({"a": track, "b": track})
