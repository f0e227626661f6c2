"""Programs a second in the sandbox that the attack suite passes, beside no walls; every reference solution and mutant.

`python -m benchmarks.sandbox` runs all HumanEval and MBPP solutions and mutants, and lists what came out otherwise.
`python -m benchmarks.sandbox mutants` leaves the rates out, and adds the mutants that cost most: endless loops, and
each return changed alone.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from testtime.core.records import Limits, Problem, Verdict
from testtime.verifiers.code import Code

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "sandbox"))

LIMITS = Limits(seconds=30.0)
ENDLESS = Limits(seconds=0.25)
"""Of a program that never ends."""
Programs = list[tuple[Problem, str]]


def _timed(verifier: Code, programs: Programs) -> tuple[list[Verdict], str]:
    from test_programs import judged

    began = time.perf_counter()
    said = asyncio.run(judged(verifier, programs))
    return said, f"{len(programs) / (time.perf_counter() - began):.1f} programs/s"


def _bare(programs: Programs) -> str:
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
    from test_programs import mutants

    verifier = Code(task, limits=LIMITS)
    programs, rate = _solutions(name, verifier, problems)
    changed = [(kind, one, text) for one, source in programs for kind, text in mutants(source) if kind != "loops"]
    _survivors(name, "mutants", verifier, changed)
    print(f"{name}: {rate}; with limits and no walls {_timed(Code(task, 'subprocess', LIMITS), programs)[1]}")
    print(f"{name}: as plain Python {_bare(programs)}")


def _solutions(name: str, verifier: Code, problems: list[Problem]) -> tuple[Programs, str]:
    """The reference solutions, which are to pass, and how fast they were judged."""
    from test_programs import solution

    programs = [(one, solution(one)) for one in problems]
    said, rate = _timed(verifier, programs)
    wrong = [(one.query_id, v.explanation) for (one, _), v in zip(programs, said, strict=True) if v.value is not True]
    print(f"{name}: {len(said) - len(wrong)} of {len(said)} solutions pass, {rate}; others {wrong}", flush=True)
    return programs, rate


def _survivors(name: str, what: str, verifier: Code, changed: list[tuple[str, Problem, str]]) -> None:
    said, rate = _timed(verifier, [(one, text) for _, one, text in changed])
    alive = [f"{o.query_id} {kind}" for (kind, o, _), v in zip(changed, said, strict=True) if v.value is not False]
    methods = sorted({v.method for v in said})
    print(f"{name}: {len(alive)} of {len(said)} {what} survive, {rate}; {methods}; {', '.join(alive)}", flush=True)


def _mutants(name: str, task: Any, problems: list[Problem]) -> None:
    from test_programs import mutants, singles

    verifier = Code(task, limits=LIMITS)
    programs, _ = _solutions(name, verifier, problems)
    kinds: dict[str, list[tuple[str, Problem, str]]] = {"returns": [], "raises": [], "loops": []}
    for one, source in programs:
        for kind, text in mutants(source):
            kinds[kind].append(("", one, text))
    for kind, changed in kinds.items():
        _survivors(name, kind, replace(verifier, limits=ENDLESS) if kind == "loops" else verifier, changed)
    alone = [(which, one, text) for one, source in programs for which, text in singles(source)]
    _survivors(name, "single returns", verifier, alone)


def main(kind: str = "") -> None:
    """Prints rates, and what came out otherwise."""
    from test_programs import humaneval, mbpp

    for name, benchmark in (("HumanEval", humaneval), ("MBPP", mbpp)):
        (_mutants if kind == "mutants" else _one)(name, *benchmark())


if __name__ == "__main__":
    main(*sys.argv[1:2])
