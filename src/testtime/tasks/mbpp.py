"""MBPP: short Python functions from a sentence, judged by asserts (Austin et al. 2021, arXiv 2108.07732).

Rows of both published forms: the whole one `{text, code, task_id, test_setup_code, test_list}` and the sanitized one
`{prompt, code, task_id, test_imports, test_list}`. One of the whole: task_id 1, text "Write a function to find the
minimum cost path to reach (m, n) from (0, 0) for the given cost matrix cost[][] and a position (m, n) in cost[][].",
first test `assert min_cost([[1, 2, 3], [4, 8, 2], [1, 5, 3]], 2, 2) == 8`.

Prompt: the sentence and the first `shown` tests, as published (3). Extraction: the last fenced block, that defines the
function where one does. Scoring: all asserts hold, in a sandbox (verifiers.code). The tests shown are
`fields["public"]`, which a vote may run. Splits are the paper's: task_id 11–510 are test, 1–10 prompt,
511–600 validation, 601–974 train; `all` is every one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from testtime.answers import final
from testtime.core.errors import unknown_name
from testtime.core.records import Problem
from testtime.core.rows import Row
from testtime.core.settings import check, setting
from testtime.tasks.data import rows_of, text

PROMPT = """\
{question}

Give the whole program, with the imports it needs, in one ```python block."""
SPLITS = {"prompt": (1, 10), "test": (11, 510), "validation": (511, 600), "train": (601, 974), "all": (0, 10**9)}
_CALLED = re.compile(r"\b([A-Za-z_]\w*)\s*\(")
_DEFINED = re.compile(r"^(?:async\s+)?(?:def|class)\s+([A-Za-z_]\w*)", re.MULTILINE)


@dataclass(frozen=True)
class Mbpp:
    r"""The task over a local file or a hub dataset.

    >>> twice = Problem("1", "all", "Write …", fields={"entry_point": "f"})
    >>> Mbpp("mbpp.jsonl").answer(twice, "```python\ndef f(x):\n    return 2 * x\n```")
    ('def f(x):\n    return 2 * x\n', None)
    """

    path: Path | str
    shown: int = setting("tests that the prompt shows", 3, least=0)

    name: ClassVar[str] = "mbpp"
    prompt: ClassVar[str] = PROMPT
    verifier: ClassVar[str] = "code"

    def __post_init__(self) -> None:
        check(self)

    def problems(self, split: str) -> Iterator[Problem]:
        """In dataset order; `query_id` is the dataset's `task_id`, the reference its solution. Raises BadInput."""
        if split not in SPLITS:
            raise unknown_name("split of mbpp", split, SPLITS)
        least, most = SPLITS[split]
        for row in rows_of(self.path, split):
            number = row.need("task_id")
            if not isinstance(number, int):
                row.bad("'task_id' is not a number")
            if least <= number <= most:
                yield self._problem(row, str(number), split)

    def answer(self, problem: Problem, text: str) -> tuple[str | None, str | None]:
        """(The program, no key): what it does is known only when it runs."""
        return final.program(text, problem.fields["entry_point"]), None

    def right(self, problem: Problem, key: str | None) -> bool | None:
        """Nobody knows before the tests have run."""
        return None

    def _problem(self, row: Row, query: str, split: str) -> Problem:
        tests = [str(test) for test in row.need("test_list")]
        if not tests:
            row.bad("'test_list' is empty")
        code = text(row, "code")
        setup = "\n".join([*(row.get("test_imports") or ()), row.get("test_setup_code") or ""]).strip()
        public = tests[: self.shown]
        question = text(row, "text", "prompt").strip()
        if public:
            question += "\nIt has to pass:\n" + "\n".join(public)
        fields = {
            "language": "python",
            "entry_point": entry_point(tests, code),
            "setup": setup,
            "asserts": tests,
            "public": public,
        }
        return Problem(query, split, question, code, fields)


def entry_point(tests: list[str], code: str) -> str | None:
    """The function of the solution that the tests call."""
    defined = _DEFINED.findall(code)
    called = [name for test in tests for name in _CALLED.findall(test)]
    return next((name for name in called if name in defined), defined[-1] if defined else None)
