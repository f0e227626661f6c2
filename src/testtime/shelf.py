"""What lies in a folder of runs, a line a run: for finding one again, and for seeing what all of them cost.

Read from what each run wrote for reading (metadata, summary.csv, the end of its journal), so that a folder of hundreds
is listed in a moment. A run that cannot be read is listed with the reason; it hides none of the others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from testtime.analysis.inspection import Rate
from testtime.analysis.table import read_csv
from testtime.core.errors import BadInput
from testtime.core.spend import Sum, total
from testtime.sources import brought, inspect
from testtime.store.folder import RunFolder, runs
from testtime.store.journal import journal_folder
from testtime.store.notes import notes_of
from testtime.store.pack import is_pack, unpacked
from testtime.store.parquet import read_frame, read_meta

UNKNOWN_RATE = Rate(None, None, None, 0)
TAIL = 4096
"""Bytes of a journal's end in which its last line is looked for."""


@dataclass(frozen=True)
class Shelved:
    """One run, as it is listed."""

    run: str
    path: Path
    date: str | None
    """When its pool was written, UTC, ISO 8601."""
    model: str
    dataset: str
    problems: int | None
    draws: int | None
    """Of each problem that are a sample."""
    accuracy: Rate
    by: str
    """The policy and setting whose accuracy it is, over all splits; of several decodings the first."""
    usd: Sum
    """Paid for its calls."""
    state: str
    """finished, stopped (why), interrupted, running, packed, imported, or why it cannot be read."""
    notes: str

    def mentions(self, text: str) -> bool:
        """Whether its name, model, dataset, state or notes hold a text, in whatever case."""
        said = "\n".join((self.run, self.model, self.dataset, self.state, self.notes))
        return text.casefold() in said.casefold()

    def plain(self) -> dict[str, Any]:
        """As JSON values; dollars are null where no call's price is known, and a lower bound where some are not."""
        rate = {"accuracy": self.accuracy.mean, "accuracy_low": self.accuracy.low, "accuracy_high": self.accuracy.high}
        paid = {"usd": self.usd.known if self.usd.known or not self.usd.unknown else None}
        more = {"usd_unknown": self.usd.unknown, "path": str(self.path)}
        names = ("run", "date", "model", "dataset", "problems", "draws", "by", "state", "notes")
        return {**{name: getattr(self, name) for name in names}, **rate, **paid, **more}


def shelf(folder: Path, mentioning: str | None = None) -> list[Shelved]:
    """The runs and packed runs of a folder, the newest last. Raises BadInput where it is no folder."""
    folder = brought(folder)
    packs = sorted(path for path in folder.glob("*.zip") if is_pack(path)) if folder.is_dir() else []
    found = [_shelved(run.path) for run in runs(folder)] + [_shelved(path) for path in packs]
    kept = [one for one in found if mentioning is None or one.mentions(mentioning)]
    return sorted(kept, key=lambda one: (one.date or "", one.run))


def _shelved(path: Path) -> Shelved:
    try:
        return _read(path)
    except (BadInput, OSError, pl.exceptions.PolarsError) as error:
        why = f"cannot be read: {error}"
        return Shelved(path.stem, path, None, "", "", None, None, UNKNOWN_RATE, "", Sum(), why, "")


def _read(path: Path) -> Shelved:
    folder = RunFolder.open(unpacked(path) if is_pack(path) else path)
    spec = folder.read_spec() if folder.spec.exists() else {}
    meta = read_meta(folder.candidates) if folder.candidates.exists() else {}
    rate, by = _accuracy(folder, meta)
    config = meta.get("config") or spec
    floors = [draws for draws in (meta.get("floor") or {}).values() if isinstance(draws, int)]
    return Shelved(
        run=str(meta.get("run") or folder.name),
        path=path,
        date=meta.get("generated_at"),
        model=str(meta.get("model") or config.get("model") or ""),
        dataset=" ".join(
            [str(meta.get("dataset") or config.get("dataset") or ""), *(meta.get("splits") or ())]
        ).strip(),
        problems=rate.n or meta.get("total_queries"),
        draws=max(floors, default=meta.get("num_candidates")),
        accuracy=rate,
        by=by,
        usd=_paid(folder),
        state="packed" if is_pack(path) else _state(folder),
        notes=notes_of(folder.path, spec.get("notes") or meta.get("notes")),
    )


def _accuracy(folder: RunFolder, meta: Mapping[str, Any]) -> tuple[Rate, str]:
    """The accuracy of the vote over most draws: as the run's table says it, else by counting its pool."""
    if folder.summary.exists():
        table = read_csv(folder.summary).filter(pl.col("accuracy").is_not_null())
        votes = table.filter(pl.col("policy") == "sc_fixed")
        table = votes if votes.height else table
        if table.height:
            best = table.sort("candidates", descending=True, maintain_order=True).row(0, named=True)
            alike = [pl.col(name).eq_missing(pl.lit(best[name])) for name in ("decoding", "policy", "setting")]
            return _over_splits(table.filter(*alike)), f"{best['policy']}:{best['setting']}"
    found = inspect(folder.path) if meta else []
    if not found or not found[0].majority:
        return UNKNOWN_RATE, ""
    return found[0].majority[-1], f"majority of {found[0].floor}"


def _over_splits(rows: pl.DataFrame) -> Rate:
    """One accuracy of a setting's splits, each by its number of problems. The ends of the interval are combined from
    the splits' own as variances are, each side by itself (MOVER: Zou and Donner 2008, Statistics in Medicine 27).
    """
    share = rows["n_problems"] / rows["n_problems"].sum()
    mean = float((share * rows["accuracy"]).sum())
    if rows["accuracy_low"].null_count():
        return Rate(mean, None, None, int(rows["n_problems"].sum()))
    down, up = (share * (rows["accuracy"] - rows["accuracy_low"]), share * (rows["accuracy_high"] - rows["accuracy"]))
    low, high = mean - float(np.linalg.norm(down)), mean + float(np.linalg.norm(up))
    return Rate(mean, low, high, int(rows["n_problems"].sum()))


def _paid(folder: RunFolder) -> Sum:
    if not folder.calls.exists():
        return Sum()
    return total(read_frame(folder.calls, ["usd"])["usd"].to_list())


def _state(folder: RunFolder) -> str:
    journals = sorted(journal_folder(folder.path).glob("*.jsonl"))
    if not journals:
        return "imported"
    if folder.busy:
        return "running"
    ends = [_last(path) for path in journals]
    if not all(line.get("kind") == "end" for line in ends):
        return "interrupted"
    stopped = [str(line["stopped"]) for line in ends if line.get("stopped")]
    return f"stopped: {stopped[0]}" if stopped else "finished"


def _last(journal: Path) -> dict[str, Any]:
    """The last whole line of a journal that can be read from its end; empty where there is none."""
    with journal.open("rb") as file:
        file.seek(max(journal.stat().st_size - TAIL, 0))
        lines: Sequence[bytes] = file.read().split(b"\n")
    try:
        said = json.loads(next((line for line in reversed(lines) if line), b"{}"))
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


__all__ = ["Shelved", "shelf"]
