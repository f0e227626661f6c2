"""Details of lighteval (Parquet): a row a document, with `doc`, `model_response` and `metric`.

The texts of `model_response` are the draws; the gold answer is the choice that `gold_index` names. lighteval keeps no
extracted answer of each sample, so answers are the last numbers of the texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from testtime.core.errors import BadInput
from testtime.importers.foreign import VOTE, answer_of
from testtime.importers.imported import Imported, imported
from testtime.store.frame import columns_of
from testtime.store.parquet import read_frame

_COLUMNS = frozenset({"doc", "model_response"})


def knows(path: Path) -> bool:
    """Whether it is a Parquet file with these columns."""
    if path.suffix != ".parquet" or not path.is_file():
        return False
    try:
        return set(columns_of(path)) >= _COLUMNS
    except BadInput:
        return False


def read(path: Path | str) -> Imported:
    """The candidates of the file; problems are named by document, or by row. Raises BadInput naming the file."""
    path = Path(path)
    table = read_frame(path)
    if missing := [name for name in ("doc", "model_response") if name not in table.columns]:
        raise BadInput(f"no column {missing[0]!r}", where=str(path), mend="details of lighteval 0.9 and later are read")
    rows = list(table.iter_rows(named=True))
    ids = [row["doc"].get("id") if isinstance(row["doc"], Mapping) else None for row in rows]
    numbers = [str(number) for number in range(len(rows))]
    named = [str(one) for one in ids] if None not in ids and len(set(ids)) == len(ids) else numbers
    candidates = [one for query, row in zip(named, rows, strict=True) for one in _candidates(query, row, path)]
    return imported(candidates, path, vote=VOTE, method="its key equals the gold choice's", dataset=_task(rows, path))


def _task(rows: Sequence[Mapping[str, Any]], path: Path) -> str:
    """The task that documents are of, or else the file: `details_lighteval|gsm8k|0_2026-….parquet` is of gsm8k."""
    told = rows[0]["doc"].get("task_name") if rows else None
    parts = (told or path.name.removeprefix("details_")).split("|")
    return str(parts[-2]) if len(parts) > 1 else ""


def _candidates(query: str, row: Mapping[str, Any], path: Path) -> Iterator[dict[str, Any]]:
    doc, response = row["doc"], row["model_response"]
    if not isinstance(doc, Mapping) or not isinstance(response, Mapping) or not response.get("text"):
        raise BadInput(f"row {query} has no texts", where=str(path), mend="only generative tasks have answers to vote")
    gold, gold_key = answer_of(_gold(doc), None)
    tokens = response.get("output_tokens") or []
    for at, said in enumerate(response["text"]):
        printed, key = answer_of(None, said)
        yield {
            "query_id": query,
            "candidate_idx": at,
            "question": doc.get("query") if isinstance(doc.get("query"), str) else None,
            "ground_truth_answer": gold,
            "answer": printed,
            "answer_key": key,
            "candidate_text": said,
            "is_verified": None if gold_key is None else key == gold_key,
            "completion_tokens": len(tokens[at]) if at < len(tokens) and tokens[at] is not None else None,
        }


def _gold(doc: Mapping[str, Any]) -> Any:
    """The last number of the first gold choice, which may be a worked solution."""
    choices, index = doc.get("choices") or [], doc.get("gold_index")
    index = index[0] if isinstance(index, (list, tuple)) and index else index
    if not isinstance(index, int) or not 0 <= index < len(choices):
        return None
    printed, _ = answer_of(None, str(choices[index]))
    return printed if printed is not None else str(choices[index])
