"""A folder of runs for reading: a few lines a run, which fit any terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.text import Text

from testtime.figures.tables import cost, interval, visible


def shelved(one: Mapping[str, Any]) -> Iterator[tuple[Text, int]]:
    """(Line, its indent) of one run, as `testtime.shelf.Shelved.plain` gives it."""
    head = Text(visible(str(one["run"])), style="bold")
    head.append(visible(f"  {(one['date'] or '')[:10]} {one['state']}".rstrip()), style="not bold")
    yield head, 0
    what = " on ".join(str(one[key]) for key in ("model", "dataset") if one[key])
    size = f"{_count(one['problems'])} problems × {_count(one['draws'])} draws"
    yield Text(visible(", ".join(filter(None, (what, size))))), 2
    if one["accuracy"] is not None:
        rate = interval(one["accuracy"], one["accuracy_low"], one["accuracy_high"])
        yield Text(visible(f"{rate} % right by {one['by']} · {_dollars(one)}")), 2
    if note := str(one["notes"]).partition("\n")[0]:
        yield Text(visible(note), style="italic"), 2


def _count(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _dollars(one: Mapping[str, Any]) -> str:
    """What was paid; at least so much where some calls' price is unknown, and unknown where all are."""
    if one["usd"] is None:
        return "dollars unknown"
    return f"{'≥ ' if one['usd_unknown'] else ''}${cost(one['usd'], 'usd')}"
