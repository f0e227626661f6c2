"""Best-of-N files of others (Parquet): a row a candidate, with `query_id`, `candidate_idx` and a verdict.

So the documents describe them, under either name (`is_verified`, `verification_is_verified`), and so a pool of ours
looks once pandas has written it anew, its metadata lost. The answer is the column `answer`, else the final message of
`output_messages`; answers are one vote where their keys are equal: `answer_key`, else a number's value, else the text.
Marked retries are no candidates.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from math import inf
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from testtime.core.errors import BadInput
from testtime.importers.foreign import answer_of, count_of
from testtime.importers.imported import ARM, Imported, imported
from testtime.store.frame import columns_of
from testtime.store.parquet import read_frame, readable

VOTE = "the file's answer key, without it a number by its value, or the answer's text"
NEEDED = ("query_id", "candidate_idx")
VERDICTS = ("is_verified", "verification_is_verified")
"""Names of the verdict; the first that is there."""
TEXTS = ("split", "question", "ground_truth_answer", "candidate_text")
NUMBERS = ("prompt_tokens", "latency_s", "cost_usd")
OTHERS = (
    "arm", "is_retry", "verification_is_retry", "answer", "answer_key", "output_messages", "completion_tokens", "model",
)  # fmt: skip


def knows(path: Path) -> bool:
    """Whether it is a Parquet file with these columns that says of itself nothing that we wrote."""
    if path.suffix != ".parquet" or not path.is_file():
        return False
    try:
        there = set(columns_of(path))
        with readable(path):
            said = pq.read_schema(path).metadata or {}
    except BadInput:
        return False
    return b"format" not in said and there >= set(NEEDED) and not there.isdisjoint(VERDICTS)


def read(path: Path | str) -> Imported:
    """The candidates of the file. Raises BadInput naming the file."""
    path = Path(path)
    there = columns_of(path)
    if missing := [name for name in NEEDED if name not in there]:
        raise BadInput(f"no column {missing[0]!r}", where=str(path), mend=f"it needs {', '.join(NEEDED)}")
    wanted = [name for name in (*NEEDED, *VERDICTS, *TEXTS, *NUMBERS, *OTHERS) if name in there]
    rows = list(read_frame(path, wanted).iter_rows(named=True))
    draws = [row for row in rows if not (row.get("is_retry") or row.get("verification_is_retry"))]
    left = len(rows) - len(draws)
    models = {row["model"] for row in draws if row.get("model")}
    return imported(
        _candidates(draws, path),
        path,
        vote=VOTE,
        method="as the file says",
        run=path.stem,
        model=models.pop() if len(models) == 1 else None,
        caveats=[f"{left:,} marked retries are left out"] if left else [],
    )


def _candidates(rows: list[dict[str, Any]], path: Path) -> Iterator[dict[str, Any]]:
    for at, row in enumerate(rows):
        if row["query_id"] is None or count_of(row["candidate_idx"]) is None:
            raise BadInput(f"row {at} lacks its query_id or candidate_idx", where=str(path), mend="leave it out")
        answer = row["answer"] if "answer" in row else _final(row.get("output_messages"))
        printed, key = answer_of(answer, None) if answer is not None else (None, None)
        yield {
            "arm": row.get("arm") or ARM,
            "query_id": str(row["query_id"]),
            "candidate_idx": row["candidate_idx"],
            **{name: None if row.get(name) is None else str(row[name]) for name in TEXTS},
            "answer": printed,
            "answer_key": row.get("answer_key", key),
            "is_verified": _verdict(next(row[name] for name in VERDICTS if name in row)),
            "completion_tokens": count_of(row.get("completion_tokens")),
            **{name: _spent(row[name]) for name in NUMBERS if name in row},
        }


def _verdict(value: Any) -> bool | None:
    """A verdict, also where nulls made floats of a column; None for what is none."""
    return bool(value) if value in (0, 1) else None


def _spent(value: Any) -> float | None:
    """A number of a spend; None for what is none, endless, or less than nothing."""
    return value if isinstance(value, (int, float)) and 0 <= value < inf else None


def _final(messages: Any) -> str | None:
    """The content of the last message of the channel `final`."""
    try:
        said = json.loads(messages) if isinstance(messages, str) else messages
    except ValueError:
        return None
    several = said if isinstance(said, list) else []
    final = [one for one in several if isinstance(one, Mapping) and one.get("channel") == "final"]
    return str(final[-1].get("content") or "") if final else None
