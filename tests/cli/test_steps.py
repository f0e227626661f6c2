"""Long work tells a terminal how far it is, with rate and time left, and leaves its line when done; piped, it is quiet;
it counts for nobody, and costs nothing, where nobody watches. Ctrl-C ends any command in one line, exit 130.
"""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from testtime.cli import main
from testtime.cli.steps import of_steps
from testtime.core.progress import counting, steps, watched

Run = Callable[[str], Any]


class Noted:
    """A watcher that keeps what it is told."""

    def __init__(self) -> None:
        self.begun: dict[str, list[int | None]] = {}
        self.said = ""

    @contextmanager
    def __call__(self, what: str, total: int | None) -> Iterator[Callable[[], None]]:
        told = self.begun.setdefault(what, [total, 0])

        def tick(said: str = "") -> None:
            self.said = said
            told[1] = (told[1] or 0) + 1

        yield tick


def test_steps_are_counted_where_somebody_watches_and_only_there() -> None:
    noted = Noted()
    assert list(steps(iter("abc"), "letters")) == ["a", "b", "c"]
    with watched(noted):
        assert list(steps("abc", "letters")) == ["a", "b", "c"]
        assert list(steps(iter("ab"), "unknown")) == ["a", "b"]
        with counting("more", 2) as tick:
            tick()
    assert list(steps("abc", "later")) == ["a", "b", "c"]
    assert noted.begun == {"letters": [3, 3], "unknown": [None, 2], "more": [2, 1]}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("replay answers.jsonl", "policies"),
        ("import answers answers.jsonl --out runs", "rows written"),
        ("import answers answers.jsonl --out runs", "rows read"),
        ("verify runs/answers --verifier math --dataset gsm8k", "verdicts"),
        ("forecast answers.jsonl --to 8", "resamples"),
    ],
)
def test_long_commands_count_their_steps(testtime: Run, folder: Path, line: str, told: str) -> None:
    if line.startswith("verify"):
        testtime("import answers answers.jsonl --out runs")
    noted = Noted()
    with watched(noted):
        assert testtime(line).code == 0
    total, done = noted.begun[told]
    assert done
    assert total in (None, done)


def test_verification_says_how_much_is_right_so_far(testtime: Run, folder: Path) -> None:
    testtime("import answers answers.jsonl --out runs")
    noted = Noted()
    with watched(noted):
        assert testtime("verify runs/answers --verifier math --dataset gsm8k").code == 0
    assert re.fullmatch(r"\d+\.\d % right", noted.said)


def test_a_line_says_how_far_how_fast_and_how_long() -> None:
    assert of_steps("verdicts", 1500, 3000, 10.0) == "1,500 of 3,000 verdicts · 150 a second · 10 s left"
    assert of_steps("verdicts", 3000, 3000, 20.0) == "3,000 of 3,000 verdicts · 150 a second"
    said = of_steps("verdicts", 50, 200, 5.0, "75.0 % right")
    assert said == "50 of 200 verdicts · 75.0 % right · 10.0 a second · 15 s left"
    assert of_steps("rows read", 0, None, 0.0) == "0 rows read · 0.0 a second"


SLOW = """
import sys, time
from testtime.cli import main
from testtime.core import progress
import testtime.advice as advice

def slow(pools, to, seed=0):
    print("ready", flush=True)
    for _ in progress.steps(range(40), "naps"):
        time.sleep(0.1)
    raise SystemExit(7)

advice.forecast = slow
sys.exit(main(["forecast", "answers.jsonl", "--to", "8"]))
"""


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are of POSIX")
def test_a_terminal_is_told_and_a_pipe_is_not(folder: Path) -> None:
    piped = subprocess.run([sys.executable, "-c", SLOW], capture_output=True, check=False)
    assert piped.stderr == b""
    mine, theirs = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", SLOW], stdout=subprocess.DEVNULL, stderr=theirs):
        os.close(theirs)
        said = b""
        while True:
            try:
                part = os.read(mine, 4096)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            said += part
    os.close(mine)
    assert b"of 40 naps" in said
    assert b"left" in said
    assert said.rstrip().endswith(b"\x1b[K")


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_is_one_line_and_exit_130_in_the_middle_of_any_work(folder: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", SLOW], stderr=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=60)
    assert (child.returncode, said) == (130, b"testtime: interrupted\n")


def test_json_is_alone_on_its_stream(testtime: Run) -> None:
    ran = testtime("inspect answers.jsonl --json")
    json.loads(ran.out)
    assert ran.err == ""
    assert main(["--version"]) == 0
