"""The Parquet files: one declared schema, metadata that pyarrow shows, written whole or not at all."""

import json
import subprocess
import sys
from contextlib import suppress
from itertools import repeat
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testtime.core.errors import BadInput
from testtime.core.records import Arm, Call, Candidate, Part, Problem, Verdict
from testtime.core.spend import Spend
from testtime.store.codec import decode
from testtime.store.frame import open_pool, read_columns
from testtime.store.parquet import (
    GROUP,
    GROUP_TEXT,
    empty_columns,
    fill,
    read_meta,
    write_calls,
    write_candidates,
    write_frame,
)
from testtime.store.rows import call_row, candidate_row
from testtime.store.schema import CALLS, CANDIDATES, METADATA, VERSION, arrow

GOLDEN = Path(__file__).parent / "golden" / "schema.txt"
ARM = Arm("plain", {"model": "m/7b"}, sampling={"temperature": 0.7, "max_tokens": 64})
META = {
    "run": "r", "model": "m/7b", "provider": "echo", "dataset": "gsm8k", "splits": ["train", "test"], "seed": 7,
    "num_candidates": 2, "temperature": None, "arms": [ARM], "floor": {"plain": 2}, "notes": "a first try",
    "config": {"model": "m/7b", "persona": None},
}  # fmt: skip


def row(arm="plain", query="q1", idx=0, **more):
    return {"arm": arm, "query_id": query, "candidate_idx": idx, "answer_key": "18", **more}


def written(path, rows, **more):
    write_candidates(path, iter(rows), META | more, count=len(rows))
    return path


def test_all_null_columns_keep_their_type(tmp_path):
    table = pq.read_table(written(tmp_path / "c.parquet", [row()]))
    assert table.schema.equals(arrow(CANDIDATES), check_metadata=False)
    assert pl.read_parquet(tmp_path / "c.parquet").schema["cost_usd"] == pl.Float64


def test_pyarrow_shows_the_metadata_and_it_reads_back(tmp_path):
    raw = pq.read_table(written(tmp_path / "c.parquet", [row()])).schema.metadata
    assert raw[b"model"] == b"m/7b"
    assert raw[b"splits"] == b"train,test"
    assert raw[b"notes"] == b"a first try"
    assert json.loads(raw[b"config"]) == META["config"]
    assert raw[b"total_records"] == b"1"
    assert b"temperature" not in raw, "unknown is absent, not a word for it"
    meta = read_meta(tmp_path / "c.parquet")
    assert {k: v for k, v in meta.items() if k in META and k != "arms"} == {
        k: v for k, v in META.items() if k != "arms" and v is not None
    }
    assert [decode(Arm, arm) for arm in meta["arms"]] == [ARM]
    assert meta.keys() <= METADATA.keys()


def test_rows_are_streamed_in_groups(tmp_path):
    count = GROUP * 2 + 1
    rows = (row(query="q", idx=i) for i in range(count))
    write_candidates(tmp_path / "c.parquet", rows, META, count=count)
    file = pq.ParquetFile(tmp_path / "c.parquet")
    assert (file.metadata.num_rows, file.metadata.num_row_groups) == (count, 3)


def test_long_texts_make_small_groups_so_memory_stays_flat(tmp_path):
    """What is held at once is a row group: bounded in characters, and in rows where texts are short."""
    text = "".join(map(chr, range(0x20, 0xD000)))
    rows = (row(idx=at, candidate_text=text[at:] + "x" * 500_000) for at in range(100))
    write_candidates(path := tmp_path / "c.parquet", rows, {}, count=100)
    with pq.ParquetFile(path) as file:
        sizes = [
            len("".join(file.read_row_group(at)["candidate_text"].to_pylist())) for at in range(file.num_row_groups)
        ]
    assert len(sizes) > 2
    assert max(sizes) < GROUP_TEXT + len(text) + 500_000
    assert pl.read_parquet(path).height == 100


def test_scores_follow_the_declared_columns(tmp_path):
    write_candidates(tmp_path / "c.parquet", [row(rm_score=1)], META, count=1, scores=["rm_score"])
    schema = pq.read_schema(tmp_path / "c.parquet")
    assert schema.names[-1] == "rm_score"
    assert schema.field("rm_score").type == pa.float64()


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([row(), row()], "candidate 0 of 'q1' under 'plain' comes twice"),
        ([row(idx=1), row(idx=0)], "out of order"),
        ([row(), row(query="q2"), row(idx=1)], "in two places"),
        ([row(), row(arm="b"), row(query="q2")], "in two places"),
        ([row(rm_score=0.5)], "no column 'rm_score' is declared"),
        ([row(cost_usd="free")], "column cost_usd does not hold double"),
    ],
)
def test_what_breaks_the_order_or_the_schema_leaves_no_file(tmp_path, rows, says):
    with pytest.raises(BadInput, match=says):
        written(tmp_path / "c.parquet", rows)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_rewrite_leaves_the_old_file(tmp_path):
    path = written(tmp_path / "c.parquet", [row()])
    before = path.read_bytes()
    with pytest.raises(ValueError, match="announced"):
        write_candidates(path, [row()], META, count=2)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_undeclared_metadata_is_refused(tmp_path):
    with pytest.raises(ValueError, match="modle"):
        written(tmp_path / "c.parquet", [row()], modle="m")


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot be written"):
        written(tmp_path / "file" / "c.parquet", [row()])


