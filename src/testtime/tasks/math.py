r"""MATH: competition mathematics with free-form answers (Hendrycks et al. 2021, arXiv 2103.03874), and MATH-500.

Rows are `{problem, solution}` with the answer in the solution's last box, `{problem, answer}` (MATH-500), or those of
Meta's `*-evals` files (`input_question`, `input_correct_responses`). One of MATH-500: "Convert the point $(0,3)$ in
rectangular coordinates to polar coordinates. …", answer `\left( 3, \frac{\pi}{2} \right)`.

Prompt: reason step by step, answer in a box. Extraction: the last box (boxes side by side together), else what the
text says its answer is. Scoring: one key (`answers.expression`) is right; else math-verify decides, in a process of
its own (verifiers.math).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from testtime.answers import expression, extract, final
from testtime.core.records import Problem
from testtime.core.rows import Row
from testtime.tasks.data import name_of, rows_of, text

PROMPT = "{question}\n\nReason step by step, and put your final answer within \\boxed{{}}."


@dataclass(frozen=True)
class Math:
    r"""The task over a local file, a folder with one file a split, or a hub dataset of these rows.

    >>> polar = Problem("test/precalculus/807.json", "test", "Convert …", r"\left( 3, \frac{\pi}{2} \right)")
    >>> Math("math500.jsonl").answer(polar, r"The answer is $\boxed{(3, \pi/2)}$.")
    ('(3, \\pi/2)', '(3,0.5*pi)')
    >>> Math("math500.jsonl").right(polar, "(3,0.5*pi)")
    True
    """

    path: Path | str

    name: ClassVar[str] = "math"
    prompt: ClassVar[str] = PROMPT
    verifier: ClassVar[str] = "math"

    def problems(self, split: str) -> Iterator[Problem]:
        """In dataset order; `query_id` is the dataset's `unique_id`, else `split-index-digest`. Raises BadInput."""
        for index, row in enumerate(rows_of(self.path, split)):
            question = text(row, "problem", "question", "input_question").strip()
            fields = {"category": row.get("subject") or row.get("type"), "level": row.get("level")}
            query = row.get("unique_id") or name_of(split, index, question)
            known = {key: value for key, value in fields.items() if value is not None}
            yield Problem(str(query), split, question, _reference(row), known)

    def answer(self, problem: Problem, text: str) -> tuple[str | None, str | None]:
        """(As printed, key); no key abstains."""
        return final.mathematics(text)

    def right(self, problem: Problem, key: str | None) -> bool | None:
        """Whether an answer key is the reference's; that two keys differ does not yet make the answers unequal."""
        return None if problem.reference is None else key is not None and key == expression.key(problem.reference)


def _reference(row: Row) -> str | None:
    """The answer, or what the solution's last box holds; null where the row has neither."""
    responses: Any = row.get("input_correct_responses")
    if isinstance(responses, list) and responses:
        return str(responses[0])
    if row.get("answer") is not None:
        return str(row["answer"])
    solution = row.get("solution")
    box = extract.last_box(str(solution)) if solution is not None else None
    if solution is not None and box is None:
        row.bad("the solution has no \\boxed{…}", mend="MATH solutions box their answer; or give 'answer'")
    return box.text if box else None
