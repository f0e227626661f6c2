"""One Python behind a wall: started, talked to in lines, and killed with all that it started."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testtime.core.errors import VerifierError
from testtime.sandbox.patience import Deadline, Watched

LONGEST = 4_000_000
"""Bytes of one line."""
NOBODY = 65534
HERE = Path(__file__).parent


class Late(Exception):
    """Its time is up."""


class Gone(Exception):
    """It has ended."""


class Loud(Exception):
    """It says more than it may."""


@dataclass(frozen=True)
class Start:
    """How a box is started: a command that runs Python on a program given with -c, and what goes with it."""

    argv: Sequence[str]
    """Ends before the program's text."""
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    as_nobody: bool = False
    """Give up root first: limits on processes do not bind root."""
    after: Callable[[], None] = lambda: None
    """Called once it is killed."""
    below: int | None = None
    """How many processes stand between the one that is started and the Python; None: it is none of ours."""


def program(*names: str) -> str:
    """The text of some of our files that run inside a sandbox, as one program."""
    lines = [line for name in names for line in (HERE / f"{name}.py").read_text("utf-8").split("\n")]
    unused = ("from typing", "from collections.abc")  # by annotations alone, which are never evaluated
    ours = ("from testtime", "from __future__", "if __name__", "    main()", *unused)
    body = [line for line in lines if not line.startswith(ours)]
    return "\n".join(["from __future__ import annotations", *_without_docstrings(body), "main()"])


def _without_docstrings(lines: Sequence[str]) -> list[str]:
    """Module docstrings would stand between imports; they say nothing to the machine."""
    kept, inside = [], False
    for line in lines:
        if line.startswith('"""'):
            inside = not inside and line.count('"""') == 1
        elif inside:
            inside = '"""' not in line
        else:
            kept.append(line)
    return kept


class Box:
    """A started box. Its pipes are read without blocking, so that its time is ours to keep."""

    def __init__(self, start: Start, text: str) -> None:
        who: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if start.as_nobody else {}
        self._after, self._below = start.after, start.below
        try:
            self._process = subprocess.Popen(
                [*start.argv, "-c", text],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=dict(start.env),
                cwd=start.cwd,
                start_new_session=True,
                bufsize=0,
                **who,
            )
        except OSError as error:
            raise VerifierError(f"the sandbox cannot be started: {error}") from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        self._ready = {}
        for pipe, event in ((self._in, select.POLLOUT), (self._out, select.POLLIN)):
            os.set_blocking(pipe.fileno(), False)
            self._ready[pipe.fileno()] = select.poll()
            self._ready[pipe.fileno()].register(pipe.fileno(), event)
        self._buffer = bytearray()

    def send(self, line: bytes, until: Deadline) -> None:
        """Writes a line. Raises Late, Gone."""
        left = memoryview(line + b"\n")
        while left:
            try:
                left = left[os.write(self._in.fileno(), left) :]
            except BlockingIOError:
                self._wait(self._in.fileno(), until)
            except OSError:
                raise Gone from None

    def line(self, until: Deadline) -> bytes:
        """The next line it says. Raises Late, Gone, Loud."""
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > LONGEST:
                raise Loud
            if not self._read(until):
                raise Gone
        said = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return said

    def rest(self, most: int, until: Deadline) -> bytes:
        """All it says until it ends. Raises Late, Loud; what was said by then is in `said`."""
        while len(self._buffer) <= most:
            if not self._read(until):
                return bytes(self._buffer)
        raise Loud

    @property
    def said(self) -> bytes:
        """What it said that was not taken yet."""
        return bytes(self._buffer)

    def exit(self, until: Deadline) -> int:
        """Its exit code. Raises Late."""
        while True:
            try:
                code: int = self._process.wait(max(until.left(), 0.001))
                return code
            except subprocess.TimeoutExpired:
                if not until.left():
                    raise Late from None

    def watched(self, below: int = 0) -> Watched | None:
        """Its Python's processes, or those so many generations below; None where they cannot be seen."""
        return None if self._below is None else Watched(self._process.pid, self._below + below)

    def kill(self) -> None:
        """Ends it and its session; returns when it is gone."""
        for pipe in (self._in, self._out):
            pipe.close()
        if self._process.poll() is None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                self._process.kill()
        self._process.wait()
        self._after()

    def _read(self, until: Deadline) -> bool:
        """Takes what is there; False when there will be no more."""
        self._wait(self._out.fileno(), until)
        try:
            taken = os.read(self._out.fileno(), 65536)
        except BlockingIOError:
            return True
        self._buffer += taken
        return bool(taken)

    def _wait(self, file: int, until: Deadline) -> None:
        while not self._ready[file].poll(until.left() * 1000):
            if not until.left():
                raise Late
