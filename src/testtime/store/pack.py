"""A run as one file to hand on: R.zip holds R/ (spec, pool, ledger, later verdicts, table, figures, notes, report) and
R.jsonl, its outcomes.

What says where and by whom it was made is left out or made relative: absolute paths, addresses of servers, the names
of user and machine. A model's texts are not changed; they are packed as they are, or not at all.
"""

from __future__ import annotations

import atexit
import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from testtime.core.errors import BadInput
from testtime.core.secret import struck
from testtime.core.seeds import digest
from testtime.store.atomic import slug, whole
from testtime.store.folder import RunFolder
from testtime.store.notes import FILE as NOTES
from testtime.store.parquet import Row, read_meta, readable, write_calls, write_candidates
from testtime.store.schema import CANDIDATES

TEXTS = (
    "question", "source_metadata", "input_messages", "output_messages", "candidate_text", "parts", "facts",
    "verification_explanation", "persona_judge_reasoning", "tool_trace", "mock_sources", "error",
)  # fmt: skip
"""Columns that --no_text empties; of `error` only that there is one is kept."""
ANSWERS = ("answer", "answer_key", "ground_truth_answer")
"""Columns that it keeps as they are, or as a digest where they are as long as a text."""
LONGEST = 100
"""Characters of the longest answer that is kept as it is: beyond it stands a program, or a text."""
ABOUT_HERE = ("base_url", "serve", "env_file", "prices", "pilot", "dataset_path", "out_dir", "output", "device")
"""Keys of a configuration that say where it ran: left out."""
MADE = ("error", "why", "verification_explanation", "persona_judge_reasoning")
"""Columns that programs wrote, not models: places in them are made relative."""
NAMED = ("run", "provider", "model", "dataset", "arm", "policy", "setting")
"""Keys of an outcome that may hold a place: weights, a policy's file."""
PLAIN = ("summary.csv", NOTES)
FIGURES = (".png", ".svg", ".json")
"""Endings of figures; beyond the first they are text."""
REPORT = "report.html"
MOST = 2**36
"""Bytes of the largest file that is unpacked."""
_PATH = re.compile(r"(?<![\w/:.])(?:~|[A-Za-z]:)?(?:[/\\][\w.@+=~-]+){2,}")
_ADDRESS = re.compile(r"\b(https?://)(?:[^\s/@<]+@)?[^\s/'\")<]+")
_BESIDE = re.compile(r"[^/]+/(?:verdicts/\w[\w.-]*\.parquet|figures/\w[\w.-]*\.(?:png|svg|json))")
"""Names of the files that `_beside` gives, in a zip."""
_FIXED = re.compile(r"(<script\b.*?</script>|<style>.*?</style>|<meta http-equiv[^>]*>)", re.S)
"""What of a page is not changed, or only in words: a changed program would not run."""


@dataclass(frozen=True)
class Places:
    """What must not be told: names of this user and machine, and how a text reads without them."""

    names: Mapping[str, str]
    """What is replaced → by what, as whole words."""
    folders: Sequence[str] = ()
    """Folders of this machine that a report must not name."""

    def hidden(self, text: str) -> str:
        """The text without places: paths by their last part, addresses and names by a word.

        >>> Places({"ada": "USER"}).hidden("ada: /home/ada/pools/m.jsonl at http://10.0.0.7:8000/v1")
        'USER: m.jsonl at http://HOST/v1'
        """
        text = _ADDRESS.sub(r"\1HOST", struck(text))
        text = _PATH.sub(lambda found: re.split(r"[/\\]", found[0])[-1], text)
        for name, word in self.names.items():
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", word, text)
        return text

    def page(self, text: str) -> str:
        """A page: its words without places, its data without names and folders; its own programs stay as they are."""
        parts = _FIXED.split(text)
        return "".join(self._fixed(part) if at % 2 else self.hidden(part) for at, part in enumerate(parts))

    def _fixed(self, part: str) -> str:
        """A part of a page that is no HTML to be read: of data, whose signs are written as codes, only words go."""
        if not part.startswith('<script type="application/json"'):
            return part
        return self.words(part)

    def words(self, part: str) -> str:
        """A text without names, keys and folders of this machine; addresses stay, for they may be its grammar."""
        for folder in self.folders:
            part = part.replace(f"{folder}/", "")
        for name, word in self.names.items():
            part = re.sub(rf"(?<![\w\\]){re.escape(name)}(?!\w)", word, part)
        return struck(part)

    def deep(self, value: Any) -> Any:
        """The same of every text in a value as JSON or YAML has it; keys that say where it ran are left out."""
        if isinstance(value, str):
            return self.hidden(value)
        if isinstance(value, Mapping):
            return {self.deep(key): None if key in ABOUT_HERE else self.deep(one) for key, one in value.items()}
        return [self.deep(one) for one in value] if isinstance(value, (list, tuple)) else value


