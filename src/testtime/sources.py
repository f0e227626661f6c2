"""What a user names as a pool: run folders, packed runs, candidates.parquet files, recorded files, folders, globs."""

from __future__ import annotations

import glob as globbing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl

from testtime.analysis import judging
from testtime.analysis.inspection import Inspected, inspected
from testtime.analysis.ledger import ledger
from testtime.analysis.survey import NUMBERS
from testtime.core import rows
from testtime.core.errors import BadInput, unknown_name
from testtime.core.registry import find
from testtime.importers import sniff
from testtime.store import cloud
from testtime.store.blocks import Block, blocks, blocks_of
from testtime.store.folder import RunFolder, is_run, runs
from testtime.store.frame import open_pool, pool_of, read_columns
from testtime.store.notes import notes_of
from testtime.store.pack import is_pack, unpacked
from testtime.store.parquet import read_frame, read_meta
from testtime.store.pool import Pool
from testtime.store.texts import Row, problems_of, rows_of

RECORDED = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".parquet", ".eval")
"""Endings of the files that are read when a folder is given."""
RETRIES = ".retries.parquet"
"""Ending of a pool's marked retries, which are no candidates."""
UNWRITTEN = "it still draws, or was stopped: run its command again, which goes on"
"""Of a run that has written no pool."""
MOST_NAMED = 20_000
"""Problems among which the nearest name is looked for."""
Sources: TypeAlias = "str | Path | Iterable[str | Path]"


def paths_of(source: Sources, *, unpack: bool = True) -> list[Path]:
    """The existing paths that a path or a glob means, sorted within each; packed runs as what they are unpacked to.

    Raises BadInput where there is none.
    """
    several = [source] if isinstance(source, (str, Path)) else list(source)
    found: dict[Path, None] = {}
    for one in several:
        if Path(one).exists():
            hits = [Path(one)]
        elif (there := cloud.address(one)) is not None:
            hits = cloud.fetched(there)
        else:
            hits = [Path(hit) for hit in sorted(globbing.glob(str(Path(one).expanduser()), recursive=True))]
        if not hits:
            mend = "check the pattern" if globbing.has_magic(str(one)) else "check the path"
            raise BadInput("no such file or folder", where=str(one), mend=mend)
        found |= dict.fromkeys(map(place, hits) if unpack else hits)
    if not found:
        raise BadInput("no pool given", mend="name an answers file or a run folder, ahead of the flags")
    return list(found)


def without_outcomes(paths: Iterable[Path]) -> list[Path]:
    """The paths without what lies beside a run, or a pool, among them: its outcomes, its copy, its marked retries.

    So `results/*` and `results/*.parquet` mean each pool once.
    """
    several = list(dict.fromkeys(paths))
    files = [RunFolder.open(path).outcomes for path in several if path.is_dir() and is_run(path)]
    beside = {file.with_suffix(ending) for file in files for ending in (file.suffix, ".parquet", RETRIES)}
    beside |= {path.with_suffix(RETRIES) for path in several if path.suffix == ".parquet"}
    return [path for path in several if path not in beside]


def place(path: Path) -> Path:
    """Where a path can be read: the folder that a packed run is unpacked to, else `brought`. Raises BadInput."""
    path = brought(path)
    return unpacked(path) if is_pack(path) else path


def brought(path: Path) -> Path:
    """The copy of what lies in a store, brought now; else the path itself. Raises BadInput: nothing is there."""
    there = None if path.exists() else cloud.address(path)
    return path if there is None else cloud.fetched(there)[0]


def pools_at(source: Sources) -> Iterator[Pool]:
    """The pools that are meant, opened one after the other. Raises BadInput where there is nothing to read."""
    for path in _leaves(source):
        if _is_table(path):
            yield open_pool(path)
        else:
            imported = _imported(path)
            yield pool_of(imported.frame, imported.meta)


def blocks_at(source: Sources, numbers: Iterable[str]) -> Iterator[tuple[Iterator[Block], Mapping[str, Any]]]:
    """For each pool that is meant: its candidates in blocks, with these number columns, and its metadata."""
    for path in _leaves(source):
        yield _blocks_at(path, numbers)


def _blocks_at(path: Path, numbers: Iterable[str]) -> tuple[Iterator[Block], Mapping[str, Any]]:
    if _is_table(path):
        file = path / "candidates.parquet" if path.is_dir() else path
        meta = read_meta(file)
        meta |= {"notes": notes_of(file.parent, meta.get("notes"))} if file != path else {}
        return blocks(file, list(numbers)), {"run": file.stem if file == path else path.name, **meta}
    imported = _imported(path)
    return blocks_of(imported.frame), imported.meta


def inspect(source: Sources) -> list[Inspected]:
    """What each arm of the pools at a path, a glob, or several of them holds, read in blocks: any size will do.

    The first arm of a run has the run's ledger.
    Raises BadInput, naming the path, where there is nothing to read.
    """
    found = list[Inspected]()
    for path in _leaves(source):
        arms = inspected(*_blocks_at(path, NUMBERS))
        if not arms:
            raise BadInput("no candidates", where=str(path), mend="of marked retries, name the pool beside them")
        books = ledger(path) if path.is_dir() else None
        asked = any(arm.shares.get("judged by a model", (0, 0))[0] for arm in arms)
        told = _of_judges(path, asked)
        found += [replace(arms[0], ledger=books, notes=[*arms[0].notes, *told]), *arms[1:]]
    return found


