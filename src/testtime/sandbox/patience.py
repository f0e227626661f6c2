"""How long a box may take: seconds by the clock, but for those in which it wanted a processor and other work had it.

By the clock alone a right program is late on a machine with tenfold other work. Linux counts for every thread how long
it could have run and waited (the second number of /proc/…/schedstat, nanoseconds). So what was waited is given again:
the longest wait of a thread of the candidate's, that of the tests' process, and that of the thread here which carries
lines between them. Nothing is given again to a program that used its seconds of processor time, all its processes
together, and never more than `MOST` times the seconds. A program that sleeps waits for no processor. Where nobody
counts (other systems, a container of Docker's, whose processes are not ours), it is the clock.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

MOST = 4
"""Times the seconds that it takes by the clock, at most."""
AGAIN = 0.05
"""Seconds until it is looked again, at least."""
NANO = 1e-9


class Used(NamedTuple):
    """What processes used."""

    waited: float = 0.0
    """Seconds that the thread which waited longest for a processor did."""
    ran: float = 0.0
    """Seconds of processor time, of all together."""


@dataclass(frozen=True)
class Watched:
    """The processes of a box that count: those so many generations below the one that was started, and all below."""

    pid: int
    below: int

    def used(self) -> Used:
        """What they used so far; nothing where nobody counts."""
        several = [_used(pid) for pid in _descendants(self.pid, self.below)]
        return Used(max((one.waited for one in several), default=0.0), sum(one.ran for one in several))


@dataclass
class Deadline:
    """Seconds from now on. `program` is charged for its processor time; `beside` only waits."""

    seconds: float
    program: Watched | None = None
    beside: list[Watched] = field(default_factory=list)
    _began: float = field(default_factory=lambda: time.monotonic())
    _waited: float = field(default_factory=lambda: _of_thread())
    _most: float = 0.0
    """Seconds that it may take by the clock, as far as was looked."""

    def left(self) -> float:
        """Seconds that are left, 0 where none are."""
        now = time.monotonic() - self._began
        self._most = self._most or self.seconds
        if now >= self._most and self.program is not None:
            self._most = min(self._looked(self.program, now), MOST * self.seconds)
        return max(self._most - now, 0.0)

    def _looked(self, program: Watched, now: float) -> float:
        """Seconds that it may take, as things are."""
        own = program.used()
        if own.ran >= self.seconds:
            return now
        waited = own.waited + sum(one.used().waited for one in self.beside) + _of_thread() - self._waited
        return max(self.seconds + waited, now + AGAIN) if self.seconds + waited > now else now


def _of_thread() -> float:
    """Seconds that this thread waited for a processor."""
    return _counted("/proc/thread-self/schedstat").waited


def _counted(path: str) -> Used:
    try:
        with open(path, encoding="ascii") as file:
            ran, waited, _ = file.read().split()
    except (OSError, ValueError):  # it has ended, or this system does not count
        return Used()
    return Used(int(waited) * NANO, int(ran) * NANO)


def _used(pid: int) -> Used:
    """What the threads of a process used."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return Used()
    several = [_counted(f"/proc/{pid}/task/{thread}/schedstat") for thread in threads]
    return Used(max((one.waited for one in several), default=0.0), sum(one.ran for one in several))


def _descendants(pid: int, below: int) -> Sequence[int]:
    """The processes at least so many generations below one."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc/self/task") else ():
        if name.isdigit() and (parent := _parent(name)) is not None:
            children.setdefault(parent, []).append(int(name))
    found, generation, depth = [], [pid], 0
    while generation:
        found += generation if depth >= below else []
        generation, depth = [child for one in generation for child in children.get(one, ())], depth + 1
    return found


def _parent(pid: str) -> int | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return None
