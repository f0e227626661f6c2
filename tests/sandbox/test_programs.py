"""Programs that are right pass, and programs made wrong fail: the reference solutions of HumanEval and MBPP, and their
mutants; inputs reach programs, outputs come back, and what tests may do with a candidate's objects.
"""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from testtime.core.errors import BadInput
from testtime.core.records import Candidate, Limits, Problem, Ran, Verdict
from testtime.core.registry import find
from testtime.sandbox import bubblewrap
from testtime.sandbox.bubblewrap import Bubblewrap
from testtime.sandbox.opening import strongest
from testtime.sandbox.rlimits import Rlimits
from testtime.tasks.humaneval import HumanEval
from testtime.tasks.mbpp import Mbpp
from testtime.verifiers.code import Code

DATA = Path(__file__).parents[2].parent / "shared" / "data"
SOME = 24
"""Problems of each benchmark in the tests; `python -m benchmarks.sandbox` does all of them."""
LIMITS = Limits(seconds=20.0)

needs_bubblewrap = pytest.mark.skipif(bubblewrap.missing() is not None, reason=f"{bubblewrap.missing()}")


@pytest.fixture(params=[pytest.param(Bubblewrap, marks=needs_bubblewrap), Rlimits], scope="module")
def sandbox(request: pytest.FixtureRequest) -> Iterator[Any]:
    opened = request.param(2)
    yield opened
    opened.close()


def check(sandbox: Any, source: str, tests: str, setup: str = "", names: tuple[str, ...] = ()) -> Ran:
    done: Ran = asyncio.run(sandbox.check(source, setup, tests, LIMITS, names))
    return done


def test_an_input_reaches_the_program_and_its_output_comes_back(sandbox: Any) -> None:
    source = "import sys\nn = int(input())\nprint(sum(int(x) for x in sys.stdin.read().split()) * n)"
    for stdin, said in (("2\n1 2 3\n", "12\n"), ("1\n" + "7 " * 50_000, "350000\n")):
        assert asyncio.run(sandbox.run(source, stdin, LIMITS)).stdout == said
    assert asyncio.run(sandbox.run("import sys\nsys.exit(3)", "", LIMITS)).exit == 3
    assert asyncio.run(sandbox.run("print('ü' * 3)", "", LIMITS)).stdout == "üüü\n"


@pytest.mark.parametrize(
    ("source", "tests"),
    [
        ("def f(x): return [x, (x, {1}), {'a': None}]", "assert f(3) == [3, (3, {1}), {'a': None}]"),
        ("def f(): return 0.1 + 0.2", "assert abs(f() - 0.3) < 1e-9"),
        ("def f(): return float('nan')", "assert f() != f()"),
        ("def f(): return 10**400", "assert f() == 10**400"),
        ("def f(): return b'x', 1j, frozenset('a')", "assert f() == (b'x', 1j, frozenset('a'))"),
        ("from collections import Counter\ndef f(): return Counter('aab')", "assert f() == {'a': 2, 'b': 1}"),
        ("def f():\n  yield from range(3)", "assert list(f()) == [0, 1, 2]"),
        ("class P:\n  def __init__(self, x): self.x = x\ndef f(p): return p.x", "assert f(P(4)) == 4"),
        ("def f(): raise ValueError('no')", "try:\n  f()\n  assert 0\nexcept ValueError as e: assert str(e) == 'no'"),
        ("def f(): return lambda y: y + 1", "assert f()(2) == 3"),
        ("import re\ndef f(): return re.match('a', 'ab')", "assert f()\nassert f().end() == 1"),
    ],
)  # fmt: skip
def test_tests_may_do_with_a_candidates_values_what_python_does(sandbox: Any, source: str, tests: str) -> None:
    ran = check(sandbox, source, tests)
    assert ran.verdict is True, ran
    assert check(sandbox, source, f"{tests}\nassert False").verdict is False


def test_what_is_no_program_or_no_tests_is_said(sandbox: Any) -> None:
    assert check(sandbox, "def f(:", "assert f()").verdict is False
    assert "SyntaxError" in check(sandbox, "def f(:", "assert f()").why
    assert check(sandbox, "x = 1", "assert f()").verdict is False
    broken = check(sandbox, "x = 1", "assert (")
    assert (broken.verdict, broken.ended) == (None, "lost")


def test_a_weak_sandbox_is_opened_only_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    bubblewrap.missing.cache_clear()
    try:
        with pytest.raises(BadInput, match=r"no sandbox for foreign programs works here .*--sandbox subprocess"):
            strongest()
        opened = find("sandbox", "subprocess")()
        assert opened.trust == "low"
        opened.close()
        with pytest.raises(BadInput, match="unknown sandbox 'jail'"):
            find("sandbox", "jail")
    finally:
        bubblewrap.missing.cache_clear()


