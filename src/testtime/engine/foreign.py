"""The boundary to foreign code: models, tools, decodings, verifiers, policies, the task's answers.

What they may raise (the errors of core) passes. A time-out or a broken connection is a failed request like
any other. Anything else is a bug in that code: a Fault, one line that names who and where, and the run stops;
what was received is in the journal, so it goes on from there once the bug is mended.
"""

from __future__ import annotations

import asyncio
import traceback
from dataclasses import dataclass
from types import TracebackType

from testtime.core.errors import Fault, ModelError, TesttimeError


@dataclass(frozen=True, slots=True)
class Foreign:
    """`with Foreign("the decoding of arm a"):` around what foreign code does. Raises ModelError, Fault."""

    who: str

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if isinstance(error, TesttimeError):
            return
        if isinstance(error, ExceptionGroup) and error.split(TesttimeError)[1] is None:
            raise _first(error) from error  # tasks of its own, of which one met what passes
        if isinstance(error, (TimeoutError, ConnectionError)):
            raise ModelError(_said(error), lost=True) from error
        if isinstance(error, Exception) or (isinstance(error, asyncio.CancelledError) and not stopping()):
            raise Fault(f"{self.who} raised {_said(error)} ({_place(at)})") from error


def stopping() -> bool:
    """Whether this task is being cancelled; a CancelledError without it was raised by the code itself."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _first(group: BaseException) -> BaseException:
    """The first error of a group, which may hold groups."""
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group


def _said(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": ")


def _place(at: TracebackType | None) -> str:
    """File and line where it was raised."""
    last = traceback.extract_tb(at)[-1]
    return f"{last.filename}:{last.lineno}"