def _of_judges(pool: Path, asked: bool) -> list[str]:
    """What judges say of a pool's verdicts, a line each: its run's, where one was asked, and those asked later.

    Later verdicts (`testtime verify`) lie in a run's folder, or beside a file: by themselves, and in the folder of the
    run that wrote it. Raises BadInput.
    """
    if not _is_table(pool):
        return []
    at = pool / "candidates.parquet" if pool.is_dir() else pool
    own = judging.judged(read_columns(at, judging.READ)) if asked else None
    beside = (pool.with_suffix(".verdicts"), pool.with_suffix(".run") / "verdicts")
    folders, columns = (pool / "verdicts",) if pool.is_dir() else beside, (*judging.WORDS, "verification_method")
    files = [file for folder in folders for file in sorted(folder.glob("judge-*.parquet"))]
    told = [judging.asked_anew(read_frame(file, columns)) for file in files]
    return [*([judging.sentence(own)] if own else []), *(line for line in told if line is not None)]


def candidates_at(source: Sources, query_id: str) -> Iterator[tuple[str, list[Row]]]:
    """For each pool that is meant: its run's name, and its candidates of one problem with their texts.

    Raises BadInput, naming the nearest problems, where no pool has it.
    """
    found = False
    known: dict[str, None] = {}
    for path in _leaves(source):
        if _is_table(path):
            file = path / "candidates.parquet" if path.is_dir() else path
            run = str(read_meta(file).get("run") or (file.stem if file == path else path.name))
            rows = rows_of(file, query_id)
            known |= {} if rows else dict.fromkeys(problems_of(file))
        else:
            imported = _imported(path)
            run = str(imported.meta.get("run") or path.stem)
            rows = imported.frame.filter(imported.frame["query_id"] == query_id).to_dicts()
            known |= {} if rows else dict.fromkeys(imported.frame["query_id"].to_list())
        found = found or bool(rows)
        if rows:
            yield run, rows
    if not found:
        near = unknown_name("problem", query_id, known).mend if len(known) < MOST_NAMED else None
        some = f"it has {', '.join(list(known)[:3])}, … {len(known):,} in all"
        raise BadInput(f"no problem {query_id!r}", mend=near if near and near.startswith("did you") else some)


def is_outcomes(path: Path) -> bool:
    """Whether a file's first line is an outcome."""
    if path.is_dir() or path.suffix in (".parquet", ".eval"):
        return False
    return {"policy", "setting", "query_id"} <= rows.first(path).keys()


def _leaves(source: Sources) -> Iterator[Path]:
    """Run folders and files. Raises BadInput for what is neither."""
    several = without_outcomes(paths_of(source))
    for path in several:
        if path.is_dir() and not is_run(path):
            yield from [path] if sniff(path) else _inside(path)
        elif path.is_dir() and not RunFolder.open(path).candidates.exists() and sniff(path) is None:
            if len(several) == 1:  # beside others it is passed over, as in a folder of runs
                raise BadInput("no candidates yet", where=str(path), mend=UNWRITTEN)
        elif is_outcomes(path):
            raise BadInput("these are outcomes, not a pool", where=str(path), mend="use: testtime analyze --glob")
        else:
            yield path


def _is_table(path: Path) -> bool:
    """Whether it is a pool of ours, which no importer need read."""
    return is_run(path) if path.is_dir() else path.suffix == ".parquet" and sniff(path) is None


def _imported(path: Path) -> Any:
    return find("importer", sniff(path) or "answers")(path)  # answers says what is wrong with the file


def _inside(folder: Path) -> list[Path]:
    """The runs of a folder, or the recorded files in it. Raises BadInput where there are none."""
    every = list(runs(folder))
    found = [run.path for run in every if run.candidates.exists()]
    if every and not found:
        raise BadInput("no run here has candidates yet", where=str(folder), mend=UNWRITTEN)
    found = found or sorted(file for ending in RECORDED for file in folder.glob(f"*{ending}") if file.is_file())
    if not found:
        mend = f"name a run folder, a folder of runs, or a file; files end in {', '.join(RECORDED)}"
        raise BadInput("neither a run nor a file of answers in this folder", where=str(folder), mend=mend)
    return found


@dataclass(frozen=True, eq=False)
class Opened:
    """A pool with where it came from."""

    path: Path
    """A run folder, a candidates.parquet, or a recorded file."""
    pool: Pool
    meta: Mapping[str, Any]
    file: Path | None = None
    """The candidates.parquet; None for a recorded file."""
    frame: pl.DataFrame | None = None
    """All rows of a recorded file; None where they are in `file`."""
    typed: Path | None = None
    """What the user named, where that is another path: a packed run."""

    @property
    def shown(self) -> Path:
        """The path to name it by."""
        return self.typed or self.path


def opened_at(source: Sources) -> Iterator[Opened]:
    """The pools that are meant, with what they were opened from. Raises BadInput where there is nothing to read."""
    for path in _leaves(source):
        if _is_table(path):
            file = path / "candidates.parquet" if path.is_dir() else path
            yield Opened(path, open_pool(path), read_meta(file), file)
        else:
            imported = _imported(path)
            yield Opened(path, pool_of(imported.frame, imported.meta), imported.meta, None, imported.frame)
