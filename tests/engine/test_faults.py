"""What goes wrong around the engine costs nothing that was received, and ends as one clear error.

Foreign code that breaks its contract, a model that miscounts, a full disk, Ctrl-C, damage in a journal line of
every kind, clocks that jump, texts of every sort: the run says who and where, and the same plan goes on from there.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from plans import echo_seed, messages, plan_of, run

from testtime.core.errors import BadInput, Fault, ModelError
from testtime.core.history import Asks, Ballot, History, only
from testtime.core.protocols import Ask
from testtime.core.records import Candidate, Generation, Problem, Request, Verdict
from testtime.core.spend import Spend
from testtime.core.strings import parse
from testtime.decoding.plain import Plain
from testtime.engine.finish import write_pool
from testtime.engine.plan import Plan
from testtime.engine.run import execute
from testtime.engine.wire import Clock
from testtime.meters.constant import Constant
from testtime.meters.price import Price, Prices
from testtime.models.scripted import ALL, Scripted
from testtime.policies.sc_fixed import ScFixed
from testtime.store.frame import open_pool
from testtime.store.journal import KINDS, read_journal

PRICE = Prices({"scripted:1": Price(1.0, 3.0)})
ALONE = ALL - {"n"}


class Judge:
    """A verifier that asks a model of its own."""

    stage, digest, gold = "judge", "1", False

    async def verify(self, problem: Problem, candidate: Candidate, ask: Ask) -> Verdict:
        got = await ask.generate("model", Request([{"role": "user", "content": f"right? {candidate.text}"}]))
        return Verdict(self.stage, self.digest, bool(got.completions[0].text), calls=got.calls)


def keep_lines(folder: Path, wanted: Callable[[str], bool]) -> None:
    """Leaves the journal only the lines of the kinds wanted."""
    path = folder / "journal" / "main.jsonl"
    kinds = {kind: b'"kind":"%s"' % kind.encode() for kind in KINDS}
    lines = path.read_bytes().split(b"\n")[:-1]
    kept = [line for line in lines if any(mark in line and wanted(kind) for kind, mark in kinds.items())]
    path.write_bytes(b"".join(line + b"\n" for line in kept))


def received(folder: Path) -> list[str]:
    """Keys of all replies in the journal."""
    lines = read_journal(folder).records
    return [key for line in lines if line["kind"] == "call" and line["status"] == "ok" for key in line["children"]]


class Once:
    """Raises an error the third time it is reached, and never again."""

    def __init__(self, error: BaseException) -> None:
        self.error, self.left = error, 3

    def __call__(self) -> None:
        self.left -= 1
        if not self.left:
            raise self.error


def broken(place: str, error: BaseException) -> Plan:
    """A plan whose model, decoding, verifier, answer, prompt or policy raises once."""
    strike = Once(error)

    class Model(Scripted):
        async def generate(self, request: Request) -> Generation:
            got = await super().generate(request)
            if place == "model":
                strike()
            return got

    class Decoding(Plain):
        async def draw(self, problem: Problem, messages: Any, idx: int, ask: Ask) -> Sequence[Candidate]:
            made = await super().draw(problem, messages, idx, ask)
            if place == "decoding":
                strike()
            return made

    class Verifier(Judge):
        async def verify(self, problem: Problem, candidate: Candidate, ask: Ask) -> Verdict:
            said = await super().verify(problem, candidate, ask)
            if place == "verifier":
                strike()
            return said

    def answer(problem: Problem, text: str) -> tuple[str, str]:
        if place == "answer":
            strike()
        return text, text

    model = Model(lambda request, seed: f"s{seed}", can=ALONE)
    return plan_of(model, due=2, decoding=Decoding(), answer=answer, verifiers=[Verifier()], price=PRICE)


@pytest.mark.parametrize(
    "error", [KeyError("choices"), asyncio.CancelledError(), FileNotFoundError(2, "gone"), RecursionError()]
)
@pytest.mark.parametrize("place", ["model", "decoding", "verifier", "answer"])
def test_a_bug_in_foreign_code_is_one_line_and_loses_nothing(tmp_path: Path, place: str, error: BaseException) -> None:
    _, whole, _ = run(broken("nowhere", error), tmp_path / "whole")
    made = broken(place, error)
    with pytest.raises(Fault, match=rf"{type(error).__name__}.*\(.*test_faults\.py:\d+\)") as fault:
        run(made, tmp_path / "broken")
    assert "\n" not in str(fault.value)
    before = received(tmp_path / "broken")
    done, rows, _ = run(made, tmp_path / "broken")
    again = received(tmp_path / "broken")
    assert again[: len(before)] == before
    assert len(set(again)) == len(again) == 12, "each reply was asked for once"
    assert rows.drop("latency_s", "timestamp", "joules").equals(whole.drop("latency_s", "timestamp", "joules"))
    assert done.made + done.kept == 6


@pytest.mark.parametrize("error", [TimeoutError("slow"), ConnectionResetError("reset")])
def test_a_time_out_is_a_failed_request_and_never_a_fault(tmp_path: Path, error: Exception) -> None:
    done, _, calls = run(broken("model", error), tmp_path / "model")
    assert (done.failed, calls["status"].to_list().count("failed")) == (0, 1)
    done, rows, _ = run(broken("decoding", error), tmp_path / "decoding")
    assert (done.failed, rows["error"].drop_nulls().to_list()) == (1, [f"{type(error).__name__}: {error}"])
    _, rows, _ = run(broken("verifier", error), tmp_path / "verifier")
    assert rows["is_verified"].null_count() == 1
    assert str(error) in rows.filter(rows["is_verified"].is_null())["verification_explanation"][0]


def test_a_bug_in_a_shared_request_makes_no_row_of_its_neighbours(tmp_path: Path) -> None:
    strike = Once(KeyError("x"))

    class Model(Scripted):
        async def generate(self, request: Request) -> Generation:
            strike()
            return await super().generate(request)

    made = plan_of(Model(lambda request, seed: f"s{seed}"), due=8, count=4)
    with pytest.raises(Fault, match="KeyError"):
        run(made, tmp_path)
    _, rows, _ = run(made, tmp_path)
    assert rows["error"].null_count() == rows.height == 32


def test_more_completions_than_asked_are_paid_once_and_cut(tmp_path: Path) -> None:
    class Generous(Scripted):
        async def generate(self, request: Request) -> Any:
            return await super().generate(replace(request, n=request.n + 2))

    model = Generous(lambda request, seed: f"s{seed}")
    _, rows, calls = run(plan_of(model, due=4, price=PRICE), tmp_path)
    assert (model.calls, calls["status"].to_list()) == (3, ["ok"] * 3)
    assert rows["candidate_text"].to_list() == [f"s{seed}" for seed in rows["generation_seed"]]
    assert rows["paid_usd"].sum() == pytest.approx(calls["usd"].sum(), abs=1e-12)


def test_a_model_that_gives_nothing_fails_its_draws_and_no_more(tmp_path: Path) -> None:
    class Mute(Scripted):
        async def generate(self, request: Request) -> Any:
            self.calls += 1
            return Generation([], Spend(), self.name)

    model = Mute([])
    done, rows, _ = run(plan_of(model, due=3, count=1, attempts=2), tmp_path)
    assert (done.failed, model.calls) == (3, 2)
    assert set(rows["error"]) == {"scripted:1 gave no completion for n = 3"}


@pytest.mark.parametrize("text", ["", "\ud800 lone \udfff", "\x00\x1f\u2028", "é" * 500_000, "NaN", "\r\n\r"])
def test_a_model_may_say_anything(tmp_path: Path, text: str) -> None:
    """Also where it is sent on: to a judge, to a continuation, to a digest."""

    class Again(Plain):
        async def draw(self, problem: Problem, messages: Any, idx: int, ask: Ask) -> Sequence[Candidate]:
            (one,) = await super().draw(problem, messages, idx, ask)
            await ask.generate("model", Request(messages, prefix=one.text))
            return [one]

    made = plan_of(Scripted(lambda request, seed: text), due=1, count=1, decoding=Again(), verifiers=[Judge()])
    _, rows, _ = run(made, tmp_path)
    clean = text.replace("\ud800", "\ufffd").replace("\udfff", "\ufffd")
    assert rows["candidate_text"].to_list() == [clean]
    assert run(made, tmp_path)[0].unchanged
    open_pool(tmp_path)


@pytest.mark.parametrize("room", range(2000, 16000, 1400))
def test_a_full_disk_is_one_line_and_the_run_goes_on_when_there_is_room(tmp_path: Path, room: int) -> None:
    """RLIMIT_FSIZE stands in for a disk: a write beyond it takes what fits, then fails."""
    counts = tmp_path / "server"

    def shape() -> Plan:
        model = Scripted(lambda request, seed: f"s{seed} " * 20, can=ALONE, count_file=counts)
        return plan_of(model, due=2, verifiers=[Judge()], price=PRICE)

    _, whole, _ = run(shape(), tmp_path / "whole")
    counts.unlink()
    if (child := os.fork()) == 0:
        code = 1
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
            asyncio.run(execute(shape(), tmp_path / "full"))
        except BadInput as error:
            code = 42 if "cannot be written: File too large" in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42
    assert not list((tmp_path / "full").glob("*.parquet"))
    assert not list((tmp_path / "full").glob(".*part"))
    _, rows, _ = run(shape(), tmp_path / "full")
    assert rows.drop("latency_s", "timestamp").equals(whole.drop("latency_s", "timestamp"))
    assert counts.stat().st_size <= 12 + 4 + 1, "asked again are only those whose reply could not be written"


def test_ctrl_c_leaves_a_whole_journal_and_the_run_goes_on(tmp_path: Path) -> None:
    script = f"""
