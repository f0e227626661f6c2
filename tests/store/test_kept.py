"""Proves that what a judge replied outlives the session: it is kept by content, whatever is torn, foreign or written by
another process meanwhile, and neither a run started anew nor a kill pays for the same question twice.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from testtime.core.errors import BadInput
from testtime.store.kept import Kept

REPLY = {"said": {"right": True, "confidence": 0.5, "reasoning": "∎\ud800"}, "model": "m"}


def test_a_reply_is_there_in_the_next_session(tmp_path: Path) -> None:
    first = Kept(tmp_path, "openai:gpt/4")
    assert first.get("a") is None
    assert not (tmp_path / "judged").exists(), "nothing is written before the first reply"
    first["a"] = REPLY
    assert Kept(tmp_path, "openai:gpt/4").get("a") == first.get("a") == REPLY
    assert Kept(tmp_path, "openai:other").get("a") is None


def test_torn_and_foreign_lines_are_passed_over(tmp_path: Path) -> None:
    kept = Kept(tmp_path, "m")
    kept["a"], kept["b"] = REPLY, REPLY
    whole = kept.path.read_bytes()
    foreign = (
        b'{"key": 1, "said": {}, "model": "m"}\n[1]\nnull\n\xff\xfe\n{"key": "c", "said": 3, "model": "m"}\n'
        + b"[" * 9999
    )
    kept.path.write_bytes(whole + foreign + b"\n" + whole[:20])
    again = Kept(tmp_path, "m")
    assert [again.get(key) is not None for key in "abc"] == [True, True, False]
    again["c"] = REPLY
    assert [Kept(tmp_path, "m").get(key) is not None for key in "abc"] == [True, True, True]


def test_two_sessions_add_to_one_file(tmp_path: Path) -> None:
    one, other = Kept(tmp_path, "m"), Kept(tmp_path, "m")
    for at in range(50):
        one[f"one {at}"], other[f"other {at}"] = REPLY, REPLY
    lines = [json.loads(line) for line in one.path.read_bytes().splitlines() if line]
    assert len({line["key"] for line in lines}) == 100


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "judged").write_text("in the way")
    with pytest.raises(BadInput, match=r"cannot be (read|written)"):
        Kept(tmp_path, "m")["a"] = REPLY
