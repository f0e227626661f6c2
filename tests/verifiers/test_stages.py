"""Proves that choices and calls are judged by their task, that each problem goes to the stage it names, and that what
cannot be judged is null and says so.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, cast

import pytest

from testtime.core.records import Candidate, Part, Problem
from testtime.core.registry import find
from testtime.tasks.bfcl import Bfcl
from testtime.tasks.local import Local
from testtime.tasks.mmlu import Mmlu
from testtime.tasks.truthfulqa import TruthfulQa


def judged(task: Any, problem: Problem, text: str, stage: str = "", **facts: Any) -> Any:
    printed, key = task.answer(problem, text)
    known = {"answer": printed, "answer_key": key, **facts}
    candidate = Candidate("plain", "q", 0, [Part("answer", text)], "stop", facts=known)
    return asyncio.run(find("verifier", stage or task.verifier)(task).verify(problem, candidate, cast(Any, None)))


@pytest.mark.parametrize(
    ("text", "value", "method"),
    [("Final Answer: B", True, "letter"), ("Final Answer: A", False, "letter"),
     ("Final Answer: 17", False, "unreadable"),
     ("Hm.", False, "no answer"), ("Final Answer: 4", True, "letter")],
)  # fmt: skip
def test_a_choice_is_its_letter(text: str, value: bool, method: str) -> None:
    problem = Problem("q", "test", "?", "B", {"choices": {"A": "0", "B": "4", "C": "2"}})
    verdict = judged(Mmlu("none"), problem, text)
    assert (verdict.value, verdict.method) == (value, method)


def test_the_share_of_probability_is_a_score_and_no_verdict() -> None:
    problem = Problem(
        "q", "mc2", "?", "A", {"verifier": "choice", "choices": dict.fromkeys("ABC", "x"), "correct": ["A", "C"]}
    )
    likelihoods = {"A": 0.25, "B": 0.5, "C": 0.25}
    verdict = judged(TruthfulQa("none"), problem, "Final Answer: B", likelihoods=likelihoods)
    assert (verdict.value, verdict.score, verdict.method) == (None, 0.5, "mc2")


@pytest.mark.parametrize(("said", "value"), [("[f(a=1)]", True), ("[f(a=2)]", False), ("no call", False)])
def test_calls_are_judged_by_structure(said: str, value: bool) -> None:
    problem = Problem("q", "test", "?", "…", {"possible": [{"f": {"a": [1]}}]})
    assert judged(Bfcl("none"), problem, said).value is value
    assert judged(Bfcl("none"), Problem("q", "test", "?"), said).value is (None if "f(" in said else False)


def test_each_problem_goes_to_the_stage_it_names() -> None:
    task = Local("none")
    verdict = judged(task, Problem("q", "test", "?", "5", {"verifier": "math"}), "Final Answer: 5")
    assert (verdict.stage, verdict.value) == ("math", True)
    verdict = judged(task, Problem("q", "test", "?", "5", {"verifier": "no_tests"}), "Final Answer: 5")
    assert (verdict.stage, verdict.value, verdict.confidence, verdict.method) == ("no_tests", None, 0.0, "no_tests")
    verdict = judged(task, Problem("q", "test", "?", "5", {"verifier": "no_tests"}), " ")
    assert (verdict.value, verdict.method) == (False, "no answer")


@pytest.mark.parametrize("name", ["choice", "code", "judge", "math", "no_tests", "tools"])
@pytest.mark.parametrize("how", [{"finish": "error", "error": "lost"}, {"finish": "refusal"}, {"finish": "length"}, {}])
def test_no_answer_is_wrong_where_nothing_else_can_be_judged_too(name: str, how: dict[str, Any]) -> None:
    """A problem without reference, tests or judge: null is for answers that nobody can judge, not for none."""
    candidate = Candidate("plain", "q", 0, [], **{"finish": "stop", "facts": {"answer": None}, **how})
    stage = find("verifier", name)(Local("none"))
    verdict = asyncio.run(stage.verify(Problem("q", "test", "?"), candidate, cast(Any, None)))
    assert (verdict.value, verdict.confidence, verdict.method.removesuffix(" (low trust)")) == (False, 1.0, "no answer")
    assert verdict.explanation


def test_every_stage_explains_itself(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text(json.dumps({"question": "?"}) + "\n")
    (problem,) = Local(tmp_path / "q.jsonl").problems("test")
    for name in ("choice", "math", "no_tests", "tools"):
        verdict = judged(Local("none"), problem, "Final Answer: 5", name)
        assert verdict.explanation
        assert verdict.method
        assert verdict.value is None
        assert verdict.confidence == 0
