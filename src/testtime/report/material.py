"""What a report is made of: pools with where they came from, outcomes of policies, ledgers, and sampled texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import polars as pl

from testtime.analysis.inspection import Inspected
from testtime.analysis.ledger import Ledger
from testtime.analysis.table import notes, summarise

if TYPE_CHECKING:
    from testtime.store.pool import Pool

Row = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class RunData:
    """One run, or one recorded file."""

    name: str
    """As the page calls it; runs of one name are numbered apart."""
    place: str
    """What a user types for it: `testtime show PLACE QUERY_ID`."""
    pool: Pool
    meta: Mapping[str, Any]
    """Of candidates.parquet, `store.schema.METADATA`; of an imported file, what its importer says."""
    inspected: Sequence[Inspected]
    """A row an arm."""
    policies: Sequence[str]
    """Those that the run executed, as text; empty for a recorded file."""
    frame: pl.DataFrame
    """Every candidate without its texts: verdicts, numbers, who judged."""
    books: Ledger | None = None
    """What its calls took."""
    failures: Sequence[tuple[str, int]] = ()
    """(Reason, calls that failed for it), the most frequent first."""
    energy: tuple[int, int] | None = None
    """(Calls whose joules are known, calls); None without a ledger."""
    guided: pl.DataFrame | None = None
    """Rows of guided candidates, as `analysis.guidance` takes them."""
    tools: pl.DataFrame | None = None
    """Candidates that had tools, with the columns `analysis.conduct.tool_use` reads."""
    stored: Sequence[pl.DataFrame] = ()
    """Verdicts given later, an overlay each: candidates with `stage`, `was_verified`, `is_verified`."""


@dataclass(frozen=True, eq=False)
class Browsed:
    """The problems of one run whose candidates the page shows."""

    run: str
    place: str
    problems: Sequence[Mapping[str, Any]]
    """JSON values: see `candidates.problem`."""
    total: int
    """Problems of the run."""
    strata: Sequence[tuple[str, int, int]]
    """(Stratum, problems shown, problems there are)."""


@dataclass(frozen=True, eq=False)
class Material:
    """All of it."""

    runs: Sequence[RunData]
    outcomes: pl.DataFrame | None
    """Of every policy that is shown, all splits together; None where no answer is known to be right or wrong."""
    browsed: Sequence[Browsed]
    budgets: Sequence[str]
    """Budgets that were asked about; empty: the page chooses some."""
    command: str
    """The command line that writes this page."""
    versions: Mapping[str, str]
    """Program → version: of what wrote the page."""
    made: str
    """When, UTC, ISO 8601."""
    seed: int = 0
    notes: Sequence[str] = field(default=())

    @cached_property
    def summary(self) -> pl.DataFrame:
        """A row a setting over all splits together, with intervals: `analysis.table.COLUMNS` and `arm`."""
        return pl.DataFrame() if self.outcomes is None else _summarised(self.outcomes, self.seed)

    @cached_property
    def by_split(self) -> Mapping[str, pl.DataFrame]:
        """Split → the same of it alone; empty where there is only one."""
        if self.outcomes is None or len(self.splits) < 2:
            return {}
        split = pl.col("query_id").replace_strict(self.splits_of, default=None)
        parts = self.outcomes.with_columns(_split=split).partition_by("_split", as_dict=True)
        return {name: _summarised(parts[name,].drop("_split"), self.seed) for name in self.splits if (name,) in parts}

    @cached_property
    def splits_of(self) -> Mapping[str, str]:
        """Problem → its split."""
        return {
            query: split for run in self.runs for query, split in zip(run.pool.problems, run.pool.splits, strict=True)
        }

    @cached_property
    def splits(self) -> Sequence[str]:
        """Named ones, in order of appearance."""
        return [split for split in dict.fromkeys(self.splits_of.values()) if split]

    @cached_property
    def outcome_notes(self) -> list[str]:
        """What the summary cannot say."""
        return [] if self.outcomes is None else notes(self.outcomes)


def _summarised(outcomes: pl.DataFrame, seed: int) -> pl.DataFrame:
    parts = outcomes.partition_by("arm", maintain_order=True)
    return pl.concat([summarise(part, seed=seed).with_columns(arm=pl.lit(part["arm"][0])) for part in parts])