import asyncio, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from plans import echo_seed, plan_of
from testtime.engine.run import execute
print("ready", flush=True)
asyncio.run(execute(plan_of(echo_seed(seconds=0.05), due=64, count=9, share=1), Path(sys.argv[1])))
"""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        while not (path := tmp_path / "journal" / "main.jsonl").exists() or b'"kind":"draw"' not in path.read_bytes():
            time.sleep(0.01)
        child.send_signal(signal.SIGINT)
        _, told = child.communicate(timeout=30)
    assert b"KeyboardInterrupt" in told
    replayed = read_journal(tmp_path)
    ended = {line["id"] for line in replayed.records if line["kind"] == "call"}
    assert not replayed.dropped
    assert {line["id"] for line in replayed.records if line["kind"] == "sent"} == ended, "none is left open"
    made = plan_of(echo_seed(), due=64, count=9, share=1)
    write_pool(made, tmp_path)
    part = pl.read_parquet(tmp_path / "candidates.parquet")
    assert 0 < part.height < 64 * 9
    done, rows, _ = run(made, tmp_path)
    assert (done.kept, rows.height) == (part.height, 64 * 9)


def test_an_interrupt_inside_foreign_code_passes_and_what_was_in_flight_is_told(tmp_path: Path) -> None:
    made = broken("model", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(execute(made, tmp_path))
    done, rows, calls = run(made, tmp_path)
    assert rows.height == 6
    assert set(calls["status"]) <= {"ok", "cancelled", "sent"}
    assert "sent" in set(calls["status"])
    assert done.lost == sum(status != "ok" for status in calls["status"])


def test_a_verifier_that_hangs_is_stopped_and_judges_later(tmp_path: Path) -> None:
    class Hangs(Judge):
        async def verify(self, problem: Problem, candidate: Candidate, ask: Ask) -> Verdict:
            said = await super().verify(problem, candidate, ask)
            await asyncio.sleep(3600)
            return said

    made = plan_of(model := echo_seed(can=ALONE), due=1, verifiers=[Hangs()])

    async def impatient() -> None:
        running = asyncio.create_task(execute(made, tmp_path))
        while model.calls < 6:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(impatient())
    done, rows, _ = run(replace(made, verifiers=[Judge()]), tmp_path)
    assert (done.made, model.calls, rows["is_verified"].to_list()) == (0, 6, [True] * 3)


@pytest.mark.parametrize("kind", ["run", "sent", "call", "draw", "verdict", "window", "end"])
def test_a_damaged_line_of_any_kind_costs_no_reply_and_no_row(tmp_path: Path, kind: str) -> None:
    def shape(model: Scripted) -> Plan:
        policies = [parse("policy", "adaptive_margin:stop_rule=margin,max_n=5")]
        return plan_of(model, due=2, verifiers=[Judge()], price=PRICE, meter=Constant(9.0), policies=policies)

    _, whole, _ = run(shape(echo_seed(can=ALONE)), tmp_path)
    path = tmp_path / "journal" / "main.jsonl"
    lines = path.read_bytes().split(b"\n")
    of_kind = [at for at, line in enumerate(lines) if b'"kind":"%s"' % kind.encode() in line]
    if kind == "call":  # those that bore a draw, not its verdict: two calls of one row would be one loss
        of_kind = [at for at in of_kind if b"/judge" not in lines[at]]
    for hit in of_kind[:2]:
        lines[hit] = lines[hit][:-20] + b"\xff\x00" + lines[hit][-18:]
    path.write_bytes(b"\n".join(lines))
    noted = replace(shape(model := echo_seed(can=ALONE)), about={"notes": "so that the files are written again"})
    done, rows, calls = run(noted, tmp_path)
    assert 0 < done.dropped <= 2
    assert model.calls == 0
    timed = ("latency_s", "timestamp", "joules", "paid_usd")
    assert rows.drop(timed).equals(whole.drop(timed))
    assert open_pool(tmp_path).arms["arm"].floor == 2
    again, _, _ = run(noted, tmp_path)
    assert (again.unchanged, model.calls) == (True, 0), "what stands in another order now is still all there"
    borne, paid = rows["paid_usd"].sum(), calls.filter(status="ok")["usd"].sum()
    assert rows["paid_usd"].null_count() == (2 if kind == "call" else 0), "a call whose line is lost is not free"
    assert borne < paid if kind == "call" else borne == pytest.approx(paid, abs=1e-12)


def test_a_try_whose_line_is_lost_is_still_counted(tmp_path: Path) -> None:
    made = plan_of(Scripted(lambda request, seed: ModelError("no", retry=True)), due=1, count=1, attempts=2)
    run(made, tmp_path)
    keep_lines(tmp_path, lambda kind: kind not in ("draw", "sent"))
    _, _, calls = run(made, tmp_path)
    assert calls["attempt"].to_list() == [1, 2, 3, 4]


def test_clocks_that_jump_between_sessions_mix_no_energy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second session begins, by its clock, in the middle of the first."""
    start, now = time.time(), time.perf_counter
    for session, offset in enumerate((0.0, -0.005)):
        monkeypatch.setattr(Clock, "__init__", lambda self, at=start + offset: self.__dict__.update(_offset=at - now()))
        model = echo_seed(can=ALONE, seconds=0.004)
        run(plan_of(model, due=1 + session, count=4, meter=Constant(100.0), window=0.002, concurrency=2), tmp_path)
    records = read_journal(tmp_path).records
    calls = pl.read_parquet(tmp_path / "calls.parquet")
    sessions: list[list[dict[str, Any]]] = []
    for line in records:
        if line["kind"] == "run":
            sessions.append([])
        sessions[-1].append(line)
    ends = iter(calls.rows(named=True))
    for lines in sessions:
        spans = [(next(ends), line) for line in lines if line["kind"] == "call"]
        busy = [
            window["joules"]
            for window in lines
            if window["kind"] == "window"
            and any(window["started"] < call["ended"] and call["started"] < window["ended"] for _, call in spans)
        ]
        borne = [row["joules"] for row, _ in spans]
        if None in borne:  # a busy machine closed a window late: unknown is null, and nothing of others is taken
            assert sum(filter(None, borne)) <= sum(busy) + 1e-9
        else:
            assert sum(borne) == pytest.approx(sum(busy))


