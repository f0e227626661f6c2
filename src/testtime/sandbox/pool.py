"""A sandbox that keeps boxes started ahead: each candidate gets a clean one, and none waits for it to start.

One thread a slot; each has a checker that serves many candidates, and the next candidate's guest, already started.
"""

from __future__ import annotations

import ast
import asyncio
import builtins
import json
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import ClassVar, Literal, TypeVar

from testtime.core.errors import VerifierError
from testtime.core.records import Limits, Ran
from testtime.sandbox.box import Box, Gone, Late, Loud, Start, program
from testtime.sandbox.patience import Deadline

_T = TypeVar("_T")
GRACE = 30.0
"""Seconds a sandbox may take to start, beyond the program's own."""
READY = b"ready"
"""What a box says once its Python runs."""


class _Slot(threading.local):
    """What one thread keeps started."""

    guest: Box | None = None
    checker: Box | None = None


class Boxes(ABC):
    """What all sandboxes share; a kind says how its boxes start, and how far its walls are to be trusted."""

    name: ClassVar[str]
    trust: ClassVar[Literal["high", "low"]]
    counts_processes: ClassVar[bool] = True
    """Whether a limit on processes counts this box's alone."""

    def __init__(self, slots: int | None = None) -> None:
        self._threads = ThreadPoolExecutor(slots or os.cpu_count() or 1, f"testtime-{self.name}")
        self._slot = _Slot()
        self._started: set[Box] = set()
        self._lock = threading.Lock()
        self._guest, self._checker = program("wire", "guest"), program("wire", "guest", "form", "checker")

    @abstractmethod
    def start(self) -> Start:
        """How one box is started."""

    async def run(self, source: str, stdin: str, limits: Limits) -> Ran:
        """Runs a program on an input."""
        return await self._in_thread(lambda: self._run(source, stdin, limits))

    async def check(self, source: str, setup: str, tests: str, limits: Limits, names: Sequence[str] = ()) -> Ran:
        """Runs tests against a program, each in a box of its own."""
        return await self._in_thread(lambda: self._check(source, setup, tests, limits, names))

    def close(self) -> None:
        """Kills every box that is started; the sandbox cannot be used after."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            boxes, self._started = self._started, set()
        for box in boxes:
            box.kill()

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    # ---- in a thread ----
    def _run(self, source: str, stdin: str, limits: Limits) -> Ran:
        try:
            guest = self._taken()
        except VerifierError as error:
            return Ran("lost", why=str(error))
        try:
            guest.send(self._job("run", source, stdin, limits), Deadline(limits.seconds + GRACE))
            self._next()
            until = Deadline(limits.seconds, guest.watched())
            said = guest.rest(limits.output, until)
            return Ran("exit", guest.exit(until), said.decode("utf-8", "replace"))
        except Late:
            return Ran("timeout", why=f"not done after {limits.seconds:g} s", stdout=_start_of(guest.said, limits))
        except Loud:
            return Ran("output", why=f"more than {limits.output:,} bytes", stdout=_start_of(guest.said, limits))
        except Gone:
            return Ran("lost", why="its process ended before it began")
        finally:
            self._kill(guest)

    def _check(self, source: str, setup: str, tests: str, limits: Limits, named: Sequence[str]) -> Ran:
        names = wanted(setup, tests, named)
        if isinstance(names, str):
            return Ran("lost", why=names)
        try:
            guest = self._taken()
        except VerifierError as error:
            return Ran("lost", why=str(error))
        try:
            guest.send(self._job("serve", source, "", limits), Deadline(limits.seconds + GRACE))
            self._next()
            until = Deadline(limits.seconds, guest.watched())
            loaded = json.loads(guest.line(until))
            if "raised" in loaded:
                return Ran("exit", verdict=False, why=f"{loaded['raised']}: {loaded['why']}")
            return self._judged(guest, setup, tests, names, limits, until)
        except Late:
            return Ran("timeout", verdict=False, why=f"not done after {limits.seconds:g} s")
        except Gone:
            return Ran("exit", verdict=False, why="the program ended its process while it was loaded")
        except (Loud, ValueError, TypeError, KeyError, RecursionError):  # what came is no line of the protocol
            return Ran("output", verdict=False, why="it answered what is no answer")
        finally:
            self._kill(guest)

    def _judged(self, guest: Box, setup: str, tests: str, names: list[str], limits: Limits, until: Deadline) -> Ran:
        """Carries lines between the tests and the candidate until there is a verdict."""
        try:
            checker = self._slot.checker or self._ready(self._open(self._checker))
        except VerifierError as error:
            return Ran("lost", why=str(error))
        self._slot.checker = None
        if (tests_run := checker.watched(below=1)) is not None:
            until.beside.append(tests_run)  # in a child of their own
        try:
            job = {"setup": setup, "tests": tests, "names": names, "limits": self._limits(limits)}
            checker.send(json.dumps(job).encode(), until)
            while "verdict" not in (said := json.loads(checker.line(until))):
                if "done" in said:
                    return Ran("exit", verdict=False, why="the tests ended their process")
                checker.send(_answer(guest, json.dumps(said["ask"]).encode(), until), until)
            checker.line(until)
            self._slot.checker, checker = checker, None  # type: ignore[assignment]
            return Ran("exit", stdout=said.get("outputs", ""), verdict=said["verdict"] is True, why=said["why"])
        except Gone:
            return Ran("lost", why="the tests' process went away")
        finally:
            if checker is not None:
                self._kill(checker)

    def _taken(self) -> Box:
        """A clean guest, which runs. Raises VerifierError where it does not."""
        guest, self._slot.guest = self._slot.guest, None
        return self._ready(guest or self._open(self._guest))

    def _ready(self, box: Box) -> Box:
        """A box once it says so: one whose Python does not even start is no candidate's fault. Raises VerifierError."""
        try:
            if box.line(Deadline(GRACE)) == READY:
                return box
        except (Late, Gone, Loud):
            pass
        self._kill(box)
        raise VerifierError(f"the Python of the sandbox {self.name} does not start: it needs the standard library")

    def _next(self) -> None:
        """Starts the guest of the next candidate while this one runs."""
        if self._slot.guest is None:
            self._slot.guest = self._open(self._guest)

    def _open(self, text: str) -> Box:
        box = Box(self.start(), text)
        with self._lock:
            self._started.add(box)
        return box

    def _kill(self, box: Box) -> None:
        with self._lock:
            known = box in self._started
            self._started.discard(box)
        if known:
            box.kill()

    def _job(self, mode: str, source: str, stdin: str, limits: Limits) -> bytes:
        return json.dumps({"mode": mode, "source": source, "stdin": stdin, "limits": self._limits(limits)}).encode()

    def _limits(self, limits: Limits) -> dict[str, float | int | None]:
        return {**asdict(limits), **({} if self.counts_processes else {"processes": None})}


def _answer(guest: Box, request: bytes, until: Deadline) -> bytes:
    """What the candidate's side says to a request; that it has ended, where it has."""
    try:
        guest.send(request, until)
        return guest.line(until)
    except Gone:
        return json.dumps({"raised": "RuntimeError", "why": "the program ended its process"}).encode()


def _start_of(said: bytes, limits: Limits) -> str:
    return said[: limits.output].decode("utf-8", "replace")


def wanted(setup: str, tests: str, named: Sequence[str] = ()) -> list[str] | str:
    """The candidate's names: those said, and those tests use that neither they nor setup nor Python define. Or why not.

    >>> wanted("import math", "assert f(math.pi) == len(g)")
    ['f', 'g']
    """
    try:
        trees = [ast.parse(setup), ast.parse(tests)]
    except (SyntaxError, ValueError, RecursionError) as error:
        return f"the dataset's tests are no Python: {error}"
    nodes = [node for tree in trees for node in ast.walk(tree)]
    used = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    bound = {node.id for node in nodes if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    bound |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    bound |= {
        node.name
        for node in nodes
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.ExceptHandler)) and node.name
    }
    for node in nodes:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            bound |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    return sorted({*named} | used - bound - set(dir(builtins)))
