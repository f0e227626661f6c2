"""Anyone's outputs for a benchmark: rows `{query_id, texts[]}`, one a problem, in sampling order.

`query_id` is as the dataset names its rows (`HumanEval/0`); where its rows have no names, a row's place from 0 does
too. The answers are what the benchmark's own extraction finds in the texts; they are not judged yet: `testtime verify`
does that. A null text is a draw that gave nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from testtime.core.errors import BadInput
from testtime.core.protocols import Task
from testtime.core.records import Problem
from testtime.core.rows import Row
from testtime.core.rows import read as read_rows
from testtime.importers.imported import Ids, Imported, imported, items

VOTE = "the benchmark's answer key"


def read(path: Path | str, task: Task, splits: Sequence[str], dataset: str, dataset_path: Path | None) -> Imported:
    """The candidates of the file. Raises BadInput naming file and line: an id the dataset does not have, no texts."""
    problems = [one for split in splits for one in task.problems(split)]
    places = {str(at): one for at, one in enumerate(problems)} if len(splits) == 1 else {}
    known = {one.query_id: one for one in problems}
    known |= {} if known.keys() & places.keys() else places
    ids = Ids()
    candidates = [
        candidate
        for row in read_rows(path)
        for candidate in _candidates(row, _problem(row, ids.take(row, "query_id"), known), task)
    ]
    made = imported(candidates, path, vote=VOTE, method="not judged yet", dataset=dataset)
    config = {**made.meta["config"], "dataset_path": str(dataset_path) if dataset_path else None}
    return replace(made, meta={**made.meta, "config": config, "splits": list(splits)})


def _problem(row: Row, query: str, known: Mapping[str, Problem]) -> Problem:
    if query not in known:
        have = ", ".join(list(known)[:3])
        raise BadInput(f"the dataset has no problem {query[:60]!r}", where=row.where, mend=f"its ids are like: {have}")
    return known[query]


def _candidates(row: Row, problem: Problem, task: Task) -> Iterator[dict[str, Any]]:
    for at, text in enumerate(items(row, "texts")):
        if text is not None and not isinstance(text, str):
            row.bad(f"texts[{at}] is not a text")
        printed, key = task.answer(problem, text) if text is not None else (None, None)
        yield {
            "query_id": problem.query_id,
            "candidate_idx": at,
            "split": problem.split,
            "question": problem.question,
            "ground_truth_answer": problem.reference,
            "answer": printed,
            "answer_key": key,
            "candidate_text": text if text is not None else "",
            "is_verified": None,
        }
