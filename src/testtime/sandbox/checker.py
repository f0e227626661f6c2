"""Runs a dataset's tests against a candidate that lives in another sandbox: what it calls goes over the wire.

It says `ready` first. A line in: `{"setup": …, "tests": …, "names": […]}`; each is done in a child of its own. Lines
out: `{"ask": request}`, answered by one line of the candidate's side, and at last `{"verdict": true | false, …}` with
the reason as `why`, then `{"done": …}` by the parent. Tests that set `__outputs__` have its text (form.py) beside the
verdict, as `outputs`. The tests compare builtin values only (see wire.py), and the candidate never sees them.
Runs inside sandboxes: standard library only.
"""

from __future__ import annotations

import builtins
import json
import os
import sys
from typing import Any

from testtime.sandbox.form import form
from testtime.sandbox.guest import confine
from testtime.sandbox.wire import Caught, decode, encode


class Remote:
    """An object of the candidate's side. It equals nothing but itself, whatever it says."""

    def __init__(self, at: int) -> None:
        self._at = at

    def __call__(self, *given: Any, **named: Any) -> Any:
        """Calls it there."""
        return _asked("call", self._at, given, named)

    def __getattr__(self, name: str) -> Any:
        """An attribute of it."""
        return _asked("get", self._at, (name,))

    def __getitem__(self, key: Any) -> Any:
        """An item of it."""
        return _asked("item", self._at, (key,))

    def __iter__(self) -> Any:
        """All it yields, taken at once."""
        return iter(_asked("list", self._at))

    def __next__(self) -> Any:
        """The next it yields."""
        return _asked("next", self._at)

    def __len__(self) -> int:
        """Its length, if that is a whole number."""
        return int(_asked("len", self._at))

    def __contains__(self, one: Any) -> bool:
        """Whether it says that it holds one."""
        return _asked("in", self._at, (one,)) is True

    def __bool__(self) -> bool:
        """Its truth, as it says."""
        return _asked("true", self._at) is True

    def __str__(self) -> str:
        """Its text."""
        return str(_asked("text", self._at))


def main() -> None:
    """Says that it is there; then one test program after another, each in a child."""
    os.write(1, b"ready\n")
    for line in sys.stdin.buffer:
        job = json.loads(line)
        if (child := os.fork()) == 0:
            confine(job["limits"])
            _say(_verdict(job))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        _say({"done": status})


def _verdict(job: dict[str, Any]) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "tests"}
    with Caught() as caught:
        exec(compile(job["setup"], "<setup>", "exec"), names)
        for name in job["names"]:
            names[name] = _asked("name", 0, (name,))
        exec(compile(job["tests"], "<tests>", "exec"), names)
        told = {"outputs": form(names["__outputs__"])} if "__outputs__" in names else {}
        return {"verdict": True, "why": "all tests pass", **told}
    if isinstance(caught.error, AssertionError):
        return {"verdict": False, "why": f"a test fails: {_place(caught.error)}"}
    return {"verdict": False, "why": f"{type(caught.error).__name__}: {caught.why()}"}


def _place(error: BaseException) -> str:
    """The line of the tests that failed, and what it said."""
    trace, line = error.__traceback__, 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<tests>":
            line = trace.tb_lineno
        trace = trace.tb_next
    said = str(error)[:200]
    return f"line {line}{f', {said}' if said else ''}"


def _asked(do: str, on: int, given: tuple[Any, ...] = (), named: dict[str, Any] | None = None) -> Any:
    request = {"do": do, "on": on, "with": [encode(one, _own) for one in given]}
    if named:
        request["named"] = {name: encode(one, _own) for name, one in named.items()}
    _say({"ask": request})
    answer = json.loads(sys.stdin.buffer.readline())
    if "raised" in answer:
        kind = getattr(builtins, answer["raised"], RuntimeError)
        if not (isinstance(kind, type) and issubclass(kind, Exception)) or issubclass(kind, AssertionError):
            kind = RuntimeError
        try:
            error = kind(answer["why"])
        except TypeError:  # UnicodeDecodeError and its like take more than a text
            error = RuntimeError(answer["why"])
        raise error
    return decode(answer["value"], Remote)


def _own(value: Any) -> int:
    if isinstance(value, Remote):
        return value._at
    raise TypeError(f"a {type(value).__name__} cannot be given to the candidate")


def _say(line: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(line).encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
