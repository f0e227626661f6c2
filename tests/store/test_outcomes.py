"""Outcome files come back equal, and what is none of this version is refused by file and line."""

import gzip
import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from testtime.core.errors import BadInput
from testtime.store.outcomes import OUTCOMES, outcome_schema, read_outcomes, write_outcomes

VALUES = {
    pl.Float64(): st.none() | st.floats(allow_nan=False, allow_infinity=False),
    pl.String(): st.text(max_size=6),
    pl.Boolean(): st.none() | st.booleans(),
}
outcome = st.fixed_dictionaries({name: VALUES[field.type] for name, field in OUTCOMES.items()})


def table(*rows):
    return pl.DataFrame(rows, schema=outcome_schema())


ONE = dict.fromkeys(OUTCOMES) | {"run": "r", "policy": "sc_fixed", "setting": "n=8", "query_id": "q", "correct": 0.5}


@given(st.lists(outcome, max_size=5))
def test_outcomes_come_back_equal(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("out") / "r.jsonl"
    write_outcomes(path, table(*rows))
    assert_frame_equal(read_outcomes(path), table(*rows), check_exact=True)


def test_a_line_is_json_with_its_version_and_null_for_unknown(tmp_path):
    path = tmp_path / "r.jsonl"
    write_outcomes(path, table(ONE | {"usd": float("nan")}))
    (line,) = path.read_bytes().splitlines()
    told = json.loads(line)
    assert list(told) == ["version", *OUTCOMES]
    assert told["version"] == 1
    assert told["usd"] is None
    assert told["correct"] == 0.5


def test_gzipped_and_crlf_and_longer_lines_are_read(tmp_path):
    path = tmp_path / "r.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps({"version": 1, **ONE, "more": [1]}).encode() + b"\r\n"))
    assert_frame_equal(read_outcomes(path), table(ONE))


@pytest.mark.parametrize(
    ("second", "says"),
    [
        ({**ONE, "version": 2}, "an outcome of version 2; this reads 1"),
        (ONE, "is no outcome"),
        ({"id": "a", "answers": ["1"]}, "is no outcome"),
        ({**ONE, "version": 1, "correct": "yes"}, "correct is 'yes'"),
        ({**ONE, "version": 1, "measured": 1}, "measured is 1"),
    ],
)
def test_a_bad_line_is_refused_by_name(tmp_path, second, says):
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps({"version": 1, **ONE}) + "\n" + json.dumps(second) + "\n")
    with pytest.raises(BadInput, match=rf"r\.jsonl:2: .*{says}") as error:
        read_outcomes(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("data", [b'{"version":1,', b"\xff\xfe", b"[]", b"\x1f\x8b\x08\x00oops"])
def test_what_is_no_jsonl_is_refused(tmp_path, data):
    path = tmp_path / "r.jsonl"
    path.write_bytes(data)
    with pytest.raises(BadInput, match=r"r\.jsonl"):
        read_outcomes(path)


def test_a_table_of_other_columns_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="usd"):
        write_outcomes(tmp_path / "r.jsonl", table(ONE).drop("usd"))
    assert list(tmp_path.iterdir()) == []


def test_numbers_are_not_rounded(tmp_path):
    value = np.nextafter(1 / 3, 1)
    write_outcomes(tmp_path / "r.jsonl", table(ONE | {"correct": value}))
    assert read_outcomes(tmp_path / "r.jsonl")["correct"][0] == value


def test_a_table_written_in_slices_is_the_one_written_whole(tmp_path, monkeypatch):
    many = table(*(ONE | {"query_id": f"q{at}", "usd": None if at % 2 else 0.1 * at} for at in range(7)))
    write_outcomes(tmp_path / "whole.jsonl", many)
    monkeypatch.setattr("testtime.store.outcomes._SLICE", 3)
    write_outcomes(tmp_path / "sliced.jsonl", many)
    assert (tmp_path / "sliced.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
