"""The program of a worker: whether two mathematical answers are equal, by math-verify. Run as a script, alone.

It reads a JSON object a line, `{"gold", "prediction", …options}`, and answers each with one,
`{"same": true | false | null, "why": …}`: null where one of the two could not be parsed. It imports nothing of ours, so
that it starts quickly; it limits its own memory and time first, and its parent may kill it at any moment.

Options, as math-verify knows them: `extract` (a list of latex, expr, string: find the answers in whole texts; without
it both are answers already), `strict`, `float_rounding`, `numeric_precision`, `allow_set_relation_comp`, and
`symmetric` (equal in either direction); `precision` is `float_rounding`.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

SECONDS = 2
"""Of processor time, of one strategy of math-verify: a slow one is left for the next."""
ROUNDING = 6
"""Decimals of a float that count."""
KNOWN = ("strict", "float_rounding", "numeric_precision", "allow_set_relation_comp")


def main(memory: int, seconds: int) -> None:
    """Answers lines until there are no more. Whatever a library prints goes nowhere."""
    said = os.fdopen(os.dup(1), "wb", buffering=0)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    import math_verify  # noqa: F401  # before the limits: it needs address space of its own

    limit = _limits(memory, seconds)
    _count_own_time()
    _answer(said, {"ready": True})
    for line in sys.stdin.buffer:
        limit()
        asked = json.loads(line)
        try:
            _answer(said, compare(asked["gold"], asked["prediction"], asked))
        except (MemoryError, RecursionError) as error:
            _answer(said, {"same": None, "why": f"too large to compare ({type(error).__name__})"})


def compare(gold: str, prediction: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Whether they are equal, and why nobody can say."""
    from math_verify import parse, verify

    targets = _targets(options.get("extract") or ("latex", "expr"))
    texts = [gold, prediction] if options.get("extract") else [_delimited(gold), _delimited(prediction)]
    read = [parse(text, targets, parsing_timeout=SECONDS) for text in texts]
    for what, parsed in zip(("the reference", "the answer"), read, strict=True):
        if not parsed:
            return {"same": None, "why": f"{what} could not be parsed"}
    options = {**options, "float_rounding": options.get("float_rounding", options.get("precision", ROUNDING))}
    known = {name: options[name] for name in KNOWN if name in options}
    same = verify(read[0], read[1], timeout_seconds=SECONDS, **known)
    if not same and options.get("symmetric"):
        same = verify(read[1], read[0], timeout_seconds=SECONDS, **known)
    if not same and all(isinstance(one, str) for one in read[1]):
        return {"same": None, "why": "the answer could not be parsed"}
    return {"same": bool(same), "why": ""}


def _targets(names: Sequence[str]) -> list[Any]:
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, StringExtractionConfig

    kinds = {"latex": LatexExtractionConfig, "expr": ExprExtractionConfig, "string": StringExtractionConfig}
    return [kinds[name]() for name in names]


def _delimited(text: str) -> str:
    """An answer as display mathematics."""
    inner = text.strip().strip("$").strip()
    return f"$${inner}$$"


def _answer(said: BinaryIO, value: Mapping[str, Any]) -> None:
    said.write(json.dumps(value).encode() + b"\n")


def _count_own_time() -> None:
    """Has math-verify's alarms count processor time: by the clock, a busy machine makes a right answer unreadable."""
    if os.name == "posix":  # elsewhere it uses no alarm
        setattr(signal, "alarm", lambda seconds: signal.setitimer(signal.ITIMER_PROF, seconds))  # noqa: B010
        setattr(signal, "SIGALRM", signal.SIGPROF)  # noqa: B010


def _limits(memory: int, seconds: int) -> Any:
    """Limits the address space; gives a function that allows so many further seconds of processor time."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows: the parent's clock alone limits it
        return lambda: None
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def allow() -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + seconds + 1, hard))

    return allow


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
