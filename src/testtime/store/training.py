"""A pool as training data: verified answers, pairs of a right and a wrong one, or every judged answer with its label.

One JSON object a line. Texts that are equal within a problem count once. A row says whether its verdict rests on a gold
answer or tests: else its label is only a judge's word, as for chat, talks with tools, and code without tests.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from testtime.core.errors import BadInput
from testtime.store.atomic import whole
from testtime.store.parquet import read_meta, readable

Form = Literal["sft", "preference", "rm"]
COLUMNS = (
    "arm", "query_id", "candidate_idx", "split", "question", "ground_truth_answer", "input_messages", "candidate_text",
    "is_verified", "verification_confidence", "is_retry",
)  # fmt: skip
ALONE = ("judge appropriateness", "judge quality", "no_tests")
"""How methods of verdicts begin that look at no gold answer."""
BATCH = 50_000
"""Rows read at once."""


def export(file: Path, form: Form, out: Path, most: int | None = None) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """Writes a candidates.parquet as training data; gives the rows written, by split, and those without ground truth.

    - `sft`: {query_id, split, ground_truth, messages}: the prompt and a verified answer.
    - `preference`: {…, prompt, chosen, rejected}: the i-th right answer beside the i-th wrong one, as messages.
    - `rm`: {…, prompt, completion, label, score}: every judged answer, and the confidence of its verdict.

    At most `most` rows a problem, the first in order. Raises BadInput: no such pool, a column is missing.
    """
    read_meta(file)
    written: dict[str, int] = {}
    unsure: dict[str, int] = {}
    with whole(out) as part, part.open("w", encoding="utf-8", newline="\n") as lines:
        for rows in _problems(file):
            made = list(FORMS[form](_distinct(rows)))[:most]
            for one in made:
                lines.write(json.dumps(one, ensure_ascii=False) + "\n")
            split = str(rows[0]["split"] or "")
            written[split] = written.get(split, 0) + len(made)
            unsure[split] = unsure.get(split, 0) + sum(not one["ground_truth"] for one in made)
    return written, {split: count for split, count in unsure.items() if count}


def _problems(file: Path) -> Iterator[list[dict[str, Any]]]:
    """The judged rows of each problem under each arm, read in batches: the file is sorted by them."""
    held: list[dict[str, Any]] = []
    for row in _rows(file):
        if held and (row["arm"], row["query_id"]) != (held[0]["arm"], held[0]["query_id"]):
            yield held
            held = []
        if row["is_verified"] is not None and not row["is_retry"]:
            held.append(row)
    if held:
        yield held


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    with readable(file), pq.ParquetFile(file, page_checksum_verification=True) as parquet:
        there = parquet.schema_arrow.names
        if missing := [name for name in COLUMNS if name not in there]:
            raise BadInput(f"no column {missing[0]!r}", where=str(file), mend="export a pool that a run made")
        wanted = [name for name in (*COLUMNS, "verification_method") if name in there]
        for batch in parquet.iter_batches(BATCH, columns=wanted):
            frame = pl.DataFrame(pa.Table.from_batches([batch]))
            yield from frame.iter_rows(named=True)


def _distinct(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each text once, and none that is empty."""
    first: dict[str, dict[str, Any]] = {}
    for row in rows:
        if (row["candidate_text"] or "").strip():
            first.setdefault(row["candidate_text"].strip(), row)
    return list(first.values())


def _sft(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for row in rows:
        if row["is_verified"]:
            yield {**_named(row), "messages": [*_prompt(row), *_said(row)]}


def _preference(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    right = [row for row in rows if row["is_verified"]]
    wrong = [row for row in rows if not row["is_verified"]]
    for chosen, rejected in zip(right, wrong, strict=False):
        yield {**_named(chosen), "prompt": _prompt(chosen), "chosen": _said(chosen), "rejected": _said(rejected)}


def _rm(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for row in rows:
        judged = {"label": row["is_verified"], "score": row["verification_confidence"]}
        yield {**_named(row), "prompt": _prompt(row), "completion": _said(row), **judged}


FORMS = {"sft": _sft, "preference": _preference, "rm": _rm}


def _named(row: Mapping[str, Any]) -> dict[str, Any]:
    has_gold = row["ground_truth_answer"] is not None
    has_gold &= not str(row.get("verification_method") or "").startswith(ALONE)
    return {"query_id": row["query_id"], "split": row["split"], "ground_truth": has_gold}


def _prompt(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The messages that were sent; the question, where the file does not say."""
    sent: list[dict[str, Any]] = json.loads(row["input_messages"]) if row["input_messages"] else []
    return sent or [{"role": "user", "content": row["question"] or ""}]


def _said(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "assistant", "content": row["candidate_text"]}]
