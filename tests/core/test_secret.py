"""A value that was kept is in no error, no journal line and no traceback, however it is spelt; other words stay."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testtime.core import secret
from testtime.core.errors import BadInput, ModelError
from testtime.core.secret import HIDDEN, keep, struck, struck_line
from testtime.store.journal import Journal

SECRET = 'sk-proj/"0123\\456+789é'


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret, "_KEPT", set())


def test_a_kept_value_is_struck_out_however_it_is_spelt() -> None:
    assert keep(SECRET) == SECRET
    spelt = (SECRET, json.dumps(SECRET), json.dumps(SECRET, ensure_ascii=False), quote(SECRET, ""))
    text = " and ".join(spelt)
    assert struck(text).count(HIDDEN) == len(spelt)
    assert "0123" not in struck(text)
    assert struck_line(text.encode()).decode() == struck(text)


def test_of_two_values_the_longer_goes_first() -> None:
    keep("12345678")
    keep("abc12345678xyz")
    assert struck("abc12345678xyz 12345678") == f"{HIDDEN} {HIDDEN}"


@given(st.text(max_size=7), st.text())
def test_short_values_are_no_secrets(value: str, text: str) -> None:
    keep(value)
    assert struck(text) == text


def test_errors_and_journal_lines_hold_none(tmp_path: Path) -> None:
    keep(SECRET)
    said = f"401 for {SECRET}"
    errors = (ModelError(said), BadInput(said, where=SECRET, mend=SECRET))
    assert not any("0123" in f"{error!r} {error}" for error in errors)
    with Journal.open(tmp_path) as journal:
        journal.append("call", "c", why=said, text=[{"deep": SECRET}])
    assert b"0123" not in journal.path.read_bytes()
    assert json.loads(journal.path.read_bytes())["why"] == f"401 for {HIDDEN}"


def test_a_traceback_of_the_command_line_holds_none(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{}")
    code = """
from testtime import api
from testtime.cli import main
from testtime.core.errors import ModelError
from testtime.core.secret import keep

def broken(*_):
    try:
        raise RuntimeError("Bearer " + keep("sk-0123" "456789"))
    except RuntimeError as error:
        raise ModelError("refused") from error

api.load = broken
main(["replay", "a.jsonl", "--debug"])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert "RuntimeError: Bearer [secret]" in done.stderr
    assert "ModelError: refused" in done.stderr
    assert "0123456789" not in done.stderr + done.stdout
