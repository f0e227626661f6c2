"""The journal loses nothing that was appended, drops only damaged lines, and never invents a record."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testtime.core.errors import BadInput
from testtime.store.journal import KINDS, Journal, Reader, read_journal, scan, seal

GOLDEN = Path(__file__).parent / "golden" / "journal.jsonl"
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
records = st.fixed_dictionaries(
    {
        "id": st.text(st.characters(), max_size=20),
        "kind": st.sampled_from(sorted(KINDS)),
        "text": st.text(st.characters()),
        "more": values,
    }
)


def write(folder: Path, items: list[dict], writer: str = "main") -> Path:
    with Journal.open(folder, writer) as journal:
        for item in items:
            journal.append(item["kind"], item["id"], **{k: v for k, v in item.items() if k not in ("id", "kind")})
    return journal.path


def laid(path: Path, data: bytes) -> Path:
    (path / "journal").mkdir(exist_ok=True)
    (path / "journal" / "main.jsonl").write_bytes(data)
    return path


def lines_of(items: list[dict]) -> list[bytes]:
    return [seal(i["kind"], i["id"], {"text": i["text"], "more": i["more"]}) for i in items]


@given(st.lists(records, max_size=6))
def test_what_is_appended_is_read_back_exactly(tmp_path_factory, items):
    folder = tmp_path_factory.mktemp("run")
    write(folder, items)
    replayed = read_journal(folder)
    assert replayed.records == items
    assert not replayed.dropped


@given(st.lists(records, min_size=1, max_size=5), st.data())
def test_any_truncation_loses_only_the_line_it_cuts(tmp_path_factory, items, data):
    lines = lines_of(items)
    whole = b"".join(lines)
    cut = data.draw(st.integers(0, len(whole)))
    replayed = read_journal(laid(tmp_path_factory.mktemp("run"), whole[:cut]))
    ends = [sum(map(len, lines[: i + 1])) - 1 for i in range(len(lines))]  # the newline itself may be cut
    assert replayed.records == [item for item, end in zip(items, ends, strict=True) if end <= cut]


@given(st.lists(records, min_size=1, max_size=5), st.data())
def test_any_damaged_byte_loses_only_the_lines_it_touches(tmp_path_factory, items, data):
    lines = lines_of(items)
    whole = bytearray(b"".join(lines))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    replayed = read_journal(laid(tmp_path_factory.mktemp("run"), bytes(whole)))
    starts = [sum(map(len, lines[:i])) for i in range(len(lines))]
    untouched = [
        item
        for item, start, line in zip(items, starts, lines, strict=True)
        if not start <= at < start + len(line) and at != start - 1  # a lost newline joins two lines
    ]
    kept = iter(replayed.records)
    assert all(record in kept for record in untouched), "an untouched record is missing or out of order"
    assert all(record in items for record in replayed.records), "a record was invented"
    assert len(replayed.records) >= len(items) - 2


@given(records, records, st.data())
def test_a_writer_after_a_torn_line_starts_a_fresh_one(tmp_path_factory, first, second, data):
    line = lines_of([first])[0]
    cut = data.draw(st.integers(1, len(line) - 2))
    folder = laid(tmp_path_factory.mktemp("run"), line[:cut])
    write(folder, [second])
    replayed = read_journal(folder)
    assert replayed.records == [second]
    assert [d.line for d in replayed.dropped] == [1]
    assert "checksum" in str(replayed.dropped[0])


def test_several_writers_each_own_a_file(tmp_path):
    a = write(tmp_path, [{"kind": "call", "id": "1"}], "shard 1/2")
    b = write(tmp_path, [{"kind": "call", "id": "2"}], "shard 2/2")
    assert a != b
    assert a.parent == b.parent == tmp_path / "journal"
    assert [r["id"] for r in read_journal(tmp_path).records] == ["1", "2"]


def test_threads_never_mix_their_lines(tmp_path):
    with Journal.open(tmp_path) as journal:
        work = [
            threading.Thread(target=lambda t=t: [journal.append("call", f"{t}-{i}", text="x" * 999) for i in range(50)])
            for t in range(8)
        ]
        for thread in work:
            thread.start()
        for thread in work:
            thread.join()
    replayed = read_journal(tmp_path)
    assert not replayed.dropped
    assert {r["id"] for r in replayed.records} == {f"{t}-{i}" for t in range(8) for i in range(50)}


def test_a_killed_process_loses_nothing_it_appended(tmp_path):
    script = (
        "import sys\nfrom pathlib import Path\nfrom testtime.store.journal import Journal\n"
        "journal = Journal.open(Path(sys.argv[1]))\n"
        "for i in range(10**9):\n    journal.append('draw', str(i), text='é' * i)\n    print(i, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE) as child:
        told = [int(child.stdout.readline()) for _ in range(40)]
        child.send_signal(signal.SIGKILL)
    ids = [int(r["id"]) for r in read_journal(tmp_path).records]
    assert ids[: len(told)] == told


def test_a_disk_that_takes_part_of_a_line_costs_that_line_only(tmp_path, monkeypatch):
    real = os.write
    with Journal.open(tmp_path) as journal:
        journal.append("call", "1")

        space = [20]

        def nearly_full(handle, data):
            if not (room := space.pop() if space else 0):
                raise OSError(28, "No space left on device")
            return real(handle, data[:room])

        monkeypatch.setattr(os, "write", nearly_full)
        with pytest.raises(BadInput, match="No space"):
            journal.append("call", "2", text="123")
        monkeypatch.undo()
        journal.append("call", "3")
    assert [r["id"] for r in read_journal(tmp_path).records] == ["1", "3"]


def test_a_file_has_one_writer_at_a_time(tmp_path):
    script = "import sys\nfrom pathlib import Path\nfrom testtime.store.journal import Journal\n"
    script += "Journal.open(Path(sys.argv[1]))"
    with Journal.open(tmp_path) as journal:
        with pytest.raises(BadInput, match="another process writes"):
            Journal.open(tmp_path)
        other = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, check=False)
        assert b"another process writes" in other.stderr
        Journal.open(tmp_path, "other").close()
        journal.append("call", "1")
    Journal.open(tmp_path).close()
    assert [r["id"] for r in read_journal(tmp_path).records] == ["1"]


def test_a_disk_that_cannot_sync_is_not_passed_over(tmp_path, monkeypatch):
    journal = Journal.open(tmp_path)
    told = threading.Event()

    def failing(handle):
        told.set()
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    journal.append("call", "1")
    assert told.wait(10)
    with pytest.raises(BadInput, match="Input/output"):
        journal.close()
    assert [r["id"] for r in read_journal(tmp_path).records] == ["1"], "what was written is still read"


def test_nothing_is_appended_after_the_end(tmp_path):
    with Journal.open(tmp_path) as journal:
        journal.append("call", "1")
    journal.close()
    with (tmp_path / "other").open("wb") as other, pytest.raises(BadInput, match="descriptor"):
        journal.append("call", other.name)
    assert (tmp_path / "other").read_bytes() == b""


def test_a_record_can_be_read_again_from_its_place(tmp_path):
    write(tmp_path, [{"kind": "call", "id": str(i), "text": "é" * i} for i in range(5)])
    scanned = list(scan(tmp_path))
    with Reader() as reader:
        assert [reader.read(place) for place, _ in reversed(scanned)] == [record for _, record in reversed(scanned)]


def test_a_record_of_another_version_is_refused_in_one_line(tmp_path):
    import zlib

    body = b'{"id":"1","kind":"call","v":2'
    laid(tmp_path, body + b',"sum":"%08x"}\n' % zlib.crc32(body))
    with pytest.raises(BadInput, match=r"main.jsonl:1: .*another version.*; ") as error:
        read_journal(tmp_path)
    assert "\n" not in str(error.value)


def test_no_journal_is_an_empty_one(tmp_path):
    assert read_journal(tmp_path).records == []


@pytest.mark.parametrize("name", ["id", "kind", "v", "sum"])
def test_fields_cannot_shadow_the_frame(name):
    with pytest.raises(ValueError, match=name):
        seal("call", "1", {name: 1})
    with pytest.raises(ValueError, match="kind"):
        seal("cal", "1", {})


def test_the_format_is_the_golden_one(tmp_path):
    """Bytes, not only values: a reader in another language may rely on them."""
    items = [
        {"kind": "run", "id": "demo", "seed": 0},
        {"kind": "call", "id": "c/1", "text": 'é\u2028\n"quoted"', "usd": 0.25, "why": None},
        {"kind": "draw", "id": "d\ud800", "parts": [{"kind": "answer", "text": "18"}]},
    ]
    assert write(tmp_path, items).read_bytes() == GOLDEN.read_bytes()
    for line in GOLDEN.read_bytes().decode("utf-8", "surrogatepass").split("\n")[:-1]:
        keys = list(json.loads(line))
        assert keys[:2] == ["id", "kind"]
        assert keys[-2:] == ["v", "sum"]
