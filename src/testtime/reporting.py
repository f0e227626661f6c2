"""`testtime report`: what a page about runs needs, put together from pools, ledgers and texts, written as one file."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.compute as pc
import pyarrow.parquet as pq

from testtime.advice import KNOWN_SPENDS
from testtime.analysis import judging
from testtime.analysis.conduct import TOOLS
from testtime.analysis.ledger import ledger
from testtime.analysis.recommend import Budget, ladder
from testtime.analysis.replay import has_gold
from testtime.analysis.replay import outcomes as replayed
from testtime.analysis.sides import names_of
from testtime.core.errors import BadInput
from testtime.core.protocols import Learner, Policy
from testtime.core.strings import parse, setting, text_of
from testtime.guide import rows_of
from testtime.report import candidates
from testtime.report.material import Browsed, Material, RunData
from testtime.report.page import page
from testtime.report.sample import chosen, facts
from testtime.sources import Opened, Sources, inspect, is_outcomes, opened_at, paths_of, without_outcomes
from testtime.spec import DEFAULT_POLICIES
from testtime.store.atomic import whole, writable
from testtime.store.folder import RunFolder, is_run
from testtime.store.outcomes import read_outcomes
from testtime.store.pack import is_pack
from testtime.store.parquet import read_frame
from testtime.store.pool import Pool
from testtime.store.schema import CANDIDATES
from testtime.store.texts import TRAFFIC, Piece, Row, pieces, traffic

SAMPLE = 120
"""Problems of a run whose candidates the page shows."""
MOST_LADDER = 128
"""Draws of a problem up to which the ladder of policies is replayed."""
MOST_CELLS = 50_000
"""Draws of a pool up to which the whole ladder is replayed; beyond, what has closed forms."""
CLOSED = ("sc_fixed:", "adaptive_margin:")
LIGHT = (
    "query_id", "split", "answer_key", "is_verified", "refusal_is_refusal", "refusal_type", "error", "is_retry",
    "verification_verifier_name", "verification_method", "verification_confidence", "verification_saw_reference",
)  # fmt: skip
"""Columns that are read of every candidate, beside those of judging; others are read of sampled problems alone."""


@dataclass(frozen=True)
class Written:
    """What was written."""

    path: Path
    pools: Sequence[str]
    """Those that were read, as they can be named again."""
    size: int
    """Bytes."""
    runs: Sequence[str]
    sections: Sequence[str]
    """Anchors of the page's sections."""
    problems: int
    """Of which the page shows candidates."""
    settings: int
    """Policies and settings that it compares."""
    skipped: Sequence[str] = ()
    """What was named and is no pool, a line each."""


