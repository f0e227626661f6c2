"""Forty answers to each of 500 last-letter concatenations, as the ESC experiments record them.

Rows are `{question, answer, generated_answer[]}` with whole texts (Li et al. 2024, arXiv 2401.10480).
The letters after the last "answer is" vote, and are compared with the letters of `answer`; a text
that never says "answer is" abstains.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from testtime.core.rows import Row
from testtime.core.rows import read as read_rows
from testtime.importers.imported import Imported, imported, text, texts

KEYS = frozenset({"question", "answer", "generated_answer"})
VOTE = 'the letters after the last "answer is", in lower case'

_MARK = "answer is"


def read(path: Path | str) -> Imported:
    """The candidates of the file; problems are named by their row's number. Raises BadInput naming file and line."""
    rows = enumerate(read_rows(path))
    candidates = [candidate for number, row in rows for candidate in _candidates(row, str(number))]
    return imported(candidates, path, vote=VOTE, method="its letters equal the gold answer's", dataset="last_letters")


def _candidates(row: Row, query: str) -> Iterator[dict[str, Any]]:
    gold = text(row, "answer")
    for at, said in enumerate(texts(row, "generated_answer")):
        _, mark, after = said.lower().rpartition(_MARK)
        key = letters(after) if mark else ""
        yield {
            "query_id": query,
            "candidate_idx": at,
            "question": text(row, "question"),
            "ground_truth_answer": gold,
            "answer": after.strip() if mark else None,
            "answer_key": key or None,
            "candidate_text": said,
            "is_verified": None if gold is None else key == letters(gold),
        }


def letters(said: str) -> str:
    """The letters of a text, in lower case.

    >>> letters(" 'Y-A-J-O'.")
    'yajo'
    """
    return "".join(sign for sign in said.lower() if sign.isalpha())
