"""A judge that costs: its verdicts are rows' columns, its calls and dollars are in the same ledger."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from harness import finish, guess, lane, live_is_replay, plan, server, survives

from testtime.core.errors import ModelError
from testtime.core.protocols import Ask
from testtime.core.records import Candidate, Problem, Request, Verdict
from testtime.decoding.plain import Plain
from testtime.engine.plan import Plan
from testtime.meters.price import Price, Prices
from testtime.policies.best_of_n import BestOfN
from testtime.watching import Progress, watched


class Judge:
    """Asks a model whether the text is right."""

    stage, digest, gold = "judge", "v1", False

    async def verify(self, problem: Problem, candidate: Candidate, ask: Ask) -> Verdict:
        question = f"{problem.question}? {candidate.text} Is it right?"
        got = await ask.generate("judge", Request([{"role": "user", "content": question}]))
        said = got.completions[0].text
        return Verdict(
            self.stage,
            self.digest,
            said == "yes",
            float(len(said)),
            0.5 + len(said) / 10,
            explanation=said,
            calls=got.calls,
        )


def shape(folder: Path, script: object = lambda request, seed: "yes" if seed % 3 else "no") -> Plan:
    model, judge = server(folder, guess), server(folder, script, "j:1")
    price = Prices({model.name: Price(1.0, 5.0), judge.name: Price(20.0, 100.0)})
    made = plan(model, [lane(Plain(), 3, "plain")], models={model.name: model, judge.name: judge}, price=price)
    return replace(made, verifiers=[Judge()], roles={"judge": judge.name})


def test_the_judges_dollars_are_in_the_ledger_and_borne_by_rows(tmp_path: Path) -> None:
    whole = survives(shape, tmp_path)
    assert whole.calls.filter(role="judge").height == 9
    assert 0 < whole.rows["is_verified"].sum() < 9
    assert whole.rows["judge_score"].to_list() == [3.0 if right else 2.0 for right in whole.rows["is_verified"]]
    judged = whole.calls.filter(role="judge")["usd"].sum()
    generated = whole.calls.filter(role="model")["usd"].sum()
    assert judged > generated > 0
    assert abs(whole.rows["paid_usd"].sum() - judged - generated) < 1e-12


def test_a_run_that_gets_on_tells_the_judges_dollars_too(tmp_path: Path) -> None:
    progress = Progress(9, open_end=False)
    whole = finish(lambda folder: watched(shape(folder), progress), tmp_path)
    judged = whole.calls.filter(role="judge")["usd"].sum()
    assert progress.usd == pytest.approx(judged + whole.rows["cost_usd"].sum()), "a draw's own is what it costs alone"


def test_policies_executed_live_read_the_columns_that_their_replay_reads(tmp_path: Path) -> None:
    by = ("judge_score", "completion", "usd", "oracle(is_verified)")

    def judged(folder: Path) -> Plan:
        return replace(shape(folder), policies=[BestOfN(4, column) for column in by])

    whole = survives(judged, tmp_path, points=4)
    assert whole.rows.height == 12
    live_is_replay(whole)


def test_a_judge_that_fails_gives_null_and_harms_no_neighbour(tmp_path: Path) -> None:
    def script(request: Request, seed: int) -> object:
        return ModelError("overloaded") if seed % 3 == 0 else "yes"

    whole = finish(lambda folder: shape(folder, script), tmp_path)
    failed = whole.rows.filter(whole.rows["is_verified"].is_null())
    assert 0 < failed.height < 9
    assert set(failed["verification_explanation"]) == {"overloaded"}
    assert whole.rows["error"].null_count() == 9


def test_another_judge_judges_again_and_draws_nothing(tmp_path: Path) -> None:
    class Stricter(Judge):
        digest = "v2"

    before = finish(shape, tmp_path)
    after = finish(lambda folder: replace(shape(folder), verifiers=[Stricter()]), tmp_path)
    assert (after.finished.made, after.served - before.served) == (0, 9)
    assert after.rows["candidate_text"].equals(before.rows["candidate_text"])
    assert not after.rows["is_verified"].equals(before.rows["is_verified"])
