"""Eight answers to each of 100 MATH problems with a reward model's scores, as Qwen2.5-Math's evaluation records them.

Rows are `{idx, gt, pred[], score[], pred_score[]}`: `score` says whether a prediction is right by that
evaluation's own comparison, `pred_score` is the reward model's number, kept as the column `rm_score`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from testtime.core.rows import Row
from testtime.core.rows import read as read_rows
from testtime.importers.imported import Ids, Imported, imported, items, real, text, texts

KEYS = frozenset({"idx", "pred", "score", "pred_score"})
VOTE = "the prediction as the file gives it, without surrounding space"


def read(path: Path | str) -> Imported:
    """The candidates of the file. Raises BadInput naming file and line."""
    ids = Ids()
    candidates = [candidate for row in read_rows(path) for candidate in _candidates(row, ids.take(row, "idx"))]
    return imported(candidates, path, vote=VOTE, method="recorded in the file", dataset="math")


def _candidates(row: Row, query: str) -> Iterator[dict[str, Any]]:
    predictions = texts(row, "pred")
    draws = len(predictions)
    said = texts(row, "code", draws) if "code" in row else [None] * draws
    verdicts, scores = items(row, "score", draws), items(row, "pred_score", draws)
    for at, (prediction, right) in enumerate(zip(predictions, verdicts, strict=True)):
        if not isinstance(right, bool):
            row.bad(f"score[{at}] is neither true nor false")
        yield {
            "query_id": query,
            "candidate_idx": at,
            "question": text(row, "question"),
            "ground_truth_answer": text(row, "gt"),
            "answer": prediction,
            "answer_key": prediction.strip() or None,
            "candidate_text": said[at],
            "is_verified": right,
            "rm_score": _score(row, scores[at], at),
        }


def _score(row: Row, value: Any, at: int) -> float | None:
    """The reward model's one number, which the file wraps in a list."""
    if isinstance(value, list):
        if len(value) != 1:
            row.bad(f"pred_score[{at}] holds {len(value)} numbers", mend="one number a prediction is read")
        value = value[0]
    return real(row, value, f"pred_score[{at}]")
