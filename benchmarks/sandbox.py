"""Programs a second in the sandbox that the attack suite passes, beside no walls; every reference solution and mutant.

`python -m benchmarks.sandbox` runs all HumanEval and MBPP solutions and mutants, and lists what came out otherwise.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from testtime.core.records import Limits, Problem, Verdict
from testtime.verifiers.code import Code

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "sandbox"))

LIMITS = Limits(seconds=30.0)


def _timed(verifier: Code, programs: list[tuple[Problem, str]]) -> tuple[list[Verdict], str]:
    from test_programs import judged

    began = time.perf_counter()
    said = asyncio.run(judged(verifier, programs))
    return said, f"{len(programs) / (time.perf_counter() - began):.1f} programs/s"


def _bare(programs: list[tuple[Problem, str]]) -> str:
    """The same programs, each run with its tests in one plain Python, two at a time."""
    began = time.perf_counter()
    running: list[subprocess.Popen[bytes]] = []
    for problem, text in programs:
        tests = problem.fields.get("test") or "\n".join(problem.fields["asserts"])
        whole = "\n".join([problem.fields.get("setup") or "", text, tests])
        if len(running) == 2:
            running.pop(0).wait()
        running.append(subprocess.Popen([sys.executable, "-I", "-S", "-c", whole], stderr=subprocess.DEVNULL))
    for process in running:
        process.wait()
    return f"{len(programs) / (time.perf_counter() - began):.1f} programs/s"


def _one(name: str, task: Any, problems: list[Problem]) -> None:
    from test_programs import mutants, solution

    verifier = Code(task, limits=LIMITS)
    programs = [(one, solution(one)) for one in problems]
    said, rate = _timed(verifier, programs)
    wrong = [(one.query_id, v.explanation) for (one, _), v in zip(programs, said, strict=True) if v.value is not True]
    print(f"{name}: {len(said) - len(wrong)} of {len(said)} solutions pass, {rate}; others {wrong}")
    changed = [(kind, one, text) for one, source in programs for kind, text in mutants(source) if kind != "loops"]
    said, rate = _timed(verifier, [(one, text) for _, one, text in changed])
    alive = [(o.query_id, kind) for (kind, o, _), v in zip(changed, said, strict=True) if v.value is not False]
    print(f"{name}: {len(alive)} of {len(said)} mutants survive, {rate}; {alive}")
    print(f"{name}: with limits and no walls {_timed(Code(task, 'subprocess', LIMITS), programs)[1]}")
    print(f"{name}: as plain Python {_bare(programs)}")


def main() -> None:
    """Prints rates, and what came out otherwise."""
    from test_programs import humaneval, mbpp

    for name, benchmark in (("HumanEval", humaneval), ("MBPP", mbpp)):
        _one(name, *benchmark())


if __name__ == "__main__":
    main()
