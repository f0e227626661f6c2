"""Sections appear when a run has the data: a persona's marks, refusals by kind, broken problems beside sound ones,
calls of tools; what a page says of them is what the rows say, and retries are counted nowhere.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from testtime.analysis.conduct import refusing, tool_use
from testtime.cli import main
from testtime.core.errors import BadInput
from testtime.reporting import write_report
from testtime.sources import pools_at
from testtime.store.parquet import write_frame
from testtime.store.texts import traffic

CALL = {"thinking": "", "tool_calls": [{"id": "c1", "name": "add", "input": {"a": 2, "b": "<b>"}}]}
TALK = [
    {"kind": "tools", "text": json.dumps([{"name": "add"}, {"name": "clock"}])},
    {"kind": "call", "text": json.dumps(CALL)},
    {"kind": "result", "text": json.dumps({"tool_use_id": "c1", "content": '{"sum": 4}'})},
    {"kind": "answer", "text": "4"},
]


def row(query: str, draw: int, **more: Any) -> dict[str, Any]:
    return {
        "arm": "plain", "query_id": query, "candidate_idx": draw, "split": "odd" if query in ("q1", "q3") else "even",
        "question": f"What of {query}?", "ground_truth_answer": "4", "candidate_text": "4", "answer": "4",
        "answer_key": "4", "finish_reason": "stop", "error": None, "is_verified": True, "refusal_is_refusal": False,
        "refusal_type": None, "is_retry": False, "completion_tokens": 5, "prompt_tokens": 7,
    } | more  # fmt: skip


def folder(path: Path, rows: list[dict[str, Any]], **arm: Any) -> Path:
    """A run of one arm, as a folder."""
    path.mkdir()
    meta = {
        "run": path.name, "dataset": "set", "model": "fake:m", "floor": {"plain": 2}, "policies": ["sc_fixed:n=1"],
        "arms": [{"label": "plain", "models": {"model": "fake:m"}, "prompt": "{question}", "sampling": {}, **arm}],
    }  # fmt: skip
    write_frame(path / "candidates.parquet", pl.DataFrame(rows, infer_schema_length=None), meta)
    return path


def page(path: Path) -> str:
    return write_report(path).path.read_text(encoding="utf-8")


def section(text: str, name: str) -> str:
    """The words of a section; empty where there is none."""
    found = re.search(rf'<section id="{name}".*?</section>', text, re.S)
    return re.sub(r"<wbr>|&nbsp;", "", found[0]) if found else ""


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return folder(tmp_path / "plain", [row(f"q{at}", draw) for at in range(4) for draw in range(2)])


def test_a_run_without_them_has_none_of_these_sections(plain: Path) -> None:
    text = page(plain)
    assert not any(section(text, name) for name in ("persona", "refusals", "tools"))


def test_refusals_are_counted_by_kind_and_split_and_a_retry_is_not_one(tmp_path: Path) -> None:
    no = {"refusal_is_refusal": True, "is_verified": False}
    rows = [
        row("q0", 0, **no, refusal_type="safety"), row("q0", 1, **no, refusal_type="capability"), row("q1", 0),
        row("q1", 1, **no, refusal_type="safety"), row("q2", 0), row("q2", 1), row("q3", 0), row("q3", 1),
        row("q2", 2, **no, refusal_type="unclear", is_retry=True),
    ]  # fmt: skip
    path = folder(tmp_path / "some", rows)
    (pool,) = pools_at(path)
    (draws,) = pool.arms.values()
    every, odd = refusing(pool, draws), refusing(pool, draws, "odd")
    assert (every.texts, every.refused, every.rate.mean) == (8, 3, 3 / 8)
    assert (odd.texts, odd.refused, odd.rate.n) == (4, 1, 2)
    said = section(page(path), "refusals")
    assert re.search(r"safety</th><td[^>]*>2<", said)
    assert "unclear" not in said
    assert "3 refusals by kind" in said


def test_of_a_calibration_broken_problems_stand_beside_sound_ones(tmp_path: Path) -> None:
    rows = [row(f"q{at}", draw) for at in range(4) for draw in range(2)]
    rows += [row(f"q{at}~insufficient", draw, refusal_is_refusal=True, refusal_type="unclear", is_verified=None)
             for at in range(4) for draw in range(2)]  # fmt: skip
    said = section(page(folder(tmp_path / "broken", rows)), "refusals")
    assert "insufficient" in said
    assert re.search(r"insufficient</th><td[^>]*>4</td><td[^>]*>100\.0 \[[^]]+]</td><td[^>]*>0\.0 \[", said)


def test_a_persona_has_a_row_with_its_marks_and_its_constraints(tmp_path: Path) -> None:
    rows = [
        row(f"q{at}", draw, persona_markers=at, persona_constraint_violations=at % 2, persona_score=4.0,
            is_verified=at > 0)
        for at in range(4) for draw in range(2)
    ]  # fmt: skip
    said = section(page(folder(tmp_path / "marvin", rows, persona="You are gloomy.")), "persona")
    assert ">1.50</td>" in said
    assert "4 of 8 (50.0%)" in said
    assert ">4.00</td>" in said
    assert "testtime compare BASELINE" in said


def test_a_persona_without_marks_is_shown_as_unknown(tmp_path: Path) -> None:
    rows = [row(f"q{at}", draw) for at in range(4) for draw in range(2)]
    said = section(page(folder(tmp_path / "bare", rows, persona="You are gloomy.")), "persona")
    assert '<td class="number">–</td>' in said


def tool_rows() -> list[dict[str, Any]]:
    facts = {"tool_calls_by_name": {"add": 2}, "tool_errors": 1}
    used = {"tool_calls_total": 2, "tool_iterations": 1, "mock_sources": '{"add": "function+error"}',
            "facts": json.dumps(facts), "parts": json.dumps(TALK)}  # fmt: skip
    bare = {"tool_calls_total": 0, "tool_iterations": 0, "mock_sources": "{}", "facts": "{}"}
    rows = [row(f"q{at}", draw, **(bare if draw else used)) for at in range(4) for draw in range(2)]
    rows[1] |= {"is_verified": False}
    return [*rows, row("q3", 2, **used, is_retry=True)]


def test_tools_are_counted_by_name_and_by_what_played_them() -> None:
    (used,) = tool_use(pl.DataFrame(tool_rows(), infer_schema_length=None))
    assert (used.candidates, used.calling, used.calls, used.rounds, used.errors) == (8, 4, 8, 1.0, 4)
    assert (used.right, used.without) == ((4, 4), (3, 4))
    (add,) = used.tools
    assert (add.name, add.calls, add.candidates, add.right) == ("add", 8, 4, (4, 4))
    assert add.sources == {"function": 4, "error": 4}


def test_a_run_with_tools_has_a_table_and_its_talk_reads_as_one(tmp_path: Path) -> None:
    text = page(folder(tmp_path / "tools", tool_rows()))
    said = section(text, "tools")
    assert "a function (4), an error (4)" in said
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert data
    first = json.loads(data[1])["pools"][0]["problems"][0]["candidates"][0]
    assert first["calls"] == 2
    assert [(kind, words) for kind, _, words in first["pieces"]] == [
        ("tools", "add, clock"), ("call", 'add(a=2, b="<b>")'), ("result", '{"sum": 4}'), ("answer", "4"),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["tools", "call", "result"])
@pytest.mark.parametrize("text", ["", "no JSON", "[", "{}", "[]", "3", "null", '{"tool_calls": 3}', "[" * 100_000])
def test_traffic_that_is_in_no_known_form_is_shown_and_breaks_nothing(kind: str, text: str) -> None:
    assert isinstance(traffic(kind, text), str)


def test_what_is_no_pool_beside_others_is_left_out_with_a_line(
    plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    assert main(["report", str(plain), str(tmp_path / "notes.txt"), "--out", str(tmp_path / "p.html")]) == 0
    out = capsys.readouterr().out
    assert out.count("left out") == 1
    assert "notes.txt" in out
    assert f"next: testtime recommend {plain} --budget" in out, "what was left out is not named again"
    with pytest.raises(BadInput, match="not JSON"):
        write_report(tmp_path / "notes.txt")


def test_outcomes_beside_their_run_are_read_with_it_and_are_no_error(plain: Path, tmp_path: Path) -> None:
    (tmp_path / "plain.jsonl").write_text('{"policy": "sc_fixed", "setting": "n=1", "query_id": "q0"}\n')
    assert write_report(f"{tmp_path}/plain*", tmp_path / "p.html").skipped == []
    assert len(list(pools_at([plain, tmp_path / "plain.jsonl"]))) == 1
    with pytest.raises(BadInput, match="outcomes, not a pool"):
        write_report(tmp_path / "plain.jsonl")
