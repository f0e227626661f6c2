r"""AIME: competition problems whose answer is an integer from 0 to 999 (2024, 2025; © MAA, read from a local file).

Rows are `{problem, answer}` (or `{Problem, Answer}`, or `question`), with an `id` or `ID`. One of 2024: "Every morning
Aya goes for a $9$-kilometer-long walk …", answer `204`.

Prompt: reason step by step, answer in a box. Extraction: the number of the last box, else the number the text says
is its answer. Scoring: exact; `025` is 25, and what is no integer from 0 to 999 abstains.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from testtime.answers import extract, numbers
from testtime.core.records import Problem
from testtime.tasks.data import name_of, rows_of, text

PROMPT = """\
{question}

The answer is an integer from 0 to 999. Reason step by step, and put it within \\boxed{{}}."""


@dataclass(frozen=True)
class Aime:
    r"""The task over a local file or a hub dataset.

    >>> walk = Problem("60", "test", "Every morning Aya goes for a $9$-kilometer-long walk …", "204")
    >>> Aime("aime24.jsonl").answer(walk, r"so \boxed{204} minutes"), Aime("aime24.jsonl").answer(walk, r"\boxed{20.4}")
    (('204', '204'), ('20.4', None))
    """

    path: Path | str

    name: ClassVar[str] = "aime"
    prompt: ClassVar[str] = PROMPT
    verifier: ClassVar[str] = "math"

    def problems(self, split: str) -> Iterator[Problem]:
        """In dataset order; `query_id` is the dataset's id, else `split-index-digest`. Raises BadInput."""
        for index, row in enumerate(rows_of(self.path, split)):
            question = text(row, "problem", "Problem", "question").strip()
            reference = str(row["answer"] if "answer" in row else row.need("Answer"))
            if numbers.parse(reference) is None:
                row.bad(f"the answer {reference[:40]!r} is no number")
            query = next((str(row[key]) for key in ("id", "ID", "problem_idx") if row.get(key) is not None), None)
            fields = {"solution_set": "000..999"}
            yield Problem(query or name_of(split, index, question), split, question, reference, fields)

    def answer(self, problem: Problem, text: str) -> tuple[str | None, str | None]:
        """(As printed, the integer); no key abstains."""
        printed, key = extract.number(text)
        return printed, key if key is not None and key.isdecimal() and len(key) <= 3 else None

    def right(self, problem: Problem, key: str | None) -> bool | None:
        """Whether an answer key is the reference."""
        return None if problem.reference is None else numbers.same(key, problem.reference)