def _stamped(path, **metadata):
    pq.write_table(pa.table({"a": [1]}).replace_schema_metadata(metadata), path)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.write_bytes(b"PAR1 not really"), "no Parquet file"),
        (lambda path: _stamped(path), "no testtime.candidates file"),
        (lambda path: _stamped(path, format="testtime.candidates", version="2"), "version 2; .*version 1"),
        (lambda path: _stamped(path, format="testtime.candidates", version="1", arms="["), "'arms' is damaged"),
        (lambda path: _stamped(path, format="testtime.candidates", version="1"), "no column"),
        (lambda path: _stamped(path, format="testtime.candidates", version="1", arms='[{"label": 1}]'), "."),
    ],
)
def test_a_file_that_is_no_pool_is_refused_in_one_line(tmp_path, make, says):
    path = tmp_path / "c.parquet"
    make(path)
    with pytest.raises(BadInput, match=says) as error:
        open_pool(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.99])
def test_a_cut_file_is_refused_in_one_line(tmp_path, cut):
    path = written(tmp_path / "c.parquet", [row(idx=i) for i in range(50)])
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * cut)])
    with pytest.raises(BadInput, match="is it whole"):
        open_pool(path)


@given(st.data())
def test_any_damaged_byte_gives_a_pool_or_bad_input(tmp_path_factory, data):
    """Never an end of the process: each page has a checksum, and readers that trust pages crash on some."""
    path = tmp_path_factory.mktemp("pool") / "c.parquet"
    whole = bytearray(written(path, [row(query=f"q{i // 4}", idx=i % 4) for i in range(40)]).read_bytes())
    for at in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=3)):
        whole[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(whole)
    with suppress(BadInput):
        assert open_pool(path).problems


FOOTERS = """
import random, struct, sys
from pathlib import Path
from testtime.core.errors import BadInput
from testtime.store.blocks import blocks
from testtime.store.frame import open_pool
whole = Path(sys.argv[1]).read_bytes()
foot = struct.unpack("<I", whole[-8:-4])[0]
for at in range(len(whole) - 8 - foot, len(whole), 5):
    damaged = bytearray(whole)
    damaged[at] ^= 1 << random.Random(at).randrange(8)
    (path := Path(sys.argv[1]).with_name("d.parquet")).write_bytes(damaged)
    for read in (open_pool, lambda file: list(blocks(file, ["completion_tokens"]))):
        try:
            read(path)
        except BadInput:
            pass
"""


def test_no_damaged_footer_ends_the_process(tmp_path):
    """In a process of its own: the library's statistics of a column, say, abort on one footer in two hundred."""
    path = written(tmp_path / "c.parquet", [row(query=f"q{i // 4}", idx=i % 4) for i in range(40)])
    ran = subprocess.run([sys.executable, "-c", FOOTERS, str(path)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-500:]


def test_columns_that_no_row_has_are_named_and_passed_over(tmp_path):
    path = written(tmp_path / "c.parquet", [row(query=f"q{i // 4}", idx=i % 4) for i in range(8)])
    table = pq.read_table(path)
    empty = [name for name in table.column_names if table[name].null_count == len(table)]
    assert empty_columns(pq.read_metadata(path)) == empty
    assert "cost_usd" in empty
    assert "cost_usd" not in read_columns(path).columns
    fill(path, pl.DataFrame({"cost_usd": [0.5] * 8}))
    assert "cost_usd" not in empty_columns(pq.read_metadata(path))
    assert read_columns(path)["cost_usd"].to_list() == [0.5] * 8


def test_a_lone_surrogate_does_not_stop_the_file(tmp_path):
    candidate = Candidate("plain", "q", 0, [Part("answer", "a\ud800\u2028")], "stop")
    one = candidate_row(candidate, Problem("q", "test", "?"), ARM, ("a\ud800", None))
    write_candidates(tmp_path / "c.parquet", [one], META, count=1)
    back = pl.read_parquet(tmp_path / "c.parquet").row(0, named=True)
    assert back["candidate_text"] == "a\ufffd\u2028"
    assert json.loads(back["parts"]) == [{"kind": "answer", "text": "a\ud800\u2028"}]


def test_a_candidate_becomes_a_row_of_declared_columns(tmp_path):
    parts = [Part("thinking", "x" * 200, 50), Part("call", "add"), Part("result", "4"), Part("answer", "18")]
    candidate = Candidate(
        "plain", "q", 0, parts, "stop",
        alone={"base": Spend(10, completion=50, usd=0.5), "oracle": Spend(10, completion=2)}, seed=3,
        calls=["k1", "k2"], facts={"tool_iterations": 1},
    )  # fmt: skip
    math = Verdict("math", "d", value=True, confidence=0.9, method="numeric", explanation="18 = 18", gold=True)
    refusal = Verdict("refusal", "d", value=False, confidence=0.0, columns={"refusal_type": "other", "rm": 0.25})
    one = candidate_row(candidate, Problem("q", "test", "?", "18"), ARM, ("18", "18"), [refusal, math], {"paid_usd": 1})
    write_candidates(tmp_path / "c.parquet", [one], META, count=1, scores=["rm"])
    back = pl.read_parquet(tmp_path / "c.parquet").row(0, named=True)
    told = {
        "is_verified": True, "verification_confidence": 0.9, "verification_explanation": "18 = 18",
        "verification_saw_reference": True, "refusal_is_refusal": False, "refusal_type": "other", "rm": 0.25,
        "prompt_tokens": 20, "completion_tokens": 52, "cost_usd": None, "cached_tokens": None, "paid_usd": 1.0,
        "temperature": 0.7, "max_tokens": 64, "calls": ["k1", "k2"], "tool_calls_total": 1, "tool_iterations": 1,
        "quality_reasoning_length": 200, "quality_answer_length": 2, "quality_is_substantive": True,
        "quality_total_response_length": 202, "is_retry": False, "finish_reason": "stop", "model": "m/7b",
    }  # fmt: skip
    assert {name: back[name] for name in told} == told
    assert [decode(Part, part) for part in json.loads(back["parts"])] == parts


def test_a_failed_draw_has_no_quality():
    row = candidate_row(Candidate("a", "q", 0, [], "error", error="timeout"), Problem("q", "s", "?"), ARM, (None, None))
    assert not [name for name in row if name.startswith("quality_")]


def test_the_ledger_has_one_row_an_attempt(tmp_path):
    calls = [
        Call("k", "base", "m", ["d1", "d2"], 1, "failed", Spend(), 1.0, 2.0, "timeout"),
        Call("k", "base", "m", ["d1"], 2, "ok", Spend(9, 0, 5, None, 0.5, 0.001), 2.0, 3.0),
    ]
    write_calls(tmp_path / "calls.parquet", map(call_row, calls), META, count=2)
    table = pq.read_table(tmp_path / "calls.parquet")
    assert table.schema.equals(arrow(CALLS), check_metadata=False)
    assert table["attempt"].to_pylist() == [1, 2]
    assert table["serves"].to_pylist() == [["d1", "d2"], ["d1"]]
    assert table["joules"].to_pylist() == [None, None]
    assert read_meta(tmp_path / "calls.parquet", "testtime.calls")["total_records"] == 2
    with pytest.raises(BadInput, match=r"no testtime\.candidates"):
        open_pool(tmp_path / "calls.parquet")


@given(st.permutations([(a, q, i) for a in "ab" for q in ("q2", "q10", "q1") for i in range(2)]))
def test_a_shuffled_table_is_written_sorted(tmp_path_factory, cells):
    path = tmp_path_factory.mktemp("pool") / "c.parquet"
    frame = pl.DataFrame(cells, schema=["arm", "query_id", "candidate_idx"], orient="row")
    write_frame(path, frame.with_columns(answer_key=pl.lit("1"), rm=pl.lit(0.5)), META | {"arms": None, "floor": None})
    back = pl.read_parquet(path)
    arms, queries = list(dict.fromkeys(c[0] for c in cells)), list(dict.fromkeys(c[1] for c in cells))
    assert back.select("arm", "query_id", "candidate_idx").rows() == [
        (a, q, i) for a in arms for q in queries for i in range(2)
    ]
    assert back["rm"].to_list() == list(repeat(0.5, 12))


def test_a_run_folder_opens_as_its_pool(tmp_path):
    written(tmp_path / "run one" / "candidates.parquet", [row(idx=i, is_verified=i == 0) for i in range(3)])
    pool = open_pool(tmp_path / "run one")
    assert (pool.run, pool.problems, pool.arms["plain"].arm) == ("r", ["q1"], ARM)
    assert pool.arms["plain"].right.tolist() == [[1, 0, 0]]
    assert pool.arms["plain"].sampled == 2, "the floor of the metadata"


def test_the_schema_is_the_golden_one():
    """Whoever changes a column or a key changes this file with it, and thinks of `VERSION`."""
    files = {"candidates": CANDIDATES, "calls": CALLS}
    told = [f"{file} {name} {column.type}" for file, columns in files.items() for name, column in columns.items()]
    told += [f"metadata {name} {key.form}" for name, key in METADATA.items()]
    assert [f"version {VERSION}", *told] == GOLDEN.read_text().split("\n")[:-1]


def test_every_column_says_what_it_holds():
    for name, told in [*CANDIDATES.items(), *CALLS.items(), *METADATA.items()]:
        assert told.about.endswith("."), name
        assert name == name.lower()
