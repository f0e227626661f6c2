"""JSON that others wrote is read line by line, and a bad line is named by file and number."""

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testtime.core.errors import BadInput
from testtime.store.lines import open_bytes, read_json, read_jsonl, read_lines

objects = st.dictionaries(st.text(max_size=4), st.text() | st.integers(-9, 9) | st.none(), max_size=3)


@given(st.lists(objects, max_size=5), st.booleans(), st.sampled_from([b"\n", b"\r\n", b"\n\n"]), st.booleans())
def test_objects_come_back_whatever_their_texts_hold(tmp_path_factory, items, packed, end, ascii_only):
    """U+2028, U+0085 and form feeds are text, not ends of lines."""
    path = tmp_path_factory.mktemp("lines") / "a.jsonl"
    data = end.join(json.dumps(item, ensure_ascii=ascii_only).encode() for item in items)
    path.write_bytes(gzip.compress(data) if packed else data)
    assert [item for _, item in read_jsonl(path)] == items


def test_numbers_are_those_of_an_editor(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": "\xe2\x80\xa8"}\n\n   \n{}')
    assert list(read_jsonl(path)) == [(1, {"a": "\u2028"}), (4, {})]
    assert [number for number, _ in read_lines(path)] == [1, 4]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b'{"a": 1', "not JSON: .*column 8"),
        (b"[1]", "no JSON object"),
        (b'{"a": "\xff"}', "not UTF-8: byte 8"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"a": %s}' % (b"9" * 5000), "number too long"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, says):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"{}\n" + line + b"\n{}\n")
    with pytest.raises(BadInput, match=rf"a\.jsonl:2: .*{says}") as error:
        list(read_jsonl(path))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300


@given(st.data())
def test_a_cut_archive_is_one_line(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("lines") / "a.jsonl.gz"
    whole = gzip.compress(b'{"a": 1}\n' * 99)
    path.write_bytes(whole[: data.draw(st.integers(2, len(whole) - 1))])
    for read in (lambda: list(read_jsonl(path)), lambda: read_json(path)):
        with pytest.raises(BadInput, match=r"damaged: .*is it whole"):
            read()


def test_what_is_not_there_or_no_file_is_one_line(tmp_path):
    with pytest.raises(BadInput, match="no such file"):
        open_bytes(tmp_path / "none")
    with pytest.raises(BadInput, match="cannot be read"):
        open_bytes(tmp_path)


def test_a_json_file_has_one_value(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"[1,\n 2]")
    assert read_json(path) == [1, 2]
    path.write_bytes(b"[1,\n 2")
    with pytest.raises(BadInput, match="line 2"):
        read_json(path)
