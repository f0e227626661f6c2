"""How a run gets on: draws, running accuracy, tokens a second, dollars, time left. A bar in a terminal; nothing
elsewhere: who pipes wants the table, and a log file no bar.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.text import Text

from testtime.cli.steps import clock
from testtime.watching import Progress


@contextmanager
def shown(progress: Progress) -> Iterator[None]:
    """Shows the progress while its body runs, and once more at its end."""
    if not sys.stderr.isatty():
        yield
        return
    started, console = time.monotonic(), Console(stderr=True, highlight=False)
    with Live(get_renderable=lambda: _bar(progress, time.monotonic() - started), console=console, refresh_per_second=4):
        yield


def line(progress: Progress, seconds: float) -> str:
    """The progress in one line, after so many seconds of this session.

    >>> line(Progress(due=100, open_end=False, kept=20, made=40, judged=40, right=30, tokens=4000), 8.0)
    '60 of 100 draws · 75.0 % right · 500 tokens/s · 8 s left'
    """
    drawn = progress.kept + progress.made
    words = [f"{drawn:,} of {_total(progress):,}{' or more' if progress.open_end else ''} draws"]
    if judged := progress.judged + progress.failed:
        words.append(f"{100 * progress.right / judged:.1f} % right")
    if progress.failed:
        words.append(f"{progress.failed:,} failed")
    if progress.tokens and seconds > 0:
        words.append(f"{progress.tokens / seconds:,.0f} tokens/s")
    if progress.usd:
        words.append(f"${progress.usd:,.4f}")
    left = _total(progress) - drawn
    if progress.made and left > 0:
        words.append(f"{clock(left * seconds / progress.made)} left")
    return " · ".join(words)


def _bar(progress: Progress, seconds: float) -> Group:
    bar = ProgressBar(_total(progress) or 1, progress.kept + progress.made, width=60)
    return Group(Padding(bar, 0), Text(line(progress, seconds)))  # a bar alone ends no line


def _total(progress: Progress) -> int:
    """What is known to be due; never less than what was drawn."""
    return max(progress.due, progress.kept + progress.made)
