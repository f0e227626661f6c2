"""Worker processes that judge text nobody trusts: each can be killed alone, and what it says is read as plain data.

A worker is a fresh process (never a fork) that answers one JSON line a job. It gets no environment and no terminal,
limits its own memory, and is killed when a job is overdue; the next one takes its place. Jobs wait in a bounded queue.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

LONGEST_REPLY = 65_536
"""Bytes of a reply that are read."""
BEAT = 0.05
"""Seconds between looks at who is overdue."""


class Overdue(Exception):
    """The worker was killed: it took longer than a job may."""


class Died(Exception):
    """The worker ended by itself, as it does beyond its memory."""


class Unready(Exception):
    """No worker could be started: nothing is known of the job."""


@dataclass
class Workers:
    """So many processes running one program, started when the first job comes."""

    command: Sequence[str]
    count: int = 2
    seconds: float = 10.0
    """Of one job, at most."""
    first_seconds: float = 120.0
    """Until a fresh worker is ready, at most."""
    killed: int = 0
    """Workers that were killed, or died, so far."""
    _jobs: queue.SimpleQueue[tuple[Mapping[str, Any], Future[dict[str, Any]]]] = field(
        default_factory=queue.SimpleQueue
    )
    """Who asks waits for the reply, so there are never more than are asked at once."""
    _due: dict[int, tuple[float, subprocess.Popen[bytes]]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _begun: bool = False

    async def ask(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """The reply to a job. Raises Overdue or Died where its worker was lost over it, Unready where there is none."""
        self._begin()
        future: Future[dict[str, Any]] = Future()
        self._jobs.put((job, future))
        return await asyncio.wrap_future(future)

    def _begin(self) -> None:
        with self._lock:
            if self._begun:
                return
            self._begun = True
        for place in range(self.count):
            threading.Thread(target=self._serve, args=(place,), name=f"judge-{place}", daemon=True).start()
        threading.Thread(target=self._watch, name="judge-watch", daemon=True).start()
        atexit.register(self._end)

    def _serve(self, place: int) -> None:
        """Gives jobs to one worker after another, for ever."""
        process: subprocess.Popen[bytes] | None = None
        while True:
            job, future = self._jobs.get()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                process = process or self._start(place)
                future.set_result(self._exchange(place, process, job))
            except (Overdue, Died, Unready) as error:
                if process is not None:
                    _bury(process)
                process, self.killed = None, self.killed + 1
                future.set_exception(error)

    def _start(self, place: int) -> subprocess.Popen[bytes]:
        keep = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "TMPDIR") if name in os.environ}
        process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=keep,
            start_new_session=True,  # an interrupt at the terminal is for the parent
        )
        try:
            self._read(place, process, self.first_seconds)
        except (Overdue, Died) as error:
            _bury(process)
            raise Unready(str(error)) from None
        return process

    def _exchange(self, place: int, process: subprocess.Popen[bytes], job: Mapping[str, Any]) -> dict[str, Any]:
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(job).encode() + b"\n")
            process.stdin.flush()
        except OSError:
            raise Died("it was not there any more") from None
        return self._read(place, process, self.seconds)

    def _read(self, place: int, process: subprocess.Popen[bytes], seconds: float) -> dict[str, Any]:
        """One line of a worker. Raises Overdue, Died."""
        assert process.stdout is not None
        due = time.monotonic() + seconds
        self._due[place] = due, process
        line = process.stdout.readline(LONGEST_REPLY)
        self._due.pop(place, None)
        if not line.endswith(b"\n"):
            if time.monotonic() >= due:
                raise Overdue(f"it took more than {seconds:g} s")
            raise Died("it ended: beyond its memory or its time")
        try:
            said = json.loads(line)
        except ValueError:
            raise Died("it said what is no JSON") from None
        if not isinstance(said, dict):
            raise Died("it said what is no reply")
        return said

    def _watch(self) -> None:
        """Kills who is overdue, for ever."""
        while True:
            time.sleep(BEAT)
            now = time.monotonic()
            for due, process in list(self._due.values()):
                if now > due:
                    process.kill()

    def _end(self) -> None:
        for _, process in list(self._due.values()):
            process.kill()


def _bury(process: subprocess.Popen[bytes]) -> None:
    """Ends a worker whatever it does, and closes its pipes."""
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):  # what was still to be written is lost with it
            if pipe is not None:
                pipe.close()


def python(path: str, *arguments: object) -> list[str]:
    """The command that runs a script of ours by itself: no user site, no PYTHON variables, no current folder."""
    return [sys.executable, "-I", "-W", "ignore", path, *map(str, arguments)]
