"""A run's ledger as tables for reading: a column for each model in its role, a line for each thing it took."""

from __future__ import annotations

from testtime.analysis.ledger import Entry, Ledger
from testtime.core.spend import Sum
from testtime.figures.tables import UNKNOWN, Rows, cost

LINES = {
    "prompt": "prompt tokens",
    "cached": "of them cached",
    "completion": "completion tokens",
    "reasoning": "of them thinking",
    "reused": "reused tokens",
    "orphaned": "orphaned tokens",
    "cancelled": "cancelled, at most",
    "lost": "lost, at most",
    "usd": "dollars",
    "usd_at_most": "dollars lost, at most",
    "joules": "joules",
    "work": "seconds of work",
}


def books(ledger: Ledger | None) -> list[Rows]:
    """The ledger; nothing where there are no calls. A line that nobody has anything to say in is left out."""
    if ledger is None or not ledger.entries:
        return []
    columns = [*ledger.entries, *([ledger.total] if len(ledger.entries) > 1 else [])]
    heads = ["", *(f"{one.role}\n{one.model}".strip() or "in all" for one in columns)]
    cells = [["calls", *(_calls(one) for one in columns)]]
    for name, what in LINES.items():
        sums: list[Sum] = [getattr(one, name) for one in columns]
        if any(one.known for one in sums) or (name in _ALWAYS and any(one.unknown for one in sums)):
            cells.append([what, *(_said(one, name) for one in sums)])
    cells.append(["elapsed", *[""] * (len(columns) - 1), cost(ledger.elapsed, "seconds")])
    cells.append(["critical path", *[""] * (len(columns) - 1), cost(ledger.critical, "seconds")])
    return [Rows("Ledger", heads, cells)]


_ALWAYS = frozenset({"prompt", "completion"})
"""Lines that say so where a count is not known."""


def _calls(entry: Entry) -> str:
    beside = {"failed": entry.failed, "cancelled": entry.cancelled_calls, "lost": entry.lost_calls}
    return ", ".join([f"{entry.calls:,}", *(f"{count:,} {what}" for what, count in beside.items() if count)])


def _said(one: Sum, name: str) -> str:
    """A sum, or what is known of it."""
    known = cost(one.known, name)
    return known if not one.unknown else f"≥ {known}" if one.known else UNKNOWN
