"""GSM8K: grade-school word problems whose answer is one number (Cobbe et al. 2021, arXiv 2110.14168).

Rows are `{question, answer}`, where the answer is a worked solution that ends in `#### 18`. The data
is read from a local file and not bundled; github.com/openai/grade-school-math has both splits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from testtime.answers import extract, numbers
from testtime.core.records import Problem
from testtime.core.rows import Row
from testtime.tasks.data import name_of, rows_of, text

PROMPT = """\
Solve this problem. Work through it step by step, checking each calculation as you go.

{question}

When you are done, write one last line with the result alone, as a plain number:
Final Answer: <number>"""


@dataclass(frozen=True)
class Gsm8k:
    r"""The task over a local file, or over a folder that holds one file a split (`test.jsonl`, `train.jsonl.gz`).

    >>> task = Gsm8k("data/gsm8k")
    >>> ducks = Problem("test-0-93c9…", "test", "Janet's ducks lay 16 eggs per day. …", reference="18")
    >>> task.answer(ducks, "She sells 9 eggs at $2 each.\nFinal Answer: $18 per day.")
    ('18', '18')
    >>> task.right(ducks, "18"), task.right(ducks, None)
    (True, False)
    """

    path: Path | str

    name: ClassVar[str] = "gsm8k"
    prompt: ClassVar[str] = PROMPT
    verifier: ClassVar[str] = "math"

    def problems(self, split: str) -> Iterator[Problem]:
        """The problems of a split in dataset order. A path to a file is the split that is asked for.

        `query_id` is `split-index-digest`: the index in the file and the SHA-1 of the question, so that it is
        unique, and the same whichever other problems are taken. Raises BadInput naming file and line.
        """
        for index, row in enumerate(rows_of(self.path, split, "main")):
            question = text(row, "question").strip()
            yield Problem(name_of(split, index, question), split, question, _reference(row))

    def answer(self, problem: Problem, text: str) -> tuple[str | None, str | None]:
        """(The number as printed, its key), by the precedence of `answers.extract`; no key abstains."""
        return extract.number(text)

    def right(self, problem: Problem, key: str | None) -> bool | None:
        """Whether an answer key is the reference; an abstention is wrong, and without a reference nobody knows."""
        return None if problem.reference is None else numbers.same(key, problem.reference)


def _reference(row: Row) -> str | None:
    """What follows the last `####`, or the whole answer where it is a bare number; null is unknown."""
    if row.get("answer", "") is None:
        return None
    reference = text(row, "answer").rpartition("####")[2].strip()
    if numbers.parse(reference) is None:
        row.bad("the answer does not end in '#### <number>'", mend="GSM8K rows end their worked solution so")
    return reference
