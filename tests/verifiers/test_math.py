"""The stage gives what the task's own equality says: right, wrong, wrong without an answer, unknown without a
reference; it admits that it saw the reference; and another task or version never reuses its verdicts.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from testtime.core.records import Candidate, Part, Problem
from testtime.core.registry import find
from testtime.tasks.gsm8k import Gsm8k
from testtime.tasks.pocket_math import PocketMath
from testtime.verifiers.math import Math


def judged(reference: str | None, text: str) -> Any:
    task = Gsm8k(Path("none.jsonl"))
    problem = Problem("q", "test", "?", reference)
    printed, key = task.answer(problem, text)
    facts = {"answer": printed, "answer_key": key}
    candidate = Candidate("plain", "q", 0, [Part("answer", text)], "stop", facts=facts)
    return asyncio.run(Math(task).verify(problem, candidate, cast(Any, None)))


@pytest.mark.parametrize(
    ("reference", "text", "value"),
    [
        ("18", "Final Answer: 18", True), ("18", "Final Answer: $18.00", True), ("1,000", "Final Answer: 1000", True),
        ("18", "Final Answer: 19", False), ("18", "I give up", False), (None, "Final Answer: 18", None),
    ],
)  # fmt: skip
def test_the_value_is_what_the_task_calls_equal(reference: str | None, text: str, value: bool | None) -> None:
    verdict = judged(reference, text)
    assert verdict.value is value
    assert verdict.gold
    assert (verdict.confidence is None) == (value is None)
    assert verdict.explanation


def test_it_is_found_by_the_name_that_tasks_give() -> None:
    for task in (Gsm8k(Path("none.jsonl")), PocketMath()):
        assert find("verifier", task.verifier) is Math


def test_another_task_has_other_verdicts() -> None:
    assert Math(PocketMath()).digest == Math(PocketMath()).digest != Math(Gsm8k(Path("none.jsonl"))).digest
