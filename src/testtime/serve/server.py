"""The server itself: in this thread until it is stopped (`serve`), or beside other work (`running`)."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from testtime.core.errors import BadInput
from testtime.core.protocols import Model
from testtime.serve.app import Served

MISSING = 'run: pip install "testtime[serve]"'


def serve(
    model: Model, *, host: str = "127.0.0.1", port: int = 8000, name: str | None = None, ready: Callable[[str], Any]
) -> None:
    """Serves a model until it is interrupted or told to end; `ready` is called with the address once it listens.

    Port 0 takes a free one. Raises BadInput: the port is taken, a package is missing.
    """
    with _listening(host, port) as listener:
        server = _server(model, name, listener)
        ready(_address(listener))
        server.run(sockets=[listener])


@contextmanager
def running(model: Model, *, host: str = "127.0.0.1", port: int = 0, name: str | None = None) -> Iterator[str]:
    """Serves a model from a thread while the context is open; gives the base URL. Raises BadInput as `serve`."""
    with _listening(host, port) as listener:
        server = _server(model, name, listener)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="serve", daemon=True)
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.01)
            yield _address(listener)
        finally:
            server.should_exit = True
            thread.join()


def _server(model: Model, name: str | None, listener: socket.socket) -> Any:
    try:
        import uvicorn
    except ModuleNotFoundError:
        raise BadInput("the server needs the package uvicorn", mend=MISSING) from None
    served = Served(model, name or model.name.partition(":")[2])
    config = uvicorn.Config(
        served.app(), log_level="warning", access_log=False, timeout_graceful_shutdown=3, backlog=2048
    )
    return uvicorn.Server(config)


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """Raises BadInput where nobody can listen there."""
    if not 0 <= port < 2**16:
        raise BadInput(f"{port} is no port", mend="give --port 0 to 65535; 0 takes a free one")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        what = f"cannot listen on {host}:{port} ({error.strerror})"
        raise BadInput(what, mend="give another --port, or --port 0 for a free one") from None
    with listener:
        yield listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"
