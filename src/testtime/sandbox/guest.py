"""What runs beside a candidate's code: takes one program, and either runs it on an input or answers calls to it.

It says `ready` first. First line in: `{"mode": "run" | "serve", "source": …, "stdin": …, "limits": {…}}`. `run`
executes the program with the input as its standard input; its standard output goes back as it is. `serve` loads it
and then answers a line a request. The program owns this process: nothing that comes out of it is believed beyond its
being data.
Runs inside sandboxes: standard library only.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Callable
from typing import Any

from testtime.sandbox.wire import Caught, decode, encode

NAME = "<candidate>"


def main() -> None:
    """Says that it is there, reads the first line, limits itself, and does what it says."""
    os.write(1, b"ready\n")
    with os.fdopen(os.dup(0), "rb", closefd=True) as given:
        job = json.loads(given.readline())
        confine(job["limits"])
        if job["mode"] == "run":
            _run(job["source"], job["stdin"])
        else:
            _serve(job["source"], given)


def confine(limits: dict[str, Any]) -> None:
    """Lowers this process's limits for good: memory, processor time, file size, open files, processes, no core."""
    megabyte = 2**20
    wanted = {
        "RLIMIT_AS": limits["memory_mb"] * megabyte,
        "RLIMIT_CPU": int(limits["seconds"]) + 1,
        "RLIMIT_FSIZE": limits["disk_mb"] * megabyte,
        "RLIMIT_NOFILE": 64,
        "RLIMIT_CORE": 0,
        "RLIMIT_NPROC": limits["processes"],
    }
    for name, most in wanted.items():
        if most is not None and hasattr(resource, name):
            kind = getattr(resource, name)
            hard = resource.getrlimit(kind)[1]
            top = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(kind, (top, top))


def _run(source: str, stdin: str) -> None:
    read, write = os.pipe()
    if len(data := stdin.encode()) <= 60_000:  # a pipe holds 64 kB without a reader
        os.write(write, data)
    else:
        with open("input", "wb") as file:
            file.write(data)
        read = os.open("input", os.O_RDONLY)
    os.close(write)
    os.dup2(read, 0)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    _execute(source, {"__name__": "__main__", "__builtins__": __builtins__})
    sys.stdout.flush()


def _serve(source: str, given: Any) -> None:
    """Loads the program with its output thrown away, then answers."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    nothing = os.open(os.devnull, os.O_RDWR)
    for own in (0, 1, 2):
        os.dup2(nothing, own)
    kept: list[Any] = [{"__name__": "candidate", "__builtins__": __builtins__}]
    answers.write(_answer(lambda: _execute(source, kept[0]), kept))
    while request := given.readline():
        answers.write(_answer(lambda: _done(json.loads(request), kept), kept))


def _execute(source: str, names: dict[str, Any]) -> None:
    exec(compile(source, NAME, "exec"), names)


def _answer(work: Any, kept: list[Any]) -> bytes:
    def keep(value: Any) -> int:
        kept.append(value)
        return len(kept) - 1

    said: dict[str, Any] = {}
    with Caught() as caught:
        said = {"value": encode(work(), keep)}
        return json.dumps(said).encode() + b"\n"
    said = {"raised": type(caught.error).__name__, "why": caught.why()}
    return json.dumps(said).encode() + b"\n"


def _done(request: dict[str, Any], kept: list[Any]) -> Any:
    """One operation on an object that is kept here; object 0 is the program's names."""
    on = kept[request["on"]]
    given = [decode(one, lambda at: kept[at]) for one in request.get("with", ())]
    named = {name: decode(one, lambda at: kept[at]) for name, one in request.get("named", {}).items()}
    return DO[request["do"]](on, *given, **named)


DO: dict[str, Callable[..., Any]] = {
    "name": lambda on, name: on[name],
    "call": lambda on, *given, **named: on(*given, **named),
    "get": getattr,
    "item": lambda on, key: on[key],
    "list": list,
    "next": next,
    "len": len,
    "in": lambda on, one: one in on,
    "text": str,
    "true": bool,
}
"""What tests may ask of an object of the candidate's."""


if __name__ == "__main__":
    main()
