"""A rule, and a judge where it is unsure: its word is in the rows, its calls in the same ledger as the draws', and one
answer is asked about once in a session.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from harness import finish, lane, last_word, plan, server

from testtime.core.errors import ModelError
from testtime.core.records import Problem, Request
from testtime.decoding.plain import Plain
from testtime.engine.plan import Plan
from testtime.meters.price import Price, Prices
from testtime.verifiers.chain import Chain
from testtime.verifiers.judge import Judge
from testtime.verifiers.math import Math


def right(problem: Problem, key: str | None) -> bool:
    return key == problem.reference


TASK = cast(Any, SimpleNamespace(name="sums", answer=last_word, right=right, verifier="math"))


def third(request: Request, seed: int) -> str:
    """Right, off by one or undecided, a third each."""
    value = int(str(request.messages[0]["content"]).split()[-1]) * 2
    return f"it is {[value, value + 1, 'unclear'][seed % 3]}"


def lenient(request: Request, seed: int) -> object:
    """Calls every answer right."""
    return json.dumps({"reasoning": "close enough", "right": True, "confidence": 0.9})


def shape(folder: Path, script: object = lenient, **how: Any) -> Plan:
    model, judge = server(folder, third), server(folder, script, "j:1")
    price = Prices({model.name: Price(1.0, 5.0), judge.name: Price(20.0, 100.0)})
    made = plan(model, [lane(Plain(), 12, "plain")], models={model.name: model, judge.name: judge}, price=price)
    stage = Chain(Math(TASK), Judge(TASK), math=True, **{"audit": 0.0, **how})
    return replace(made, verifiers=[stage], roles={"judge": judge.name}, concurrency=1)


def test_what_the_rule_calls_wrong_goes_to_the_judge_and_its_dollars_to_the_ledger(tmp_path: Path) -> None:
    whole = finish(shape, tmp_path)
    rows = whole.rows
    asked = rows.filter(rows["verification_llm_judge_used"].fill_null(False))
    assert 0 < asked.height < rows.height
    assert asked["is_verified"].all()
    assert asked["oracle(rule_said)"].to_list() == [0.0] * asked.height
    assert set(asked["verification_verifier_name"]) == {"judge"}
    assert not rows.filter(rows["answer_key"].is_null())["is_verified"].any(), "no answer is never judged"
    judged = whole.calls.filter(role="judge")
    assert judged.height == asked.select("query_id", "answer").n_unique() < asked.height
    assert rows["verification_explanation"].null_count() == rows["verification_method"].null_count() == 0


def test_a_failed_draw_is_a_false_verdict_that_says_why(tmp_path: Path) -> None:
    def script(request: Request, seed: int) -> object:
        return ModelError("no reply") if seed % 3 else "it is 0"

    def failing(folder: Path) -> Plan:
        made = shape(folder)
        return replace(made, models={**made.models, "scripted:1": server(folder, script)})

    rows = finish(failing, tmp_path).rows
    failed = rows.filter(rows["error"].is_not_null())
    assert failed.height > 0
    assert not failed["is_verified"].any()
    assert failed["is_verified"].null_count() == 0
    assert failed["verification_explanation"].str.contains("no reply").all()
    assert set(failed["verification_method"]) == {"no answer"}


def test_a_judge_that_cannot_be_asked_leaves_the_rules_verdict(tmp_path: Path) -> None:
    whole = finish(lambda folder: shape(folder, lambda request, seed: ModelError("down")), tmp_path)
    failed = whole.rows.filter(whole.rows["verification_llm_judge_failed"].fill_null(False))
    assert failed.height > 0
    assert not failed["is_verified"].any()
    assert failed["verification_explanation"].str.contains("down").all()


def test_the_audit_is_noted_and_changes_nothing(tmp_path: Path) -> None:
    plain = finish(lambda folder: shape(folder, audit=0.0, threshold=0.0), tmp_path / "plain")
    audited = finish(lambda folder: shape(folder, audit=1.0, threshold=0.0), tmp_path / "audited")
    assert audited.rows["is_verified"].equals(plain.rows["is_verified"])
    noted = audited.rows.filter(pl_true(audited.rows["oracle(judge_audited)"]))
    assert noted.height == audited.rows.filter(audited.rows["answer_key"].is_not_null()).height


def pl_true(series: Any) -> Any:
    return series.fill_null(0.0) == 1.0
