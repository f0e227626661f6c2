"""What a program does on the examples that its prompt shows: programs that do the same there are one vote.

Its verdict is none (null). It gives the `answer_key` of the row: a digest of the outputs for
`problem.fields["public"]`, which are calls of a docstring, asserts, or inputs. It sees no hidden test and no reference.

A program that fails an example votes, with those that fail it alike: what an example expects is not compared, as a
prompt's own example can be wrong (HumanEval/47's is), and then the right programs must not be those that fall silent.
A program that raises, does not end, or gives no plain value on any example abstains, as does every answer to a problem
that shows none.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from testtime.core.protocols import Ask, Sandbox, Task
from testtime.core.records import Candidate, Limits, Problem, Verdict
from testtime.core.seeds import digest
from testtime.verifiers.code import Code, checked, lines_of, opened
from testtime.verifiers.said import verdict

VERSION = 1
"""Of the rule; with another, stored keys are not reused."""


@dataclass(frozen=True)
class Outputs:
    """The stage. The program runs where that of the stage `code` does, under the same limits."""

    task: Task
    sandbox: str = "auto"
    limits: Limits = field(default_factory=Limits)

    stage: ClassVar[str] = "outputs"
    gold: ClassVar[bool] = False

    @property
    def digest(self) -> str:
        """Of the stage's version, the task, and the limits."""
        return digest(self.stage, VERSION, self.task.name, self.limits)

    def refuses(self, problem: Problem) -> str | None:
        """Why no program can run here, if none can."""
        return Code(self.task, self.sandbox).refuses(problem)

    async def verify(self, problem: Problem, candidate: Candidate, ask: Ask) -> Verdict:
        """No verdict, and the key in its columns; none where the program gives no outputs."""
        program, public = candidate.facts.get("answer"), problem.fields.get("public") or ()
        typed = any(isinstance(one, dict) and "input" in one for one in public)
        values = [] if typed else list(filter(None, map(expression, public)))
        if not typed and not values:
            return self._said(None, "no examples", "the problem shows no example")
        if not program:
            return self._said(None, "no answer", "there is no program")
        if typed:
            return await self._printed(str(program), public)
        tests = f"__outputs__ = [{', '.join(values)}]"
        ran = await checked(self._box, str(program), problem.fields, tests, self.limits)
        if ran.verdict is not True:
            return self._said(None, "no outputs" if ran.ended == "exit" else ran.ended, ran.why)
        return self._said(digest(ran.stdout), "outputs", f"its outputs for {len(values)} examples")

    @property
    def _box(self) -> Sandbox:
        return opened(self.sandbox)

    async def _printed(self, program: str, cases: Sequence[Any]) -> Verdict:
        """By what it prints for each input, but for white space at the ends of lines."""
        said = []
        for at, case in enumerate(cases):
            ran = await self._box.run(program, str(case["input"]), self.limits)
            if ran.ended != "exit" or ran.exit != 0:
                why = ran.why or f"it ends with exit code {ran.exit}"
                return self._said(None, ran.ended, f"example {at + 1} of {len(cases)}: {why}")
            said.append("\n".join(lines_of(ran.stdout)))
        return self._said(digest(*said), "outputs", f"its outputs for {len(cases)} examples")

    def _said(self, key: str | None, method: str, explanation: str) -> Verdict:
        return verdict(self, None, 0.0, method, explanation, columns={"answer_key": key} if key else {})


def expression(example: Any) -> str | None:
    """What is evaluated of an example: its call, or of an assert the side that calls the program. None: no Python.

    >>> expression({"call": "f(2)", "expected": "4"}), expression("assert {3} == set(f(2))")
    ('f(2)', 'set(f(2))')
    >>> expression("assert isclose(f(2), 4.0)"), expression("assert")
    ('isclose(f(2), 4.0)', None)
    """
    text = str(example["call"]) if isinstance(example, dict) else str(example)
    try:
        first = ast.parse(text.strip()).body[0]
    except (SyntaxError, ValueError, IndexError):
        return None
    whole = first.test if isinstance(first, ast.Assert) else first.value if isinstance(first, ast.Expr) else None
    if isinstance(whole, ast.Compare) and isinstance(first, ast.Assert) and isinstance(whole.ops[0], ast.Eq):
        sides = [whole.left, whole.comparators[0]]
        whole = next((side for side in sides if any(isinstance(one, ast.Call) for one in ast.walk(side))), whole)
    return None if whole is None else ast.unparse(whole)
