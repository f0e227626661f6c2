"""What shows a persona in a text, and what it must not do: patterns that somebody wrote beside the persona's text.

Code, boxed answers and JSON are left out: a persona has no place there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

_BARE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|\\boxed\{[^{}]*\}|^\s*[{\[].*$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Marks:
    r"""A persona's marks, each a regular expression by name, matched without regard to case.

    >>> marks = Marks({"wonder": "fascinating|intriguing"}, {"contractions": r"\b\w+n't\b"})
    >>> marks.shown("Fascinating. I don't know."), marks.broken("Fascinating. I don't know.")
    (('wonder',), ('contractions',))
    """

    markers: Mapping[str, str] = field(default_factory=dict)
    """What its texts show."""
    constraints: Mapping[str, str] = field(default_factory=dict)
    """What they must not hold."""
    not_refusals: tuple[str, ...] = ()
    """Phrases of its own that sound like a refusal and are none."""

    @cached_property
    def _compiled(self) -> tuple[dict[str, re.Pattern[str]], dict[str, re.Pattern[str]]]:
        one, other = (
            {name: re.compile(pattern, re.IGNORECASE) for name, pattern in said.items()}
            for said in (self.markers, self.constraints)
        )
        return one, other

    def shown(self, text: str) -> tuple[str, ...]:
        """The markers that a text shows, by name."""
        said = _own(text)
        return tuple(name for name, pattern in self._compiled[0].items() if pattern.search(said))

    def broken(self, text: str) -> tuple[str, ...]:
        """The constraints that a text breaks, by name, once for each place."""
        said = _own(text)
        return tuple(name for name, pattern in self._compiled[1].items() for _ in pattern.finditer(said))


def _own(text: str) -> str:
    return _BARE.sub(" ", text.replace("’", "'").replace("‘", "'"))
