"""AQuA-RAT: algebraic word problems with five options (Ling et al. 2017, arXiv 1705.04146).

Rows are `{question, options, correct}`. One: "A car is being driven, in a straight line and at a uniform speed, …",
options `A)5(√3 + 1)` to `E)None of these`, correct `A`.

Prompt: the options a line each, reason, answer with the letter. Extraction: the letter of the last mark; an option
given in its own words counts as its letter. Scoring: the letter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from testtime.answers import final
from testtime.core.records import Problem
from testtime.tasks.data import lettered, name_of, rows_of, text

PROMPT = "{question}\n\nReason step by step, then write one last line with the letter alone:\nFinal Answer: <letter>"


@dataclass(frozen=True)
class Aqua:
    """The task over a local file or a hub dataset.

    >>> car = Problem("test-0-…", "test", "A car …", "A", {"choices": {"A": "5(√3 + 1)", "B": "6(√3 + √2)"}})
    >>> Aqua("aqua.jsonl").answer(car, "Final Answer: A) 5(√3 + 1)")
    ('A) 5(√3 + 1)', 'A')
    """

    path: Path | str

    name: ClassVar[str] = "aqua"
    prompt: ClassVar[str] = PROMPT
    verifier: ClassVar[str] = "choice"

    def problems(self, split: str) -> Iterator[Problem]:
        """In dataset order; `query_id` is `split-index-digest`. Raises BadInput."""
        for index, row in enumerate(rows_of(self.path, split, "raw")):
            options = [str(option).partition(")")[2].strip() for option in row.need("options")]
            question, choices = lettered(text(row, "question").strip(), options)
            letter = text(row, "correct").strip()
            if letter not in choices:
                row.bad(f"'correct' is {letter[:20]!r}, which is none of the options")
            yield Problem(name_of(split, index, question), split, question, letter, {"choices": choices})

    def answer(self, problem: Problem, text: str) -> tuple[str | None, str | None]:
        """(As printed, the letter); no key abstains."""
        return final.letter(text, problem.fields["choices"])

    def right(self, problem: Problem, key: str | None) -> bool | None:
        """Whether the letter is the reference."""
        return None if problem.reference is None else key == problem.reference