def write_report(
    source: Sources,
    out: Path | None = None,
    *,
    budgets: Sequence[str] = (),
    policies: Sequence[str] | None = None,
    sample: int = SAMPLE,
    orders: int = 100,
    seed: int = 0,
    tell: Callable[[str], None] = lambda what: None,
) -> Written:
    """Writes the page about the pools at a path, a glob, or several; by default as report.html in a run's folder.

    `policies` replaces the usual ladder of settings beside those that a run executed; `tell` hears what is being done.
    Raises BadInput: nothing to read, a policy or a budget that cannot be, no place to write.
    """
    for budget in budgets:
        Budget.of(budget)
    if sample < 0:
        raise BadInput(f"--sample {sample} cannot be", mend="expected a whole number at least 0")
    opened, skipped = _opened(source)
    path = out or _beside(opened)
    writable([path], [one.file or one.path for one in opened])
    material = _material(opened, budgets, policies, sample, orders, seed, _command(opened, path), tell)
    tell("writing")
    text = page(material)
    with whole(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")
    return _written(path, text, material, skipped)


def _opened(source: Sources) -> tuple[list[Opened], list[str]]:
    """(Pools, and what was named beside them and is none: a table, a run that cannot be read). Raises BadInput."""
    opened, failed = list[Opened](), list[BadInput]()
    for path in without_outcomes(paths_of(source, unpack=False)):
        try:
            opened += [_as_typed(one, path) for one in opened_at(path)]
        except BadInput as error:
            failed.append(error)
    if failed and not opened:
        raise failed[0]
    return opened, [f"left out: {error}" for error in failed]


def _as_typed(one: Opened, path: Path) -> Opened:
    """With the path that a user can type again: of a packed run, the file and not where it was unpacked."""
    return replace(one, typed=path) if is_pack(path) else one


def _beside(opened: Sequence[Opened]) -> Path:
    """Where the page goes: into the folder of a run, else beside the first file, or the folders of several runs."""
    first = opened[0].shown
    if len(opened) == 1:
        return (
            first / "report.html" if first.is_dir() else first.with_name(f"{first.name.partition('.')[0]}.report.html")
        )
    return first.parent / "report.html"


def _command(opened: Sequence[Opened], path: Path) -> str:
    return f"testtime report {shlex.join(str(one.shown) for one in opened)} --out {shlex.quote(str(path))}"


def _written(path: Path, text: str, material: Material, skipped: Sequence[str]) -> Written:
    return Written(
        path,
        [run.place for run in material.runs],
        len(text.encode()),
        [run.name for run in material.runs],
        [part.partition('"')[0] for part in text.split('<section id="')[1:]],
        sum(len(one.problems) for one in material.browsed),
        material.summary.height,
        skipped,
    )


# ---- what the page is made of ----
def _material(
    opened: Sequence[Opened], budgets: Sequence[str], policies: Sequence[str] | None, sample: int, orders: int,
    seed: int, command: str, tell: Callable[[str], None],
) -> Material:  # fmt: skip
    names = names_of([one.pool for one in opened])
    runs, outcomes, browsed, notes = [], [], [], list[str]()
    for name, one in zip(names, opened, strict=True):
        tell(f"{name}: reading")
        run = _run(name, one)
        runs.append(run)
        if has_gold(one.pool):
            tell(f"{name}: replaying policies")
            found, left_out = _outcomes(one, run, policies, orders, seed)
            if found is not None:
                outcomes.append(found.with_columns(run=pl.lit(name), split=pl.lit(None, dtype=pl.String)))
            if policies is None and _is_large(one.pool):
                notes.append(
                    f"{name}: a large pool, of which only sc_fixed and adaptive_margin are compared; name --policies"
                )
            if left_out:
                notes.append(
                    f"{name}: not scored, as the pool lacks draws, columns or problems they need: {', '.join(left_out)}"
                )
        browsed.append(_browsed(run, one, sample, seed))
    versions = {"testtime": version("testtime"), "python": platform.python_version(), "polars": version("polars")}
    return Material(
        runs, pl.concat(outcomes) if outcomes else None, browsed, budgets, command, versions,
        datetime.now(UTC).isoformat(timespec="seconds"), seed, notes,
    )  # fmt: skip


def _run(name: str, one: Opened) -> RunData:
    frame = _light(one)
    folder = RunFolder.open(one.path) if one.path.is_dir() else None
    calls = read_frame(folder.calls) if folder is not None and folder.calls.exists() else None
    return RunData(
        name=name,
        place=str(one.shown),
        pool=_named(one.pool, name),
        meta=one.meta,
        inspected=inspect(one.path),
        policies=list(one.meta.get("policies") or ()),
        frame=frame,
        books=None if folder is None else ledger(folder.path),
        failures=() if calls is None else _failures(calls),
        energy=None if calls is None else (calls["joules"].count(), calls.height),
        guided=_guided(one),
        tools=_tools(one),
        stored=() if folder is None else _stored(folder),
    )


def _failures(calls: pl.DataFrame) -> list[tuple[str, int]]:
    why = calls.filter(pl.col("status") != "ok")["why"].drop_nulls()
    return why.value_counts(sort=True).rows()


def _named(pool: Pool, name: str) -> Pool:
    """The pool under the name it has on the page."""
    return pool if pool.run == name else replace(pool, run=name)


def _light(one: Opened) -> pl.DataFrame:
    """All rows without their texts."""
    wanted = {*LIGHT, *judging.COLUMNS, *(f"oracle({name})" for name in judging.COLUMNS)}
    if one.frame is not None:
        return one.frame.select(name for name in one.frame.columns if name in wanted)
    assert one.file is not None
    return read_frame(one.file, [name for name in pq.read_schema(one.file).names if name in wanted])


def _guided(one: Opened) -> pl.DataFrame | None:
    """The rows of a guided run."""
    guided = any(label.startswith("guided") for label in one.pool.arms)
    return rows_of(one.path) if guided and one.path.is_dir() else None


def _tools(one: Opened) -> pl.DataFrame | None:
    """What candidates did with tools, where any had some."""
    if one.frame is not None:
        known = one.frame if "tool_calls_total" in one.frame.columns else one.frame.clear()
        frame = known.select(name for name in TOOLS if name in known.columns)
    else:
        assert one.file is not None
        there = set(pq.read_schema(one.file).names)
        if "tool_calls_total" not in there:
            return None
        frame = read_frame(one.file, [name for name in TOOLS if name in there])
    return frame if frame.height and frame["tool_calls_total"].count() else None


def _stored(folder: RunFolder) -> list[pl.DataFrame]:
    """The overlays of verdicts that were given later, each with the stage that gave them."""
    found = []
    for file in sorted(folder.verdicts.glob("*.parquet")) if folder.verdicts.is_dir() else []:
        table = read_frame(file)
        if {"was_verified", "is_verified"} <= set(table.columns):
            found.append(table.with_columns(stage=pl.lit(file.stem)))
    return found


# ---- outcomes ----
def _outcomes(
    one: Opened, run: RunData, policies: Sequence[str] | None, orders: int, seed: int
) -> tuple[pl.DataFrame | None, list[str]]:
    """(Outcomes that the run wrote, where they are its pool's, and of the ladder, replayed; policies left out)."""
    pool = run.pool
    kept = _kept(one)
    have = set() if kept is None else set(kept.select("policy", "setting").rows())
    asked = [] if kept is not None else [parse("policy", text) for text in run.policies]
    asked += [parse("policy", text) for text in policies] if policies is not None else _ladder(pool, not run.policies)
    wanted = list({(policy.name, setting(policy)): policy for policy in asked}.values())
    missing = [policy for policy in wanted if (policy.name, setting(policy)) not in have]
    fresh = [policy for policy in missing if _within(policy, pool)]
    left_out = [text_of(policy) for policy in missing if policy not in fresh]
    frames = [] if kept is None else [kept]
    if fresh:
        frames.append(replayed(pool, fresh, orders=orders, seed=seed, exact=False))
    return (pl.concat([frame.select(frames[0].columns) for frame in frames]) if frames else None), left_out


def _kept(one: Opened) -> pl.DataFrame | None:
    """The outcome file of a run, where it was written after the pool was."""
    if not one.path.is_dir() or not is_run(one.path):
        return None
    folder = RunFolder.open(one.path)
    file = folder.outcomes
    if not file.exists() or file.stat().st_mtime < folder.candidates.stat().st_mtime or not is_outcomes(file):
        return None
    try:
        return read_outcomes(file)
    except BadInput:  # damaged, or of another version: the run's policies are replayed instead
        return None


def _ladder(pool: Pool, scored: bool) -> list[Policy]:
    """What is compared beside the run's own policies; by the scores of a recorded file too, which has none of its own.

    A score that is negative somewhere is no weight of a vote.
    """
    draws = min(draws.sampled for draws in pool.arms.values())
    if len(pool.arms) > 1 and draws > 0:  # the arms are what is compared
        return [parse("policy", text) for text in ladder(draws, ()) if text.startswith("sc_fixed:")]
    if draws < 1:
        return [parse("policy", text) for text in DEFAULT_POLICIES]
    shared = set.intersection(*(set(one.columns) for one in pool.arms.values()))
    known = shared - KNOWN_SPENDS - CANDIDATES.keys()
    scores = sorted(name for name in known if scored and not name.startswith("oracle("))
    below = {name for name in scores if any((one.column(name) < 0).any() for one in pool.arms.values())}
    texts = ladder(min(draws, MOST_LADDER), scores)
    if _is_large(pool):
        texts = [text for text in texts if text.startswith(CLOSED)]
    return [
        parse("policy", text)
        for text in texts
        if not (text.startswith("weighted:") and text.rpartition("by=")[2] in below)
    ]


def _is_large(pool: Pool) -> bool:
    return sum(int(draws.size.sum()) for draws in pool.arms.values()) > MOST_CELLS


def _within(policy: Policy, pool: Pool) -> bool:
    """Whether the pool has all that it may ask: draws of its sample, columns, other problems to learn from."""
    columns = set.intersection(*(set(draws.columns) for draws in pool.arms.values()))
    most = min(draws.sampled for draws in pool.arms.values())
    learns = isinstance(policy, Learner) and policy.learns
    reads = set(getattr(policy, "needs", ())) <= columns and (len(pool.problems) > 1 or not learns)
    return reads and (policy.most is None or policy.most <= most)


# ---- the candidates ----
def _browsed(run: RunData, one: Opened, sample: int, seed: int) -> Browsed:
    table = facts(run.frame)
    names, strata = chosen(table, sample, seed)
    told = {row["query_id"]: row for row in table.iter_rows(named=True)}
    rows: dict[str, list[Mapping[str, Any]]] = {name: [] for name in names}
    for row in _texts(one, names).iter_rows(named=True):
        rows[row["query_id"]].append(row)
    problems: list[dict[str, Any]] = []
    size = 0
    for name in names:
        made = candidates.problem(told[name], [(row, _told(row)) for row in rows[name]])
        size += candidates.length(made)
        if problems and size > candidates.MOST_IN_ALL:
            break
        problems.append(made)
    order = {name: at for at, name in enumerate(told)}
    problems.sort(key=lambda made: order[made["id"]])
    return Browsed(run.name, run.place, problems, table.height, strata)


def _told(row: Row) -> Iterator[Piece]:
    """A candidate's pieces; what passes between it and its tools as a person reads it."""
    for piece in pieces(row):
        yield replace(piece, text=traffic(piece.kind, piece.text)) if piece.kind in TRAFFIC else piece


def _texts(one: Opened, names: Sequence[str]) -> pl.DataFrame:
    """The rows of these problems, in order, with all that the page shows."""
    if one.frame is not None:
        frame = one.frame.filter(pl.col("query_id").is_in(list(names)))
    else:
        assert one.file is not None
        there = set(pq.read_schema(one.file).names)
        wanted = [name for name in candidates.COLUMNS if name in there]
        frame = read_frame(one.file, wanted, pc.field("query_id").isin(list(names)))
    return frame.filter(pl.col("query_id").is_in(list(names)))
