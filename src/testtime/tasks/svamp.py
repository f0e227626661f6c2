"""SVAMP: arithmetic word problems of varied structure, answered by one number (Patel et al. 2021, arXiv 2103.07191).

Rows are `{Body, Question, Answer, ID}`. One: Body "There are 87 oranges and 290 bananas in Philip's collection. If the
bananas are organized into 2 groups and oranges are organized into 93 groups", Question "How big is each group of
bananas?", Answer 145.0, ID `chal-777`.

Prompt, extraction and scoring are GSM8K's: work step by step, end with `Final Answer: <number>`; exact numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from testtime.answers import extract, numbers
from testtime.core.records import Problem
from testtime.tasks.data import name_of, rows_of, text
from testtime.tasks.gsm8k import PROMPT


@dataclass(frozen=True)
class Svamp:
    r"""The task over a local file or a hub dataset.

    >>> bananas = Problem("chal-777", "test", "There are 87 oranges …", "145.0")
    >>> Svamp("svamp.jsonl").answer(bananas, "290 / 2 = 145\nFinal Answer: 145")
    ('145', '145')
    >>> Svamp("svamp.jsonl").right(bananas, "145")
    True
    """

    path: Path | str

    name: ClassVar[str] = "svamp"
    prompt: ClassVar[str] = PROMPT
    verifier: ClassVar[str] = "math"

    def problems(self, split: str) -> Iterator[Problem]:
        """In dataset order; `query_id` is the dataset's ID. Raises BadInput."""
        for index, row in enumerate(rows_of(self.path, split)):
            body, asked = text(row, "Body").strip(), text(row, "Question").strip()
            question = f"{body if body.endswith(('.', '?', '!', ',')) else body + '.'} {asked}"
            reference = str(row.need("Answer"))
            if numbers.parse(reference) is None:
                row.bad(f"the answer {reference[:40]!r} is no number")
            query = str(row.get("ID") or name_of(split, index, question))
            yield Problem(query, split, question, reference, {"category": row.get("Type")})

    def answer(self, problem: Problem, text: str) -> tuple[str | None, str | None]:
        """(The number as printed, its key)."""
        return extract.number(text)

    def right(self, problem: Problem, key: str | None) -> bool | None:
        """Whether an answer key is the reference."""
        return None if problem.reference is None else numbers.same(key, problem.reference)