def pack(run: Path, out: Path, places: Places, *, texts: bool = True) -> list[str]:
    """Writes the run at `run` as a zip, and gives the names of the files in it. Raises BadInput: no run, no pool."""
    folder = RunFolder.open(run)
    if not folder.candidates.exists():
        raise BadInput("holds no candidates.parquet", where=str(run), mend="finish the run first")
    if out.suffix != ".zip":
        raise BadInput("is no zip", where=str(out), mend="end it in .zip")
    name = slug(folder.name)
    with tempfile.TemporaryDirectory(prefix="testtime-pack-") as made, whole(out) as part:
        files = dict(_files(folder, Path(made), name, places, texts))
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as packed:
            for inside, file in files.items():
                packed.write(file, inside)
    return list(files)


def _files(folder: RunFolder, made: Path, name: str, places: Places, texts: bool) -> Iterator[tuple[str, Path]]:
    """(Name in the zip, file) of all that is packed."""
    if folder.spec.exists():
        spec = places.deep(folder.read_spec())
        spec |= {} if texts else dict.fromkeys(("prompt", "persona"))
        (made / "spec.yaml").write_text(yaml.safe_dump(spec, sort_keys=False, allow_unicode=True), encoding="utf-8")
        yield f"{name}/spec.yaml", made / "spec.yaml"
    _table(folder.candidates, made / "candidates.parquet", places, texts)
    yield f"{name}/candidates.parquet", made / "candidates.parquet"
    if folder.calls.exists():
        _table(folder.calls, made / "calls.parquet", places, texts)
        yield f"{name}/calls.parquet", made / "calls.parquet"
    for plain in (*PLAIN, *((REPORT,) if texts else ())):
        if (folder.path / plain).is_file():
            said = (folder.path / plain).read_text(encoding="utf-8")
            (made / plain).write_text(places.page(said) if plain == REPORT else places.hidden(said), encoding="utf-8")
            yield f"{name}/{plain}", made / plain
    if folder.outcomes.is_file():
        with folder.outcomes.open("rb") as lines, (made / "outcomes").open("wb") as out:
            out.writelines(_outcome(line, places, texts) for line in lines)
        yield f"{name}.jsonl", made / "outcomes"
    for inside, file in _beside(folder, made, places, texts):
        yield f"{name}/{inside}", file


def _beside(folder: RunFolder, made: Path, places: Places, texts: bool) -> Iterator[tuple[str, Path]]:
    """Verdicts that were given later, and figures: (name inside the run, file)."""
    for at, file in enumerate(sorted(folder.verdicts.glob("*.parquet"))):
        with readable(file):
            table = pq.read_table(file)
        told = [_row(row, places, texts) for row in table.to_pylist()]
        pq.write_table(pa.Table.from_pylist(told, table.schema.remove_metadata()), made / f"verdict-{at}")
        yield f"verdicts/{file.name}", made / f"verdict-{at}"
    for file in sorted((folder.path / "figures").glob("*")):
        if file.suffix not in FIGURES:
            continue
        if file.suffix != ".png":
            (made / file.name).write_text(places.words(file.read_text(encoding="utf-8")), encoding="utf-8")
        yield f"figures/{file.name}", file if file.suffix == ".png" else made / file.name


