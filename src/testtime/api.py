"""The public functions: load a pool, replay policies over it, read the table. The command line calls only these.

pool = load("answers.jsonl")
table = pool.replay(["sc_fixed", "adaptive_margin:stop_rule=beta,threshold=0.95,max_n=16"], sc_n=[1, 4, 16])
table.to_polars(); table.frontier(); table.against("sc_fixed"); table.plot(x="tokens")
"""

from __future__ import annotations

import glob as globbing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import polars as pl

from testtime.analysis import compare as comparing
from testtime.analysis import frontier as frontiers
from testtime.analysis.replay import outcomes as replayed
from testtime.analysis.table import notes, summarise
from testtime.core.errors import BadInput
from testtime.core.protocols import Policy
from testtime.figures import tables
from testtime.policies.strings import parse
from testtime.spec import DEFAULT_POLICIES, column_of, grid, setting_texts
from testtime.store.atomic import whole
from testtime.store.frame import open_pool, pool_of
from testtime.store.pool import Pool

if TYPE_CHECKING:
    import pandas as pd
    from altair.typing import ChartType

Sources: TypeAlias = "str | Path | Iterable[str | Path]"


# ---- pools ----
def load(source: Sources) -> LoadedPool:
    """The pool or pools at a path, a glob, or several of them.

    A path is a run folder, a candidates.parquet, an answers file (rows of id, gold, answers, tokens), or
    any file an importer knows. Raises BadInput, naming the path, where there is nothing to read.
    """
    return LoadedPool(tuple(_open(path) for path in paths_of(source)))


def paths_of(source: Sources) -> list[Path]:
    """The existing paths that a path or a glob means, sorted within each. Raises BadInput where there is none."""
    several = [source] if isinstance(source, (str, Path)) else list(source)
    found: dict[Path, None] = {}
    for one in several:
        if Path(one).exists():
            hits = [Path(one)]
        else:
            hits = [Path(hit) for hit in sorted(globbing.glob(str(Path(one).expanduser()), recursive=True))]
        if not hits:
            mend = "check the pattern" if globbing.has_magic(str(one)) else "check the path"
            raise BadInput("no such file or folder", where=str(one), mend=mend)
        found |= dict.fromkeys(hits)
    if not found:
        raise BadInput("no pool given", mend="name an answers file, a run folder or a candidates.parquet")
    return list(found)


def _open(path: Path) -> Pool:
    from testtime.importers import read, sniff

    if path.is_dir() or path.suffix == ".parquet":
        return open_pool(path)
    kind = sniff(path)
    if kind is None:
        known = "rows of id, gold, answers, tokens; a run folder; or a candidates.parquet"
        raise BadInput("not a file of answers that any importer knows", where=str(path), mend=f"give {known}")
    imported = read(kind, path)
    return pool_of(imported.frame, imported.meta)


@dataclass(frozen=True, eq=False)
class LoadedPool:
    """One or more pools, ready to be replayed."""

    pools: tuple[Pool, ...]

    def replay(
        self,
        policies: Sequence[str | Policy] | str | Policy | None = None,
        *,
        orders: int = 100,
        seed: int = 0,
        realised: bool = False,
        **settings: Any,
    ) -> Table:
        """Scores policies on every pool; by default sc_fixed and adaptive_margin over a small grid.

        Policies are strings (`name:key=value,…`) or policy objects. `settings` are the flags of
        `testtime replay`: one value or several, for every selected policy that has them.
        `orders` random orders stand for all of them where no closed form exists; `realised` plays the
        recorded order once instead. Raises BadInput: no gold answers, an unknown policy or setting.
        """
        chosen = build(policies if policies is not None else DEFAULT_POLICIES, settings)
        for pool in self.pools:
            _needs_gold(pool)
        frames = [replayed(pool, chosen, orders=orders, seed=seed, realised=realised) for pool in self.pools]
        return Table(pl.concat(frames), seed=seed)

    def __repr__(self) -> str:
        lines = []
        for pool in self.pools:
            draws = [arm.sampled for arm in pool.arms.values()]
            drawn = f"{min(draws)}" if min(draws) == max(draws) else f"{min(draws)} to {max(draws)}"
            named = f"{pool.run}: {pool.dataset or 'unnamed dataset'}"
            lines.append(f"{named}, {len(pool.problems):,} problems × {drawn} draws, {len(pool.arms)} arm(s)")
        return "\n".join(lines)


