"""MMLU: four options over 57 subjects (Hendrycks et al. 2021, arXiv 2009.03300).

Rows are `{question, choices, answer, subject}`, the answer an index from 0. One of abstract_algebra: "Find the degree
for the given field extension Q(sqrt(2), sqrt(3), sqrt(18)) over Q.", choices 0, 4, 2, 6, answer 1, which is B.

Prompt: the options a line each, reason, answer with the letter. Extraction: the letter of the last mark; an option
given in its own words counts as its letter. Scoring: the letter. Subjects: by default six that stand for the four
areas; `all` takes every one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from testtime.answers import final
from testtime.core.errors import unknown_name
from testtime.core.records import Problem
from testtime.core.settings import setting
from testtime.tasks.aqua import PROMPT
from testtime.tasks.data import LETTERS, lettered, name_of, rows_of, text

SUBJECTS = (
    "abstract_algebra", "anatomy", "econometrics", "high_school_mathematics", "professional_law", "world_religions",
)  # fmt: skip


@dataclass(frozen=True)
class Mmlu:
    r"""The task over a local file or folder, or a hub dataset.

    >>> degree = Problem("test-0-…", "test", "Find the degree …", "B", {"choices": {"A": "0", "B": "4"}})
    >>> Mmlu("mmlu_test.jsonl.gz").answer(degree, "It is 2 · 2.\nFinal Answer: B")
    ('B', 'B')
    """

    path: Path | str
    subjects: tuple[str, ...] = setting("subjects of MMLU; all takes every one", SUBJECTS)

    name: ClassVar[str] = "mmlu"
    prompt: ClassVar[str] = PROMPT
    verifier: ClassVar[str] = "choice"

    def problems(self, split: str) -> Iterator[Problem]:
        """Those of the chosen subjects in dataset order; `query_id` is `split-index-digest`. Raises BadInput."""
        met: set[str] = set()
        for index, row in enumerate(rows_of(self.path, split, "all")):
            subject = text(row, "subject")
            met.add(subject)
            if subject not in self.subjects and "all" not in self.subjects:
                continue
            question, choices = lettered(text(row, "question").strip(), [str(one) for one in row.need("choices")])
            at = row.need("answer")
            if not isinstance(at, int) or not 0 <= at < len(choices):
                row.bad(f"the answer {str(at)[:20]!r} is no index of the choices")
            fields = {"choices": choices, "category": subject}
            yield Problem(name_of(split, index, question), split, question, LETTERS[at], fields)
        if absent := sorted(set(self.subjects) - met - {"all"}):
            raise unknown_name("subject", absent[0], met, where=str(self.path))

    def answer(self, problem: Problem, text: str) -> tuple[str | None, str | None]:
        """(As printed, the letter); no key abstains."""
        return final.letter(text, problem.fields["choices"])

    def right(self, problem: Problem, key: str | None) -> bool | None:
        """Whether the letter is the reference."""
        return None if problem.reference is None else key == problem.reference
