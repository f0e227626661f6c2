"""How far a long piece of work is, told to whoever watches: nobody, unless a shell has said so for this context.

Work counts its steps and knows nothing of terminals; without a watcher counting costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import TypeAlias, TypeVar

_T = TypeVar("_T")
Tick: TypeAlias = Callable[..., None]
"""Called when a step is done; with words, if it likes, on what came out so far."""
Watch: TypeAlias = Callable[[str, int | None], AbstractContextManager[Tick]]
"""Watches so many steps (None: nobody knows how many) of what is named, in words that follow their number."""
_watch: ContextVar[Watch | None] = ContextVar("testtime_watch", default=None)


@contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """All work within is told to this watcher."""
    before = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(before)


@contextmanager
def counting(what: str, total: int | None) -> Iterator[Tick]:
    """Gives what is to be called as each step is done.

    >>> with counting("verdicts", 2) as tick:
    ...     tick()
    """
    watch = _watch.get()
    if watch is None:
        yield _nothing
        return
    with watch(what, total) as tick:
        yield tick


def steps(items: Iterable[_T], what: str, total: int | None = None) -> Iterator[_T]:
    """The items, each done once the next is asked for; `total` where they cannot be counted beforehand.

    >>> list(steps([1, 2], "rows"))
    [1, 2]
    """
    known = len(items) if isinstance(items, Sized) else total
    with counting(what, known) as tick:
        for item in items:
            yield item
            tick()


def _nothing(said: str = "") -> None:
    """Nobody watches."""
