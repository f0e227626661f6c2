"""What others write is read without a crash, a hang or growth: configurations, journals (test_journals.py), recorded
files of every importer, answers in texts, tool calls. Texts are made of the pieces that each parser looks for, and
each is run under an alarm; what is long is long in one thing at a time, so that a square or worse shows.
"""

from __future__ import annotations

import gc
import importlib
import json
import signal
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from length import LONG

from testtime.answers import calls, expression, extract, final, latex, numbers, refusal, structured
from testtime.core.errors import BadInput
from testtime.core.registry import find, names
from testtime.importers import lighteval, sniff
from testtime.runspec import specs_of
from testtime.spec import read_yaml
from testtime.store.frame import pool_of
from testtime.store.parquet import read_meta
from testtime.tasks.data import rows_of

SECONDS = 20
"""What no example may take, on the slowest machine; all take thousandths."""
MANY = 2000 if LONG else 45


@contextmanager
def alarm() -> Iterator[None]:
    """Fails where the body hangs: by processor time, which the load of a machine does not lengthen."""

    def rings(*_: object) -> None:
        raise AssertionError(f"took more than {SECONDS} s of processor time")

    before = signal.signal(signal.SIGPROF, rings)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def one_line(work: Callable[[], Any]) -> Any:
    """What it gives, under an alarm; None where it refuses, in one line."""
    refused = ""
    with alarm():
        try:
            return work()
        except BadInput as error:
            refused = str(error)
    assert "\n" not in refused
    return None


# ---- answers in texts ----
READERS: dict[str, Callable[[str], Any]] = {
    "unthink": extract.unthink, "thoughts": extract.thoughts, "marked": extract.marked, "weakly": extract.weakly,
    "last_box": extract.last_box, "number": extract.number, "mathematics": final.mathematics,
    "letter": lambda text: final.letter(text, ["red", "green", "both A and B"]), "program": final.program,
    "key": expression.key, "spelling": latex.spelling, "parse": numbers.parse, "last": numbers.last,
    "canonical": numbers.canonical, "calls": calls.calls_of, "parts": structured.parts,
    "final_answer": structured.final_answer, "refusal": refusal.read,
}  # fmt: skip
PIECES = (
    r"\boxed{", r"\fbox{", "}", "{", r"\frac", r"\sqrt[", "]", "(", ")", "^", "_", "1", "-3", "9" * 40, "1e400", "/",
    "%",
    "<think>", "</think>", "Final Answer:", "**", "$", r"\[", r"\text{", "```python\n", "```", "def f(x):\n", "\n", " ",
    ",", ".", "A)", "(B)", "x", "=", "±", "−", "½", "\u0663", "\ud83d\ude00", "\x00", "\u2028", '{"name": "f", ',
    '"arguments": ', "<tool_call>", "</tool_call>", "[", '"', "\\", "NaN", "true", "\\left(", "\\right)", "!", "infty",
)  # fmt: skip
pieces = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=MANY)
@given(pieces | st.text(max_size=80))
def test_any_text_is_read_or_is_no_answer(name: str, text: str) -> None:
    with alarm():
        READERS[name](text)


LONGEST = 20_000 if LONG else 2_000


