"""One folder under several plans: it grows to their union, nothing paid for is dropped, no name means two things."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from plans import echo_seed, messages, plan_of, run

from testtime.core.errors import BadInput, ModelError
from testtime.core.protocols import Ask
from testtime.core.records import Candidate, Problem, Request, Verdict
from testtime.core.strings import parse
from testtime.decoding.plain import Plain
from testtime.engine.caps import Caps
from testtime.engine.finish import write_pool
from testtime.engine.plan import Plan
from testtime.engine.run import execute
from testtime.meters.price import Price, Prices
from testtime.models.scripted import Scripted
from testtime.store.frame import open_pool
from testtime.store.parquet import read_meta

PRICE = Prices({"scripted:1": Price(1.0, 3.0)})


def armed(made: Plan, label: str = "arm", **how: Any) -> Plan:
    """The plan with another arm in place of its own."""
    arm = replace(made.lanes[0].arms[0], label=label, **how)
    return replace(made, lanes=[replace(made.lanes[0], arms=(arm,))])


def stamps(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_a_narrower_plan_drops_no_row_and_the_books_agree(tmp_path: Path) -> None:
    wide = plan_of(echo_seed(), due=3, count=5, price=PRICE)
    _, whole, _ = run(wide, tmp_path)
    narrow = replace(wide, problems=wide.problems[2:4], lanes=[replace(wide.lanes[0], due=1)], run="narrow")
    done, rows, calls = run(narrow, tmp_path)
    assert (done.made, rows.height) == (0, 15)
    assert rows.equals(whole)
    assert rows["paid_usd"].sum() == pytest.approx(calls["usd"].sum(), abs=1e-12)
    assert read_meta(tmp_path / "candidates.parquet")["total_queries"] == 5
    assert open_pool(tmp_path).arms["arm"].floor == 3


def test_an_arm_that_a_later_plan_lacks_keeps_its_rows_with_their_messages(tmp_path: Path) -> None:
    first = plan_of(echo_seed(), due=2, price=PRICE)
    other = armed(replace(first, problems=[Problem("z", "dev", "what?")]), "hot", sampling={"temperature": 2.0})
    run(first, tmp_path)
    done, rows, calls = run(other, tmp_path)
    assert (done.made, rows.height) == (2, 8)
    assert rows.filter(arm="arm")["question"].to_list() == [f"question {at}" for at in range(3) for _ in range(2)]
    assert json.loads(rows["input_messages"][2])[0]["content"] == rows["question"][2]
    assert rows["paid_usd"].sum() == pytest.approx(calls["usd"].sum(), abs=1e-12)
    meta = read_meta(tmp_path / "candidates.parquet")
    assert (meta["floor"], meta["splits"]) == ({"hot": 2, "arm": 2}, ["dev", "test"])


def test_the_floor_is_what_every_problem_was_due_not_what_some_session_asked(tmp_path: Path) -> None:
    """Draws that a policy chose to make are no sample, also where another session was due more of other problems."""
    model = echo_seed()
    adaptive = plan_of(model, due=0, count=6, policies=[parse("policy", "adaptive_margin:stop_rule=margin,max_n=8")])
    run(adaptive, tmp_path)
    floor = open_pool(tmp_path).arms["arm"].floor
    assert floor is not None
    assert open_pool(tmp_path).arms["arm"].size.min() > floor
    run(plan_of(model, due=12, count=1), tmp_path)
    assert open_pool(tmp_path).arms["arm"].floor == floor
    run(plan_of(model, due=12, count=6), tmp_path)
    assert open_pool(tmp_path).arms["arm"].floor == 12


def test_finished_and_unchanged_touches_no_file_and_says_so(tmp_path: Path) -> None:
    made = plan_of(echo_seed(), policies=[parse("policy", "sc_fixed:n=4")])
    first, _, _ = run(made, tmp_path)
    before = stamps(tmp_path)
    again, _, _ = run(made, tmp_path)
    assert (first.unchanged, again.unchanged) == (False, True)
    assert stamps(tmp_path) == before
    assert (again.made, again.kept) == (0, 12)
    assert [(r.policy, r.seen["arm"].tolist()) for r in again.realised] == [
        (r.policy, r.seen["arm"].tolist()) for r in first.realised
    ]


@pytest.mark.parametrize("lost", ["candidates.parquet", "calls.parquet"])
def test_files_that_are_missing_cut_or_of_another_plan_are_written_again(tmp_path: Path, lost: str) -> None:
    made = plan_of(echo_seed())
    run(made, tmp_path)
    (tmp_path / lost).unlink()
    assert not run(made, tmp_path)[0].unchanged
    (tmp_path / lost).write_bytes((tmp_path / lost).read_bytes()[:-9])
    assert not run(made, tmp_path)[0].unchanged
    noted = replace(made, about={"notes": "another day"})
    assert not run(noted, tmp_path)[0].unchanged
    assert read_meta(tmp_path / lost, f"testtime.{lost.partition('.')[0]}")["notes"] == "another day"
    assert run(noted, tmp_path)[0].unchanged


def test_draws_due_that_policies_had_made_already_raise_the_floor_without_a_call(tmp_path: Path) -> None:
    run(plan_of(echo_seed(), due=2, policies=[parse("policy", "adaptive_margin:stop_rule=margin,max_n=6")]), tmp_path)
    done, _, _ = run(plan_of(model := echo_seed(), due=6), tmp_path)
    assert (done.made, done.unchanged, model.calls) == (0, False, 0)
    assert open_pool(tmp_path).arms["arm"].floor == 6


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda plan: replace(plan, seed=1), "seed 0, not 1"),
        (lambda plan: replace(plan, dataset="other"), "dataset 'set', not 'other'"),
        (lambda plan: armed(plan, sampling={"temperature": 0.7}), r"sampling.temperature None, not 0\.7"),
        (lambda plan: armed(plan, prompt="Think."), "prompt None, not 'Think.'"),
        (lambda plan: armed(plan, persona="pirate"), "persona None, not 'pirate'"),
        (lambda plan: armed(plan, models={"model": "scripted:1", "judge": "x"}), r"models.judge None, not 'x'"),
        (lambda plan: armed(plan, decoding={"kind": "beam"}), r"decoding.kind None, not 'beam'"),
        (lambda plan: replace(plan, problems=[Problem("q1", "test", "changed")]), "question of q1 has changed"),
    ],
)
def test_what_would_mix_two_things_under_one_name_is_refused_by_that_name(
    tmp_path: Path, change: Any, says: str
) -> None:
    model = echo_seed()
    run(plan_of(model), tmp_path)
    before, calls = stamps(tmp_path), model.calls
    with pytest.raises(BadInput, match=says + ".*; use another output, or start with --fresh"):
        run(change(plan_of(model)), tmp_path)
    assert (stamps(tmp_path), model.calls) == (before, calls)


def test_a_prompt_that_changed_behind_an_equal_arm_is_refused(tmp_path: Path) -> None:
    made = plan_of(echo_seed())
    run(made, tmp_path)
    polite = replace(
        made.lanes[0], messages=lambda problem: [*messages(problem), {"role": "user", "content": "please"}]
    )
    with pytest.raises(BadInput, match="prompt of arm arm has changed"):
        run(replace(made, lanes=[polite]), tmp_path)


def test_problems_stand_in_dataset_order_whatever_was_asked_first(tmp_path: Path) -> None:
    for places in ([3], [1, 4], [0, 1, 2, 3, 4, 5], [2, 5]):
        made = plan_of(echo_seed(), due=1, count=6)
        _, rows, _ = run(replace(made, problems=[made.problems[at] for at in places]), tmp_path)
    assert rows["query_id"].to_list() == [f"q{at}" for at in range(6)]


@dataclass(frozen=True)
class Says:
    """A verdict that is always the same."""

    stage: str
    value: bool
    gold: bool = False

    @property
    def digest(self) -> str:
        return str(self.value)

    async def verify(self, problem: Problem, candidate: Candidate, ask: Ask) -> Verdict:
        return Verdict(self.stage, self.digest, self.value, score=float("nan"))


def test_a_plan_without_a_verifier_keeps_its_last_word_and_one_with_another_takes_that(tmp_path: Path) -> None:
    made = plan_of(echo_seed())
    run(replace(made, verifiers=[Says("math", True), Says("refusal", False)]), tmp_path)
    _, rows, _ = run(made, tmp_path)
    assert rows["is_verified"].to_list() == [True] * 6
    assert rows["math_score"].is_nan().all(), "a score that is no number is kept, and does no harm"
    _, rows, _ = run(replace(made, verifiers=[Says("math", False)]), tmp_path)
    assert rows["is_verified"].to_list() == [False] * 6
    assert rows["refusal_is_refusal"].to_list() == [False] * 6
    assert open_pool(tmp_path).arms["arm"].right.tolist() == [[0.0, 0.0]] * 3


def test_a_verifier_of_a_new_version_leaves_the_former_word_until_it_speaks(tmp_path: Path) -> None:
    made = plan_of(echo_seed())
    run(replace(made, verifiers=[Says("math", True)]), tmp_path)
    later = replace(made, verifiers=[Says("math", False)])
    assert write_pool(later, tmp_path), "as a merge does, which asks nobody"
    assert pl.read_parquet(tmp_path / "candidates.parquet")["is_verified"].to_list() == [True] * 6
    done, rows, _ = run(later, tmp_path)
    assert (done.rejudged, rows["is_verified"].to_list()) == (6, [False] * 6)


def test_a_draw_that_failed_is_wrong_also_where_no_answer_is_known(tmp_path: Path) -> None:
    def fails(request: Request, seed: int) -> object:
        return ModelError("500 it broke") if "question 1" in str(request.messages) else "said"

    made = replace(plan_of(Scripted(fails)), verifiers=[Says("math", True)], caps=Caps(failed=1.0))
    _, rows, _ = run(made, tmp_path)
    assert rows["ground_truth_answer"].null_count() == 6
    assert rows["is_verified"].to_list() == [True, True, False, False, True, True]
    assert set(rows.filter(query_id="q1")["verification_method"]) == {"no answer"}


def test_a_stopped_run_has_calls_of_draws_that_are_not_there_yet_and_its_books_say_which(tmp_path: Path) -> None:
    """Over a stopped pool: rows bear what their own calls cost; the rest served draws that no row names."""

    class Stops(Plain):
        async def draw(self, problem: Problem, messages: Any, idx: int, ask: Ask) -> Any:
            made = await super().draw(problem, messages, idx, ask)
            if problem.query_id == "q1":
                await asyncio.sleep(30)
            return made

    async def stopped() -> None:
        running = asyncio.create_task(execute(made, tmp_path))
        while journal_size(tmp_path) < 2500:
            await asyncio.sleep(0.001)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    made = plan_of(echo_seed(), due=1, decoding=Stops(), price=PRICE, concurrency=1)
    made = replace(made, problems=sorted(made.problems, key=lambda problem: problem.query_id == "q1"), concurrency=3)
    asyncio.run(asyncio.wait_for(stopped(), 20))
    write_pool(made, tmp_path)
    rows, calls = pl.read_parquet(tmp_path / "candidates.parquet"), pl.read_parquet(tmp_path / "calls.parquet")
    there = {f"{made.lanes[0].scope}/{query}/0" for query in rows["query_id"]}
    served = calls.filter(pl.col("serves").list.eval(pl.element().is_in(list(there))).list.all())
    assert rows.height == 2 < calls.height == 3
    assert rows["paid_usd"].sum() == pytest.approx(served["usd"].sum(), abs=1e-12)


def journal_size(folder: Path) -> int:
    path = folder / "journal" / "main.jsonl"
    return path.stat().st_size if path.exists() else 0
