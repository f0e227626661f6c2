"""The engine's promises one by one: seeds, sharing, retries, failures, order, extension, refusals."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from plans import echo_seed, messages, plan_of, run

from testtime.core.errors import BadInput, ModelError, Refused
from testtime.core.protocols import Ask
from testtime.core.records import Arm, Candidate, Part, Problem, Request
from testtime.core.seeds import seed_of
from testtime.decoding.plain import Plain
from testtime.engine.plan import Lane
from testtime.engine.run import execute
from testtime.models.scripted import ALL, Scripted
from testtime.store.journal import read_journal


def test_draw_j_has_the_seed_of_its_problem_plus_j_however_it_is_asked(tmp_path: Path) -> None:
    texts = []
    for share in (1, 2, 64):
        plan = plan_of(echo_seed(), due=5, share=share)
        _, rows, calls = run(plan, tmp_path / str(share))
        arm = plan.lanes[0].arms[0].id
        assert rows["generation_seed"].to_list() == [seed_of(0, arm, f"q{at}") + j for at in range(3) for j in range(5)]
        assert calls.height == 3 * -(-5 // share)
        texts.append(rows["candidate_text"].to_list())
    assert texts[0] == texts[1] == texts[2] == [f"s{seed}" for seed in rows["generation_seed"]]


def test_a_model_without_n_is_asked_once_a_draw_and_without_seed_is_sent_none(tmp_path: Path) -> None:
    model = echo_seed(can=ALL - {"n", "seed"})
    _, rows, calls = run(plan_of(model, due=4), tmp_path)
    assert model.calls == calls.height == 12
    assert rows["candidate_text"].n_unique() == 12


def test_passing_failures_are_tried_again_and_each_try_is_a_row(tmp_path: Path) -> None:
    busy = [ModelError("busy", retry=True), ModelError("busy", retry=True)]
    done, rows, calls = run(plan_of(echo_seed(failures=busy), count=1), tmp_path)
    assert calls.select("status", "attempt", "why").rows() == [
        ("failed", 1, "busy"),
        ("failed", 2, "busy"),
        ("ok", 3, None),
    ]
    assert calls["usd"].null_count() == 3
    assert done.failed == rows["error"].is_not_null().sum() == 0


def test_tries_are_bounded_and_a_refusal_is_not_tried_again(tmp_path: Path) -> None:
    for retry, tries in ((True, 3), (False, 1)):
        model = Scripted(lambda request, seed, retry=retry: ModelError("no", retry=retry))
        done, rows, _ = run(plan_of(model, due=1, count=1, attempts=3), tmp_path / str(retry))
        assert (model.calls, done.failed, rows["error"].to_list()) == (tries, 1, ["no"])
        assert rows["finish_reason"].to_list() == ["error"]
        assert rows["paid_usd"].null_count() == 1


def test_a_failed_draw_harms_no_neighbour_it_shared_a_request_with(tmp_path: Path) -> None:
    model = Scripted(lambda request, seed: ModelError("filtered") if seed % 4 == 1 else f"s{seed}")
    _, rows, _ = run(plan_of(model, due=8), tmp_path)
    failed = rows.filter(rows["error"].is_not_null())
    assert failed.height == 6
    assert (failed["generation_seed"] % 4 == 1).all()
    assert failed["answer_key"].null_count() == 6
    assert rows["candidate_text"].to_list() == ["" if seed % 4 == 1 else f"s{seed}" for seed in rows["generation_seed"]]


def test_draws_are_issued_index_by_index_so_a_stopped_run_is_a_smaller_whole_pool(tmp_path: Path) -> None:
    asyncio.run(execute(plan_of(echo_seed(can=ALL - {"n"}), due=3, count=5, concurrency=1), tmp_path))
    order = [(line["idx"], line["query"]) for line in read_journal(tmp_path).records if line["kind"] == "draw"]
    assert [idx for idx, _ in order] == sorted(idx for idx, _ in order)
    assert [query for _, query in order[:5]] == [query for _, query in order[5:10]]


def test_more_problems_and_more_draws_make_only_what_is_missing(tmp_path: Path) -> None:
    small, large = plan_of(echo_seed(), due=2, count=2), plan_of(model := echo_seed(), due=3, count=4)
    run(small, tmp_path)
    done, rows, _ = run(large, tmp_path)
    assert (done.kept, done.made, model.given) == (4, 8, 8)
    _, at_once, _ = run(plan_of(echo_seed(), due=3, count=4), tmp_path / "at once")
    assert rows["candidate_text"].equals(at_once["candidate_text"])
    again, _, _ = run(plan_of(unused := echo_seed(), due=3, count=4), tmp_path)
    assert (again.made, unused.calls) == (0, 0)


def test_another_seed_is_refused_naming_it_and_nothing_is_asked(tmp_path: Path) -> None:
    run(plan_of(echo_seed()), tmp_path)
    before = read_journal(tmp_path).records
    with pytest.raises(BadInput, match="seed 0, not 1"):
        run(replace(plan_of(model := echo_seed()), seed=1), tmp_path)
    assert (model.calls, read_journal(tmp_path).records) == (0, before)


def test_no_more_calls_are_in_flight_than_allowed(tmp_path: Path) -> None:
    flying, most = 0, 0

    class Counting(Scripted):
        async def generate(self, request: Request) -> Any:
            nonlocal flying, most
            flying, most = flying + 1, max(most, flying + 1)
            got = await super().generate(request)
            flying -= 1
            return got

    model = Counting(lambda request, seed: "x", can=ALL - {"n"}, seconds=0.001)
    run(plan_of(model, due=4, count=5, concurrency=3), tmp_path)
    assert most == 3


@dataclass
class Many:
    """Asks twice the same, for several at once, and for scores."""

    calls: None = None
    settings: Sequence[Any] = ({},)
    roles: dict[str, frozenset[Any]] = field(default_factory=lambda: {"model": frozenset({"score"})})

    async def draw(self, problem: Problem, messages: Any, idx: int, ask: Ask) -> Sequence[Candidate]:
        said = []
        for n in (1, 1, 3):
            got = await ask.generate("model", Request(messages, n=n))
            said += [one.text for one in got.completions]
        (law,) = await ask.score("model", Request(messages), ["to be"])
        facts = {"surprise": float(-law.sum())}
        return [
            Candidate(ask.arms[0].label, problem.query_id, idx, [Part("answer", " ".join(said))], "stop", facts=facts)
        ]


def test_within_and_across_draws_no_two_completions_share_a_seed(tmp_path: Path) -> None:
    _, rows, calls = run(plan_of(model := echo_seed(), due=4, decoding=Many()), tmp_path)
    said = " ".join(rows["candidate_text"]).split()
    assert len(set(said)) == len(said) == 12 * 5
    assert rows["surprise"].to_list() == [2.0] * 12
    assert model.calls == calls.height == 12 * 4
    opening = [text.split()[0] for text in rows["candidate_text"]]
    assert opening == [f"s{seed}" for seed in rows["generation_seed"]]


def test_impossible_plans_are_refused_before_a_call() -> None:
    model = echo_seed(can=frozenset())
    with pytest.raises(Refused, match="score"):
        plan_of(model, decoding=Many())
    with pytest.raises(Refused, match="no model for the role"):
        replace(plan_of(model), models={})
    twin = Lane((Arm("twin", {"model": model.name}),), Plain(), messages, 1)
    with pytest.raises(BadInput, match="alike"):
        replace(plan_of(model), lanes=[*plan_of(model).lanes, twin])
    with pytest.raises(BadInput, match="query_id"):
        replace(plan_of(model), problems=[Problem("q", "test", "a"), Problem("q", "test", "b")])


def test_a_run_that_is_stopped_writes_its_calls_in_flight_as_cancelled_and_goes_on_later(tmp_path: Path) -> None:
    async def stopped() -> None:
        slow = echo_seed(seconds=30.0)
        running = asyncio.create_task(execute(plan_of(slow), tmp_path))
        while not slow.calls:
            await asyncio.sleep(0.001)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(stopped())
    ends = [line["status"] for line in read_journal(tmp_path).records if line["kind"] == "call"]
    assert ends
    assert set(ends) == {"cancelled"}
    done, rows, calls = run(plan_of(echo_seed()), tmp_path)
    assert (done.made, rows.height) == (6, 6)
    assert set(calls["status"]) == {"cancelled", "ok"}


def test_a_damaged_line_is_reported_and_what_it_held_is_made_again(tmp_path: Path) -> None:
    _, whole, _ = run(plan_of(echo_seed()), tmp_path)
    path = tmp_path / "journal" / "main.jsonl"
    lines = path.read_bytes().split(b"\n")
    hit = next(at for at, line in enumerate(lines) if b'"kind":"draw"' in line)
    lines[hit] = lines[hit].replace(b"s", b"z", 1)
    path.write_bytes(b"\n".join(lines))
    done, rows, _ = run(plan_of(model := echo_seed()), tmp_path)
    assert (done.dropped, done.made, model.calls) == (1, 1, 0)
    assert rows["candidate_text"].equals(whole["candidate_text"])


def test_of_a_group_that_came_back_in_part_only_the_rest_is_asked_for_again(tmp_path: Path) -> None:
    class Stingy(Scripted):
        async def generate(self, request: Request) -> Any:
            return await super().generate(replace(request, n=min(request.n, 3)))

    model = Stingy(lambda request, seed: f"s{seed}")
    _, rows, calls = run(plan_of(model, due=8, count=1), tmp_path)
    assert rows["candidate_text"].to_list() == [f"s{seed}" for seed in rows["generation_seed"]]
    assert (model.given, calls["completion_tokens"].to_list()) == (8, [3, 3, 2])
    assert calls["serves"].list.len().to_list() == [3, 3, 2]


def test_a_refused_request_never_leaves(tmp_path: Path) -> None:
    class Picky(Scripted):
        def refuses(self, request: Request) -> str | None:
            return "too hot" if request.params.get("temperature") else None

    model = Picky(["x"])
    _, rows, calls = run(plan_of(model, decoding=Plain({"temperature": 9})), tmp_path)
    assert set(rows["error"]) == {"too hot"}
    assert model.calls == calls.height == 0


def test_a_decoding_that_breaks_its_promise_stops_the_run_with_one_line(tmp_path: Path) -> None:
    class Double(Plain):
        async def draw(self, problem: Problem, messages: Any, idx: int, ask: Ask) -> Sequence[Candidate]:
            return [*await super().draw(problem, messages, idx, ask)] * 2

    with pytest.raises(BadInput, match="did not give one candidate for each arm"):
        run(plan_of(echo_seed(), decoding=Double()), tmp_path)
