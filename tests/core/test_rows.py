"""Proves that rows are read with their lines, exactly, and that every bad file is one line naming the place."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testtime.core.errors import BadInput
from testtime.core.rows import read

BAD = {
    "empty": (b"", "", "no rows"),
    "blank": (b"\n \n\r\n", "", "no rows"),
    "no rows": (b"[]", "", "no rows"),
    "not JSON": (b'{"a": 1}\nhello\n', ":2", "not JSON"),
    "torn": (b'{"a": 1}\n{"a": ', ":2", "not JSON"),
    "two on a line": (b'{"a": 1} {"a": 2}\n', ":1", "more than one"),
    "a text": (b'{"a": 1}\n\n"a"\n', ":3", "a text, not an object"),
    "NaN": (b'{"a": NaN}\n', ":1", "'NaN' is not a number"),
    "infinity": (b'{"a": 1}\n{"a": -Infinity}\n', ":2", "'-Infinity' is not a number"),
    "huge exponent": (b'{"a": 1e2000000}\n', ":1", "not a number that can be used"),
    "huge integer": (b'{"a": ' + b"9" * 10**6 + b"}\n", ":1", "not a number that can be used"),
    "deep": (b'{"a": ' + b"[" * 200_000, ":1", "nested too deeply"),
    "not UTF-8": (b'{"a": 1}\n{"a": "\xff"}\n', ":2", "not UTF-8"),
    "array breaks off": (b'[{"a": 1},\n {"a": 2}', ":2", "breaks off"),
    "array without comma": (b'[{"a": 1}\n\n{"a": 2}]', ":3", "not JSON at '{'"),
    "array with a number": (b'[{"a": 1},\n7]', ":2", "a number, not an object"),
    "after the array": (b'[{"a": 1}]\n{"a": 2}', ":2", "something follows"),
    "damaged gzip": (gzip.compress(b'{"a": 1}\n' * 99)[:-9], "", "damaged gzip"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_one_line_that_names_the_place(tmp_path: Path, case: str) -> None:
    data, line, says = BAD[case]
    path = tmp_path / "rows.jsonl"
    path.write_bytes(data)
    with pytest.raises(BadInput) as refused:
        list(read(path))
    assert str(refused.value).startswith(f"{path}{line}: ")
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300 + len(str(path))


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.jsonl"):
        with pytest.raises(BadInput, match=str(path)):
            list(read(path))


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
flat = st.dictionaries(texts, st.none() | st.booleans() | st.integers(-(10**30), 10**30) | texts, max_size=4)


@given(rows=st.lists(flat, min_size=1, max_size=5), array=st.booleans(), indent=st.none() | st.integers(0, 2))
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, object]], array: bool, indent: int | None
) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.json.gz"
    lines = "\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_bytes(gzip.compress((json.dumps(rows, indent=indent) if array else lines).encode()))
    assert list(read(path)) == rows


def test_a_row_knows_its_line_in_both_forms(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    for text in ('{"a": 1}\n\n{"a": 2}\n', '\ufeff[{"a": 1},\n\n{"a": 2}]\n'):
        path.write_text(text, encoding="utf-8")
        assert [row.where for row in read(path)] == [f"{path}:1", f"{path}:3"]


def test_lines_end_at_a_line_feed_only(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": "x\u2028y\u0085z"}\n', encoding="utf-8")
    assert [row["a"] for row in read(path)] == ["x\u2028y\u0085z"]


def test_decimals_are_exact_and_lone_surrogates_mended(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 0.1800000000000000000001, "b": "\\ud83d\\ude00 \\ud800", "c": 18.0}')
    (row,) = read(path)
    assert row["a"] == Decimal("0.1800000000000000000001")
    assert row["b"] == "😀 \ufffd"
    assert row["c"] == 18
