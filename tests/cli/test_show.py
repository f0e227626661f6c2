"""`testtime show` prints what a model wrote as data: nothing in it reaches the terminal as a command, nothing of it is
lost, and the marks say who wrote what, with colours or without.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testtime.answers.extract import thoughts, unthink
from testtime.figures.candidates import body
from testtime.figures.tables import visible
from testtime.store.parquet import write_frame
from testtime.store.texts import Piece, pieces, votes

Run = Callable[[str], Any]
HOSTILE = "\x1b[2J\x1b]0;owned\x07 so\x9b31m \u202e8\u2066 \r hidden \b\b\x7f end"
PARTS = {
    "guided": [("base", "<think>2+"), ("oracle", "2=4"), ("base", "</think>\nIt is "), ("oracle", "4.")],
    "budget": [("forced", "<think>\n"), ("thinking", "two"), ("forced", "Wait,"), ("thinking", " four"),
               ("forced", "</think>\nAnswer: "), ("answer", "4")],
    "tools": [("answer", "I look. "), ("call", '{"name": "add", "arguments": {"a": 2, "b": 2}}'), ("result", "4"),
              ("answer", "It is 4.")],
}  # fmt: skip


def row(at: int, key: str | None, **more: Any) -> dict[str, Any]:
    given = {
        "arm": "plain", "query_id": "q", "candidate_idx": at, "split": "s", "question": "2+2?", "answer_key": key,
        "ground_truth_answer": "4", "is_verified": key == "4", "verification_explanation": f"{key} against 4",
        "candidate_text": f"It is {key}.", "answer": key, "error": None, "parts": None, "is_retry": False,
        "finish_reason": "stop",
    }  # fmt: skip
    return given | more


@pytest.fixture
def pool(folder: Path) -> Path:
    rows = [
        row(0, "5", candidate_text=f"<think>{HOSTILE}</think>{HOSTILE}"),
        row(1, "4", candidate_text="<think>easy</think> It is 4."),
        row(2, "4"),
        row(3, None, error="the server went away"),
        row(4, "4", is_retry=True),
        row(0, "3", query_id="q2"),
    ]
    path = folder / "p.parquet"
    write_frame(path, pl.DataFrame(rows, infer_schema_length=None), {"run": "p"})
    return path


def test_a_problem_shows_its_candidates_by_answer_most_voted_first(testtime: Run, pool: Path) -> None:
    out = testtime("show p.parquet q").out
    assert "2+2?" in out
    assert out.index("4   2 votes") < out.index("5   one vote") < out.index("no answer   one abstains")
    assert "4 × 2 right, 5 × 1 wrong, no answer × 1 wrong" in out
    assert "failed: the server went away" in out
    assert "retry of" in out
    assert out.rstrip().split("\n")[-1].startswith("next: testtime show p.parquet q")


def test_a_candidate_that_is_of_no_problem_or_not_there_is_one_line(testtime: Run, pool: Path) -> None:
    ran = testtime("show p.parquet --candidate 1")
    assert ran.code == 2
    assert ran.err.startswith("testtime: --candidate is of a problem, and none is named; ")
    ran = testtime("show p.parquet q --candidate 99")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "testtime: p.parquet: q has no candidate 99; they are numbered from 0 to 4\n"


def test_hostile_text_is_spelled_out_and_never_sent(testtime: Run, pool: Path) -> None:
    for line in ("show p.parquet q", "show p.parquet q --thinking --every", "show p.parquet", "runs ."):
        ran = testtime(line)
        assert ran.code == 0
        assert all(sign in "\n" or sign.isprintable() for sign in ran.out), line
    out = testtime("show p.parquet q --thinking").out
    assert "␛[2J␛]0;owned␇ so<U+009B>31m <U+202E>8<U+2066> ␍ hidden ␈␈␡ end" in " ".join(out.split())


@given(st.text())
def test_what_is_visible_says_everything(said: str) -> None:
    shown = visible(said)
    assert all(sign in "\n\t" or sign.isprintable() or sign.isspace() for sign in shown)
    assert visible(shown) == shown
    assert len(shown) >= len(said)


def test_thinking_is_folded_until_asked_for(testtime: Run, pool: Path) -> None:
    folded, opened = testtime("show p.parquet q").out, testtime("show p.parquet q --thinking").out
    assert "19 characters of thinking" in folded
    assert "easy" not in folded
    assert "easy" in opened
    assert "▸" not in opened


@pytest.mark.parametrize(
    ("kind", "folded", "opened"),
    [
        ("guided", "▸ 20 characters of thinking, 1 of its pieces by the oracle\nIt is [2:4.]",
         "<think>2+[1:2=4]</think>\nIt is [2:4.]"),
        ("budget", "▸ 29 characters of thinking, 3 put in\n⟦Answer: ⟧4",
         "⟦<think>\n⟧two⟦Wait,⟧ four⟦</think>\nAnswer: ⟧4"),
        ("tools", "I look. \n→ calls add(a=2, b=2)\n← gets 4\nIt is 4.",
         "I look. \n→ calls add(a=2, b=2)\n← gets 4\nIt is 4."),
    ],
)  # fmt: skip
def test_marks_say_who_wrote_what(kind: str, folded: str, opened: str) -> None:
    parts = json.dumps([{"kind": by, "text": text} for by, text in PARTS[kind]])
    several = pieces(row(0, "4", parts=parts))
    assert body(several, thinking=False).plain == folded
    assert body(several, thinking=True).plain == opened


@given(st.lists(st.tuples(st.sampled_from(["base", "oracle", "forced", "thinking", "answer"]),
                          st.lists(st.sampled_from(["<think>", "</think>", "a", "b\n"])).map("".join))))  # fmt: skip
def test_pieces_are_the_parts_cut_and_nothing_else(parts: list[tuple[str, str]]) -> None:
    found = pieces({"parts": json.dumps([{"kind": kind, "text": text} for kind, text in parts])})
    assert "".join(piece.text for piece in found) == "".join(text for _, text in parts)
    for at, (kind, text) in enumerate(parts):
        mine = [piece for piece in found if piece.part == at]
        assert "".join(piece.text for piece in mine) == text
        assert {piece.kind for piece in mine} <= {kind}


@given(st.lists(st.sampled_from(["<think>", "</think>", "<thinking>", "a", "b\n"])).map("".join))
def test_what_is_no_thought_is_what_is_read(text: str) -> None:
    spans = thoughts(text)
    assert "".join(text[start:end] for start, end, _ in spans) == text
    assert "".join(text[start:end] for start, end, thinking in spans if not thinking) == unthink(text)


def test_a_text_without_parts_is_one_piece() -> None:
    assert pieces({"candidate_text": "It is 4."}) == [Piece("answer", "It is 4.", False)]
    assert pieces({"candidate_text": None}) == []


def test_a_failed_draw_votes_for_nothing() -> None:
    found = votes([row(0, "4"), row(1, "4", error="lost")])
    assert [(vote.answer, len(vote.rows)) for vote in found] == [("4", 1), (None, 1)]


def test_without_a_problem_those_that_divide_come_first(testtime: Run, pool: Path) -> None:
    found = json.loads(testtime("show p.parquet --json").out)[0]["problems"]
    assert [(one["query_id"], one["draws"], one["answers"], one["right"]) for one in found] == [
        ("q", 4, 2, 2),
        ("q2", 1, 1, 0),
    ]
    assert "next: testtime show p.parquet q" in testtime("show p.parquet").out


def test_json_holds_every_row_and_a_typo_finds_the_problem(testtime: Run, pool: Path) -> None:
    (found,) = json.loads(testtime("show p.parquet q --json").out)
    assert [one["candidate_idx"] for one in found["candidates"]] == [0, 1, 2, 3, 4]
    ran = testtime("show p.parquet qq2")
    assert (ran.code, ran.err) == (2, "testtime: no problem 'qq2'; did you mean q2?\n")


def test_a_recorded_file_is_shown_as_well(testtime: Run) -> None:
    out = testtime("show answers.jsonl a").out
    assert "18   4 votes" in out
    assert "no text is kept" in out
