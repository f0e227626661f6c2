"""What a component will ask a model for besides the candidates, as a dry run foretells it.

A verifier or a decoding that asks a role for more says so by a method `foresees(problem) -> Iterable[Need]`: one need
for each thing it asks of one candidate of that problem. One that asks nobody has no such method.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from testtime.core.records import Problem


@dataclass(frozen=True)
class Need:
    """Requests of one kind for one candidate."""

    part: str
    """What a dry run calls it: judge, mocks, refusal checks, …"""
    role: str
    low: float
    """Requests that are due whatever comes out."""
    high: float | None
    """The most; None: nobody can say."""
    reads: int
    """Bytes of a request's own prompt."""
    shows: int
    """Bytes of the candidate's text, at most, that a request holds besides."""
    writes: int | None
    """Tokens of a reply, at most; None: no limit."""
    most: int | None = None
    """Requests of this kind in the whole run, at most; None: no limit."""


@runtime_checkable
class Foresees(Protocol):
    """Of a component that asks for more than its candidates."""

    def foresees(self, problem: Problem) -> Iterable[Need]:
        """What one candidate of this problem will need."""
        ...
