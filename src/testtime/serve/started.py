"""A model server of another make (vLLM, or any command), started for a run and stopped with it."""

from __future__ import annotations

import http.client
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from testtime.core.errors import BadInput
from testtime.core.records import Map

VLLM = "vllm serve {model} --host {host} --port {port} --served-model-name {model}"
FLAGS: Mapping[str, str] = {
    "tensor_parallel": "--tensor-parallel-size",
    "gpu_memory_utilization": "--gpu-memory-utilization",
    "max_model_len": "--max-model-len",
    "dtype": "--dtype",
    "quantization": "--quantization",
}
"""Setting of ours → flag of vLLM."""
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
POLL, TO_STOP = 0.25, 20.0
"""Seconds between two looks whether it is up; seconds it has to end by itself."""


@dataclass(frozen=True)
class Server:
    """One server for one model, not yet started."""

    model: str
    url: str
    """Where it shall answer, …/v1; on this machine."""
    log: Path
    """What it prints goes here."""
    command: str = VLLM
    """Words of its command line; {model}, {host} and {port} stand for themselves."""
    settings: Map = field(default_factory=dict)
    """Those of FLAGS; for vLLM's own command."""
    patience: float = 1800.0
    """Seconds until it must answer: weights may have to be downloaded."""

    @property
    def words(self) -> list[str]:
        """The command line. Raises BadInput for settings that a foreign command has no flags for."""
        said = {key: value for key, value in self.settings.items() if value is not None}
        if said and self.command != VLLM:
            raise BadInput(f"{', '.join(sorted(said))} cannot be given to {self.command!r}", mend="write them in it")
        place = {"model": self.model, "host": self._at[0], "port": str(self._at[1])}
        words = [_filled(word, place) for word in shlex.split(self.command)]
        return [*words, *(word for key, value in said.items() for word in (FLAGS[key], str(value)))]

    @property
    def _at(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return parts.hostname or "localhost", parts.port or 80

    @contextmanager
    def running(self) -> Iterator[None]:
        """It answers while the context is open. Raises BadInput: not installed, the port is taken, it ended, …"""
        words = self.words
        if self._at[0] not in LOCAL:
            raise BadInput(f"a server can be started on this machine, not at {self.url}", mend="leave out --serve")
        if shutil.which(words[0]) is None:
            raise BadInput(f"no command {words[0]!r} to serve {self.model} with", mend="run: pip install vllm")
        with suppress(OSError), socket.create_connection(self._at, timeout=1):
            raise BadInput(f"something answers at {self.url} already", mend="leave out --serve to use it")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log, _watched(words, log) as server:
            try:
                self._wait(server)
                yield
            finally:
                _stop(server)

    def _wait(self, server: subprocess.Popen[bytes]) -> None:
        """Until it answers. Raises BadInput where it ends first, or takes too long."""
        until = time.monotonic() + self.patience
        while not self._answers():
            if server.poll() is not None:
                what = f"the server of {self.model} ended with code {server.returncode}: {self._last_words()}"
                raise BadInput(what, where=str(self.log), mend="see that file")
            if time.monotonic() > until:
                raise BadInput(
                    f"the server of {self.model} does not answer after {self.patience:g} s", where=str(self.log)
                )
            time.sleep(POLL)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/models", timeout=5):
                return True
        except (OSError, http.client.HTTPException):  # of urllib's own, too; or what answers speaks no HTTP yet
            return False

    def _last_words(self) -> str:
        lines = self.log.read_bytes().decode("utf-8", "replace").strip().split("\n")
        return lines[-1].strip()[-200:] or "it said nothing"


def _filled(word: str, place: Mapping[str, str]) -> str:
    for name, text in place.items():
        word = word.replace(f"{{{name}}}", text)
    return word


@contextmanager
def _watched(words: Sequence[str], log: BinaryIO) -> Iterator[subprocess.Popen[bytes]]:
    """The server under a process that ends it when this one is gone, killed too."""
    reads, writes = os.pipe()
    watch = [sys.executable, str(Path(__file__).with_name("watched.py")), str(reads), *words]
    how: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": subprocess.STDOUT}
    try:
        with subprocess.Popen(watch, **how, start_new_session=True, pass_fds=(reads,)) as server:
            os.close(reads)
            yield server
    finally:
        os.close(writes)


def _stop(server: subprocess.Popen[bytes]) -> None:
    """Ends it and all its workers, gently first."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(server.pid, how)
        with suppress(subprocess.TimeoutExpired):
            server.wait(TO_STOP)
            if how is signal.SIGTERM:
                continue  # workers may outlive the one that was asked