@pytest.mark.parametrize("name", READERS)
def test_a_piece_again_and_again_takes_no_square_of_its_length(name: str) -> None:
    """An alarm over all of them: at this length a square of a millisecond's work would be hours."""
    with alarm():
        for piece in PIECES:
            for text in (piece * LONGEST, piece * (LONGEST // 2) + "x" + piece * (LONGEST // 2)):
                READERS[name](text)


# ---- tool calls against what is possible ----
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=MANY)
@given(
    st.lists(st.fixed_dictionaries({}, optional={"name": json_values, "arguments": json_values}), max_size=3), pieces
)
def test_calls_of_any_json_are_calls_or_none_and_have_a_key(said: list[dict[str, Any]], around: str) -> None:
    with alarm():
        found = calls.calls_of(around + json.dumps(said)) or calls.calls_of(json.dumps(said)) or []
        assert calls.key_of(calls.from_key(calls.key_of(found))) == calls.key_of(found)


# ---- configurations ----
keys = st.sampled_from(
    ["model", "dataset", "splits", "policies", "decoding", "seed", "n", "max_n", "shard", "nobody", "run"]
)
YAML = (
    "model: ", "dataset: ", "policies: [", "]", "&a ", "*a", "<<: ", "- ", "? ", "!!python/object:os.system ",
    "!!binary ", "1", "~", "\n", "  ", "{", "}", '"', "'", "|", ">", "#", ":", "\t", "\x00", "é", "pocket-m",
    "sc_fixed:n=", "1e400", "---\n",
)  # fmt: skip
yaml_pieces = st.lists(st.sampled_from(YAML), max_size=30).map("".join)


@settings(max_examples=MANY)
@given(yaml_pieces | st.text(max_size=60) | st.binary(max_size=60))
def test_any_file_is_a_configuration_or_one_line(tmp_path_factory: pytest.TempPathFactory, text: str | bytes) -> None:
    path = tmp_path_factory.mktemp("yaml") / "run.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    one_line(lambda: read_yaml(path))
    one_line(lambda: specs_of({}, path))


@settings(max_examples=MANY // 3)
@given(st.dictionaries(keys, json_values, max_size=3))
def test_any_values_are_a_run_or_one_line(values: dict[str, Any]) -> None:
    one_line(lambda: specs_of({"model": "pocket-m", "dataset": "pocket-math", **values}))


# ---- recorded files ----
def keys_of(kind: str) -> list[str]:
    module = importlib.import_module(names("importer")[kind].partition(":")[0])
    return sorted(getattr(module, "KEYS", ("id", "samples", "eval")))


@pytest.mark.parametrize("kind", names("importer"))
@settings(max_examples=MANY // 2)
@given(st.data())
def test_any_rows_of_a_format_are_a_pool_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject
) -> None:
    known = keys_of(kind)
    row = st.fixed_dictionaries({}, optional={key: json_values | json_values.map(lambda one: [one]) for key in known})
    rows = data.draw(st.lists(row | json_values, max_size=3))
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8", errors="surrogatepass")
    one_line(lambda: sniff(path))
    if (found := one_line(lambda: find("importer", kind)(path))) is not None:
        one_line(lambda: pool_of(found.frame, found.meta))


DETAILS = {"doc": {"id": "a", "query": "?", "choices": ["1"], "gold_index": [0]}, "model_response": {"text": ["1"]}}


@settings(max_examples=MANY)
@given(st.data())
def test_a_damaged_table_of_others_is_rows_or_one_line(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    """Of a benchmark's problems, and of another package's details; a library that panics is no line."""
    path = tmp_path_factory.mktemp("table") / "t.parquet"
    pl.DataFrame([DETAILS] * 9).write_parquet(path)
    damaged = bytearray(path.read_bytes())
    for at in data.draw(st.lists(st.integers(0, len(damaged) - 1), min_size=1, max_size=3)):
        damaged[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(damaged)
    for work in (lambda: list(rows_of(path, "test")), lambda: lighteval.knows(path) and lighteval.read(path)):
        one_line(work)


@settings(max_examples=MANY // 2)
@given(st.binary(max_size=200), st.sampled_from(["rows.jsonl", "rows.json.gz", "log.eval", "c.parquet"]))
def test_any_bytes_are_no_recorded_file_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, name: str
) -> None:
    path = tmp_path_factory.mktemp("bytes") / name
    path.write_bytes(noise)
    for read in (read_meta, sniff, *(find("importer", kind) for kind in names("importer"))):
        one_line(partial(read, path))


# ---- memory ----
def test_long_answers_leave_nothing_behind() -> None:
    """What is kept is bounded, and what is long is not kept at all: gigantic texts must not pile up."""

    def once(at: int) -> None:
        text = rf"I think \boxed{{{at} + {'x ' * 10_000}}} Final Answer: {at}{'0' * 10_000}"
        for name in ("marked", "number", "mathematics", "last_box", "key", "canonical"):
            READERS[name](text)
        calls.calls_of(json.dumps([{"name": f"f{at}", "arguments": {"a": "b" * 10_000}}]))

    once(0)
    tracemalloc.start()
    try:
        for at in range(1, 100):
            once(at)
        gc.collect()
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert kept < 500_000, f"{kept} bytes are kept of a hundred texts of thirty thousand"
