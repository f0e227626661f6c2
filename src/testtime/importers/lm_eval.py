"""Samples of lm-evaluation-harness (`--log_samples`): rows `{doc_id, target, resps, filtered_resps, filter, …}`.

A row holds all `repeats` of a document under one filter, and there is a row for each filter. The filter that keeps
every repeat gives the answers; one that has voted already, or kept the first only, is left out, and without any
the answers are taken from the texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from testtime.core.rows import Row
from testtime.core.rows import read as read_rows
from testtime.importers.foreign import VOTE, answer_of
from testtime.importers.imported import Imported, imported

KEYS = frozenset({"doc_id", "resps", "filtered_resps", "target"})


def read(path: Path | str) -> Imported:
    """The candidates of the file; problems are named by `doc_id`. Raises BadInput naming file and line."""
    rows: dict[str, list[Row]] = {}
    for row in read_rows(path):
        rows.setdefault(str(row.need("doc_id")), []).append(row)
    candidates = [one for query, found in rows.items() for one in _candidates(query, found)]
    return imported(candidates, path, vote=VOTE, method="its key equals the target's", dataset=_task(path))


def _task(path: Path | str) -> str:
    """`samples_gsm8k_2026-01-01T00-00-00.jsonl` is of gsm8k."""
    name = Path(path).name
    return name.removeprefix("samples_").rsplit("_", 1)[0] if name.startswith("samples_") else ""


def _candidates(query: str, rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    said = _texts(rows[0], "resps")
    kept: list[Any] = next((filtered for row in rows if len(filtered := _flat(row, "filtered_resps")) == len(said)), [])
    gold, gold_key = answer_of(_target(rows[0]), None)
    doc = rows[0].get("doc")
    question = doc.get("question") or doc.get("problem") if isinstance(doc, dict) else None
    for at, text in enumerate(said):
        given = kept[at] if kept and kept[at] != text else None
        printed, key = answer_of(None if given == "[invalid]" else given, None if given == "[invalid]" else text)
        yield {
            "query_id": query,
            "candidate_idx": at,
            "question": question if isinstance(question, str) else None,
            "ground_truth_answer": gold,
            "answer": printed,
            "answer_key": key,
            "candidate_text": text,
            "is_verified": None if gold_key is None else key == gold_key,
        }


def _target(row: Row) -> Any:
    """The gold answer, where the log has one: what follows #### where the target is a worked solution."""
    target = row.get("target")
    return target.rpartition("####")[2] if isinstance(target, str) else target


def _flat(row: Row, key: str) -> list[Any]:
    """A list of lists as one list: requests, and the repeats of each."""
    value = row.need(key)
    if not isinstance(value, list):
        row.bad(f"{key!r} is not a list")
    return [item for part in value for item in (part if isinstance(part, list) else [part])]


def _texts(row: Row, key: str) -> list[str]:
    found = _flat(row, key)
    if not found or not all(isinstance(item, str) for item in found):
        row.bad(f"{key!r} holds no texts", mend="multiple-choice logs have likelihoods, not answers: they are no pool")
    return found
