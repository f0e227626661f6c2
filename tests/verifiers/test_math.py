r"""Proves that the stage agrees with the task's own rule, with other graders' cases and with recorded labels; that
every case of no answer is a false verdict; and that no answer can hang, crash or run anything in this process.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import random
from pathlib import Path
from typing import Any, cast

import pytest

from testtime.answers import expression
from testtime.core.errors import BadInput
from testtime.core.records import Candidate, Part, Problem
from testtime.core.registry import find
from testtime.tasks.gsm8k import Gsm8k
from testtime.tasks.math import Math as MathTask
from testtime.tasks.pocket_math import PocketMath
from testtime.verifiers import math as stage
from testtime.verifiers.math import Finding, Math, compare, judge_pair
from testtime.verifiers.workers import Died, Overdue, Workers, python

needs_math_verify = pytest.mark.skipif(not stage.installed(), reason="math-verify is not installed: the extra `math`")


def judged(task: Any, reference: str | None, text: str, **more: Any) -> Any:
    problem = Problem("q", "test", "?", reference)
    printed, key = task.answer(problem, text)
    facts = {"answer": printed, "answer_key": key}
    candidate = Candidate("plain", "q", 0, [Part("answer", text)], **{"finish": "stop", "facts": facts, **more})
    return asyncio.run(Math(task).verify(problem, candidate, cast(Any, None)))


GSM8K, MATH = Gsm8k(Path("none.jsonl")), MathTask(Path("none.jsonl"))


@pytest.mark.parametrize(
    ("reference", "text", "value"),
    [
        ("18", "Final Answer: 18", True), ("18", "Final Answer: $18.00", True), ("1,000", "Final Answer: 1000", True),
        ("18", "Final Answer: 19", False), ("18", "I give up", False), (None, "Final Answer: 18", None),
        ("18", "Final Answer: 18.0000001", False),
    ],
)  # fmt: skip
def test_a_number_is_judged_exactly_and_here(
    monkeypatch: pytest.MonkeyPatch, reference: str | None, text: str, value: bool | None
) -> None:
    monkeypatch.setattr(stage, "installed", lambda: False)
    verdict = judged(GSM8K, reference, text)
    assert verdict.value is value
    assert verdict.gold
    assert verdict.confidence == (0.0 if value is None else 1.0)
    assert verdict.explanation
    assert verdict.method


@needs_math_verify
@pytest.mark.parametrize(
    ("reference", "text", "value", "method", "confidence"),
    [
        (r"\frac{1}{2}", r"\boxed{0.5}", True, "key", 1.0),
        (r"\frac{1}{3}", r"\boxed{0.333333}", True, "number", 1.0),
        (r"\frac{1}{3}", r"\boxed{0.33}", False, "number", 1.0),
        (r"\sin^2 x", r"\boxed{1-\cos^2 x}", True, "math-verify", 0.95),
        (r"\sin^2 x", r"\boxed{1-\cos x}", False, "math-verify", 0.9),
        (r"\text{Evelyn}", r"\boxed{\text{evelyn}}", True, "key", 1.0),
        (r"\text{Evelyn}", r"\boxed{\text{Carla}}", False, "word", 0.8),
        (r"x+1", "I do not know", False, "no answer", 1.0),
        (r"x+1", r"\boxed{@#~}", False, "unreadable", 0.0),
        ("5", r"\boxed{2 3}", False, "unreadable", 0.0),
        ("0", r"\boxed{10 000}", False, "number", 1.0),
    ],
)
def test_the_rule_that_decides_says_how_sure_it_is(
    reference: str, text: str, value: bool, method: str, confidence: float
) -> None:
    verdict = judged(MATH, reference, text)
    assert (verdict.value, verdict.method, verdict.confidence) == (value, method, confidence)


@pytest.mark.parametrize(
    ("reference", "text", "value", "method"),
    [
        (r"12\text{ cm}", r"\boxed{12\text{ m}}", False, "units"),
        (r"1 \text{ m}", r"\boxed{100\text{ cm}}", True, "units"),
        (r"120\text{ minutes}", r"\boxed{2\text{ hours}}", True, "units"),
        (r"\$5", r"\boxed{5\text{ cents}}", False, "units"),
        (r"2\sqrt{3}\text{ cm}", r"\boxed{20\sqrt{3}\text{ mm}}", True, "units"),
        ("5 miles", r"\boxed{8.0467 km}", True, "units"),
        (r"12\text{ cm}", r"\boxed{12}", True, "key"), (r"15\mbox{ cm}^2", r"\boxed{15}", True, "key"),
        ("11_2", r"\boxed{11_3}", False, "number"), ("11_2", r"\boxed{3_{10}}", True, "number"),
        ("2516_8", r"\boxed{2517_{8}}", False, "number"), (r"\emptyset", r"\boxed{\varnothing}", True, "key"),
    ],
)  # fmt: skip
def test_measures_in_different_units_and_numerals_of_any_base_are_compared_by_value(
    reference: str, text: str, value: bool, method: str
) -> None:
    verdict = judged(MATH, reference, text)
    assert (verdict.value, verdict.method, verdict.confidence) == (value, method, 1.0)
    pair = asyncio.run(judge_pair(reference, text))
    assert (pair.value, pair.method) == (value, method)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"finish": "error", "error": "the provider gave nothing", "facts": {}}, "the provider gave nothing"),
        ({"finish": "refusal", "facts": {}}, "refused"),
        ({"finish": "length", "facts": {}}, "token limit"),
        ({"finish": "stop", "facts": {"answer": None}}, "gives none"),
    ],
)
def test_a_candidate_without_an_answer_is_wrong_and_says_why(more: dict[str, Any], why: str) -> None:
    verdict = judged(GSM8K, "18", "Let me see", **more)
    assert (verdict.value, verdict.method) == (False, "no answer")
    assert why in verdict.explanation
    assert judged(GSM8K, None, "Let me see", **more).value is False, "whether it has a reference or not"


def test_it_is_found_by_the_name_that_tasks_give() -> None:
    for task in (GSM8K, PocketMath(), MATH):
        assert find("verifier", task.verifier) is Math


def test_another_task_has_other_verdicts() -> None:
    assert Math(PocketMath()).digest == Math(PocketMath()).digest != Math(GSM8K).digest


def test_only_expressions_need_math_verify(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "installed", lambda: False)
    refuses = Math(MATH).refuses
    assert refuses(Problem("q", "t", "?", "1,234")) is refuses(Problem("q", "t", "?", None)) is None
    assert refuses(Problem("q", "t", "?", "B", {"choices": {"B": "x"}})) is None
    assert "testtime[math]" in str(refuses(Problem("q", "t", "?", r"\sqrt{2}")))
    with pytest.raises(BadInput, match="math-verify"):
        asyncio.run(judge_pair("x", "y+z"))


def test_without_math_verify_an_answer_that_is_no_number_has_no_verdict_and_stops_no_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stage, "installed", lambda: False)
    verdict = judged(MATH, "18", r"so \boxed{x^2+1}")
    assert (verdict.value, verdict.confidence, verdict.method) == (None, 0.0, "not installed")
    assert "testtime[math]" in verdict.explanation


async def all_of(pairs: list[Any]) -> list[Finding]:
    return list(await asyncio.gather(*[judge_pair(*pair) for pair in pairs]))


@needs_math_verify
@pytest.mark.parametrize(
    ("file", "least_true", "least_false"),
    [
        ("math_verify_first_half", 87, 8), ("math_verify_open_thoughts", 28, 1), ("nemo_skills_math_equal", 24, 6),
        ("verifiers_math_rubric", 3, 2),
    ],
)  # fmt: skip
def test_it_agrees_with_other_graders_cases(data: Path, file: str, least_true: int, least_false: int) -> None:
    lines = (data / "math_equivalence" / f"{file}.jsonl").read_text(encoding="utf-8").split("\n")
    rows = [json.loads(line) for line in lines if line]
    found = asyncio.run(all_of([(row["gold"], row["prediction"], row["options"]) for row in rows]))
    agreed = [row["expected"] for row, one in zip(rows, found, strict=True) if one.value is row["expected"]]
    assert agreed.count(True) >= least_true
    assert agreed.count(False) >= least_false


@needs_math_verify
def test_recorded_labels_are_agreed_with_but_for_one_that_is_wrong(data: Path) -> None:
    with gzip.open(data / "qwen_math_rm8" / "math_cot_100.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    several = [(row["gt"], text, label) for row in rows for text, label in zip(row["code"], row["score"], strict=True)]
    found = asyncio.run(all_of([(gold, text) for gold, text, _ in several]))
    differ = [row[0] for row, one in zip(several, found, strict=True) if one.value is not row[2]]
    assert len(several) == 800
    assert differ == ["10{,}000"], "a prediction of 10000, which its recorder called wrong"


@needs_math_verify
def test_unequal_answers_are_not_accepted(data: Path) -> None:
    lines = (data / "math" / "math500.jsonl").read_text(encoding="utf-8").split("\n")
    golds = [json.loads(line)["answer"] for line in lines if line]
    expressions = sorted({gold for gold in golds if not (expression.key(gold) or "").lstrip("-").isdecimal()})
    dice = random.Random(6)
    pairs = [tuple(dice.sample(expressions, 2)) for _ in range(600)]
    unequal = [pair for pair in pairs if expression.key(pair[0]) != expression.key(pair[1])]
    found = asyncio.run(all_of(unequal))
    assert sum(one.value for one in found) <= 1


HOSTILE = [
    "10^{10^{10^{10}}}", "9" * 1900, "(" * 900, r"\frac{" * 300, "__import__('os').system('touch /tmp/owned')",
    r"\sum_{i=1}^{10^{12}} \sin(i^i)", "x^" * 400 + "x", "1/0", "factorial(10**8)", r"\int_0^1 x^{x^{x^{x}}} dx",
    "\x00\x01", "\ud800", "lambda: 0", "[" * 500 + "]" * 500, r"\sqrt{" * 200 + "2" + "}" * 200,
]  # fmt: skip


@needs_math_verify
@pytest.mark.parametrize("answer", HOSTILE, ids=range(len(HOSTILE)))
def test_no_answer_can_hang_or_crash_this_process(answer: str) -> None:
    found = asyncio.run(compare(r"\sqrt{2}", answer))
    assert found.value is False
    assert asyncio.run(compare(r"\sin^2 x", r"1-\cos^2 x")).value, "the next answer is judged as ever"


@needs_math_verify
@pytest.mark.skipif(os.name != "posix", reason="elsewhere the parent's clock alone ends a comparison")
def test_a_comparison_is_ended_by_its_own_time_and_not_by_the_clock() -> None:
    """So that a machine with other work does not make a right answer unreadable; the next one has a worker again."""
    pool = Workers(python(str(Path(stage.__file__).with_name("equality.py")), stage.MEMORY, 1), 1, 600)
    with pytest.raises(Died):
        asyncio.run(pool.ask({"gold": r"\sqrt{2}", "prediction": "7^{7^{9}}"}))
    assert asyncio.run(pool.ask({"gold": "x+1", "prediction": "1+x"}))["same"]
    assert stage.workers().seconds > stage.SECONDS


@needs_math_verify
def test_where_no_worker_starts_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (script := tmp_path / "worker.py").write_text("raise SystemExit(1)")
    monkeypatch.setattr(stage, "workers", lambda: Workers(python(str(script)), 1))
    verdict = judged(MATH, r"\sin^2 x", r"\boxed{1-\cos^2 x}")
    assert (verdict.value, verdict.confidence, verdict.method) == (None, 0.0, "failed")
    with pytest.raises(BadInput, match="does not start"):
        asyncio.run(judge_pair("x", "y+z"))


LOOP = "import sys, json\nprint('{}', flush=True)\nfor line in sys.stdin:\n    "


@pytest.mark.parametrize(
    ("body", "lost"),
    [
        ("exec('while 1: pass')", Overdue), ("raise SystemExit", Died), ("print('[1]', flush=True)", Died),
        ("print('x' * 10**6, flush=True)", Died), ("print('{', flush=True)", Died),
    ],
)  # fmt: skip
def test_a_lost_worker_is_replaced_and_harms_no_other(tmp_path: Path, body: str, lost: type[Exception]) -> None:
    bad = f"if 'bad' in line: {body}\n    else: print(json.dumps(json.loads(line)), flush=True)\n"
    script = tmp_path / "worker.py"
    script.write_text(LOOP + bad)
    pool = Workers(python(str(script)), count=2, seconds=1.5)

    async def work() -> list[Any]:
        jobs = [{"n": n, "kind": "bad" if n % 5 == 2 else "good"} for n in range(15)]
        return await asyncio.gather(*[pool.ask(job) for job in jobs], return_exceptions=True)

    came = asyncio.run(work())
    assert [type(one) for one in came if isinstance(one, Exception)] == [lost] * 3
    assert [one["n"] for one in came if isinstance(one, dict)] == [n for n in range(15) if n % 5 != 2]
    assert pool.killed == 3
