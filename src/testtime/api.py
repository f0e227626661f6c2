"""The public functions: load a pool, replay policies over it, read the table. The command line calls only these.

pool = load("answers.jsonl")
table = pool.replay(["sc_fixed", "adaptive_margin:stop_rule=beta,threshold=0.95,max_n=16"], sc_n=[1, 4, 16])
table.to_polars(); table.frontier(); table.against("sc_fixed"); table.plot(x="tokens")
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from testtime.analysis import against as comparing
from testtime.analysis import frontier as frontiers
from testtime.analysis import judging, sides
from testtime.analysis.compare import paired
from testtime.analysis.frontier import column_of
from testtime.analysis.ledger import Ledger, ledger
from testtime.analysis.measured import measured
from testtime.analysis.replay import has_gold
from testtime.analysis.replay import outcomes as replayed
from testtime.analysis.scope import scored
from testtime.analysis.table import GROUP, notes, read_csv, summarise, to_csv
from testtime.core.errors import BadInput
from testtime.core.protocols import Policy
from testtime.core.registry import find
from testtime.core.strings import parse, setting
from testtime.figures import tables
from testtime.grid import DEFAULT_GRID, grid, up_to
from testtime.importers.write import import_to
from testtime.policies import counts as stopping
from testtime.policies.adaptive_margin import AdaptiveMargin
from testtime.policies.counts import COUNTS
from testtime.runspec import RunSpec, specs_of
from testtime.session import Drawn, carry_out, planned
from testtime.session import merge as merge_shards
from testtime.sources import Sources, is_outcomes, paths_of, pools_at
from testtime.spec import DEFAULT_POLICIES, canonical, setting_texts
from testtime.store.atomic import whole, writable
from testtime.store.cloud import push
from testtime.store.frame import open_pool, read_columns
from testtime.store.memory import give_back
from testtime.store.outcomes import read_outcomes, write_outcomes
from testtime.store.pool import Pool
from testtime.watching import Watch

if TYPE_CHECKING:
    from altair.typing import ChartType

X_AXES = ("candidates", "tokens", "total_tokens", "seconds", "dollars", "joules")
"""What accuracy is set against."""
MOST_ROWS = 2_000
"""The largest max_n of a printed boundary: its work grows with the square."""


# ---- pools ----
def load(source: Sources) -> LoadedPool:
    """The pool or pools at a path, a glob, or several of them.

    A path is a run folder, a candidates.parquet, an answers file (rows of id, gold, answers, tokens), any
    file an importer knows, or a folder of these. Raises BadInput, naming the path, where there is nothing to read.
    """
    return LoadedPool(tuple(pools_at(source)))


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
        """Scores policies on every pool; by default sc_fixed and adaptive_margin over a small grid up to its draws.

        Policies are strings (`name:key=value,…`) or policy objects. `settings` are the flags of
        `testtime replay`: one value or several, for every selected policy that has them.
        `orders` random orders stand for all of them where no closed form exists; `realised` plays the
        recorded order once instead. Raises BadInput: no gold answers, an unknown policy or setting.
        """
        most = max(arm.codes.shape[1] for pool in self.pools for arm in pool.arms.values())
        chosen = build(policies if policies is not None else DEFAULT_POLICIES, settings, up_to(most))
        for pool in self.pools:
            _needs_gold(pool)
        frames = [replayed(pool, chosen, orders=orders, seed=seed, realised=realised) for pool in self.pools]
        return Table(_once(pl.concat(frames)) if len(frames) > 1 else frames[0], seed=seed)

    def compare(self, *, by: str | None = None, seed: int = 0) -> pl.DataFrame:
        """Every pool against the first, paired over common problems: analysis.sides.set_beside. Raises BadInput."""
        return sides.set_beside(self.pools, by=by, seed=seed)

    def monitor(self, effect: float = 0.02, alpha: float = 0.05, *, seed: int = 0) -> pl.DataFrame:
        """The same looked at after every problem, to be ended at any look: analysis.sides.watched. Raises BadInput."""
        return sides.watched(self.pools, effect, alpha, seed=seed)

    def compare_columns(
        self, columns: Sequence[str] | None = None, *, by: str | None = None, seed: int = 0
    ) -> pl.DataFrame:
        """The means of number columns likewise (by default what a persona costs): analysis.sides.columns_beside."""
        named = sides.known_to_all(self.pools) if columns is None else columns
        return sides.columns_beside(self.pools, named, by=by, seed=seed)

    @property
    def notes(self) -> list[str]:
        """What a reader must be told of the pools: lines dropped, draws cut to the floor."""
        return [f"{pool.run}: {note}" for pool in self.pools for note in pool.notes]

    def __repr__(self) -> str:
        lines = []
        for pool in self.pools:
            draws = [arm.sampled for arm in pool.arms.values()]
            drawn = f"{min(draws)}" if min(draws) == max(draws) else f"{min(draws)} to {max(draws)}"
            named = f"{pool.run}: {pool.dataset or 'unnamed dataset'}"
            line = f"{named}, {len(pool.problems):,} problems × {drawn} draws, {len(pool.arms)} arm(s)"
            lines.append(tables.printable(line))
        return "\n".join(lines)


def _needs_gold(pool: Pool) -> None:
    if not has_gold(pool):
        mend = "give each row its `gold`, or judge the pool: testtime verify"
        raise BadInput("no answer is known to be right or wrong", where=pool.run, mend=mend)


def build(
    policies: Sequence[str | Policy] | str | Policy,
    settings: Mapping[str, Any],
    usual: Mapping[str, tuple[str, ...]] = DEFAULT_GRID,
) -> list[Policy]:
    """Policy objects, each setting once, from objects, strings, and settings that stand for a grid of strings."""
    several = [policies] if isinstance(policies, str) or not isinstance(policies, Sequence) else list(policies)
    texts = [policy for policy in several if isinstance(policy, str)]
    every = grid({"policy": texts}, setting_texts(settings), usual)["policy"]
    built: list[Policy] = [parse("policy", text) for text in every]
    chosen = [policy for policy in several if not isinstance(policy, str)] + built
    return list({(policy.name, setting(policy)): policy for policy in reversed(chosen)}.values())[::-1]


# ---- runs ----
@dataclass(frozen=True, eq=False)
class Run:
    """A run on disk and what it shows. `print(run.table)` is the table that the command prints."""

    path: Path
    """Its folder: candidates.parquet, calls.parquet, spec.yaml, summary.csv, figures."""
    table: Table | None
    """Every policy of the run; None where nothing was drawn, or no answer is known to be right or wrong."""
    drawn: Drawn
    files: Sequence[Path]
    """What was written for reading."""
    notes: Sequence[str]

    @property
    def ledger(self) -> Ledger | None:
        """Where its tokens, dollars, joules and seconds went; None where nothing was drawn."""
        return ledger(self.path)

    @property
    def pool(self) -> LoadedPool:
        """Its pool, for further policies. Raises BadInput where nothing was drawn."""
        return load(self.path)

    def __repr__(self) -> str:
        return "\n".join([str(self.path), repr(self.table), *self.notes])


def run(
    spec: RunSpec | str | Path | Mapping[str, Any] | None = None,
    *,
    fresh: bool = False,
    watch: Watch | None = None,
    tell: Callable[[str], None] | None = None,
    **overrides: Any,
) -> Run:
    """Draws a pool and replays every policy over it: `testtime run`. Works where an event loop already runs.

    `spec` is a YAML file, a mapping or a RunSpec; overrides are its keys and the settings of policies, under any
    name that is accepted. What a folder already holds is not drawn again; `fresh` sets it aside first. An interrupt
    stops the drawing: what is there is written, and `drawn.stopped` is true. Raises BadInput before any call.
    """
    asked, *others = asked_of(spec, overrides)
    if others:
        what = f"several values of a key are a grid, here of {1 + len(others)} runs"
        raise BadInput(what, mend="give one value each, or call run_all")
    return _shown(carry_out(asked, fresh=fresh, watch=watch, tell=tell))


def run_all(spec: RunSpec | str | Path | Mapping[str, Any] | None = None, **overrides: Any) -> list[Run]:
    """A run for each combination of the values given: `run_all(model=["a", "b"], …)`. Raises BadInput."""
    specs = asked_of(spec, overrides)
    for one in specs:
        planned(one)
    return [run(one) for one in specs]


def merge(shards: Sources) -> Run:
    """One run of the folders that `run --shard i/N` made, with its table. Raises BadInput."""
    named = [shards] if isinstance(shards, (str, Path)) else shards
    return _shown(merge_shards([path for one in named for path in paths_of(one)] or paths_of(named)))


def asked_of(spec: RunSpec | str | Path | Mapping[str, Any] | None, overrides: Mapping[str, Any]) -> list[RunSpec]:
    """The specs that are meant: overrides beat what is given. Raises BadInput."""
    if isinstance(spec, (str, Path)):
        return specs_of(overrides, Path(spec))
    if isinstance(spec, RunSpec):
        given = {**spec.model_dump(exclude={"settings"}, exclude_unset=True), **spec.settings}
    else:
        given = {canonical(key): value for key, value in (spec or {}).items()}
    return specs_of({**given, **{canonical(key): value for key, value in overrides.items()}})


def _shown(drawn: Drawn) -> Run:
    """A run with what it shows; one whose output is in a store is sent there."""
    ran = _scored(drawn)
    return replace(ran, notes=[*ran.notes, *push(ran.path)])


def _scored(drawn: Drawn) -> Run:
    """Replays a run's policies, and writes outcomes, table and figure."""
    folder, notes, files = drawn.folder, list(drawn.notes), []
    if not folder.candidates.exists():
        return Run(folder.path, None, drawn, (), [*notes, "nothing was drawn"])
    give_back()  # what drawing and writing took
    pool = open_pool(folder.path)
    named = folder.outcomes.with_suffix(".parquet")
    files += [named, folder.candidates] if drawn.spec.output and named.exists() else [folder.candidates]
    if not has_gold(pool):
        return Run(folder.path, None, drawn, files, [*notes, *pool.notes, "no answer is known to be right or wrong"])
    outcomes, told = scored(pool, [parse("policy", text) for text in drawn.spec.policies], drawn.asked)
    told += pool.notes
    del pool
    give_back()
    table = Table(measured(outcomes, folder.calls) if drawn.spec.live else outcomes)
    table.to_jsonl(folder.outcomes)
    table.to_csv(folder.summary)
    files += [folder.outcomes, folder.summary]
    found = judging.judged(read_columns(folder.candidates, judging.READ))
    notes += [*told, *table.notes, *([judging.sentence(found)] if found else [])]
    x = "tokens" if table.to_polars()["gen_tokens"].count() else "candidates"  # a lost draw's tokens are not known
    figure = folder.path / "figures" / f"accuracy_vs_{x}.png"
    try:
        draw(folder.summary, {"png": figure}, x)
        files.append(figure)
    except BadInput as error:  # no drawing library, or nothing to draw: the run is good without
        notes.append(f"no figure: {error}")
    return Run(folder.path, table, drawn, files, notes)


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

    def to_pandas(self) -> Any:
        """The same as a pandas.DataFrame. Raises BadInput with the install line where pandas is missing."""
        try:
            pandas = importlib.import_module("pandas")
        except ModuleNotFoundError:
            raise BadInput("pandas is not installed", mend='run: pip install "testtime[pandas]"') from None
        return pandas.DataFrame(self._summary.to_dict(as_series=False))

    def to_csv(self, path: str | Path) -> None:
        """Writes the table, whole or not at all."""
        to_csv(self._summary, path)

    def to_jsonl(self, path: str | Path) -> None:
        """Writes the outcomes, one JSON line each: what `testtime analyze` reads."""
        write_outcomes(path, self.outcomes)

    @property
    def axes(self) -> list[str]:
        """What accuracy can be set against here: the spends that are known of some outcome."""
        return [x for x in X_AXES if self.outcomes[column_of(x)].count()]

    def frontier(self, x: str = "tokens") -> pl.DataFrame:
        """Area under each accuracy curve (FA) and the marginal value of compute (MVC). Columns: analysis.frontier."""
        return frontiers.frontier(self.outcomes, self._column(x), seed=self.seed)

    def only(self, policy: str | None = None, **columns: str) -> Table:
        """The outcomes of one policy (`name` or `name:setting`), run, model, …: a side of a comparison.

        Raises BadInput where there is none.

        >>> table.only("sc_fixed:n=16")  # doctest: +SKIP
        """
        name, _, setting = (policy or "").partition(":")
        wanted = {**columns, **({"policy": name} if name else {}), **({"setting": setting} if setting else {})}
        kept = self.outcomes.filter([pl.col(column) == value for column, value in wanted.items()])
        if kept.is_empty():
            raise BadInput(f"no outcome with {wanted}", mend="see to_polars() for what there is")
        return Table(kept, self.seed)

    def against(self, baseline: str = "sc_fixed", x: str = "tokens") -> pl.DataFrame:
        """What each setting saves against the baseline's curve at equal accuracy, paired over problems."""
        return comparing.against(self.outcomes, baseline, self._column(x), seed=self.seed)

    def _column(self, x: str) -> str:
        column = column_of(x)
        if x in X_AXES and x not in self.axes:
            raise BadInput(f"no outcome says its {x}", mend=f"known here: {', '.join(self.axes)}")
        return column

    def plot(self, x: str = "tokens") -> ChartType:
        """The chart of accuracy against `x`, one colour a model, one mark a policy family."""
        from testtime.figures import save

        save.require()
        from testtime.figures.frontier import accuracy_against

        return accuracy_against(self._summary, column_of(x))

    def __repr__(self) -> str:
        return "\n".join([tables.text(tables.summary(self._summary)), *map(tables.printable, self.notes)])

    def _repr_html_(self) -> str:
        shown = "".join(rows.html() for rows in tables.summary(self._summary))
        return shown + "".join(f"<p>{escape(note)}</p>" for note in self.notes)


