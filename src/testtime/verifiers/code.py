"""A program against the tests of its problem, in a sandbox: asserts on its functions, or outputs for given inputs.

The tests run in a process that the program cannot reach, and compare plain values only, so that neither a patched
checker nor an object that equals everything passes them. A problem without tests has no verdict.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar

from testtime.core.errors import BadInput
from testtime.core.protocols import Ask, Sandbox, Task
from testtime.core.records import Candidate, Limits, Map, Problem, Ran, Verdict
from testtime.core.registry import find
from testtime.core.seeds import digest
from testtime.verifiers.said import unjudgeable, verdict

VERSION = 3
"""Of the rule; with another, stored verdicts are not reused."""


@dataclass(frozen=True)
class Code:
    """`problem.fields` holds the tests: `test` (one program), `asserts` (a list), or `cases` ({input, output} each).

    Beside them may stand `prompt`, whose functions tests may use; `setup`, which program and tests share; and
    `entry_point`, the function asked for.
    """

    task: Task
    sandbox: str = "auto"
    """Where programs run: auto (bubblewrap, else docker), bubblewrap, docker, or subprocess, which has no walls."""
    limits: Limits = field(default_factory=Limits)

    stage: ClassVar[str] = "code"
    gold: ClassVar[bool] = True

    @property
    def digest(self) -> str:
        """Of the stage's version, the task, how far the sandbox is trusted, and the limits."""
        return digest(self.stage, VERSION, self.task.name, self._box.trust, self.limits)

    def refuses(self, problem: Problem) -> str | None:
        """Why no program can run here, if none can."""
        try:
            opened(self.sandbox)
        except BadInput as error:
            return f"{error.what} ({error.mend})"
        return None

    async def verify(self, problem: Problem, candidate: Candidate, ask: Ask) -> Verdict:
        """The verdict; null where the problem has no tests or the sandbox failed, false where there is no program."""
        program, fields = candidate.facts.get("answer"), problem.fields
        if not program:
            return unjudgeable(self, problem, candidate) or self._said(False, 1.0, "no answer", "the program is empty")
        if not any(fields.get(key) for key in ("test", "asserts", "cases")):
            return self._said(None, 0.0, "no_tests", "the dataset has no tests for this problem")
        if fields.get("cases"):
            return await self._cases(str(program), fields["cases"])
        tests = fields.get("test") or "\n".join(fields["asserts"])
        ran = await checked(self._box, str(program), fields, tests, self.limits)
        if ran.verdict is None:
            return self._said(None, 0.0, "sandbox failed", ran.why)
        return self._said(ran.verdict, 1.0, "tests" if ran.ended == "exit" else ran.ended, ran.why)

    @property
    def _box(self) -> Sandbox:
        return opened(self.sandbox)

    async def _cases(self, program: str, cases: Sequence[Any]) -> Verdict:
        """Every input gives its output, but for white space at the ends of lines."""
        for at, case in enumerate(cases):
            ran = await self._box.run(program, str(case["input"]), self.limits)
            if ran.ended == "lost":
                return self._said(None, 0.0, "sandbox failed", ran.why)
            if wrong := _wrong(ran, str(case["output"])):
                return self._said(False, 1.0, wrong[0], f"case {at + 1} of {len(cases)}: {wrong[1]}")
        return self._said(True, 1.0, "tests", f"all {len(cases)} cases pass")

    def _said(self, value: bool | None, confidence: float, method: str, explanation: str) -> Verdict:
        low = " (low trust)" if self._box.trust == "low" else ""
        return verdict(self, value, confidence, f"{method}{low}", explanation)


@cache
def opened(name: str) -> Sandbox:
    """One sandbox a process: its boxes are kept started between programs. Raises BadInput where it does not work."""
    box: Sandbox = find("sandbox", name)()
    return box


async def checked(box: Sandbox, program: str, fields: Map, tests: str, limits: Limits) -> Ran:
    """Tests run against a program, with what the problem's fields give both."""
    shared = fields.get("setup") or ""
    setup = "\n".join([_body(fields.get("prompt")), _imports(shared)])
    names = [fields["entry_point"]] if fields.get("entry_point") else []
    source = f"{program}\n{shared}"  # a setup may build objects of classes that the program defines
    return await box.check(source, setup, tests, limits, names)


def _wrong(ran: Ran, expected: str) -> tuple[str, str] | None:
    """(Rule, why) where a program did not give an output."""
    if ran.ended != "exit" or ran.exit != 0:
        return ran.ended, ran.why or f"it ends with exit code {ran.exit}"
    return ("tests", "another output") if lines_of(ran.stdout) != lines_of(expected) else None


def _body(prompt: str | None) -> str:
    """A prompt that ends in a function's head, made whole: its own functions are part of what tests may use."""
    return f"{prompt.rstrip()}\n    pass\n" if prompt else ""


def _imports(setup: str) -> str:
    """The imports of a setup: its objects are the program's, and tests reach them there."""
    try:
        nodes = ast.parse(setup).body
    except (SyntaxError, ValueError):
        return ""
    return "\n".join(ast.unparse(node) for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom)))


def lines_of(text: str) -> list[str]:
    """Lines without white space at their ends, and without empty ones at the end."""
    lines = [line.rstrip() for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines
