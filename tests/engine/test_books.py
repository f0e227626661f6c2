"""The ledger of a run: every attempt has one entry and one fate, sums over entries are sums over calls, rows bear
what was paid, and what was shared, cut off or lost is told apart.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import echo_seed, plan_of, run

from testtime.analysis import bearers
from testtime.analysis import ledger as books_of
from testtime.analysis.ledger import COUNTS, SUMS, Ledger, ledger, plain
from testtime.core.errors import ModelError
from testtime.core.records import Candidate, Part, Request, Verdict
from testtime.core.spend import Spend, Sum
from testtime.figures.ledger import books
from testtime.figures.tables import text
from testtime.models.scripted import Scripted
from testtime.store import frame
from testtime.store.journal import Journal

CENT = {"price": lambda model, spend: None if spend.prompt is None else (spend.prompt + spend.completion) / 100}


def told(folder: Path) -> Ledger:
    found = ledger(folder)
    assert found is not None
    return found


def agrees(found: Ledger, folder: Path) -> None:
    """Sums over entries are sums over calls; what rows bear, and what no row does, is all that was paid."""
    calls = pl.read_parquet(folder / "calls.parquet")
    whole = found.total
    assert whole.calls == calls.height == sum(one.calls for one in found.entries)
    fates = (whole.answered, whole.failed, whole.cancelled_calls, whole.lost_calls)
    assert sum(fates) == calls.height
    ok = calls.filter(status="ok")
    for name in ("prompt", "cached", "completion", "reasoning"):
        assert getattr(whole, name).known == ok[f"{name}_tokens"].sum()
    assert whole.usd.known == pytest.approx(ok["usd"].sum())
    assert found.rows_usd.known + found.orphaned_usd.known == pytest.approx(whole.usd.known, abs=1e-9)
    for name in SUMS:
        assert getattr(whole, name).known == pytest.approx(sum(getattr(one, name).known for one in found.entries))


def test_a_prompt_that_several_draws_share_is_paid_once_and_reused_for_the_others(tmp_path: Path) -> None:
    run(plan_of(echo_seed(), due=4, count=3, **CENT), tmp_path)
    found = told(tmp_path)
    agrees(found, tmp_path)
    (entry,) = found.entries
    assert (entry.role, entry.model, entry.calls) == ("model", "scripted:1", 3)
    assert (entry.prompt, entry.completion) == (Sum(3 * 2), Sum(12))
    assert entry.reused == Sum(3 * 3 * 2)  # three of four draws of each problem need the two words of its prompt again


def test_one_by_one_nothing_is_reused(tmp_path: Path) -> None:
    run(plan_of(echo_seed(can=frozenset({"seed"})), due=4, count=3, **CENT), tmp_path)
    found = told(tmp_path)
    agrees(found, tmp_path)
    assert (found.total.calls, found.total.prompt, found.total.reused) == (12, Sum(24), Sum(0))


class Asks:
    """A verifier that asks a judge, twice."""

    stage, digest, gold = "asks", "1", False

    def refuses(self, problem: Any) -> str | None:
        return None

    async def verify(self, problem: Any, candidate: Candidate, ask: Any) -> Verdict:
        for word in ("one", "two"):
            await ask.generate("judge", Request([{"role": "user", "content": f"is {word} right"}]))
        return Verdict("asks", "1", value=True)


class Scores:
    """A decoding that scores two texts and writes one."""

    name, roles, settings, calls, notes = "scores", {"model": frozenset({"score"})}, ({},), None, frozenset()

    def probes(self, messages: Any) -> Any:
        return []

    async def draw(self, problem: Any, messages: Any, idx: int, ask: Any) -> list[Candidate]:
        await ask.score("model", Request(messages), ["to be", "or not to be"])
        got = await ask.generate("model", Request(messages))
        part = Part("answer", got.completions[0].text, 1)
        return [Candidate(ask.arms[0].label, problem.query_id, idx, [part], "stop", {"model": got.spend})]


def test_judges_and_scores_are_counted_in_their_roles(tmp_path: Path) -> None:
    how: dict[str, Any] = {"verifiers": [Asks()], "roles": {"judge": "scripted:1"}, **CENT}
    run(plan_of(echo_seed(), due=2, count=1, decoding=Scores(), **how), tmp_path)
    found = told(tmp_path)
    agrees(found, tmp_path)
    by_role = {one.role: one for one in found.entries}
    assert by_role["judge"].calls == 4
    assert by_role["judge"].prompt == Sum(4 * 3)
    assert by_role["model"].calls == 4
    assert by_role["model"].prompt == Sum(2 * (2 + 2 + 6))  # a draw: the prompt written after, and read before 2 + 4
    assert found.total.reused == Sum(0)


def test_time_at_work_in_all_and_on_the_longest_way(tmp_path: Path) -> None:
    how: dict[str, Any] = {"verifiers": [Asks()], "roles": {"judge": "scripted:1"}}
    one_by_one = echo_seed(can=frozenset({"seed"}), seconds=0.02)
    run(plan_of(one_by_one, due=4, count=1, concurrency=8, **how), tmp_path)
    found = told(tmp_path)
    assert found.total.calls == 12
    assert found.total.work.known >= 12 * 0.02
    assert 3 * 0.02 <= found.critical <= found.elapsed <= found.total.work.known
    assert found.elapsed < found.total.work.known / 2  # four draws beside each other


def test_what_failed_was_lost_or_is_no_rows_is_told_apart(tmp_path: Path) -> None:
    broken = [ModelError("no", retry=True), ModelError("gone", retry=True, lost=True)]
    how: dict[str, Any] = {"concurrency": 1, **CENT}
    run(plan_of(echo_seed(failures=broken, can=frozenset({"seed"})), due=1, count=1, **how), tmp_path)
    found = told(tmp_path)
    agrees(found, tmp_path)
    whole = found.total
    assert (whole.calls, whole.answered, whole.failed, whole.lost_calls) == (3, 1, 1, 1)
    assert whole.lost == Sum(0, 1)  # it had no limit of tokens
    with Journal.open(tmp_path, "other") as journal:  # a request that left, and one whose draw was never written down
        base = {"key": "k", "role": "model", "model": "scripted:1", "serves": ["x/q/9"], "attempt": 1, "status": "sent"}
        sent = {**base, "spend": {}, "started": 1.0, "n": 2, "most": 10, "reads": 7, "children": ["a"]}
        journal.append("sent", "k.1", **{key: value for key, value in sent.items() if key != "children"})
        said = {
            **base,
            "key": "l",
            "status": "ok",
            "spend": {"prompt": 5, "completion": 6, "usd": 0.11},
            "started": 1.0,
        }
        journal.append(
            "call",
            "l.1",
            **said,
            ended=2.0,
            children=["b"],
            answered="scripted:1",
            completions=[{"text": "", "finish": "stop"}],
        )
    run(plan_of(echo_seed(), due=1, count=1, about={"notes": "written anew"}, **how), tmp_path)
    found = told(tmp_path)
    agrees(found, tmp_path)
    assert found.total.lost == Sum(7 + 2 * 10, 1)
    assert (found.total.orphaned, found.total.orphaned_calls, found.orphaned_usd) == (Sum(11), 1, Sum(0.11))


def test_a_call_that_the_run_ended_itself_is_cancelled_with_what_it_can_have_taken(tmp_path: Path) -> None:
    slow = echo_seed(seconds=30.0, can=frozenset({"seed"}))

    async def stopped() -> None:
        from testtime.engine.run import execute

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await execute(plan_of(slow, due=1, count=2), tmp_path)

    asyncio.run(stopped())
    run(plan_of(echo_seed(can=frozenset({"seed"})), due=1, count=2), tmp_path)
    assert (told(tmp_path).total.cancelled_calls, told(tmp_path).total.answered) == (2, 2)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 5), st.integers(1, 3), st.booleans(), st.lists(st.booleans(), max_size=4))
def test_the_books_agree_whatever_happened(
    tmp_path_factory: pytest.TempPathFactory, due: int, count: int, grouped: bool, lost: list[bool]
) -> None:
    folder = tmp_path_factory.mktemp("run")
    failures = [ModelError("broke", retry=True, lost=one) for one in lost]
    model = echo_seed(failures=failures) if grouped else echo_seed(failures=failures, can=frozenset({"seed"}))
    run(plan_of(model, due=due, count=count, attempts=9, **CENT), folder)
    agrees(told(folder), folder)


def test_as_json_every_sum_says_what_is_not_known_and_as_a_table_it_is_at_least(tmp_path: Path) -> None:
    silent = Scripted(lambda request, seed: "s", can=frozenset({"seed"}))
    generate, calls = silent.generate, []

    async def now_and_then(request: Request) -> Any:
        got = await generate(request)
        calls.append(1)
        return got if len(calls) > 1 else type(got)(got.completions, Spend(), got.model)

    silent.generate = now_and_then  # type: ignore[method-assign]
    run(plan_of(silent, due=1, count=3), tmp_path)
    said = json.loads(json.dumps(plain(told(tmp_path)), allow_nan=False))
    assert said["total"]["prompt"] == {"sum": None, "known": 4.0, "unknown": 1}
    assert {f.name for f in fields(Ledger)} == said.keys()
    assert "≥ 4" in text(books(told(tmp_path)))
    assert ledger(tmp_path / "nothing") is None
    assert books(None) == []


def test_the_books_are_the_same_read_a_row_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = [ModelError("no", retry=True), ModelError("gone", retry=True, lost=True)]
    how: dict[str, Any] = {"verifiers": [Asks()], "roles": {"judge": "scripted:1"}, **CENT}
    run(plan_of(echo_seed(failures=broken, seconds=0.001), due=4, count=7, **how), tmp_path)
    whole = told(tmp_path)
    monkeypatch.setattr(books_of, "batches", lambda file, columns: frame.batches(file, columns, size=1))
    monkeypatch.setattr(bearers, "BLOCK", 2)
    alone = told(tmp_path)
    assert [one.role for one in alone.entries] == [one.role for one in whole.entries]
    assert alone.critical == pytest.approx(whole.critical, abs=1e-6)
    for name in SUMS:
        one, other = getattr(alone.total, name), getattr(whole.total, name)
        assert (one.known, one.unknown) == (pytest.approx(other.known), other.unknown)
    assert [getattr(one, name) for one in alone.entries for name in COUNTS] == [
        getattr(one, name) for one in whole.entries for name in COUNTS
    ]
