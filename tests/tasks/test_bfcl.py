"""Proves that possible answers are right against themselves in both notations, and that no mutant of them is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from testtime.answers.calls import calls_of
from testtime.core.errors import BadInput
from testtime.core.records import Problem
from testtime.tasks.bfcl import Bfcl

SPLITS = ["simple_python", "parallel"]


def first(values: list[Any]) -> Any:
    """A value that is right; a mapping's values are lists of values themselves."""
    value = values[0] if values[0] != "" or len(values) == 1 else values[1]
    return nested(value)


def nested(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: first(inner) for name, inner in value.items()}
    return [nested(one) for one in value] if isinstance(value, list) else value


def themselves(problem: Problem) -> list[dict[str, Any]]:
    """Right calls, arguments that may be left out left out."""
    return [
        {"name": name, "arguments": {key: first(values) for key, values in arguments.items() if "" not in values}}
        for call in problem.fields["possible"]
        for name, arguments in call.items()
    ]


def python(calls: list[dict[str, Any]]) -> str:
    said = [f"{call['name']}({', '.join(f'{k}={v!r}' for k, v in call['arguments'].items())})" for call in calls]
    return f"[{', '.join(said)}]"


def mutants(calls: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Each call renamed, dropped, doubled, an argument changed, dropped, or added."""
    out = [calls[1:], [*calls, calls[0]]]
    for at, call in enumerate(calls):

        def put(new: dict[str, Any], at: int = at) -> None:
            out.append([*calls[:at], new, *calls[at + 1 :]])

        put({**call, "name": call["name"] + "_"})
        put({**call, "arguments": {**call["arguments"], "not_an_argument": 1}})
        for key, value in call["arguments"].items():
            put({**call, "arguments": {k: v for k, v in call["arguments"].items() if k != key}})
            put({**call, "arguments": {**call["arguments"], key: changed(value)}})
    return out


def changed(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    return value + 7919 if isinstance(value, (int, float)) else f"{value} other"


@pytest.mark.parametrize("split", SPLITS)
def test_themselves_are_all_right_and_mutants_all_wrong(data: Path, split: str) -> None:
    task = Bfcl(data / "bfcl_v4")
    problems = list(task.problems(split))
    assert len({one.query_id for one in problems}) == {"simple_python": 400, "parallel": 200}[split]
    wrong = 0
    for one in problems:
        calls = themselves(one)
        for said in (json.dumps(calls), f"Sure:\n```json\n{json.dumps(calls[::-1])}\n```", python(calls)):
            assert task.right(one, task.answer(one, said)[1]), (one.query_id, said)
        for mutant in mutants(calls):
            assert task.right(one, task.answer(one, json.dumps(mutant))[1]) is False, (one.query_id, mutant)
            wrong += 1
    assert wrong > 1000


@pytest.mark.parametrize(
    "text",
    ["", "no call", "f(", "[f(__import__('os').system('x'))]", "f(a=open('x'))", "(" * 5000,
     '{"name": 3, "arguments": 4}', "[]"],
)  # fmt: skip
def test_what_is_no_call_is_none_and_nothing_runs(text: str) -> None:
    assert calls_of(text) is None


def test_tagged_calls_are_read() -> None:
    one, two = '{"name": "f", "arguments": "{\\"a\\": 1}"}', '{"name": "g", "arguments": {}}'
    text = f"<tool_call>{one}</tool_call><tool_call>{two}</tool_call>"
    assert calls_of(text) == [("f", {"a": 1}), ("g", {})]


def test_rows_without_possible_answers_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"id": "a", "question": [[{"role": "user", "content": "?"}]], "function": []}\n')
    with pytest.raises(BadInput, match="possible answers"):
        list(Bfcl(tmp_path / "x.json").problems("test"))
