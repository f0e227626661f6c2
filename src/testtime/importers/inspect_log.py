"""Logs of Inspect (`.eval`, a zip of JSON): a sample and epoch each, with scores, usage and time.

The scorer's `answer` votes where it gives one, else the completion's text is looked at. `C` and `I`, numbers and
booleans are verdicts of the first scorer that gives one.
"""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from testtime.core.errors import BadInput
from testtime.importers.foreign import VOTE, answer_of, count_of
from testtime.importers.imported import Imported, imported

_ZSTD = 93
_LARGEST = 2**30
_VERDICTS = {"C": True, "I": False, "N": False, 1: True, 0: False}


def knows(path: Path) -> bool:
    """Whether it is called as these logs are."""
    return path.suffix == ".eval"


def read(path: Path | str) -> Imported:
    """The candidates of the log; epochs are draws. Raises BadInput naming the file."""
    path = Path(path)
    header, samples = _log(path)
    spec = _object(header, "eval")
    dataset = _object(spec, "dataset")
    candidates = [_candidate(sample, path) for sample in samples]
    candidates.sort(key=lambda one: (one["query_id"], one["candidate_idx"]))
    model = spec.get("model") if isinstance(spec.get("model"), str) else None
    name = str(dataset.get("name") or spec.get("task") or "")
    return imported(candidates, path, vote=VOTE, method="the log's scorer", dataset=name, model=model)


def _log(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as log:
            parts = {info.filename: info for info in log.infolist()}
            header = _json(file, log, parts["header.json"]) if "header.json" in parts else {}
            samples = [_json(file, log, info) for name, info in parts.items() if name.startswith("samples/")]
    except FileNotFoundError:
        raise BadInput("no such file", where=str(path), mend="check the path") from None
    except (zipfile.BadZipFile, pa.ArrowException, RuntimeError, ValueError, OSError) as error:
        raise BadInput(f"no log of Inspect ({error})", where=str(path)) from None
    if not samples or not all(isinstance(sample, dict) for sample in [header, *samples]):
        raise BadInput("a log without samples", where=str(path), mend="was it run with --no-log-samples?")
    return header, samples


def _json(file: BinaryIO, log: zipfile.ZipFile, part: zipfile.ZipInfo) -> Any:
    """One member; Zstandard, which Inspect writes and zipfile cannot read before Python 3.14, by pyarrow."""
    if part.file_size > _LARGEST:
        raise ValueError(f"{part.filename} claims {part.file_size:,} bytes")
    if part.compress_type != _ZSTD:
        return json.loads(log.read(part))
    file.seek(part.header_offset + 26)
    name, extra = struct.unpack("<HH", file.read(4))
    file.seek(part.header_offset + 30 + name + extra)
    return json.loads(pa.decompress(file.read(part.compress_size), part.file_size, "zstd", asbytes=True))


def _candidate(sample: Mapping[str, Any], path: Path) -> dict[str, Any]:
    if "id" not in sample or "epoch" not in sample:
        raise BadInput("a sample without id or epoch", where=str(path))
    output = _object(sample, "output")
    said = output.get("completion") if isinstance(output.get("completion"), str) else None
    score = next(_scores(sample), {})
    printed, key = answer_of(score.get("answer"), said)
    target = sample.get("target")
    usage = _object(output, "usage")
    failed = sample.get("error") is not None
    return {
        "query_id": str(sample["id"]),
        "candidate_idx": int(sample["epoch"]) - 1,
        "question": sample["input"] if isinstance(sample.get("input"), str) else None,
        "ground_truth_answer": target if isinstance(target, str) else None,
        "answer": None if failed else printed,
        "answer_key": None if failed else key,
        "candidate_text": said,
        "is_verified": False if failed else _verdict(score.get("value")),
        "completion_tokens": count_of(usage.get("output_tokens")),
    }


def _scores(sample: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Its scores, those with a verdict first."""
    scores = sample.get("scores")
    found = [score for score in scores.values() if isinstance(score, dict)] if isinstance(scores, dict) else []
    yield from sorted(found, key=lambda score: _verdict(score.get("value")) is None)


def _verdict(value: Any) -> bool | None:
    return _VERDICTS.get(value) if isinstance(value, (str, bool, int, float)) else None


def _object(holder: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """An object of a log, empty where there is none."""
    value = holder.get(key)
    return value if isinstance(value, dict) else {}