def _needs_gold(pool: Pool) -> None:
    if all(np.isnan(draws.right).all() for draws in pool.arms.values()):
        raise BadInput("no answer is known to be right or wrong", where=pool.run, mend="give each row its `gold`")


def build(policies: Sequence[str | Policy] | str | Policy, settings: Mapping[str, Any]) -> list[Policy]:
    """Policy objects from objects, strings, and settings that stand for a grid of strings."""
    several = [policies] if isinstance(policies, str) or not isinstance(policies, Sequence) else list(policies)
    texts = [policy for policy in several if isinstance(policy, str)]
    built: list[Policy] = [parse(text) for text in grid(texts, setting_texts(settings))]
    return [policy for policy in several if not isinstance(policy, str)] + built


# ---- tables ----
@dataclass(frozen=True, eq=False)
class Table:
    """What policies did on pools: the outcomes, one row a (pool, policy, problem), and all that is computed of them."""

    outcomes: pl.DataFrame
    seed: int = 0

    @cached_property
    def _summary(self) -> pl.DataFrame:
        return summarise(self.outcomes, seed=self.seed)

    @property
    def notes(self) -> list[str]:
        """What a reader must be told: exhausted settings, Monte-Carlo error, modelled values."""
        return notes(self.outcomes)

    def to_polars(self) -> pl.DataFrame:
        """One row a (run, model, policy, setting): the columns of the CSV."""
        return self._summary

    def to_pandas(self) -> pd.DataFrame:
        """The same for pandas. Raises BadInput with the install line where pandas is missing."""
        try:
            import pandas as pd
        except ModuleNotFoundError:
            raise BadInput("pandas is not installed", mend='run: pip install "testtime[pandas]"') from None
        return pd.DataFrame(self._summary.to_dict(as_series=False))

    def to_csv(self, path: str | Path) -> None:
        """Writes the table, whole or not at all."""
        write(Path(path), csv_of(self._summary))

    def to_jsonl(self, path: str | Path) -> None:
        """Writes the outcomes, one JSON line each: what `testtime analyze` reads."""
        write(Path(path), jsonl_of(self.outcomes))

    def frontier(self, x: str = "tokens") -> pl.DataFrame:
        """Area under each accuracy curve (FA) and the marginal value of compute (MVC)."""
        return frontiers.frontier(self.outcomes, x=column_of(x))

    def against(self, baseline: str = "sc_fixed", x: str = "tokens") -> pl.DataFrame:
        """What each setting saves against the baseline's curve at equal accuracy, paired over problems."""
        return comparing.against(self.outcomes, baseline, x=column_of(x), seed=self.seed)

    def plot(self, x: str = "tokens") -> ChartType:
        """The chart of accuracy against `x`, one colour a model, one mark a policy family."""
        from testtime.figures import save

        save.require()
        from testtime.figures.frontier import accuracy_against

        return accuracy_against(self._summary, column_of(x))

    def __repr__(self) -> str:
        return "\n".join([tables.text(tables.summary(self._summary)), *self.notes])

    def _repr_html_(self) -> str:
        shown = "".join(rows.html() for rows in tables.summary(self._summary))
        return shown + "".join(f"<p>{tables.escape(note)}</p>" for note in self.notes)


def csv_of(frame: pl.DataFrame) -> bytes:
    """A frame as CSV: unknown is empty, true and false are words."""
    return frame.write_csv().encode()


def jsonl_of(outcomes: pl.DataFrame) -> bytes:
    """Outcomes as JSON lines with their version."""
    return outcomes.with_columns(version=pl.lit(1)).write_ndjson().encode()


def write(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all. Raises BadInput where it cannot be written."""
    with whole(path) as part:
        part.write_bytes(data)
