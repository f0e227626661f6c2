"""A server that adds numbers over OpenAI's wire, and misbehaves as it is told; it counts what it is asked."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = Callable[[BaseHTTPRequestHandler, dict[str, Any]], None]
"""Writes a whole reply, or what it likes, to one request."""


@dataclass
class Bad:
    """The server: `how` it replies from now on, and to what."""

    how: Reply
    url: str = ""
    asked: Counter[tuple[str, int]] = field(default_factory=Counter)
    """(Question, seed) → requests that arrived."""
    said: Counter[tuple[str, int]] = field(default_factory=Counter)
    """(Question, seed) → whole replies that were sent."""
    released: threading.Event = field(default_factory=threading.Event)
    """Set at the end: who hangs lets go."""


def sums(asked: dict[str, Any]) -> dict[str, Any]:
    """The whole, true reply."""
    words = str(asked["messages"][-1]["content"])
    left, right = map(int, re.findall(r"\d+", words)[:2])
    text = f"I add. Final Answer: {left + right}"
    choices = [
        {"index": at, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        for at in range(asked.get("n") or 1)
    ]
    usage = {"prompt_tokens": 9, "completion_tokens": 7 * len(choices), "total_tokens": 9 + 7 * len(choices)}
    return {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": choices, "usage": usage}


def send(to: BaseHTTPRequestHandler, body: bytes | dict[str, Any], status: int = 200, **headers: str) -> None:
    """Sends a reply; a content-length among the headers may lie."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {"content-type": "application/json", "content-length": str(len(raw))}
    to.send_response(status)
    for name, value in (named | {name.replace("_", "-"): value for name, value in headers.items()}).items():
        to.send_header(name, value)
    to.end_headers()
    to.wfile.write(raw)


def good(to: BaseHTTPRequestHandler, asked: dict[str, Any]) -> None:
    """As it should be."""
    send(to, sums(asked))


@contextmanager
def running(how: Reply = good) -> Iterator[Bad]:
    """The server on a free port of this machine."""
    bad, lock = Bad(how), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            key = (str(asked["messages"][-1]["content"]), int(asked.get("seed") or 0))
            with lock:
                bad.asked[key] += 1
            how = bad.how
            how(self, asked)
            with lock:
                bad.said[key] += how is good

        def log_message(self, *_: Any) -> None:
            pass

        def handle(self) -> None:
            with suppress(OSError):  # the client went away
                super().handle()

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 512

    server = Server(("127.0.0.1", 0), Handler)
    bad.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield bad
    finally:
        bad.released.set()
        server.shutdown()
        thread.join()
        server.server_close()
