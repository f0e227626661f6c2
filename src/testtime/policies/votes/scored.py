"""What votes by a score share: the column they go by, refused where it saw the reference and does not say so."""

from __future__ import annotations

from dataclasses import dataclass

from testtime.core.errors import Refused
from testtime.core.settings import check, setting

GOLD = frozenset({"is_verified", "verification_confidence"})
"""Columns of a verifier that may have seen the reference; a pool shows them as oracle(…) alone."""


def column_of(by: str) -> str:
    """The column that `by` names: itself. Raises Refused for one that saw the reference and does not say so.

    >>> column_of("oracle(is_verified)")
    'oracle(is_verified)'
    """
    if by in GOLD:
        raise Refused(f"by={by} may have seen the reference", mend=f"write by=oracle({by}) for an upper bound")
    return by


@dataclass(frozen=True)
class Scored:
    """A vote by a score column."""

    by: str = setting("the score column; oracle(column) for one that saw the reference")

    def __post_init__(self) -> None:
        check(self)
        column_of(self.by)

    @property
    def needs(self) -> frozenset[str]:
        """The score column."""
        return frozenset({self.by})