def test_a_lost_request_is_a_row_with_the_most_it_can_have_cost(tmp_path: Path) -> None:
    limit = Plain({"max_tokens": 50})
    made = plan_of(echo_seed(), due=4, count=1, decoding=limit, price=PRICE)
    run(made, tmp_path)
    keep_lines(tmp_path, lambda kind: kind in ("run", "sent"))
    done, _, calls = run(made, tmp_path)
    (lost,) = calls.filter(status="sent").rows(named=True)
    (paid,) = calls.filter(status="ok").rows(named=True)
    assert (done.lost, done.lost_usd) == (1, lost["usd_at_most"])
    assert (lost["usd"], paid["usd_at_most"]) == (None, None)
    bytes_asked = len(json.dumps(messages(made.problems[0])))
    assert 4 * 50 * 3e-6 + bytes_asked * 1e-6 < lost["usd_at_most"] < 4 * 50 * 3e-6 + 3 * bytes_asked * 1e-6
    assert paid["usd"] < lost["usd_at_most"]
    run(replace(made, price=None, about={"notes": "unknown price"}), tmp_path)
    assert pl.read_parquet(tmp_path / "calls.parquet").filter(status="sent")["usd_at_most"].to_list() == [None]


def test_once_stopped_no_request_leaves(tmp_path: Path) -> None:
    """Two draws wait for two others to share a request with, which are stopped before they ask."""
    waiting = asyncio.Event()

    class Late(Plain):
        async def draw(self, problem: Problem, messages: Any, idx: int, ask: Ask) -> Sequence[Candidate]:
            if idx >= 2:
                waiting.set()
                await asyncio.sleep(3600)
            return await super().draw(problem, messages, idx, ask)

    async def stopped() -> None:
        running = asyncio.create_task(execute(made, tmp_path))
        await waiting.wait()
        await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    made = plan_of(model := echo_seed(), due=4, count=1, decoding=Late())
    asyncio.run(stopped())
    assert model.calls == 0
    assert {line["kind"] for line in read_journal(tmp_path).records} == {"run"}


