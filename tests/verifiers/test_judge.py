"""Proves when a judge is asked and what its word changes: that it is read or null, that the audit changes nothing, that
a tool_calling judge never sees the reference, and that one text is asked about once.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from testtime.core.errors import ModelError
from testtime.core.records import Candidate, Completion, Generation, Part, Problem, Request, Verdict
from testtime.core.spend import Spend
from testtime.models.scripted import Scripted
from testtime.tasks.gsm8k import Gsm8k
from testtime.tasks.nemotron import Nemotron
from testtime.verifiers.chain import Chain
from testtime.verifiers.each import Each
from testtime.verifiers.judge import Judge, prompt_of
from testtime.verifiers.math import Math
from testtime.verifiers.said import object_of

GSM8K = Gsm8k("none")


@dataclass
class Asked:
    """`Ask` over a scripted model, which remembers what it was asked."""

    says: Any
    requests: list[Request] = field(default_factory=list)

    async def generate(self, role: str, request: Request) -> Generation:
        assert role == "judge"
        self.requests.append(request)
        await asyncio.sleep(0)
        if isinstance(self.says, list):
            return Generation([Completion(self.says.pop(0), "stop")], Spend(), "judge:1", calls=("call",))
        model = Scripted(lambda asked, seed: self.says)
        return await model.generate(request)


def words(right: bool, confidence: float = 0.9) -> str:
    return json.dumps({"reasoning": "because", "right": right, "confidence": confidence})


def candidate(task: Any, problem: Problem, text: str, parts: Sequence[Part] = (), idx: int = 0) -> Candidate:
    printed, key = task.answer(problem, text)
    facts = {"answer": printed, "answer_key": key}
    return Candidate("plain", problem.query_id, idx, [*parts, Part("answer", text)], "stop", facts=facts)


def verdict(stage: Any, ask: Asked, text: str = "Final Answer: 19", gold: str | None = "18", idx: int = 0) -> Any:
    problem = Problem("q", "test", "How many?", gold)
    return asyncio.run(stage.verify(problem, candidate(GSM8K, problem, text, idx=idx), cast(Any, ask)))


@pytest.mark.parametrize(("fallback", "asked"), [(False, 0), (True, 1)])
def test_mathematics_is_judged_only_where_the_fallback_is_on(fallback: bool, asked: int) -> None:
    ask = Asked(words(True))
    said = verdict(Chain(Math(GSM8K), Judge(GSM8K), math=fallback, audit=0), ask)
    assert len(ask.requests) == asked
    assert said.value is fallback
    if fallback:
        assert said.columns["verification_llm_judge_used"]
        assert (said.columns["rule_said"], said.columns["judge_said"]) == (0.0, 1.0)
        assert said.method == "number+judge math"
        assert "against '18'" in said.explanation
        assert "because" in said.explanation


@pytest.mark.parametrize(
    ("text", "gold"), [("I give up", "18"), ("", "18"), ("Final Answer: 18", "18"), ("Final Answer: 1", None)]
)
def test_it_is_not_asked_about_no_answer_a_right_one_or_without_a_reference(text: str, gold: str | None) -> None:
    ask = Asked(words(True))
    verdict(Chain(Math(GSM8K), Judge(GSM8K), math=True, audit=0), ask, text, gold)
    assert ask.requests == []


def test_a_judge_that_is_not_sure_changes_nothing_and_would_not_elsewhere() -> None:
    said = verdict(Chain(Math(GSM8K), Judge(GSM8K), math=True, audit=0), Asked(words(True, 0.6)))
    assert said.value is False
    assert said.stage == "math"
    assert (said.columns["judge_said"], said.columns["judge_sure"]) == (1.0, 0.0)
    audited = verdict(Chain(Math(GSM8K), Judge(GSM8K), audit=1, math=True), Asked(words(False)), "Final Answer: 18")
    assert (audited.value, audited.columns["judge_said"], audited.columns["judge_sure"]) == (True, 0.0, 1.0)


@pytest.mark.parametrize("reply", ["It is right.", '{"right": 1}', ModelError("overloaded")])
def test_a_judge_that_fails_leaves_the_rule_and_says_so(reply: Any) -> None:
    said = verdict(Chain(Math(GSM8K), Judge(GSM8K), math=True, audit=0), Asked(reply))
    assert said.value is False
    assert said.columns["verification_llm_judge_failed"]
    alone = verdict(Judge(GSM8K), Asked(reply))
    assert (alone.value, alone.confidence, alone.method) == (None, 0.0, "judge failed")
    assert alone.explanation


def test_the_audit_asks_about_a_share_of_sure_verdicts_and_changes_none() -> None:
    ask = Asked(words(False))
    stage = Chain(Math(GSM8K), Judge(GSM8K), math=True, audit=0.25)
    said = [verdict(stage, ask, "Final Answer: 18", idx=idx) for idx in range(400)]
    assert {one.value for one in said} == {True}
    audited = [one for one in said if one.columns.get("judge_audited")]
    assert 60 < len(audited) < 140
    assert {one.columns["judge_said"] for one in audited} == {0.0}
    again = [verdict(stage, ask, "Final Answer: 18", idx=idx) for idx in range(400)]
    assert [one.columns for one in again] == [one.columns for one in said]


def test_one_text_is_asked_about_once() -> None:
    ask, judge = Asked(words(True)), Judge(GSM8K)
    problem = Problem("q", "test", "How many?", "18")
    several = [candidate(GSM8K, problem, "Final Answer: 19", idx=idx) for idx in range(5)]

    async def work() -> list[Any]:
        return await asyncio.gather(*[judge.verify(problem, one, cast(Any, ask)) for one in several])

    said = asyncio.run(work())
    assert len(ask.requests) == 1
    assert [one.value for one in said] == [True] * 5


def test_a_tool_calling_judge_sees_calls_and_tools_and_never_the_reference() -> None:
    fields = {"verifier": "judge", "tools": [{"name": "weather"}]}
    problem = Problem("q", "tool_calling", "Weather in Rome?", "SECRET", fields)
    task = Nemotron("none")
    parts = [Part("call", 'weather(city="Rome")'), Part("result", "hot")]
    ask = Asked('{"reasoning": "x", "addresses_problem": true, "tools_reasonable": true, "answer_sensible": true, '
                '"right": true, "confidence": 0.8}')  # fmt: skip
    said = asyncio.run(Each(task).verify(problem, candidate(task, problem, "It is hot.", parts), cast(Any, ask)))
    (request,) = ask.requests
    shown = request.messages[0]["content"]
    assert "SECRET" not in shown
    assert all(word in shown for word in ("Rome", "weather(city", "hot", '"name": "weather"'))
    assert "tools_reasonable" in request.params["schema"]["required"]
    assert request.params["temperature"] == 0
    assert (said.value, said.method) == (True, "judge appropriateness")


@pytest.mark.parametrize("split", ["chat", "stem", "code", "tool_calling"])
def test_without_a_judge_what_has_no_rule_is_null(split: str) -> None:
    task = Nemotron("none")
    stages = {"stem": "judge", "chat": "judge", "tool_calling": "judge", "code": "no_tests"}
    problem = Problem("q", split, "Say hello", "Hello", {"verifier": stages[split]})
    stage = Each(task, {"judge": Judge(task, None)})
    said = asyncio.run(stage.verify(problem, candidate(task, problem, "Hello"), cast(Any, Asked(""))))
    assert said.value is None
    assert said.method in ("no judge", "no_tests")


def test_code_without_tests_is_left_to_the_judge() -> None:
    task = Nemotron("none")
    problem = Problem("q", "code", "Write a loop", "while 1: 0", {"verifier": "no_tests"})
    ask = Asked(words(True))
    stage = Chain(Each(task), Judge(task), audit=0)
    said = asyncio.run(stage.verify(problem, candidate(task, problem, "```python\nwhile 1: 0\n```"), cast(Any, ask)))
    assert (said.value, said.stage, said.method) == (True, "judge", "no_tests+judge code")
    assert "while 1: 0" in ask.requests[0].messages[0]["content"]


@dataclass(frozen=True)
class Ruled:
    """A code stage that says what it is told to."""

    value: bool | None
    confidence: float
    stage: str = "code"
    digest: str = "tested"
    gold: bool = True

    def refuses(self, problem: Problem) -> None:
        return None

    async def verify(self, problem: Problem, candidate: Candidate, ask: Any) -> Verdict:
        return Verdict(self.stage, self.digest, self.value, None, self.confidence, "tests", "they ran", True)


@pytest.mark.parametrize(
    ("value", "confidence", "asked"), [(False, 1.0, 0), (True, 1.0, 0), (None, 0.0, 1), (False, 0.3, 1)]
)
def test_a_judge_never_overrules_tests_that_ran(value: bool | None, confidence: float, asked: int) -> None:
    ask = Asked(words(True))
    said = verdict(Chain(Ruled(value, confidence), Judge(GSM8K), audit=0), ask)
    assert len(ask.requests) == asked
    assert said.value is (True if asked else value)


@pytest.mark.parametrize("text", ["}{", "{" * 5000, '{"right": null}', '{"right": "true"}', "", "It is right."])
def test_what_cannot_be_read_is_no_verdict(text: str) -> None:
    said = verdict(Judge(GSM8K), Asked(text))
    assert (said.value, said.method) == (None, "judge failed")


def test_a_reply_is_read_fenced_with_latex_and_without_a_confidence() -> None:
    found = object_of('So:\n```json\n{"right": true, "confidence": 7, "reasoning": "\\frac12 is 0.5"}\n```')
    assert found == {"right": True, "confidence": 0.5, "reasoning": "\frac12 is 0.5"}


def test_long_answers_and_braces_do_no_harm() -> None:
    problem = Problem("q", "test", "{question} {0}", "{reference}")
    text = prompt_of("quality", problem, candidate(GSM8K, problem, "{answer}" * 5000))
    assert len(text) < 14_000