def compare(a: Table, b: Table) -> pl.DataFrame:
    """What b changes against a on the problems both have: paired differences with intervals, one row a pair.

    One policy on a side is set beside every one of the other (`table.only("sc_fixed:n=16")`), else the two sides
    pair by policy and setting. Columns: analysis.compare.paired. Raises BadInput where nothing pairs.
    """
    return paired(a.outcomes, b.outcomes, seed=a.seed)


# ---- files ----
def analyze(source: Sources) -> Table:
    """One table of outcome files, and of pools, which are replayed with the default policies.

    Raises BadInput for a file that is neither, and for one problem with two different outcomes of one setting.
    """
    frames = [read_outcomes(path) if is_outcomes(path) else load(path).replay().outcomes for path in paths_of(source)]
    return Table(_once(pl.concat(frames)))


def _once(outcomes: pl.DataFrame) -> pl.DataFrame:
    """The outcomes, equal ones once. Raises BadInput where two runs of one name have different ones."""
    together = outcomes.unique(maintain_order=True)
    if (twice := together.filter(pl.struct(*GROUP, "query_id").is_duplicated())).height:
        run, policy, settings, query = twice.select("run", "policy", "setting", "query_id").row(0)
        what = f"problem {query!r} has two different outcomes of {policy}:{settings}"
        raise BadInput(what, where=f"run {run}", mend="give the runs different names, or leave one file out")
    return together


