"""OpenAI's batches through its own SDK, against a host of this machine that keeps files and batches: what goes up is
what the host documents, each reply comes back under its key, a killed process picks its batch up, and what expired or
failed for a while is sent again alone.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from testtime.core.errors import ModelError
from testtime.core.records import Request
from testtime.models.openai.backend import OpenAI
from testtime.store.journal import read_journal

pytest.importorskip("openai", reason="needs the extra openai")

ASK = [{"role": "user", "content": "hi"}]
CHILD = f"""
import sys
from pathlib import Path

sys.path.insert(0, {str(Path(__file__).parents[1] / "engine")!r})
from plans import plan_of, run
from testtime.models.openai.backend import OpenAI

OpenAI.poll = 0.05
model = OpenAI("gpt-4o-mini", base_url=sys.argv[1])
run(plan_of(model, due=2, count=3, batch=100, linger=0.05, share=1), Path(sys.argv[2]))
"""


def reply(text: str) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return {"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}


class Host:
    """Files and batches, as long as they are asked for."""

    def __init__(self) -> None:
        self.url = ""
        self.files: dict[str, bytes] = {}
        self.batches: list[dict[str, Any]] = []
        self.ready = threading.Event()
        """Set: batches have ended."""
        self.result: Callable[[dict[str, Any], int], dict[str, Any]] = lambda line, at: self.good(line)
        """(Line, number of the batch) → what its line of a result file says beyond the key."""
        self.failed: list[dict[str, Any]] | None = None

    @staticmethod
    def good(line: dict[str, Any]) -> dict[str, Any]:
        said = line["body"]["messages"][-1]["content"]
        return {"response": {"status_code": 200, "request_id": "r", "body": reply(f"to {said}")}, "error": None}

    def lines(self, at: int) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.files[self.batches[at]["input_file_id"]].splitlines()]

    def post(self, path: str, kind: str, data: bytes) -> dict[str, Any]:
        if path.endswith("/files"):
            parts = message_from_bytes(b"content-type: " + kind.encode() + b"\r\n\r\n" + data).get_payload()
            named = {part.get_param("name", header="content-disposition"): part for part in parts}  # type: ignore[union-attr]
            assert named["purpose"].get_payload() == "batch"  # type: ignore[union-attr]
            name = f"file-{len(self.files)}"
            self.files[name] = named["file"].get_payload(decode=True)  # type: ignore[union-attr, assignment]
            return {"id": name, "object": "file", "bytes": 1, "created_at": 0, "filename": "f", "purpose": "batch"}
        asked = json.loads(data)
        self.batches.append({"id": f"batch_{len(self.batches)}", "object": "batch", "created_at": 0, **asked})
        return self.told(len(self.batches) - 1)

    def told(self, at: int) -> dict[str, Any]:
        batch = self.batches[at]
        if not self.ready.is_set():
            return {**batch, "status": "in_progress"}
        if self.failed is not None:
            return {**batch, "status": "failed", "errors": {"object": "list", "data": self.failed}}
        out = {**batch, "status": "completed"}
        results = {line["custom_id"]: self.result(line, at) for line in self.lines(at)}
        for name, wrong in (("output_file_id", False), ("error_file_id", True)):
            said = [{"custom_id": key, **one} for key, one in results.items() if bool(one.get("error")) is wrong]
            if said:
                out[name] = f"{name}-{at}"
                self.files[out[name]] = "".join(f"{json.dumps(one)}\n" for one in said).encode()
        return out


@contextmanager
def hosting() -> Iterator[Host]:
    host = Host()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["content-length"]))
            self._say(json.dumps(host.post(self.path, self.headers["content-type"], data)).encode())

        def do_GET(self) -> None:
            what = self.path.split("/")
            if what[-1] == "content":
                self._say(host.files[what[-2]], "application/octet-stream")
            else:
                self._say(json.dumps(host.told(int(what[-1].partition("_")[2]))).encode())

        def _say(self, data: bytes, kind: str = "application/json") -> None:
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    host.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield host
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OpenAI, "poll", 0.01)


def collected(host: Host, requests: dict[str, Request], model: str = "gpt-4o-mini") -> dict[str, Any]:
    """What comes of a batch whose sender has gone: another process knows its id alone."""

    async def whole() -> dict[str, Any]:
        one, later = (OpenAI(model, base_url=host.url) for _ in range(2))
        sent = await one.submit(requests)
        host.ready.set()
        got = {key: result async for key, result in later.collect(sent)}
        await one.close()
        await later.close()
        return got

    return asyncio.run(whole())


def test_a_batch_is_sent_whole_and_each_request_comes_back_under_its_key(quick: None) -> None:
    said: dict[str, dict[str, Any]] = {
        "b-1": {"response": None, "error": {"code": "batch_expired", "message": "no time was left"}},
        "c-1": {"response": {"status_code": 400, "body": {"error": {"message": "bad"}}}, "error": None},
        "d-1": {"response": {"status_code": 503, "body": {}}, "error": None},
        "e-1": {"response": {"status_code": 200, "body": {**reply("x"), "choices": []}}, "error": None},
    }
    with hosting() as host:
        host.result = lambda line, at: said.get(line["custom_id"]) or host.good(line)
        asked = Request(ASK, seed=5, params={"max_tokens": 9, "temperature": 0.5})
        got = collected(host, {f"{key}-1": asked for key in "abcde"})
    first = host.lines(0)[0]
    body = {"model": "gpt-4o-mini", "max_completion_tokens": 9, "seed": 5, "temperature": 0.5, "messages": ASK}
    assert first == {"custom_id": "a-1", "method": "POST", "url": "/v1/chat/completions", "body": body}
    assert host.batches[0]["endpoint"] == "/v1/chat/completions"
    assert host.batches[0]["completion_window"] == "24h"
    a = got["a-1"]
    assert (a.completions[0].text, a.spend.prompt, a.spend.completion, a.spend.seconds) == ("to hi", 7, 3, None)
    failed = {key: (str(one), one.retry) for key, one in got.items() if isinstance(one, ModelError)}
    assert failed["b-1"] == ("the batch left it: no time was left", True)
    assert failed["c-1"] == ("400: bad", False)
    assert failed["d-1"] == ("503: no reason is given", True)
    assert failed["e-1"][0] == "a batch gave no chat reply"


def test_a_model_that_needs_responses_is_sent_those(quick: None) -> None:
    out = [{"type": "message", "role": "assistant", "id": "m", "status": "completed",
            "content": [{"type": "output_text", "text": "yes", "annotations": []}]}]  # fmt: skip
    usage = {"input_tokens": 4, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 0},
             "output_tokens_details": {"reasoning_tokens": 1}}  # fmt: skip
    body = {"id": "r", "object": "response", "created_at": 0, "model": "m", "status": "completed", "output": out}
    with hosting() as host:
        host.result = lambda line, at: {"response": {"status_code": 200, "body": {**body, "usage": usage}}}
        got = collected(host, {"a-1": Request(ASK)}, "gpt-6-luna")
    assert host.lines(0)[0]["url"] == "/v1/responses"
    assert got["a-1"].completions[0].text == "yes"
    assert (got["a-1"].spend.completion, got["a-1"].spend.reasoning) == (2, 1)


@pytest.mark.parametrize(("code", "again"), [("token_limit_exceeded", True), ("invalid_json_line", False)])
def test_a_batch_that_the_host_does_not_take_fails_each_of_its_requests(quick: None, code: str, again: bool) -> None:
    with hosting() as host:
        host.failed = [{"code": code, "message": "too much", "line": 1, "param": None}]
        got = collected(host, {f"{key}-1": Request(ASK) for key in "ab"})
    assert {(str(one), one.retry) for one in got.values()} == {("the batch batch_0 was not taken: too much", again)}


def test_what_the_model_would_refuse_is_never_sent(quick: None) -> None:
    with hosting() as host, pytest.raises(ModelError, match="has no min_p"):
        collected(host, {"a-1": Request(ASK, params={"min_p": 0.1})})
    assert not host.batches


def test_a_killed_process_picks_its_batch_up_and_what_expired_is_sent_again_alone(tmp_path: Path) -> None:
    expired = {"response": None, "error": {"code": "batch_expired", "message": "late"}}
    with hosting() as host:
        host.result = lambda line, at: expired if at == 0 and line == host.lines(0)[1] else host.good(line)
        line = [sys.executable, "-c", CHILD, host.url, str(tmp_path)]
        child = subprocess.Popen(line, stderr=subprocess.PIPE)
        _until(lambda: any(one["kind"] == "batch" for one in read_journal(tmp_path).records), child)
        child.send_signal(signal.SIGKILL)
        child.communicate(timeout=60)
        host.ready.set()
        subprocess.run(line, check=True, timeout=120, capture_output=True)
    assert [len(host.lines(at)) for at in range(len(host.batches))] == [6, 1]
    rows, calls = pl.read_parquet(tmp_path / "candidates.parquet"), pl.read_parquet(tmp_path / "calls.parquet")
    assert rows["candidate_text"].str.starts_with("to question").to_list() == [True] * 6
    assert calls["status"].value_counts(sort=True).rows() == [("ok", 6), ("failed", 1)]


def _until(there: Callable[[], bool], child: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while not there():
        assert child.poll() is None, child.stderr.read() if child.stderr else ""
        assert time.monotonic() < end
        time.sleep(0.02)
