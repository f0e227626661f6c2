"""Batches of Anthropic and Gemini through their own SDKs, killed by SIGKILL while they are out: the provider's id is on
disk before the provider is first asked how far it is, a second process waits for that very batch, and what expired or
failed for a while is sent again alone, also where a whole batch expired or its results broke off on the way.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from fake_http import Answer, Seen, Server, serving

from testtime.store.journal import read_journal

CHILD = f"""
import sys
from importlib import import_module
from pathlib import Path

sys.path.insert(0, {str(Path(__file__).parents[1] / "engine")!r})
from plans import plan_of, run
from testtime.decoding.plain import Plain

module, kind, model, folder = sys.argv[1:]
kind = getattr(import_module(module), kind)
kind.poll = 0.05
how = {{"batch": 100, "linger": 0.05, "share": 1, "backoff": 0.01, "decoding": Plain({{"max_tokens": 9}})}}
run(plan_of(kind(model), due=2, count=3, **how), Path(folder))
"""


class Provider(ABC):
    """Batches, as long as they are asked for."""

    model: tuple[str, str, str]
    """Module, class and id of the model that uses it."""
    key: str
    """The variable of its key."""
    base: str
    """The variable of its address."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.url = folder, ""
        self.batches: list[Mapping[str, Any]] = []
        """Of each, by key: what was asked."""
        self.ready = threading.Event()
        """Set: batches have ended."""
        self.asked_first = list[bool]()
        """Of each look at a batch: whether its id was on disk."""
        self.fates: dict[int, str] = {}
        """What becomes of the n-th request of the first batch, where it is not answered."""
        self.whole: str | None = None
        """How the whole first batch ends, where it ends without results."""
        self.breaks = 0
        """Results that break off on the way."""

    def __call__(self, seen: Seen) -> Answer:
        if seen.body is not None:
            self.batches.append(self.requests(seen.body))
            return Answer(self.told(len(self.batches) - 1, False))
        at = int(seen.path.removesuffix("/results").rpartition("batch")[2])
        on_disk = [line["batch"] for line in read_journal(self.folder).records if line["kind"] == "batch"]
        self.asked_first.append(self.id(at) in on_disk)
        return self.results(at) if seen.path.endswith("/results") else Answer(self.told(at, self.ready.is_set()))

    def ended(self, at: int) -> Iterator[tuple[str, Any, str | None]]:
        """(Key, what was asked, its fate) of a batch that has ended."""
        for number, (key, asked) in enumerate(self.batches[at].items()):
            yield key, asked, self.fates.get(number) if at == 0 else None

    @abstractmethod
    def id(self, at: int) -> str:
        """The provider's name of a batch."""

    @abstractmethod
    def requests(self, body: Any) -> Mapping[str, Any]:
        """What a batch asks, by key."""

    @abstractmethod
    def told(self, at: int, ended: bool) -> Any:
        """The state of a batch, as the provider says it."""

    def results(self, at: int) -> Answer:
        """The replies of a batch that has ended, where they have a place of their own."""
        return Answer({"error": f"batch {at} has its replies in its state"}, 404)


class Anthropic(Provider):
    model = ("testtime.models.anthropic", "Claude", "claude-sonnet-4-6")
    key, base = "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"

    def id(self, at: int) -> str:
        return f"msgbatch{at}"

    def requests(self, body: Any) -> Mapping[str, Any]:
        return {one["custom_id"]: one["params"]["messages"][-1]["content"] for one in body["requests"]}

    def told(self, at: int, ended: bool) -> Any:
        return {
            "id": self.id(at), "type": "message_batch", "processing_status": "ended" if ended else "in_progress",
            "created_at": "2026-01-01T00:00:00Z", "expires_at": "2026-01-02T00:00:00Z",
            "results_url": f"{self.url}/v1/messages/batches/{self.id(at)}/results",
            "request_counts": {"processing": 0, "succeeded": 1, "errored": 0, "canceled": 0, "expired": 0},
        }  # fmt: skip

    def results(self, at: int) -> Answer:
        lines = [
            json.dumps({"custom_id": key, "result": self.result(asked, fate)}) for key, asked, fate in self.ended(at)
        ]
        whole = "\n".join(lines)
        if self.breaks:
            self.breaks -= 1
            return Answer(whole, headers={"content-length": str(len(whole) + 100)})
        return Answer(whole, headers={"content-type": "application/x-jsonl"})

    def result(self, asked: str, fate: str | None) -> Any:
        if fate == "failed":
            said = {"type": "overloaded_error", "message": "busy"}
            return {"type": "errored", "error": {"type": "error", "request_id": None, "error": said}}
        if fate is not None:
            return {"type": "expired"}
        return {"type": "succeeded", "message": {
            "id": "m", "type": "message", "role": "assistant", "model": "c", "stop_reason": "end_turn",
            "stop_sequence": None, "usage": {"input_tokens": 7, "output_tokens": 3},
            "content": [{"type": "text", "text": f"to {asked}"}],
        }}  # fmt: skip


