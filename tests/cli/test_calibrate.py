"""Proves calibration end to end on a model that declines what lacks a number: problems are broken in every documented
way beside their originals, on pocket-math and on GSM8K's own rows; the rates, their paired difference and the failures
in the denominator are what one counts by hand; what is drawn is not drawn again, and more problems extend it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from testtime import calibrating
from testtime.analysis.calibration import calibration
from testtime.core.errors import BadInput, ModelError
from testtime.core.records import Problem, Request
from testtime.models import BUILTIN
from testtime.models.scripted import Scripted
from testtime.store.frame import pool_of
from testtime.tasks.corrupted import MARK, Corrupted
from testtime.tasks.corruptions import CORRUPTIONS, told


class Careful(Scripted):
    """Declines a story that holds no number or a lone letter; fails on one that says 77."""

    def __init__(self, name: str) -> None:
        super().__init__(self._reply, name=f"careful:{name}")

    def _reply(self, request: Request, seed: int) -> str | ModelError:
        asked = str(request.messages[-1]["content"]).partition("\n")[0]
        if re.search(r"\b77\b", asked):
            return ModelError("filtered")
        if not re.search(r"\d", asked) or re.search(r"\bk\b", asked):
            return "There is not enough information to answer. Could you tell me what the missing number is?"
        return "\\boxed{7}"


@pytest.fixture(autouse=True)
def _careful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BUILTIN, "careful", f"{__name__}:Careful")


LINE = "calibrate --model careful:1 --dataset pocket-math --splits easy --run c --corruptions {} --max_queries {}"


def test_what_is_declined_is_counted_against_the_originals(folder: Path, testtime: Callable[[str], Any]) -> None:
    ran = testtime(LINE.format("undefined_variable insufficient contradictory", 12))
    assert ran.code == 0, ran.err
    table = calibrating.rates_of(folder / "results" / "c")
    by = {row["corruption"]: row for row in table.iter_rows(named=True)}
    assert list(by) == ["undefined_variable", "insufficient", "contradictory", "all"]
    assert {row["n"] for row in by.values()} == {12}
    assert by["insufficient"]["malformed"] == 1.0
    assert (by["insufficient"]["difference"], by["insufficient"]["sound"]) == (1.0, 0.0)
    assert by["contradictory"]["malformed"] == 0.0
    assert by["all"]["difference"] == pytest.approx((by["undefined_variable"]["malformed"] + 1) / 3)
    assert by["all"]["low"] < by["all"]["difference"] < by["all"]["high"]
    assert "insufficient" in ran.out
    frame = pl.read_parquet(folder / "results" / "c" / "candidates.parquet")
    broken = frame.filter(pl.col("query_id").str.contains(MARK))
    assert frame.height == 48
    judged = broken.filter(pl.col("is_verified").is_not_null())
    assert judged["answer_key"].null_count() == judged.height, "only that there is no answer can be said of them"
    assert set(broken["category"]) == {"undefined_variable", "insufficient", "contradictory"}
    again = testtime(LINE.format("undefined_variable insufficient contradictory", 12))
    assert "no call was made" in again.out
    more = testtime(LINE.format("undefined_variable insufficient contradictory", 13))
    assert more.code == 0
    assert pl.read_parquet(folder / "results" / "c" / "candidates.parquet").height == 52


def test_json_is_all_that_is_printed_where_asked(testtime: Callable[[str], Any]) -> None:
    ran = testtime(LINE.format("insufficient", 3) + " --json")
    assert [row["corruption"] for row in json.loads(ran.out)] == ["insufficient", "all"]
    line = LINE.format("insufficient", 40).replace("--run c", "--run d")
    stopped = testtime(f"{line} --max_tokens 50 --max_total_tokens 1500 --json")
    assert (stopped.code, "max_total_tokens 1,500" in stopped.err) == (3, True)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("calibrate --model careful:1", "no dataset is named"),
        ("calibrate --model careful:1 --dataset gsm8k", "is read from a file"),
        ("calibrate --model careful:1 --dataset corrupted", "of is missing|is not broken again"),
        (LINE.format("insuficient", 2), "did you mean insufficient"),
        (LINE.format("insufficient", 2).replace("--splits easy", "") + " --splits easy,hard", "one split at a time"),
        ("calibrate --model careful:1 careful:2 --dataset pocket-math", "takes one value"),
    ],
)
def test_what_cannot_be_calibrated_is_one_line(line: str, told: str, testtime: Callable[[str], Any]) -> None:
    ran = testtime(line)
    assert ran.code == 2
    assert re.search(told, ran.err)
    assert ran.err.count("\n") == 1


def row(query: str, declined: Any, error: str | None = None, idx: int = 0) -> dict[str, Any]:
    return {"arm": "plain", "query_id": query, "candidate_idx": idx, "answer_key": "1", "error": error,
            "refusal_is_refusal": declined}  # fmt: skip


def test_failures_stay_in_the_denominator_and_withheld_texts_do_not() -> None:
    rows = [
        row("a", False),
        row("a~x", True),
        row("b", None, "lost"),
        row("b~x", True),
        row("c", None),
        row("c~x", True),
    ]
    frame = pl.DataFrame(rows, schema_overrides={"error": pl.String, "refusal_is_refusal": pl.Boolean})
    table = calibration(pool_of(frame, {"run": "r"}))
    assert table.select("corruption", "n", "malformed", "sound", "difference", "unknown").rows() == [
        ("x", 2, 1.0, 0.0, 1.0, 1), ("all", 2, 1.0, 0.0, 1.0, 1)
    ]  # fmt: skip
    with pytest.raises(BadInput, match="no broken problems"):
        calibration(pool_of(pl.DataFrame([row("a", False)]), {"run": "r"}))


STORY = Problem("q1", "test", "Ann has 12 pens. Mr. Lee gives her 3 more. How many pens does she have?", "15")
BROKEN = {
    "constraint_removed": "Mr. Lee gives her 3 more. How many pens does she have?",
    "insufficient": "Ann has some pens. Mr. Lee gives her some more. How many pens does she have?",
}


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_each_way_changes_the_story_and_keeps_the_question(kind: str) -> None:
    text = CORRUPTIONS[kind](told(STORY))
    assert text is not None
    assert text != STORY.question
    assert text.endswith("How many pens does she have?")
    assert text == BROKEN.get(kind, text)
    assert text == CORRUPTIONS[kind](told(STORY))


@pytest.mark.parametrize(
    "question", ["Why?", "Prove it.", "How many are 3 and 4?", "...", "A. B. C.", "1", "$5 is 5% of 1,000.50"]
)
@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_a_question_of_any_shape_is_broken_or_left_alone(kind: str, question: str) -> None:
    text = CORRUPTIONS[kind](told(Problem("q", "test", question, None)))
    assert text is None or (text and text != question)


def test_the_real_rows_of_gsm8k_are_broken_in_nearly_every_way(data: Path) -> None:
    task = Corrupted(of="gsm8k", path=data / "gsm8k")
    several = list(islice(task.problems("test"), 700))
    originals = [one for one in several if MARK not in one.query_id]
    assert len(several) / len(originals) > 6.5
    assert len({one.query_id for one in several}) == len(several)
    assert {one.cluster for one in several} == {one.query_id for one in originals}
    for one in several:
        if MARK in one.query_id:
            assert one.reference is None
            assert task.right(one, "1") is None
    assert task.right(originals[0], originals[0].reference) is True
