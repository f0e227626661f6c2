"""BFCL: the function call a request asks for (Berkeley Function-Calling Leaderboard, Apache-2.0), simple and parallel.

Rows are `{id, question, function}`; the calls that are right lie in the file `possible_answer_…` beside them. One:
id `simple_python_0`, question "Find the area of a triangle with a base of 10 units and height of 5 units.", right
`{"calculate_triangle_area": {"base": [10], "height": [5], "unit": ["units", ""]}}`.

Prompt: the functions as JSON, answer with calls alone; under the decoding `tools` the functions are the model's tools,
the request alone is asked, and the calls of its first message are the answer. Extraction: the calls as JSON or Python
(`answers.calls`), read and never run. Scoring: by structure. Every call is there once, in any order, with the name and
arguments that are right; one that may be left out is marked by "".
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from testtime.answers import calls
from testtime.core.errors import BadInput
from testtime.core.records import Problem
from testtime.core.rows import Row
from testtime.tasks.data import rows_of, split_file, text

PROMPT = """\
{question}

Answer with the function calls that this needs and nothing else, as a JSON list:
[{{"name": "…", "arguments": {{…}}}}]"""
BESIDE = "possible_answer_"


@dataclass(frozen=True)
class Bfcl:
    """The task over a local file, with its possible answers beside it, or a folder of several (a split each).

    >>> right = [{"area": {"base": [10], "unit": ["", "cm"]}}]
    >>> triangle = Problem("simple_python_0", "test", "Find …", fields={"possible": right})
    >>> task = Bfcl("BFCL_v4_simple_python.json.gz")
    >>> task.right(triangle, task.answer(triangle, "[area(base=10)]")[1])
    True
    >>> task.right(triangle, task.answer(triangle, "[area(base=11)]")[1])
    False
    """

    path: Path | str

    name: ClassVar[str] = "bfcl"
    prompt: ClassVar[str] = PROMPT
    tool_prompt: ClassVar[str] = "{question}"
    verifier: ClassVar[str] = "tools"

    def problems(self, split: str) -> Iterator[Problem]:
        """In dataset order; `query_id` is the dataset's id. Raises BadInput where the possible answers are missing."""
        file = split_file(self.path, split)
        beside = file.with_name(f"{BESIDE}{file.name}")
        if not beside.is_file():
            raise BadInput(
                "the file of possible answers is not there", where=str(beside), mend="put it beside the rows"
            )
        possible = {text(row, "id"): row.need("ground_truth") for row in rows_of(beside, split)}
        for row in rows_of(file, split):
            query = text(row, "id")
            functions = _plain(row.need("function"))
            asked = "\n".join(str(turn.get("content")) for turn in _turns(row))
            question = f"Functions:\n{json.dumps(functions, ensure_ascii=False)}\n\nRequest: {asked}"
            right = _plain(possible.get(query))
            fields = {"tools": functions, "possible": right, "asked": asked, "answer": "calls"}
            yield Problem(query, split, question, json.dumps(right, ensure_ascii=False) if right else None, fields)

    def answer(self, problem: Problem, text: str) -> tuple[str | None, str | None]:
        """(The calls as JSON, the same sorted); no key where the text writes none."""
        found = calls.calls_of(text)
        return (json.dumps(found, ensure_ascii=False, default=str), calls.key_of(found)) if found else (None, None)

    def right(self, problem: Problem, key: str | None) -> bool | None:
        """Whether the calls are those that are asked for."""
        possible = problem.fields.get("possible")
        if possible is None:
            return None
        return key is not None and calls.matches(calls.from_key(key), possible)


def _turns(row: Row) -> list[dict[str, Any]]:
    """The messages of the first turn."""
    question = row.need("question")
    first = question[0] if isinstance(question, list) and question else None
    turns: list[Any] = first if isinstance(first, list) else [first]
    if not turns or not all(isinstance(turn, dict) for turn in turns):
        row.bad("'question' is not a list of messages")
    return turns


def _plain(value: Any) -> Any:
    """The value with its decimals as floats."""
    return json.loads(json.dumps(value, default=float))