def _outcome(line: bytes, places: Places, texts: bool) -> bytes:
    said = json.loads(line)
    said |= {name: places.hidden(said[name]) for name in NAMED if said.get(name) is not None}
    said |= {} if texts else {"answer": _short(said.get("answer"))}
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _table(file: Path, out: Path, places: Places, texts: bool) -> None:
    """A Parquet file of the run, without places, and without texts where they are not wanted."""
    calls = file.name == "calls.parquet"
    meta = read_meta(file, "testtime.calls" if calls else "testtime.candidates")
    told = {key: value for key, value in meta.items() if key not in ("version", "format", "total_records")}
    told = {key: places.deep(value) for key, value in told.items()}
    if not texts and "arms" in told:
        told["arms"] = [{**arm, "prompt": "", "persona": None} for arm in told["arms"]]
    if not texts and isinstance(told.get("config"), Mapping):
        told["config"] = {**told["config"], "prompt": None, "persona": None}
    with pq.ParquetFile(file, page_checksum_verification=True) as parquet:
        count, scores = (
            parquet.metadata.num_rows,
            [name for name in parquet.schema_arrow.names if name not in CANDIDATES],
        )
        rows = (_row(row, places, texts) for row in _rows(parquet))
        if calls:
            write_calls(out, rows, told, count=count)
        else:
            write_candidates(out, rows, told, count=count, scores=scores)


def _rows(parquet: pq.ParquetFile) -> Iterator[Row]:
    for group in range(parquet.num_row_groups):
        yield from parquet.read_row_group(group).to_pylist()


def _row(row: Row, places: Places, texts: bool) -> Row:
    told = dict(row)
    for name in (*MADE, "arm"):
        if told.get(name) is not None:
            told[name] = places.hidden(told[name])
    if texts:
        return told
    told |= {name: None for name in TEXTS if name in told and name != "error"}
    if told.get("error") is not None:
        told["error"] = "failed"
    return told | {name: _short(told[name]) for name in ANSWERS if name in told}


def _short(answer: str | None) -> str | None:
    """An answer, or a digest of one that is as long as a text: equal ones stay equal."""
    return answer if answer is None or len(answer) <= LONGEST else f"digest:{digest(answer)}"


# ---- reading ----
def is_pack(path: Path) -> bool:
    """Whether a path names a zip, as `pack` writes them."""
    return path.suffix == ".zip" and path.is_file()


def unpacked(path: Path) -> Path:
    """The run folder of a packed run, unpacked for as long as this process lives. Raises BadInput for another zip."""
    stat = path.stat()
    return _unpacked(path.resolve(), str(path), stat.st_mtime_ns, stat.st_size)


@cache
def _unpacked(path: Path, where: str, changed: int, size: int) -> Path:
    try:
        with zipfile.ZipFile(path) as packed:
            inside = [entry for entry in packed.infolist() if not entry.is_dir()]
            if not _is_ours(inside) or sum(entry.file_size for entry in inside) > MOST:
                raise BadInput("is no packed run", where=where, mend="these are what testtime pack writes")
            place = Path(tempfile.mkdtemp(prefix="testtime-"))
            atexit.register(shutil.rmtree, place, ignore_errors=True)
            packed.extractall(place)
    except (zipfile.BadZipFile, OSError, RuntimeError) as error:
        raise BadInput(f"cannot be unpacked: {error}", where=where, mend="is it whole?") from error
    (candidates,) = place.glob("*/candidates.parquet")
    return candidates.parent


def _is_ours(inside: Sequence[zipfile.ZipInfo]) -> bool:
    """Whether there is one run in it, and nothing else: no path that leads out, no name that is not of a run's file."""
    names = [PurePosixPath(entry.filename) for entry in inside]
    runs = {name.parts[0] for name in names if len(name.parts) == 2}
    if len(runs) != 1 or (run := next(iter(runs))) != slug(run):
        return False
    known = {"spec.yaml", "candidates.parquet", "calls.parquet", REPORT, *PLAIN}
    allowed = {PurePosixPath(run, name) for name in known} | {PurePosixPath(f"{run}.jsonl")}
    allowed |= {name for name in names if _BESIDE.fullmatch(str(name)) and name.parts[0] == run}
    return set(names) <= allowed and PurePosixPath(run, "candidates.parquet") in names
