"""A spec becomes a plan with nothing left to guess: what policies need whatever comes out is due, what they may
want beyond it is left to them, larger samples hold smaller ones, and what cannot work is refused before any call.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

import fake_model
from testtime.build import columns_here, plan_of, problems_of, refuse_split, resolve, text_of
from testtime.core.errors import BadInput, Refused
from testtime.core.strings import parse
from testtime.models import BUILTIN
from testtime.runspec import RunSpec, run_spec
from testtime.tasks.gsm8k import Gsm8k


@pytest.fixture(autouse=True)
def _fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BUILTIN, "fake", fake_model.PLACE)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return fake_model.sums(tmp_path / "sums.jsonl", 12)


def spec(data: Path, **more: Any) -> RunSpec:
    return resolve(run_spec({"model": "fake:n", "dataset": "gsm8k", "dataset_path": data, **more}))


def test_resolving_leaves_nothing_to_guess_and_is_done_once(data: Path) -> None:
    whole = spec(data, sc_n=[1, 2], max_n=4, stop_rule="beta")
    assert whole.policies == (
        "sc_fixed:n=1",
        "sc_fixed:n=2",
        "adaptive_margin:stop_rule=beta,threshold=0.95,max_n=4",
    )
    assert (whole.settings, whole.prompt) == ({}, Gsm8k.prompt)
    assert resolve(whole) == whole
    assert all(text_of(parse("policy", text)) == text for text in whole.policies)


@pytest.mark.parametrize(
    ("asked", "due", "left"),
    [
        ({}, 16, []),
        ({"policies": ["sc_fixed"], "sc_n": [1, 5]}, 5, []),
        ({"policies": ["sc_fixed"], "sc_n": [1, 5], "num_candidates": 9}, 9, []),
        ({"policies": ["adaptive_margin"], "max_n": [8, 16]}, 2, ["adaptive_margin"] * 2),
        ({"policies": ["sc_fixed:n=4", "adaptive_margin"], "max_n": [4, 16]}, 4, ["adaptive_margin"]),
        ({"policies": ["sc_fixed:n=4"], "live": True}, 0, ["sc_fixed"]),
    ],
)
def test_the_floor_is_due_and_the_rest_is_left_to_the_policies(
    data: Path, asked: dict[str, Any], due: int, left: list[str]
) -> None:
    plan = plan_of(spec(data, **asked), "r")
    assert plan.lanes[0].due == due
    assert [policy.name for policy in plan.policies] == left


def test_a_larger_sample_holds_the_smaller_one_in_dataset_order(data: Path) -> None:
    task = Gsm8k(data)
    every = [problem.query_id for problem in problems_of(task, spec(data))]
    for more in ({}, {"sample": 3}):
        drawn = [
            [problem.query_id for problem in problems_of(task, spec(data, max_queries=most, **more))]
            for most in range(1, 13)
        ]
        assert [len(one) for one in drawn] == list(range(1, 13))
        assert all(set(small) < set(large) for small, large in itertools.pairwise(drawn))
        assert all(sorted(one, key=every.index) == one for one in drawn)
    first = [problem.query_id for problem in problems_of(task, spec(data, max_queries=4))]
    assert first == every[:4]
    sampled = {tuple(p.query_id for p in problems_of(task, spec(data, max_queries=4, sample=s))) for s in range(5)}
    assert len(sampled) > 1


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"dataset": "gsm9k"}, "unknown task 'gsm9k'; did you mean gsm8k"),
        ({"dataset_path": None}, "gsm8k is read from a file, and none is named; add --dataset_path"),
        ({"dataset": "pocket-math"}, "pocket-math is bundled and reads no file"),
        ({"prompt": "no place"}, "does not hold the question"),
        ({"prompt": "{question} {other}"}, "cannot be filled in .KeyError"),
        ({"prompt": "{question"}, "cannot be filled in .ValueError"),
        ({"policies": ["best_of_n"], "by": "rm_score", "n": 2}, "no column 'rm_score', which best_of_n:.* needs"),
        ({"live": True}, "--live executes one policy alone, and 7 policies are given"),
        ({"live": True, "policies": ["sc_fixed:n=2"], "num_candidates": 3}, "and num_candidates is given"),
        ({"policies": ["sc_fixd"]}, "unknown policy 'sc_fixd'"),
    ],
)
def test_what_cannot_work_is_refused(data: Path, more: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says) as caught:
        plan_of(spec(data, **more), "r")
    assert "\n" not in str(caught.value)


def test_a_request_that_the_model_would_refuse_is_refused(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake_model.Fake, "refuses", lambda self, request: "no temperature here")
    with pytest.raises(Refused, match="fake:n would refuse the first request: no temperature here"):
        plan_of(spec(data), "r")


def test_policies_may_read_what_a_run_knows_and_gold_only_by_its_name(data: Path) -> None:
    plan = plan_of(spec(data), "r")
    known = columns_here(plan.problems[0], plan.lanes[0], plan.verifiers, None)
    assert {"completion", "seconds", "truncated", "oracle(is_verified)"} <= known
    assert not known & {"is_verified", "joules", "candidate_idx", "generation_seed"}
    plan_of(spec(data, policies=["best_of_n:n=2,by=oracle(is_verified)"]), "r")


def test_a_dataset_of_the_hub_is_named_by_its_id() -> None:
    spec = resolve(run_spec({"model": "pocket-s", "dataset": "cais/mmlu:subjects=(anatomy,virology)"}))
    assert spec.dataset == "mmlu:subjects=(anatomy,virology)"
    assert str(spec.dataset_path) == "cais/mmlu"
    assert resolve(spec) == spec


def test_a_budget_across_all_questions_is_no_shards(data: Path) -> None:
    """One line that names the key, for a shard and before a job is submitted; the whole in one part is no split."""
    policies = ["sc_fixed:n=2", "greedy_budget:mean_n=3"]
    with pytest.raises(Refused, match=r"^policies: greedy_budget:mean_n=3 spends one budget across all questions"):
        plan_of(spec(data, policies=policies, shard="1/2"), "r")
    with pytest.raises(Refused, match="a shard sees 1/3 of them"):
        refuse_split(policies, 3)
    plan_of(spec(data, policies=policies, shard="1/1"), "r")
    plan_of(spec(data, policies=policies), "r")