def import_file(kind: str, file: Path, out: Path, known: Mapping[str, str] | None = None) -> Path:
    """Makes a run folder `out/run` of a recorded file; `known` names the run, model, provider or dataset.

    Raises BadInput: an unknown format, a file that is not of it, or a folder that already holds a pool.
    """
    imported = find("importer", kind)(file)
    told: dict[str, Any] = dict(known or {})
    if "model" in told:
        told["arms"] = [{**arm, "models": {"model": told["model"]}} for arm in imported.meta["arms"]]
    return import_to(replace(imported, meta={**imported.meta, **told}), out)


def draw(csv: Path, paths: Mapping[str, Path], x: str = "tokens") -> None:
    """Draws a table's figure into files, by format: png, svg, html, json. All are rendered before one is written."""
    from testtime.figures import save

    save.require()
    from testtime.figures.frontier import accuracy_against

    writable(paths.values(), [csv])
    chart = accuracy_against(read_csv(csv), column_of(x))
    for form, data in save.renders(chart, paths).items():
        with whole(paths[form]) as part:
            part.write_bytes(data)


def boundary(text: str, max_n: int = 40) -> pl.DataFrame:
    """Where a policy with a stopping rule of counts stops: the smallest v1 for each v2, when nobody else votes.

    Columns v2; `rule`, by the rule alone; `policy`, with min_samples, curtailment and max_n. Null: nowhere.
    Raises BadInput for a policy without a stopping rule, and a rule that looks at more than counts.
    """
    name = text.partition(":")[0].strip()
    whole_text = "max_n=" in text or find("policy", name) is not AdaptiveMargin
    policy = parse("policy", text if whole_text else f"{text}{',' if ':' in text else ':'}max_n={max_n}")
    if not isinstance(policy, AdaptiveMargin):
        raise BadInput(f"{name} has no stopping rule", mend="give adaptive_margin:stop_rule=…")
    if not policy.reads <= COUNTS:
        more = ", ".join(sorted(policy.reads - COUNTS))
        raise BadInput(
            f"{policy.rule.name} looks at {more}, so it has no boundary in (v1, v2)",
            mend="give a rule that looks at v1, v2 and n alone: beta, sprt, margin or share",
        )
    if policy.max_n > MOST_ROWS:
        raise BadInput(f"a boundary to max_n={policy.max_n:,} has too many lines", mend=f"at most {MOST_ROWS:,}")
    columns = {"rule": stopping.boundary(policy.rule, policy.max_n), "policy": stopping.boundary(policy, policy.max_n)}
    table = pl.DataFrame({"v2": range(len(columns["rule"])), **columns})
    nowhere = pl.col("rule", "policy") > policy.max_n
    return table.with_columns(pl.when(~nowhere).then(pl.col("rule", "policy")))
