"""How other long work than a run gets on (verdicts, replay, import, writing): one line in a terminal, which goes away
when the work is done; nothing where there is no terminal.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PATIENCE, AGAIN = 1.0, 0.2
"""Seconds before other work is told of at all, and between two tellings."""


class Steps:
    """Watches work whose steps are counted; of work within work, the outermost. Only where there is a terminal."""

    def __init__(self) -> None:
        self._busy = False

    @contextmanager
    def __call__(self, what: str, total: int | None) -> Iterator[Callable[..., None]]:
        """Tells of the work while its context is open, then takes its line away."""
        if self._busy:
            yield lambda said="": None
            return
        self._busy, started = True, time.monotonic()
        done, told = 0, started + PATIENCE - AGAIN

        def tick(said: str = "") -> None:
            nonlocal done, told
            done, now = done + 1, time.monotonic()
            if now - told >= AGAIN:
                told = now
                self._write(of_steps(what, done, total, now - started, said))

        try:
            yield tick
        finally:
            self._busy = False
            if told > started + PATIENCE - AGAIN:
                self._write("")

    def _write(self, said: str) -> None:
        width = (os.get_terminal_size(sys.stderr.fileno()).columns or 80) - 1
        sys.stderr.write(f"\r\x1b[K{said[:width]}")
        sys.stderr.flush()


def of_steps(what: str, done: int, total: int | None, seconds: float, said: str = "") -> str:
    """Steps in one line, with what came out so far.

    >>> of_steps("verdicts", 50, 200, 5.0), of_steps("rows read", 50, None, 5.0)
    ('50 of 200 verdicts · 10.0 a second · 15 s left', '50 rows read · 10.0 a second')
    """
    rate = done / seconds if seconds > 0 else 0.0
    words = [f"{done:,} of {total:,} {what}" if total is not None else f"{done:,} {what}", *([said] if said else [])]
    words.append(f"{rate:,.0f} a second" if rate >= 100 else f"{rate:.1f} a second")
    if total is not None and total > done and rate > 0:
        words.append(f"{clock((total - done) / rate)} left")
    return " · ".join(words)


def clock(seconds: float) -> str:
    """Seconds as a person says them.

    >>> clock(8.2), clock(100), clock(8000)
    ('8 s', '1 min 40 s', '2 h 13 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
