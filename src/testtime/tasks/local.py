"""Local: any JSON Lines, CSV or Parquet file of questions, its columns named by settings.

A row needs a question; one made up, of a CSV `id,question,answer`: `7,What is 2 + 3?,5`, with `answers` number.

Prompt: the question, with its options a line each where `choices_column` is given, and how to end. Extraction and
scoring follow `answers`: `number` (exact, as GSM8K), `expression` (as MATH), `choice` (a letter, or an option in its
words), `code` (the tests of `tests_column`: a list of asserts, or of {input, output}; a vote may run those of
`public_column`, which are tests that the question shows), `text` (judged).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from testtime.answers import expression, extract, final, numbers
from testtime.core.errors import BadInput
from testtime.core.records import Problem
from testtime.core.rows import Row
from testtime.core.settings import check, setting
from testtime.tasks.data import lettered, name_of, rows_of

KINDS = {"number": "math", "expression": "math", "choice": "choice", "code": "code", "text": "judge"}
"""Kind → the stage that judges it."""
ENDS = {
    "number": "Work step by step, then write one last line with the result alone:\nFinal Answer: <number>",
    "expression": "Reason step by step, and put your final answer within \\boxed{}.",
    "choice": "Reason step by step, then write one last line with the letter alone:\nFinal Answer: <letter>",
    "code": "Give the whole program, with the imports it needs, in one ```python block.",
    "text": "",
}


@dataclass(frozen=True)
class Local:
    """The task over one file, or a folder with one file a split.

    >>> Local("quiz.csv").answer(Problem("7", "test", "What is 2 + 3?", "5"), "Final Answer: 5")
    ('5', '5')
    """

    path: Path | str
    answers: Literal["number", "expression", "choice", "code", "text"] = setting("what an answer is", "number")
    question_column: str = setting("column of the question", "question")
    answer_column: str = setting("column of the reference", "answer")
    id_column: str = setting("column of the problem's id", "id")
    choices_column: str = setting("column of the options, a list or joined by |", "choices")
    tests_column: str = setting("column of the tests, a list", "tests")
    public_column: str = setting("column of the tests that the question shows, if any, a list", "public_tests")

    name: ClassVar[str] = "local"
    prompt: ClassVar[str] = "{question}"
    verifier: ClassVar[str] = "each"

    def __post_init__(self) -> None:
        check(self)

    def problems(self, split: str) -> Iterator[Problem]:
        """In file order; `query_id` is the row's id, else `split-index-digest`. Raises BadInput."""
        seen: set[str] = set()
        for index, row in enumerate(rows_of(self.path, split)):
            question = str(row.need(self.question_column)).strip()
            if not question:
                row.bad(f"{self.question_column!r} is blank")
            named = row.get(self.id_column)
            query = name_of(split, index, question) if named is None or str(named) == "" else str(named)
            if query in seen:
                raise BadInput(f"{self.id_column} {query[:60]!r} occurs twice", where=row.where, mend="make ids unique")
            seen.add(query)
            yield self._problem(row, query, split, question)

    def answer(self, problem: Problem, text: str) -> tuple[str | None, str | None]:
        """(As printed, key), by the kind."""
        if self.answers == "number":
            return extract.number(text)
        if self.answers == "expression":
            return final.mathematics(text)
        if self.answers == "choice":
            return final.letter(text, problem.fields["choices"])
        said = final.program(text) if self.answers == "code" else extract.unthink(text).strip()
        return said or None, None

    def right(self, problem: Problem, key: str | None) -> bool | None:
        """Whether an answer key is the reference, by the kind; nobody knows without a reference."""
        if problem.reference is None or self.answers in ("code", "text"):
            return None
        if self.answers == "number":
            return numbers.same(key, problem.reference)
        gold = expression.key(problem.reference) if self.answers == "expression" else problem.reference
        return key is not None and key == gold

    def programs(self, splits: Sequence[str]) -> bool:
        """Whether answers are programs."""
        return self.answers == "code"

    def _problem(self, row: Row, query: str, split: str, question: str) -> Problem:
        gold = row.get(self.answer_column)
        reference = None if gold is None or str(gold).strip() == "" else str(gold).strip()
        fields: dict[str, Any] = {"verifier": KINDS[self.answers]}
        if self.answers == "choice":
            question, fields["choices"] = lettered(question, [str(one) for one in _list(row, self.choices_column)])
            reference = _letter(row, reference, fields["choices"])
        if self.answers == "code":
            tests = _list(row, self.tests_column)
            named = "cases" if tests and isinstance(tests[0], dict) else "asserts"
            fields |= {"language": "python", "entry_point": None, named: tests}
            fields["public"] = [] if row.get(self.public_column) is None else _list(row, self.public_column)
        return Problem(query, split, f"{question}\n\n{ENDS[self.answers]}".strip(), reference, fields)


def _list(row: Row, column: str) -> list[Any]:
    """A list of the row; in a table, as JSON or joined by `|`. Raises BadInput."""
    value = row.need(column)
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            row.bad(f"{column!r} is not a JSON list")
    if isinstance(value, str):
        value = [part.strip() for part in value.split("|")]
    if not isinstance(value, list) or not value:
        row.bad(f"{column!r} is not a list", mend='write ["…", "…"], or the options joined by |')
    return value


def _letter(row: Row, reference: str | None, choices: dict[str, str]) -> str | None:
    """The letter of a reference that is a letter, an option in its words, or a place from 0."""
    if reference is None or reference in choices:
        return reference
    worded = [letter for letter, option in choices.items() if option.strip() == reference]
    if len(worded) == 1:
        return worded[0]
    if reference.isdecimal() and int(reference) < len(choices):
        return list(choices)[int(reference)]
    row.bad(f"the answer {reference[:40]!r} is none of the choices")
