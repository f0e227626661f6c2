"""Batch files: half the price never costs a reply. The provider's id is on disk before it is asked how far it is, a
killed process picks its batches up, and what expired is sent again alone.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from plans import plan_of, run
from polars.testing import assert_frame_equal

from testtime.core.errors import ModelError
from testtime.core.protocols import Cap
from testtime.core.records import Generation, Request
from testtime.decoding.plain import Plain
from testtime.engine.caps import Caps
from testtime.engine.plan import Plan
from testtime.engine.run import execute
from testtime.meters.price import Price, Prices
from testtime.models.scripted import ALL, Scripted
from testtime.store.journal import Journal, read_journal

PRICE = Prices({"scripted:1": Price(1.0, 3.0)})
TIMED = ("latency_s", "timestamp", "joules", "alone")


@dataclass
class Provider(Scripted):
    """Batches that lie in a folder, as a provider keeps them: they outlive the process that sent them."""

    room: Path = Path()
    can: frozenset[Cap] = ALL | {"batch"}
    expires: float = 0.0
    """Share of a batch's requests that expire, once."""
    unreachable: int = 0
    """Questions that cannot be answered."""
    asked: list[str] = field(default_factory=list)
    on_disk: Any = None

    async def submit(self, requests: Mapping[str, Request]) -> str:
        batch = f"b{len(list(self.room.glob('*.json')))}"
        lines = {name: [list(r.messages), r.n, r.seed, dict(r.params)] for name, r in requests.items()}
        (self.room / f"{batch}.json").write_text(json.dumps(lines))
        return batch

    async def collect(self, batch: str) -> AsyncIterator[tuple[str, Generation | Exception]]:
        self.asked.append(batch)
        if self.on_disk is not None:
            assert batch in self.on_disk()
        if self.unreachable:
            self.unreachable -= 1
            raise ModelError("503", busy=True)
        await asyncio.sleep(self.seconds)
        lines = json.loads((self.room / f"{batch}.json").read_text())
        for at, (name, (messages, n, seed, params)) in enumerate(lines.items()):
            if name.endswith("-1") and at < self.expires * len(lines):
                if at % 2:
                    yield name, ModelError("expired", retry=True)
                continue  # some are not in the output at all
            got = await self.generate(Request(messages, n=n, seed=seed, params=params))
            yield name, replace(got, spend=replace(got.spend, seconds=None))


def provider(folder: Path, **how: Any) -> Provider:
    (folder / "provider").mkdir(parents=True, exist_ok=True)
    return Provider(lambda request, seed: f"s{seed}", room=folder / "provider", **how)


def batched(model: Scripted, **how: Any) -> Plan:
    return plan_of(model, due=4, count=6, price=PRICE, share=2, **{"batch": 100, "linger": 0.3, **how})


def sizes(folder: Path) -> list[int]:
    return [len(json.loads(path.read_text())) for path in sorted((folder / "provider").glob("*.json"))]


def check(folder: Path, rows: Any, calls: Any) -> None:
    """Equal to a run without batches but for time, and the books are right."""
    _, plain, _ = run(plan_of(Scripted(lambda r, s: f"s{s}"), due=4, count=6, price=PRICE, share=2), folder / "plain")
    assert_frame_equal(rows.drop(TIMED), plain.drop(TIMED))
    received = Counter(
        key
        for line in read_journal(folder).records
        if line["kind"] == "call" and line["status"] == "ok"
        for key in line["children"]
    )
    assert set(received.values()) == {1}
    assert rows["paid_usd"].sum() == pytest.approx(calls.filter(status="ok")["usd"].sum(), abs=1e-12)


def test_requests_gather_in_one_batch_and_its_id_is_on_disk_first(tmp_path: Path) -> None:
    model = provider(tmp_path)
    model.on_disk = lambda: [line["batch"] for line in read_journal(tmp_path).records if line["kind"] == "batch"]
    done, rows, calls = run(batched(model), tmp_path)
    assert (done.made, sizes(tmp_path)) == (24, [12])
    assert rows["latency_s"].null_count() == 24, "how long one took is not known"
    check(tmp_path, rows, calls)


def test_a_batch_holds_no_more_than_its_size(tmp_path: Path) -> None:
    _, rows, calls = run(batched(provider(tmp_path), batch=5), tmp_path)
    assert max(sizes(tmp_path)) == 5
    assert sum(sizes(tmp_path)) == 12
    check(tmp_path, rows, calls)


def test_what_expired_is_sent_again_alone_and_a_question_that_fails_loses_no_batch(tmp_path: Path) -> None:
    model = provider(tmp_path, expires=0.4, unreachable=3)
    done, rows, calls = run(batched(model), tmp_path)
    assert (sizes(tmp_path), done.failed) == ([12, 5], 0)
    assert model.asked == ["b0"] * 4 + ["b1"]
    assert Counter(calls["status"]) == {"ok": 12, "failed": 5}
    check(tmp_path, rows, calls)


def test_a_batch_that_is_refused_fails_its_draws(tmp_path: Path) -> None:
    class Refuses(Provider):
        async def submit(self, requests: Mapping[str, Request]) -> str:
            raise ModelError("400 no such model")

    done, rows, _ = run(batched(Refuses(lambda r, s: "x", room=tmp_path)), tmp_path)
    assert done.failed == 24
    assert set(rows["error"]) == {"400 no such model"}


def test_caps_hold_for_what_is_out(tmp_path: Path) -> None:
    made = batched(provider(tmp_path), caps=Caps(tokens=130), decoding=Plain({"max_tokens": 20}))
    done, _, calls = run(made, tmp_path)
    assert done.stopped
    assert calls["prompt_tokens"].sum() + calls["completion_tokens"].sum() <= 130


@pytest.mark.parametrize("line", range(1, 40, 3))
def test_a_killed_process_picks_its_batches_up(tmp_path: Path, line: int) -> None:
    """Whatever came back or is out is never asked for again; only a batch that was killed before it had an id is."""
    if (child := os.fork()) == 0:
        append, left = Journal.append, [line]

        def deadly(journal: Journal, kind: Any, id: str, /, **fields: Any) -> None:
            append(journal, kind, id, **fields)
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            Journal.append = deadly  # type: ignore[method-assign]
            run(batched(provider(tmp_path)), tmp_path)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    had_id = any(record["kind"] == "batch" for record in read_journal(tmp_path).records)
    done, rows, calls = run(batched(provider(tmp_path)), tmp_path)
    check(tmp_path, rows, calls)
    batches = len(sizes(tmp_path))
    assert (batches == 1 and done.lost == 0) if had_id else batches <= 2
    assert run(batched(provider(tmp_path)), tmp_path)[0].unchanged


def test_an_interrupt_leaves_a_batch_out_and_the_next_session_waits_for_it(tmp_path: Path) -> None:
    async def impatient() -> None:
        model = provider(tmp_path, seconds=60)
        running = asyncio.create_task(execute(batched(model), tmp_path))
        while not model.asked:
            await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(impatient())
    assert sizes(tmp_path) == [12]
    done, rows, calls = run(batched(provider(tmp_path)), tmp_path)
    assert (sizes(tmp_path), done.made, set(calls["status"])) == ([12], 24, {"ok"})
    check(tmp_path, rows, calls)
