"""Small recorded answers, and a way to run one command line in process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from testtime.cli import main

ROWS = [
    {"id": "a", "gold": 18, "answers": [18, 18, 26, 18, 18, 26], "tokens": [90, 80, 85, 70, 75, 81]},
    {"id": "b", "gold": 3, "answers": [3, None, 3, 4, 3, 3], "tokens": [60, 20, 75, 66, 61, 70]},
    {"id": "c", "gold": 7, "answers": [8, 7, 8, 8, 9, 7], "tokens": [120, 99, 130, 101, 90, 88]},
]


class Ran(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with answers.jsonl in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return tmp_path


@pytest.fixture
def testtime(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Ran]:
    """Runs `testtime <line>`."""

    def run(line: str) -> Ran:
        capsys.readouterr()
        monkeypatch.setattr("sys.argv", ["testtime", *line.split()])
        code = main(line.split())
        return Ran(code, *capsys.readouterr())

    return run
