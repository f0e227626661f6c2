"""A program that means harm does none: its verdict is false, in little more than its time, and no process is left."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from attacks import HARMFUL, RIGHT, TEST, program

from testtime.core.records import Limits
from testtime.sandbox import bubblewrap
from testtime.sandbox.bubblewrap import Bubblewrap

SECONDS = 2.0
LIMITS = Limits(seconds=SECONDS, memory_mb=256)

pytestmark = pytest.mark.skipif(bubblewrap.missing() is not None, reason=f"no bubblewrap: {bubblewrap.missing()}")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Bubblewrap]:
    opened = Bubblewrap(1)
    yield opened
    opened.close()


@pytest.mark.parametrize("name", HARMFUL)
def test_an_attack_fails_and_leaves_nothing(
    sandbox: Bubblewrap, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PLANTED", "a secret")
    ran = asyncio.run(sandbox.check(program(name), "", TEST, LIMITS))
    assert ran.verdict is False, f"{name}: {ran}"
    after = asyncio.run(sandbox.check(RIGHT, "", TEST, LIMITS))
    assert after.verdict is True, f"after {name} the next candidate gets {after}"


def test_an_attack_on_standard_output_is_stopped_where_its_share_ends(sandbox: Bubblewrap) -> None:
    ran = asyncio.run(sandbox.run("while True:\n    print('x' * 1000)\n", "", LIMITS))
    assert (ran.ended, len(ran.stdout)) == ("output", LIMITS.output)


def test_nothing_of_one_candidate_is_there_for_the_next(sandbox: Bubblewrap) -> None:
    leave = "open('/tmp/left', 'w').write('x')\nopen('/dev/shm/left', 'w').write('x')\nprint('left')"
    look = "import os\nprint(os.listdir('/tmp'), os.listdir('/dev/shm'))"
    assert asyncio.run(sandbox.run(leave, "", LIMITS)).stdout == "left\n"
    for _ in range(3):
        assert asyncio.run(sandbox.run(look, "", LIMITS)).stdout == "[] []\n"


def test_no_process_is_left_once_the_sandbox_is_closed() -> None:
    before = _descendants()
    opened = Bubblewrap(1)
    for name in ("sleeping grandchildren", "fork bomb"):
        asyncio.run(opened.check(program(name), "", TEST, LIMITS))
    opened.close()
    until = time.monotonic() + 10
    while (left := _descendants() - before) and time.monotonic() < until:
        time.sleep(0.05)
    assert not left


def _descendants() -> set[tuple[int, str]]:
    """(Number, command line) of the processes whose ancestors lead to this one, and that a sandbox started."""
    parents: dict[int, tuple[int, str]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "stat").read_text().rpartition(")")[2].split()
            parents[int(folder.name)] = (int(status[1]), (folder / "cmdline").read_bytes().decode("utf-8", "replace"))
        except OSError:
            continue
    found = set()
    for number, (parent, line) in parents.items():
        while parent > 1 and parent != os.getpid():
            parent = parents.get(parent, (0, ""))[0]
        if parent == os.getpid() and line.startswith("bwrap"):
            found.add((number, line[:60]))
    return found
