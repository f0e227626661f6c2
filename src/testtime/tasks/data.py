"""Rows of a benchmark, wherever they lie: one file, a folder with a file a split, or the hub. Beside it, what
several tasks read alike: a text of a row, a name for a problem, and lettered options.
"""

from __future__ import annotations

import csv
import hashlib
import importlib
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from testtime.core.errors import BadInput, gated
from testtime.core.rows import Row, read, read_bytes
from testtime.core.secret import lent
from testtime.core.seeds import digest

ENDINGS = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_HUB = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def rows_of(path: Path | str, split: str, config: str | None = None) -> Iterator[Row]:
    """The rows of a split: of a file whatever the split, of a folder's file named by it, of a hub dataset streamed.

    A split's file is `split.jsonl`, or ends in it (`mmlu_test.jsonl.gz`). Raises BadInput naming file and line.
    """
    place = Path(path)
    if not place.exists() and _HUB.fullmatch(str(path)) and not str(path).endswith(ENDINGS):
        yield from _of_hub(str(path), split, config)
        return
    file = split_file(place, split)
    name = file.name.removesuffix(".gz")
    if name.endswith((".csv", ".tsv")):
        yield from _of_table(file, "\t" if name.endswith(".tsv") else ",")
    elif name.endswith(".parquet"):
        yield from _of_parquet(file)
    else:
        yield from read(file)


def text(row: Row, *keys: str) -> str:
    """The text under the first of these keys that the row has. Raises BadInput where it is none, or blank."""
    key = next((key for key in keys if key in row), keys[0])
    value = row.need(key)
    if not isinstance(value, str) or not value.strip():
        row.bad(f"{key!r} is not a text")
    return str(value)


def name_of(split: str, index: int, question: str) -> str:
    """`split-index-digest`: unique in its file, and the same whichever other problems are taken."""
    return f"{split}-{index}-{hashlib.sha1(question.encode(), usedforsecurity=False).hexdigest()[:8]}"


def lettered(question: str, options: Sequence[str]) -> tuple[str, dict[str, str]]:
    r"""The question with its options below it, a line each, and letter → option.

    >>> lettered("Which?", ["red", "blue"])
    ('Which?\nA) red\nB) blue', {'A': 'red', 'B': 'blue'})
    """
    choices = dict(zip(LETTERS, options, strict=False))
    return "\n".join([question, *(f"{letter}) {option}" for letter, option in choices.items())]), choices


def shuffled(options: Sequence[str], *scope: object) -> list[int]:
    """The order in which options are shown, as places: it depends on the scope alone, never on other problems.

    >>> sorted(shuffled(["right", "wrong", "odd"], 0, "q1"))
    [0, 1, 2]
    """
    return sorted(range(len(options)), key=lambda at: digest(*scope, at))


def split_file(path: Path | str, split: str) -> Path:
    """The path itself, or a folder's file of a split: named by it, else ending in it; of several, the shortest name.

    Raises BadInput where there is none.
    """
    folder = Path(path)
    if not folder.is_dir():
        return folder
    files = [file for file in sorted(folder.iterdir()) if file.name.endswith(ENDINGS)]
    stems = {file: file.name.removesuffix(".gz").rpartition(".")[0] for file in files}
    fits = [file for file, stem in stems.items() if stem == split or stem.endswith((f"_{split}", f"-{split}"))]
    if not fits:
        have = ", ".join(file.name for file in files[:6]) or "nothing that can be read"
        raise BadInput(
            f"no file of the split {split!r}",
            where=str(folder),
            mend=f"expected {split}.jsonl or the like; it has: {have}",
        )
    return min(fits, key=lambda file: len(stems[file]))


def _of_table(file: Path, comma: str) -> Iterator[Row]:
    try:
        said = read_bytes(file).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput("not UTF-8 text", where=str(file)) from None
    table = csv.DictReader(io.StringIO(said, newline=""), delimiter=comma, strict=True)
    empty = True
    try:
        for values in table:
            empty = False
            known = {key: value for key, value in values.items() if key is not None and value is not None}
            yield Row(known, f"{file}:{table.line_num}")
    except csv.Error as error:
        raise BadInput(f"not a table ({error})", where=f"{file}:{table.line_num}") from None
    if empty:
        raise BadInput("the file holds no rows", where=str(file))


def _of_parquet(file: Path) -> Iterator[Row]:
    arrow: Any = importlib.import_module("pyarrow")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    try:  # polars panics on some damaged files
        table = parquet.read_table(file, page_checksum_verification=True).to_pylist()
    except (OSError, arrow.ArrowException, UnicodeDecodeError) as error:
        raise BadInput(f"cannot be read as Parquet ({error})", where=str(file)) from None
    for number, values in enumerate(table, start=1):
        yield Row(values, f"{file}:{number}")


def _of_hub(name: str, split: str, config: str | None) -> Iterator[Row]:
    """The rows of a hub dataset, streamed: nothing more is downloaded than is taken."""
    try:
        hub: Any = importlib.import_module("datasets")
    except ModuleNotFoundError:
        mend = 'run: pip install "testtime[hub]", or name a local file'
        raise BadInput("the package datasets, which reads the hub, is not installed", where=name, mend=mend) from None
    token = lent("HF_TOKEN")
    try:
        rows = hub.load_dataset(name, config, split=split, streaming=True, token=token)
        for number, values in enumerate(rows, start=1):
            yield Row(values, f"{name}:{split}:{number}")
    except (OSError, ValueError) as error:
        if "gated" in str(error).lower():
            raise gated(name, token=token is not None) from None
        raise BadInput(f"the hub did not give it ({error})", where=f"{name}:{split}") from None