# ---- real benchmarks ----
def humaneval() -> tuple[Any, list[Problem]]:
    task = HumanEval(DATA / "humaneval" / "HumanEval.jsonl.gz")
    return task, list(task.problems("test"))


def mbpp() -> tuple[Any, list[Problem]]:
    task = Mbpp(DATA / "mbpp" / "mbpp.jsonl")
    return task, list(task.problems("all"))


def solution(problem: Problem) -> str:
    """The dataset's own program."""
    return str(problem.fields.get("prompt") or "") + str(problem.reference)


async def judged(verifier: Code, programs: list[tuple[Problem, str]]) -> list[Verdict]:
    def candidate(problem: Problem, program: str) -> Candidate:
        return Candidate("plain", problem.query_id, 0, (), "stop", facts={"answer": program})

    return await asyncio.gather(*[verifier.verify(one, candidate(one, text), None) for one, text in programs])  # type: ignore[arg-type]


def mutants(source: str) -> Iterator[tuple[str, str]]:
    """(Kind, program): every return changed, an exception instead, an endless loop instead."""
    for kind in ("returns", "raises", "loops"):
        tree = ast.parse(source)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                if kind == "raises":
                    node.body = ast.parse("raise RuntimeError('mutant')").body
                elif kind == "loops":
                    node.body = ast.parse("while True: pass").body
        if kind == "returns":
            tree = _Changed().visit(tree)
        yield kind, ast.unparse(ast.fix_missing_locations(tree))


def singles(source: str) -> Iterator[tuple[str, str]]:
    """(Which, program): of several returns one changed alone. Some survive: tests may never reach it."""
    count = sum(isinstance(node, ast.Return) for node in ast.walk(ast.parse(source)))
    for at in range(count if count > 1 else 0):
        tree = ast.parse(source)
        alone = [node for node in ast.walk(tree) if isinstance(node, ast.Return)][at]
        changed = _Changed().visit_Return(alone)
        alone.value = changed.value
        yield f"line {alone.lineno}", ast.unparse(ast.fix_missing_locations(tree))


class _Changed(ast.NodeTransformer):
    """Each returned value inside a pair that nothing equals."""

    def visit_Return(self, node: ast.Return) -> ast.Return:
        given = node.value or ast.Constant(None)
        return ast.Return(ast.Tuple([ast.Constant("mutant"), given], ast.Load()))


@needs_bubblewrap
@pytest.mark.parametrize("benchmark", [humaneval, mbpp])
def test_reference_solutions_pass_and_their_mutants_fail(benchmark: Any) -> None:
    if not DATA.is_dir():
        pytest.skip("the benchmarks are not here")
    task, every = benchmark()
    chosen = every[:: len(every) // SOME]
    verifier = Code(task, limits=LIMITS)
    right = asyncio.run(judged(verifier, [(one, solution(one)) for one in chosen]))
    assert [(v.method, v.explanation) for v in right if v.value is not True] == []
    changed = [(kind, one, text) for one in chosen for kind, text in mutants(solution(one)) if kind != "loops"]
    made = asyncio.run(judged(verifier, [(one, text) for _, one, text in changed]))
    assert [kind for (kind, *_), said in zip(changed, made, strict=True) if said.value is not False] == []
    endless = [(one, text) for one in chosen[:2] for kind, text in mutants(solution(one)) if kind == "loops"]
    for said in asyncio.run(judged(replace(verifier, limits=Limits(seconds=0.5)), endless)):
        assert (said.value, said.method) == (False, "timeout")


@needs_bubblewrap
def test_outputs_for_inputs_are_compared_and_what_cannot_be_judged_is_null() -> None:
    cases = [{"input": "3\n", "output": "9\n"}, {"input": "5\n", "output": "25"}]
    task: Any = SimpleNamespace(name="cases")
    verifier = Code(task, limits=LIMITS)
    problem = Problem("q", "test", "square", None, {"cases": cases})
    programs = ["print(int(input()) ** 2)", "print(9)", "raise ValueError", "import time\ntime.sleep(99)", ""]
    quick = replace(verifier, limits=Limits(seconds=1.0))
    said = asyncio.run(judged(quick, [(problem, text) for text in programs]))
    assert [one.value for one in said] == [True, False, False, False, False]
    assert "case 2 of 2: another output" in said[1].explanation
    assert said[4].method == "no answer"
    (nothing,) = asyncio.run(judged(verifier, [(Problem("q", "test", "?"), "x = 1")]))
    assert (nothing.value, nothing.confidence, nothing.method) == (None, 0.0, "no_tests")
    weak = Code(task, sandbox="subprocess", limits=LIMITS)
    (low,) = asyncio.run(judged(weak, [(problem, programs[0])]))
    assert (low.value, low.method) == (True, "tests (low trust)")
    assert weak.digest != verifier.digest
    assert "unknown sandbox" in str(Code(task, sandbox="jail").refuses(problem))
