"""A host on loopback that answers what it is told to, in turn, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Asked:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class Host:
    url: str = ""
    replies: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    """(Status, headers, body), taken in turn; a body shorter than a content-length in the headers is a broken one."""
    asked: list[Asked] = field(default_factory=list)
    wait: threading.Event | None = None
    """Replies wait for it."""

    def say(self, body: Any, status: int = 200, **headers: str) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {"content-type": "application/json"} | {key.replace("_", "-"): text for key, text in headers.items()}
        self.replies.append((status, named, raw))


@contextmanager
def running() -> Iterator[Host]:
    host = Host()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            host.asked.append(Asked(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            status, headers, raw = host.replies.pop(0)
            if host.wait:
                host.wait.wait(20)
            self.send_response(status)
            for key, text in ({"content-length": str(len(raw))} | headers).items():
                self.send_header(key, text)
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: Any) -> None:
            pass

        def handle(self) -> None:
            with suppress(ConnectionError):  # the client went away
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    host.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield host
    finally:
        if host.wait:
            host.wait.set()
        server.shutdown()
        thread.join()
        server.server_close()
