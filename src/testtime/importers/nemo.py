"""Generations of NeMo-Skills: a folder of `output-rs*.jsonl`, one file a seed, or one such file.

Rows are problems in the same order in every file: `{problem, expected_answer, predicted_answer, generation,
num_generated_tokens}`. A verdict recorded with them is kept (`symbolic_correct`; older: `is_correct`), or what a
judge wrote (`judgement`, which ends in `Judgement: Yes` or `No`); without one an answer is right where its key is the
expected one's. `reward_model_score` becomes the column `rm_score`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from testtime.core.errors import BadInput
from testtime.core.rows import Row
from testtime.core.rows import read as read_rows
from testtime.importers.foreign import VOTE, answer_of, count_of
from testtime.importers.imported import Imported, imported, text

KEYS = frozenset({"expected_answer", "predicted_answer", "generation"})
_SEED = re.compile(r"output-rs(\d+)\.jsonl(\.gz)?")
_JUDGED = re.compile(r"Judgement:\s*(yes|no)", re.IGNORECASE)
_VERDICTS = ("symbolic_correct", "is_correct", "judge_correct")


def knows(path: Path) -> bool:
    """Whether it is a folder with the file of a seed."""
    return path.is_dir() and any(_SEED.fullmatch(file.name) for file in path.iterdir())


def read(path: Path | str) -> Imported:
    """The candidates of all seeds, in their order. Raises BadInput naming file and line."""
    files = _files(Path(path))
    candidates = [one for at, file in enumerate(files) for one in _candidates(file, at)]
    candidates.sort(key=lambda one: (int(one["query_id"]), one["candidate_idx"]))
    return imported(candidates, path, vote=VOTE, method="recorded in the file, or its key equals the expected one's")


def _files(path: Path) -> Sequence[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(
        (int(match[1]), file) for file in path.iterdir() if (match := _SEED.fullmatch(file.name)) is not None
    )
    if not found:
        raise BadInput("no output-rs*.jsonl in this folder", where=str(path), mend="name the folder of the seeds")
    return [file for _, file in found]


def _candidates(file: Path, draw: int) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(read_rows(file)):
        printed, key = answer_of(row.get("predicted_answer") or "", None)
        gold, gold_key = answer_of(row.get("expected_answer"), None)
        yield {
            "query_id": str(number),
            "candidate_idx": draw,
            "question": text(row, "problem"),
            "ground_truth_answer": gold,
            "answer": printed,
            "answer_key": key,
            "candidate_text": text(row, "generation"),
            "is_verified": _verdict(row, key, gold_key),
            "completion_tokens": count_of(row.get("num_generated_tokens")),
            **({} if row.get("reward_model_score") is None else {"rm_score": _score(row.get("reward_model_score"))}),
        }


def _verdict(row: Row, key: str | None, gold: str | None) -> bool | None:
    told = next((row[name] for name in _VERDICTS if isinstance(row.get(name), bool)), None)
    if told is not None:
        return bool(told)
    judged = _JUDGED.findall(str(row.get("judgement") or ""))
    if judged:
        return bool(judged[-1].lower() == "yes")
    return None if gold is None else key == gold


def _score(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float | Decimal) and not isinstance(value, bool) else None
