"""Every error this project raises on purpose, and nothing else.

TesttimeError
├── BadInput          the user can mend it: one line, exit 2
│   └── Refused       a pair that cannot work, found before the first call
├── BoundaryError     foreign code failed; kept as data on the record, never cancels a neighbour
│   ├── ModelError        a provider or a model (`retry` says whether asking again may help)
│   ├── VerifierError
│   └── ToolError
├── Fault             foreign code broke its contract: a bug to mend, and the run stops where it is
└── StoppedEarly      a cap was met; what is there is usable, exit 3
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from testtime.core.secret import struck


class TesttimeError(Exception):
    """Root of the tree above. Its message holds no secret, whatever a provider put into it."""

    exit_code = 1

    def __init__(self, *said: object) -> None:
        super().__init__(*(struck(part) if isinstance(part, str) else part for part in said))


class BadInput(TesttimeError):
    """Something the user gave cannot be used. Prints as one line: what, where, and the mend."""

    exit_code = 2

    def __init__(self, what: str, *, where: str | None = None, mend: str | None = None) -> None:
        self.what, self.where, self.mend = what, where, mend
        line = f"{where}: {what}" if where else what
        super().__init__(" ".join((f"{line}; {mend}" if mend else line).split()))


def gated(what: str, *, token: bool) -> BadInput:
    """The error for a model or dataset of the hub that is given only to those who asked; `token`: HF_TOKEN is set.

    >>> str(gated("org/model", token=False))
    'org/model is gated and HF_TOKEN is not set; ask for access at huggingface.co/org/model, then set HF_TOKEN'
    """
    why = "the account of HF_TOKEN has no access" if token else "HF_TOKEN is not set"
    return BadInput(
        f"{what} is gated and {why}",
        mend=f"ask for access at huggingface.co/{what}{'' if token else ', then set HF_TOKEN'}",
    )


class Refused(BadInput):
    """A combination that cannot work (a policy without its column, a model without a capability)."""


class Reason(str):
    """Why something would be refused: a text that carries what the user can do about it.

    >>> mend_of(Reason("it thinks by effort alone", "add --effort low"))
    'add --effort low'
    """

    mend: str | None

    def __new__(cls, why: str, mend: str | None = None) -> Reason:
        """`why`, with its mend."""
        made = super().__new__(cls, why)
        made.mend = mend
        return made


def mend_of(why: str) -> str | None:
    """What a reason says that the user can do; None of a plain text."""
    return why.mend if isinstance(why, Reason) else None


class BoundaryError(TesttimeError):
    """Foreign code failed. Recorded once, at the boundary where it happened."""


class ModelError(BoundaryError):
    """A model call failed.

    `retry`: asking again may help (transient); by default where it was busy or lost. `busy`: the provider wants to be
    asked less (429, 503, 529), and `retry_after` is the seconds it wants to be left alone, where it says. `lost`:
    nothing came back (a time-out, a broken connection) or nothing that can be used, so it may have been billed.
    """

    def __init__(
        self,
        why: str,
        *,
        retry: bool | None = None,
        busy: bool = False,
        retry_after: float | None = None,
        lost: bool = False,
    ) -> None:
        self.busy = busy or retry_after is not None
        self.retry = self.busy or (lost if retry is None else retry)
        self.retry_after = retry_after
        self.lost = lost
        super().__init__(why)


class VerifierError(BoundaryError):
    """A verifier failed: the verdict is null with this as its explanation, never false."""


class ToolError(BoundaryError):
    """A tool failed: the text goes back to the model as the tool's result."""


class Fault(TesttimeError):
    """Foreign code raised what it must not: a bug in a plug-in, a backend, a tool. What was received is kept."""


class StoppedEarly(TesttimeError):
    """A cap on time, tokens or money was met. The pool written so far is whole, only smaller."""

    exit_code = 3


MOST_NAMED = 24
"""Names that an error lists; of more it says how many there are, or where they stand."""


def unknown_name(
    kind: str, name: str, known: Iterable[str], *, where: str | None = None, look: str | None = None
) -> BadInput:
    """The error for a name nobody registered, with the nearest known names; `look` says where many of them stand.

    >>> str(unknown_name("policy", "sc_fixd", ["sc_fixed", "best_of_n"]))
    "unknown policy 'sc_fixd'; did you mean sc_fixed?"
    """
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=2, cutoff=0.6)
    if near:
        mend = f"did you mean {' or '.join(near)}?"
    elif len(names) > MOST_NAMED:
        mend = look or f"known: {', '.join(names[:MOST_NAMED])}, … {len(names)} in all"
    else:
        mend = f"known: {', '.join(names) or 'none'}"
    return BadInput(f"unknown {kind} {name!r}", where=where, mend=mend)
