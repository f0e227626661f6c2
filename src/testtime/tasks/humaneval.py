"""HumanEval: Python functions from their docstring, judged by hidden tests (Chen et al. 2021, arXiv 2107.03374).

Rows are `{task_id, prompt, entry_point, canonical_solution, test}`. One: task_id `HumanEval/0`, prompt the header and
docstring of `has_close_elements`, test a function `check(candidate)` of seven asserts.

Prompt: complete the function in one block. Extraction: the last fenced block, that defines the function where one
does; a text that only goes on where the prompt ends is put behind it. Scoring: `check(entry_point)` passes, in a
sandbox (verifiers.code). `fields["public"]` holds the examples of the docstring, which a vote may run.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from testtime.answers import final
from testtime.core.records import Problem
from testtime.tasks.data import rows_of, text

PROMPT = """\
Complete this Python function. Give the whole function, with the imports it needs, in one ```python block.

```python
{question}
```"""

_BECOMES = r"\s*(?:➞|➡|→|=+>|-+>|={1,2}|#\s?=>|should (?:return|be equal to)|returns|will return)\s*"


@dataclass(frozen=True)
class HumanEval:
    r"""The task over a local file or a hub dataset.

    >>> fields = {"entry_point": "f", "prompt": "def f(x):\n"}
    >>> close = Problem("HumanEval/0", "test", "def f(x):\n", "    return x\n", fields)
    >>> HumanEval("HumanEval.jsonl.gz").answer(close, "```python\ndef f(x):\n    return x\n```")
    ('def f(x):\n    return x\n', None)
    """

    path: Path | str

    name: ClassVar[str] = "humaneval"
    prompt: ClassVar[str] = PROMPT
    verifier: ClassVar[str] = "code"

    def problems(self, split: str) -> Iterator[Problem]:
        """In dataset order; `query_id` is the dataset's `task_id`, the reference its solution. Raises BadInput."""
        for row in rows_of(self.path, split):
            prompt, entry = text(row, "prompt"), text(row, "entry_point").strip()
            fields = {
                "language": "python",
                "prompt": prompt,
                "entry_point": entry,
                "test": f"{text(row, 'test').rstrip()}\n\ncheck({entry})\n",
                "public": examples(prompt, entry),
            }
            solution = row.get("canonical_solution")
            yield Problem(text(row, "task_id"), split, prompt.strip("\n"), solution, fields)

    def answer(self, problem: Problem, text: str) -> tuple[str | None, str | None]:
        """(The program, no key): what it does is known only when it runs."""
        return final.program(text, problem.fields["entry_point"], problem.fields["prompt"]), None

    def right(self, problem: Problem, key: str | None) -> bool | None:
        """Nobody knows before the tests have run."""
        return None


def examples(prompt: str, entry: str) -> list[dict[str, str]]:
    r"""The examples of a docstring whose result is a plain value: `>>> f(2)` and below it `4`, or `f(2) ➞ 4`.

    >>> examples("def f(x):\n    '''Twice.\n    >>> f(2)\n    4\n    f(0) == 0\n    f(9) is big\n    '''\n", "f")
    [{'call': 'f(2)', 'expected': '4'}, {'call': 'f(0)', 'expected': '0'}]
    """
    lines = [line.strip() for line in prompt.split("\n")]
    joined = re.compile(rf"^(?:>>>\s*)?({re.escape(entry)}\(.{{0,300}}\)){_BECOMES}(.{{1,300}}?)\.?$")
    found: list[dict[str, str]] = []
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        together = joined.match(line)
        call, expected = (together[1], together[2].strip()) if together else (line.removeprefix(">>> "), below)
        if (together or line.startswith(">>> ")) and _plain_call(call, entry) and _value(expected):
            found.append({"call": call, "expected": expected})
    return found


def _plain_call(text: str, entry: str) -> bool:
    """Whether a text is one call of the function with plain values."""
    try:
        call = ast.parse(text, mode="eval").body
        return isinstance(call, ast.Call) and ast.unparse(call.func) == entry and all(map(_value_of, call.args))
    except (ValueError, SyntaxError):
        return False


def _value_of(node: ast.expr) -> bool:
    return _value(ast.unparse(node))


def _value(text: str) -> bool:
    """Whether a text is a plain value of Python."""
    try:
        ast.literal_eval(text.strip())
    except (ValueError, SyntaxError):
        return False
    return True
