"""GPQA: graduate-level science questions with four options (Rein et al. 2023, arXiv 2311.12022; access is gated).

Rows are those of the published CSV: `Question`, `Correct Answer`, `Incorrect Answer 1` to `3`, `Record ID` and
`High-level domain`. The authors ask that no question be shown in plain text online, so the row here is made up:
Question "Which particle carries the strong force?", correct "the gluon", incorrect "the photon", "the W boson",
"the graviton".

Prompt: the options a line each, reason, answer with the letter. Extraction: the letter of the last mark, or an
option in its own words. Scoring: the letter. The order of the options depends on (seed, record id) alone: it is the
same whichever other questions are taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from testtime.answers import final
from testtime.core.records import Problem
from testtime.core.settings import setting
from testtime.tasks.aqua import PROMPT
from testtime.tasks.data import LETTERS, lettered, name_of, rows_of, shuffled, text

COLUMNS = ("Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")


@dataclass(frozen=True)
class Gpqa:
    r"""The task over a local file or a hub dataset.

    >>> gluon = Problem("rec1", "test", "Which particle …", "C", {"choices": {"B": "the photon", "C": "the gluon"}})
    >>> Gpqa("gpqa_diamond.csv").answer(gluon, "It is (C).\nFinal Answer: C")
    ('C', 'C')
    """

    path: Path | str
    options_seed: int = setting("seed of the order in which options are shown", 0)

    name: ClassVar[str] = "gpqa"
    prompt: ClassVar[str] = PROMPT
    verifier: ClassVar[str] = "choice"

    def problems(self, split: str) -> Iterator[Problem]:
        """In dataset order; `query_id` is the record's id, else `split-index-digest`. Raises BadInput."""
        for index, row in enumerate(rows_of(self.path, split, "gpqa_diamond")):
            asked = text(row, "Question").strip()
            query = str(row.get("Record ID") or name_of(split, index, asked))
            options = [text(row, column).strip() for column in COLUMNS]
            order = shuffled(options, self.options_seed, query)
            question, choices = lettered(asked, [options[at] for at in order])
            fields = {"choices": choices, "category": row.get("High-level domain")}
            yield Problem(query, split, question, LETTERS[order.index(0)], fields)

    def answer(self, problem: Problem, text: str) -> tuple[str | None, str | None]:
        """(As printed, the letter); no key abstains."""
        return final.letter(text, problem.fields["choices"])

    def right(self, problem: Problem, key: str | None) -> bool | None:
        """Whether the letter is the reference."""
        return None if problem.reference is None else key == problem.reference