def test_a_second_process_is_kept_out_and_disturbs_nothing(tmp_path: Path) -> None:
    hold = threading.Event()

    async def both() -> None:
        slow = asyncio.create_task(execute(plan_of(echo_seed(seconds=0.05)), tmp_path))
        await asyncio.sleep(0.01)
        with pytest.raises(BadInput, match="another process writes this run"):
            await execute(plan_of(other := echo_seed()), tmp_path)
        assert other.calls == 0
        hold.set()
        await slow

    asyncio.run(both())
    assert hold.is_set()
    assert run(plan_of(echo_seed()), tmp_path)[0].unchanged


def test_a_tool_result_is_the_same_before_and_after_a_resume(tmp_path: Path) -> None:
    """A tuple comes back as a list from a journal: the draw sees the list at once."""
    seen: list[Any] = []

    class Uses(Plain):
        async def draw(self, problem: Problem, messages: Any, idx: int, ask: Ask) -> Sequence[Candidate]:
            seen.append(await ask.tool("pair", {}))
            return await super().draw(problem, messages, idx, ask)

    async def pair(arguments: Any, ask: Ask) -> dict[str, Any]:
        return {"is": (1, 2)}

    made = plan_of(echo_seed(), due=1, count=1, decoding=Uses(), tools={"pair": pair})
    run(made, tmp_path)
    keep_lines(tmp_path, lambda kind: kind != "draw")
    run(made, tmp_path)
    assert seen == [{"is": [1, 2]}] * 2


