"""A local HTTP server that answers POST and GET from a script, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Seen:
    """One request."""

    path: str
    headers: Mapping[str, str]
    body: Any


@dataclass
class Answer:
    """One reply; `drop` closes the connection instead, a content-length in the headers that is too long on the way."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: bool = False


@dataclass
class Server:
    """Replies come from `script` in turn, the last one again and again; a callable makes its own of the request."""

    script: list[Answer | Callable[[Seen], Answer]]
    seen: list[Seen] = field(default_factory=list)
    url: str = ""
    busiest: int = 0
    """The most requests that were here at once."""
    _here: int = 0

    def answer(self, request: Seen) -> Answer:
        self.seen.append(request)
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return step if isinstance(step, Answer) else step(request)


@contextmanager
def serving(*script: Answer | Callable[[Seen], Answer]) -> Iterator[Server]:
    server, lock = Server(list(script)), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers.get("content-length") or 0))
            with lock:
                server._here += 1
                server.busiest = max(server.busiest, server._here)
                headers = {name.lower(): value for name, value in self.headers.items()}
                step = server.answer(Seen(self.path, headers, json.loads(data) if data else None))
            try:
                self._reply(step)
            finally:
                with lock:
                    server._here -= 1

        do_GET = do_POST

        def _reply(self, step: Answer) -> None:
            if step.drop:
                self.close_connection = True
                return
            said = step.body if isinstance(step.body, (str, bytes)) else json.dumps(step.body)
            data = said.encode() if isinstance(said, str) else said
            self.send_response(step.status)
            named = {"content-type": "application/json", "content-length": str(len(data)), **step.headers}
            for name, value in named.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_port}"
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