class Google(Provider):
    model = ("testtime.models.gemini", "Gemini", "gemini-2.5-flash")
    key, base = "GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL"

    def id(self, at: int) -> str:
        return f"batches/batch{at}"

    def requests(self, body: Any) -> Mapping[str, Any]:
        items = body["batch"]["inputConfig"]["requests"]["requests"]
        return {one["metadata"]["key"]: one["request"]["contents"][-1]["parts"][0]["text"] for one in items}

    def told(self, at: int, ended: bool) -> Any:
        if not ended:
            return {"name": self.id(at), "metadata": {"state": "BATCH_STATE_RUNNING"}}
        if self.whole is not None and at == 0:
            return {"name": self.id(at), "metadata": {"state": f"BATCH_STATE_{self.whole.upper()}"}}
        out = {"inlinedResponses": {"inlinedResponses": [
            {"metadata": {"key": key}, **self.result(asked, fate)} for key, asked, fate in self.ended(at)
        ]}}  # fmt: skip
        return {"name": self.id(at), "metadata": {"state": "BATCH_STATE_SUCCEEDED", "output": out}, "response": out}

    def result(self, asked: str, fate: str | None) -> Any:
        if fate is not None:
            return {"error": {"code": 4 if fate == "expired" else 14, "message": fate}}
        usage = {"promptTokenCount": 7, "candidatesTokenCount": 3, "totalTokenCount": 10}
        said = {"content": {"role": "model", "parts": [{"text": f"to {asked}"}]}, "finishReason": "STOP"}
        return {"response": {"candidates": [said], "usageMetadata": usage, "modelVersion": "g", "responseId": "r"}}


PROVIDERS = (Anthropic, Google)


@pytest.fixture(params=PROVIDERS, ids=lambda kind: kind.__name__)
def provider(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Provider]:
    there: Provider = request.param(tmp_path)
    pytest.importorskip({"Anthropic": "anthropic", "Google": "google.genai"}[type(there).__name__])
    with serving(there) as server:
        there.url = server.url
        yield there
        assert _posts(server) == len(there.batches)


def _posts(server: Server) -> int:
    return sum(seen.body is not None for seen in server.seen)


def started(provider: Provider) -> subprocess.Popen[bytes]:
    line = [sys.executable, "-c", CHILD, *provider.model, str(provider.folder)]
    keys = {provider.key: "sk-0123456789", provider.base: provider.url}
    return subprocess.Popen(line, stderr=subprocess.PIPE, env={**os.environ, **keys})


def killed_when_out(provider: Provider) -> None:
    """A process that has sent its batch and looked at it once is killed."""
    child = started(provider)
    try:
        until(lambda: bool(provider.asked_first), child)
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate(timeout=60)


def finished(provider: Provider) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Another process, to its end: (candidates, calls)."""
    provider.ready.set()
    child = started(provider)
    _, said = child.communicate(timeout=120)
    assert child.returncode == 0, said.decode()
    names = ("candidates.parquet", "calls.parquet")
    rows, calls = (pl.read_parquet(provider.folder / name) for name in names)
    assert rows["candidate_text"].str.starts_with("to question").to_list() == [True] * 6
    assert all(provider.asked_first), "an id is on disk before its batch is asked for"
    return rows, calls


def until(there: Callable[[], bool], child: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 120
    while not there():
        assert child.poll() is None, child.stderr.read() if child.stderr else ""
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_killed_process_picks_its_batch_up_and_what_expired_or_failed_is_sent_again_alone(provider: Provider) -> None:
    provider.fates = {1: "expired", 4: "failed"}
    killed_when_out(provider)
    _, calls = finished(provider)
    assert [len(batch) for batch in provider.batches] == [6, 2]
    assert Counter(calls["status"]) == {"ok": 6, "failed": 2}
    first = list(provider.batches[0].values())
    assert list(provider.batches[1].values()) == [first[1], first[4]]


def test_a_whole_batch_that_expired_is_sent_again(provider: Provider) -> None:
    if isinstance(provider, Anthropic):  # there each request expires by itself
        provider.fates = dict.fromkeys(range(6), "expired")
    provider.whole = "expired"
    killed_when_out(provider)
    _, calls = finished(provider)
    assert [len(batch) for batch in provider.batches] == [6, 6]
    assert Counter(calls["status"]) == {"ok": 6, "failed": 6}


def test_results_that_break_off_on_the_way_are_read_again_and_no_request_is_sent_twice(tmp_path: Path) -> None:
    pytest.importorskip("anthropic", reason="needs the extra anthropic")
    with serving(there := Anthropic(tmp_path)) as server:
        there.url, there.breaks = server.url, 2
        _, calls = finished(there)
    assert ([len(batch) for batch in there.batches], there.breaks) == ([6], 0)
    assert set(calls["status"]) == {"ok"}