def test_a_number_too_large_for_a_column_is_infinite_there(tmp_path: Path) -> None:
    class Huge(Plain):
        async def draw(self, problem: Problem, messages: Any, idx: int, ask: Ask) -> Sequence[Candidate]:
            (one,) = await super().draw(problem, messages, idx, ask)
            return [replace(one, facts={"said": 10**400 if idx else 1})]

    _, rows, _ = run(plan_of(echo_seed(), count=1, decoding=Huge()), tmp_path)
    assert rows["said"].to_list() == [1.0, float("inf")]


def test_a_counter_that_fails_stops_no_run_and_energy_is_unknown(tmp_path: Path) -> None:
    class Gone(Constant):
        def window(self) -> Any:
            raise PermissionError(13, "no such counter")

    _, rows, calls = run(plan_of(echo_seed(), meter=Gone(9.0)), tmp_path)
    assert rows["joules"].null_count() == rows.height == 6
    assert calls["joules"].null_count() == calls.height
    (window,) = [line for line in read_journal(tmp_path).records if line["kind"] == "window"]
    assert (window["joules"], "no such counter" in window["source"]) == (None, True)


def test_a_policy_that_would_never_stop_spends_no_more_than_it_said(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Endless(ScFixed):
        def ask(self, history: History) -> Asks:
            arm, track = only(history)
            return {arm: np.ones_like(track.seen)}

    model = echo_seed(can=ALONE)
    with pytest.raises(BadInput, match="asked for more than its 4 draws"):
        run(plan_of(model, due=0, count=2, policies=[Endless(4)]), tmp_path)
    assert model.calls <= 2 * 4


def test_a_policy_that_breaks_is_named(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Broken(ScFixed):
        def choose(self, history: History) -> Ballot:
            raise ZeroDivisionError("no votes")

    with pytest.raises(Fault, match="policy sc_fixed raised ZeroDivisionError: no votes"):
        run(plan_of(echo_seed(), policies=[Broken(2)]), tmp_path)
