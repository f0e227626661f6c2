"""No cap is ever exceeded, whatever was spent before, is under way, or was lost; a run stopped by one goes on later."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import plan_of, run

from testtime.core.errors import BadInput, ModelError, StoppedEarly
from testtime.core.records import Completion, Generation, Request
from testtime.core.spend import Spend
from testtime.decoding.plain import Plain
from testtime.engine.caps import Account, Caps
from testtime.engine.plan import Plan
from testtime.engine.run import execute
from testtime.meters.price import Price, Prices
from testtime.models.scripted import ALL, Scripted
from testtime.store.frame import open_pool
from testtime.store.journal import read_journal

ALONE = ALL - {"n"}
PRICE = Prices({"scripted:1": Price(1e4, 3e4)})
SAMPLING = {"max_tokens": 20}


def words(request: Request, seed: int) -> str:
    return "word " * (seed % 7 + 1)


def capped(due: int = 8, model: Scripted | None = None, **caps: Any) -> Plan:
    model = model or Scripted(words, can=ALONE)
    return plan_of(model, due, 6, Plain(SAMPLING), price=PRICE, caps=Caps(**caps))


@settings(max_examples=25, deadline=None)
@given(cents=st.lists(st.integers(0, 400), min_size=1, max_size=4))
def test_what_is_spent_never_exceeds_the_cap_over_all_sessions(
    tmp_path_factory: pytest.TempPathFactory, cents: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("run")
    for cap in sorted(cents):
        done, rows, calls = run(capped(usd=cap / 100), folder)
        assert calls["usd"].sum() <= cap / 100 + 1e-9
        assert (done.stopped is None) == (rows.height == 48)
        if done.stopped:
            assert f"max_cost ${cap / 100:g}" in done.stopped
            assert done.met == "max_cost"
            assert cap / 100 - calls["usd"].sum() <= 1.5, "it stops when no further request fits, not before"
    assert run(capped(), folder)[1].height == 48


def test_a_run_that_a_cap_stopped_is_a_smaller_whole_pool_and_goes_on(tmp_path: Path) -> None:
    done, rows, _ = run(capped(tokens=250), tmp_path)
    assert done.stopped
    assert done.stopped.startswith("max_total_tokens 250")
    sizes = rows.group_by("query_id").len()["len"]
    assert sizes.max() - sizes.min() <= 1  # type: ignore[operator]
    open_pool(tmp_path)
    again, _, _ = run(capped(tokens=250), tmp_path)
    assert (again.made, bool(again.stopped)) == (0, True), "what was spent before counts"
    whole, more, calls = run(capped(), tmp_path)
    assert (whole.made + rows.height, more.height, calls.height) == (48, 48, 48)


def test_a_cap_on_money_fails_closed(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="needs the price of scripted:1"):
        replace(capped(usd=1.0), price=None)
    with pytest.raises(BadInput, match="needs the price of scripted:1"):
        replace(capped(usd=1.0), price=Prices({"other": Price(1, 1)}))
    run(replace(capped(1), price=None), tmp_path)
    with pytest.raises(BadInput, match="6 earlier calls took is not known"):
        run(replace(capped(2, usd=1e9), price=lambda model, spend: 1.0 if spend.prompt == 1 else None), tmp_path)
    assert run(capped(2), tmp_path)[1].height == 12


def test_a_request_without_a_limit_cannot_be_capped(tmp_path: Path) -> None:
    made = plan_of(model := Scripted(words, can=ALONE), price=PRICE, caps=Caps(usd=1e9))
    done = asyncio.run(execute(made, tmp_path))
    assert model.calls == 0
    assert "no token limit" in str(done.stopped)


def test_what_was_lost_in_flight_counts_at_its_upper_bound(tmp_path: Path) -> None:
    """Time-outs and open `sent` lines may have been billed: 20 tokens out and all the bytes in, each."""
    model = Scripted(words, can=ALONE, failures=[ModelError("reset", lost=True)] * 2)
    run(capped(1, model), tmp_path)
    lines = (tmp_path / "journal" / "main.jsonl").read_bytes().split(b"\n")[:-1]
    last = max(at for at, line in enumerate(lines) if b'"kind":"call"' in line and b'"status":"ok"' in line)
    (tmp_path / "journal" / "main.jsonl").write_bytes(b"\n".join(lines[:last] + lines[last + 1 :]) + b"\n")
    sent = [line for line in read_journal(tmp_path).records if line["kind"] == "sent"]
    bound = sum(line["reads"] + 20 for line in [sent[0], sent[1], sent[-1]])
    received = [line["spend"] for line in read_journal(tmp_path).records if line["kind"] == "call"]
    known = sum(spend.get("prompt", 0) + spend.get("completion", 0) for spend in received)
    done, *_ = run(capped(2, tokens=known + bound + 40), tmp_path)
    assert f"{known + bound:,} are spent" in str(done.stopped)
    assert (done.made, done.lost) == (0, 1)


def test_time_counts_over_all_sessions_and_what_is_under_way_comes_home(tmp_path: Path) -> None:
    def slow() -> Scripted:
        return Scripted(words, can=ALONE, seconds=0.03)

    done, rows, calls = run(capped(8, slow(), seconds=0.2), tmp_path)
    assert done.stopped == "max_seconds 0.2 is used up"
    assert 0 < rows.height < 48
    assert set(calls["status"]) == {"ok"}, "nothing under way was thrown away"
    again, _, _ = run(capped(8, slow(), seconds=0.2), tmp_path)
    assert again.made == 0
    assert run(capped(8, slow()), tmp_path)[1].height == 48


def test_a_wait_for_a_busy_provider_ends_with_the_time(tmp_path: Path) -> None:
    class Busy(Scripted):
        async def generate(self, request: Request) -> Generation:
            raise ModelError("429", retry_after=100.0)

    done, rows, _ = run(capped(2, Busy(words, can=ALONE), seconds=0.1), tmp_path)
    assert (done.made, rows.height) == (0, 0)
    assert done.stopped == "max_seconds 0.1 is used up"


def test_too_many_failures_stop_the_run_and_everything_is_kept(tmp_path: Path) -> None:
    def rarely(request: Request, seed: int) -> str | ModelError:
        return ModelError("404 no such model") if seed % 3 else "x"

    done, rows, _ = run(plan_of(Scripted(rarely, can=ALONE), due=32, count=6), tmp_path)
    assert done.stopped is not None
    assert "draws failed, more than 20%; the last one: 404 no such model" in done.stopped
    assert 20 <= rows.height < 32 * 6
    assert done.made == rows.height
    done, *_ = run(plan_of(Scripted(lambda r, s: ModelError("no"), can=ALONE), due=1), tmp_path / "few")
    assert (done.made, done.stopped) == (3, "3 of 3 draws failed, more than 20%; the last one: no")


@pytest.mark.parametrize(("fail", "said"), [(2, None), (3, "3 of 10 draws failed, more than 20%; the last one: no")])
def test_at_the_end_the_share_counts_however_few_draws_there_are(tmp_path: Path, fail: int, said: str | None) -> None:
    """Of all in the journal: a session that draws nothing says the same, one that mends it says nothing."""

    def script(request: Request, seed: int) -> str | ModelError:
        failures.append(seed)
        return ModelError("no") if len(failures) <= fail else "x"

    failures: list[int] = []
    made = plan_of(Scripted(script, can=ALONE), due=1, count=10)
    done, rows, _ = run(made, tmp_path)
    assert (done.made, done.failed, done.stopped) == (10, fail, said)
    assert rows["error"].null_count() == 10 - fail, "everything is kept"
    again, *_ = run(made, tmp_path)
    assert (again.made, again.unchanged, again.stopped) == (0, True, said)
    wider, *_ = run(plan_of(Scripted(script, can=ALONE), due=2, count=10), tmp_path)
    assert (wider.made, wider.stopped) == (10, None), "three of twenty are fewer than a fifth"
    mended, *_ = run(replace(made, retry_failed="all"), tmp_path)
    assert (mended.made, mended.failed, mended.stopped) == (fail, 0, None)


@pytest.mark.parametrize(("again", "made"), [("none", 0), ("transient", 1), ("all", 2)])
def test_what_failed_is_made_again_as_is_asked(tmp_path: Path, again: Any, made: int) -> None:
    """In place: the same draw, over the replies it had received; a final failure only where it is asked for."""

    def twice(request: Request, seed: int) -> str | ModelError:
        if request.prefix:
            errors.setdefault(seed, len(errors))
            if not mended and errors[seed] < 2:
                return [ModelError("500", retry=True), ModelError("400")][errors[seed]]
        return f"s{seed}"

    class Two(Plain):
        async def draw(self, problem: Any, messages: Any, idx: int, ask: Any) -> Any:
            (one,) = await super().draw(problem, messages, idx, ask)
            await ask.generate("model", Request(messages, prefix=one.text))
            return [one]

    def plan(model: Scripted) -> Plan:
        return plan_of(model, due=5, count=2, decoding=Two(), attempts=1, retry_failed=again)

    errors: dict[int, int] = {}
    mended = False
    done, rows, _ = run(plan(Scripted(twice, can=ALONE)), tmp_path)
    assert (done.failed, rows["error"].drop_nulls().sort().to_list()) == (2, ["400", "500"])
    mended = True
    model = Scripted(twice, can=ALONE)
    done, rows, _ = run(plan(model), tmp_path)
    assert (done.made, model.calls, rows.height) == (made, made, 10), "the first request of each was received"
    assert rows["error"].null_count() == 8 + made
    assert rows["paid_usd"].null_count() == rows.height
    assert run(plan(Scripted(twice, can=ALONE)), tmp_path)[0].unchanged


def test_a_paid_outcome_is_no_failure_and_abstains(tmp_path: Path) -> None:
    ends = ["length", "filter", "refusal", "stop"]

    def script(request: Request, seed: int) -> Completion:
        return Completion("the answer is 7" if seed % 2 else "", ends[seed % 4], 4)  # type: ignore[arg-type]

    done, rows, calls = run(plan_of(model := Scripted(script, can=ALONE), due=16, count=2), tmp_path)
    assert (done.failed, rows["error"].null_count(), model.calls, calls.height) == (0, 32, 32, 32)
    answered = rows.filter(rows["answer_key"].is_not_null())
    assert set(answered["finish_reason"]) == {"stop"}
    assert rows["completion_tokens"].null_count() == 0
    assert run(plan_of(again := Scripted(script, can=ALONE), due=16, count=2), tmp_path)[0].unchanged
    assert again.calls == 0


def test_a_reservation_waits_for_those_under_way_and_only_then_gives_up() -> None:
    async def story() -> list[str]:
        account, told = Account(Caps(tokens=100)), []
        bound = Spend(prompt=30, completion=30)
        await account.reserve(bound)
        second = asyncio.create_task(account.reserve(bound))
        await asyncio.sleep(0)
        told.append("waits" if not second.done() else "went")
        account.settle(bound, Spend(prompt=30, completion=5))
        await second
        account.settle(bound, Spend(prompt=30, completion=30))
        with pytest.raises(StoppedEarly, match=r"95 are spent, and the next may be 60"):
            await account.reserve(bound)
        return told

    assert asyncio.run(story()) == ["waits"]
