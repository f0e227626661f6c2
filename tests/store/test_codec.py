"""Every core record goes to JSON values and comes back equal; so does every code point."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testtime.core.records import Arm, Call, Candidate, Completion, Generation, Part, Problem, Request, Verdict
from testtime.core.spend import Spend
from testtime.store.codec import decode, dumps, encode, loads

text = st.text(st.characters(), max_size=8)  # lone surrogates among them
number = st.floats(allow_nan=False) | st.integers(-(2**70), 2**70)
maybe = st.none() | st.integers(0, 9)
plain = st.dictionaries(text, st.none() | number | text | st.lists(number, max_size=2), max_size=3)
spend = st.builds(
    Spend, maybe, maybe, maybe, maybe, *[st.none() | st.floats(0, allow_nan=False, allow_infinity=False)] * 3
)
ids = st.none() | st.tuples() | st.tuples(st.integers(0, 99), st.integers(0, 99))
part = st.builds(
    Part,
    st.sampled_from(["base", "oracle", "thinking", "call"]),
    text,
    tokens=maybe,
    call=st.none() | text,
    token_ids=ids,
)
texts = st.lists(text, max_size=3).map(tuple)
logprobs = st.none() | st.lists(st.dictionaries(text, st.floats(max_value=0, allow_nan=False), max_size=2), max_size=2)
completion = st.builds(
    Completion, text, st.sampled_from(["stop", "length"]), tokens=maybe, token_ids=ids,
    logprobs=logprobs.map(lambda x: x if x is None else tuple(x)), tool_calls=st.lists(plain, max_size=2).map(tuple),
)  # fmt: skip
KINDS = [
    spend,
    part,
    completion,
    st.builds(
        Call, text, text, text, serves=texts, attempt=st.integers(1, 9), status=st.sampled_from(["ok", "failed"]),
        spend=spend, started=number, ended=st.none() | number, why=st.none() | text,
    ),
    st.builds(
        Candidate, text, text, st.integers(0, 99), st.lists(part, max_size=3).map(tuple), st.just("stop"),
        alone=st.dictionaries(text, spend, max_size=2), calls=texts, seed=maybe, retry_of=maybe,
        error=st.none() | text, facts=plain,
    ),
    st.builds(
        Verdict, text, text, value=st.none() | st.booleans(), score=st.none() | number, confidence=st.none() | number,
        method=text, explanation=text, gold=st.booleans(), columns=plain, calls=texts,
    ),
    st.builds(Arm, text, st.dictionaries(text, text, max_size=2), text, st.none() | text, plain, plain),
    st.builds(Problem, text, text, text, st.none() | text, plain, st.none() | text),
    st.builds(
        Request, st.lists(plain, max_size=2).map(tuple), prefix=text | st.tuples(st.integers(0, 9)),
        n=st.integers(1, 9), seed=maybe, params=plain,
    ),
    st.builds(
        Generation, st.lists(completion, max_size=2).map(tuple), spend, text, provider_id=st.none() | text,
        calls=texts,
    ),
]  # fmt: skip


@given(st.one_of(KINDS))
def test_a_record_comes_back_equal(record):
    line = dumps(encode(record))
    assert b"\n" not in line
    assert decode(type(record), loads(line)) == record


@given(st.text(st.characters()))
def test_every_code_point_survives_apart(string):
    """Two halves of a surrogate pair that arrive as two code points stay two."""
    for given_ in (string, "\ud83d\ude00", "\ud83d", "\u2028\x00\x85"):
        assert loads(dumps(given_)) == given_


def test_what_is_unknown_takes_no_room():
    assert encode(Spend()) == {}
    assert encode(Spend(prompt=0)) == {"prompt": 0}


def test_numpy_numbers_are_numbers():
    assert loads(dumps({"a": np.int64(3), "b": np.float32(0.5), "c": np.bool_(True)})) == {"a": 3, "b": 0.5, "c": True}
    assert math.isinf(loads(dumps(float("-inf"))))
    with pytest.raises(TypeError, match="set is not a JSON value"):
        dumps({1})


@pytest.mark.parametrize("line", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_a_value_error(line):
    with pytest.raises(ValueError):
        loads(line)


@pytest.mark.parametrize("values", [{}, {"kind": "base"}])
def test_a_mapping_that_is_no_record_is_a_value_error(values):
    with pytest.raises(ValueError, match="not a Part"):
        decode(Part, values)


def test_a_field_of_a_later_version_is_left_aside():
    part = Part("base", "x")
    assert decode(Part, {**encode(part), "colour": "red"}) == part
    assert dataclasses.asdict(part)["call"] is None
