"""Proves that both layouts are read, that every problem says where it came from, and that ids are unique."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from testtime.core.records import Arm, Candidate, Problem
from testtime.store.rows import OF_DATASET, candidate_row
from testtime.store.schema import CANDIDATES
from testtime.tasks.nemotron import HUB, Nemotron


def turns(question: str, answer: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": question, "tool_calls": []}, {"role": "assistant", "content": answer}]


V1 = {
    "uuid": "169c-1", "license": "CC BY 4.0", "generator": "R1", "version": "v1", "category": "math", "reasoning": "on",
    "messages": turns(" What is 2 + 3? ", r"<think>\boxed{6}?</think> \boxed{4}, no: \boxed{5}"), "metadata": "{}",
}  # fmt: skip
V2 = {key: value for key, value in V1.items() if key not in ("uuid", "metadata")}
"""Version 2 keeps the uuid, and has neither metadata nor tool calls; a row here lacks the uuid too, as it may."""
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {}}}]


def read(tmp_path: Path, split: str, *rows: dict[str, Any]) -> list[Problem]:
    file = tmp_path / f"{split}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return list(Nemotron(tmp_path).problems(split))


PLAIN = [{"role": "user", "content": " What is 2 + 3? "}, {"role": "assistant", "content": r"So \boxed{5}"}]
CALLS = [{"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}]


@pytest.mark.parametrize(
    ("row", "version"),
    [(V1, "v1"), (V2, "v2"), (V2 | {"uuid": "7f-2", "messages": PLAIN}, "v2")],
)
def test_both_layouts_give_question_and_last_box(tmp_path: Path, row: dict[str, Any], version: str) -> None:
    (one,) = read(tmp_path, "math", row)
    assert (one.question, one.reference, one.split) == ("What is 2 + 3?", "5", "math")
    assert one.fields["source_dataset"] == f"{HUB}-{version}"
    assert one.fields["verifier"] == "math"
    assert json.loads(one.fields["source_metadata"])["generator"] == "R1"


def test_withheld_and_short_questions_are_passed_over(tmp_path: Path) -> None:
    withheld = [V1 | {"messages": turns(question, "x")} for question in ("-", "", "Hm?")]
    assert [one.query_id for one in read(tmp_path, "math", *withheld, V1)] == ["169c-1"]


def test_ids_are_unique_and_repeated_rows_come_once(tmp_path: Path) -> None:
    other = V1 | {"messages": turns("What is 3 + 4?", r"\boxed{7}")}
    found = read(tmp_path, "math", V1, V1, other, V2, V2)
    assert len({one.query_id for one in found}) == len(found) == 3


def test_a_column_beats_the_message(tmp_path: Path) -> None:
    (one,) = read(tmp_path, "math", V2 | {"solution": "so \\boxed{11}"})
    assert one.reference == "11"


def test_the_stage_and_the_tools_follow_the_split(tmp_path: Path) -> None:
    tool = V1 | {"metadata": json.dumps({"tools": TOOLS}), "messages": turns("Weather in Rome?", "It is hot.")}
    (called,) = read(tmp_path, "tool_calling", tool)
    silent = {"role": "assistant", "content": "", "tool_calls": CALLS}
    (calling,) = read(tmp_path, "tool_calling", tool | {"messages": [tool["messages"][0], silent]})
    assert (calling.question, calling.reference) == ("Weather in Rome?", None)
    (code,) = read(tmp_path, "code", V2 | {"messages": turns("Write a loop", "```python\nwhile 1: 0\n```")})
    (chat,) = read(tmp_path, "chat", V2 | {"messages": turns("Good morning", "Hello")})
    assert [one.fields["verifier"] for one in (called, code, chat)] == ["judge", "no_tests", "judge"]
    assert called.fields["tools"] == TOOLS
    task = Nemotron(tmp_path)
    assert task.answer(code, "```python\npass\n```") == ("pass\n", None)
    assert [task.right(one, "x") for one in (called, code, chat)] == [None, None, None]


def test_auto_takes_the_version_that_has_the_split() -> None:
    task = Nemotron()
    assert [task.source(split) for split in ("math", "code", "tool_calling")] == [f"{HUB}-v2", f"{HUB}-v2", f"{HUB}-v1"]
    assert Nemotron(f"{HUB}-v1").source("math") == f"{HUB}-v1"
    assert Nemotron(f"{HUB}-v1").source("multilingual_de") == f"{HUB}-v2"
    documented = Nemotron(f"{HUB}-v2")  # asks for tool_calling too, which version 2 does not have
    assert [documented.source(split) for split in ("math", "tool_calling")] == [f"{HUB}-v2", f"{HUB}-v1"]
    assert Nemotron("mine.jsonl").source("tool_calling") == "mine.jsonl"


def test_what_the_dataset_says_of_a_problem_is_in_its_rows(tmp_path: Path) -> None:
    (one,) = read(tmp_path, "math", V1)
    made = candidate_row(Candidate("plain", one.query_id, 0, [], "stop"), one, Arm("plain", {}), (None, None))
    told = {name: made[name] for name in OF_DATASET}
    assert told["source_dataset"] == f"{HUB}-v1"
    assert (told["category"], told["reasoning_mode"]) == ("math", "on")
    assert told.keys() <= CANDIDATES.keys()
