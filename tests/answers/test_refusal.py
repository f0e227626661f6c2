"""Proves what the signs of refusal are worth on 261 labelled replies (refusals.jsonl, our own writing, committed before
the signs were written): the even half was developed on, the odd half measured once, when the signs were done.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testtime.answers import refusal
from testtime.lanes import marks_of

PERSONAS = Path(__file__).parents[2] / "personas"
ROWS: list[dict[str, Any]] = [
    json.loads(line) for line in Path(__file__).with_name("refusals.jsonl").read_text(encoding="utf-8").splitlines()
]
HALVES = {"developed on": 0, "reported": 1}


def reading(row: dict[str, Any]) -> refusal.Reading:
    marks = marks_of(str(PERSONAS / f"{row['persona']}_flexible.txt")) if row["persona"] else None
    return refusal.read(row["text"], marks.not_refusals if marks else ())


def half(name: str) -> list[dict[str, Any]]:
    return [row for row in ROWS if int(row["id"][1:]) % 2 == HALVES[name]]


def test_the_set_is_large_and_hard() -> None:
    assert len({row["text"] for row in ROWS}) == len(ROWS) >= 200
    refusals = [row for row in ROWS if row["refusal"]]
    assert 100 <= len(refusals) <= len(ROWS) - 100
    assert {row["refusal"] for row in refusals} == {"safety", "capability", "unclear"}
    assert len({row["language"] for row in ROWS}) >= 10
    assert {row["persona"] for row in ROWS} == {None, "marvin", "data", "johnny5"}


@pytest.mark.parametrize("name", HALVES)
def test_recall_and_precision_on_each_half(name: str) -> None:
    rows = half(name)
    found = [(row, reading(row)) for row in rows]
    hits = sum(one.refuses for row, one in found if row["refusal"])
    false = [row["text"] for row, one in found if one.refuses and not row["refusal"]]
    there = sum(row["refusal"] is not None for row in rows)
    assert hits / there >= 0.9
    assert hits / (hits + len(false)) >= 0.95, false


@pytest.mark.parametrize("name", HALVES)
def test_the_type_of_what_is_found(name: str) -> None:
    found = [(row["refusal"], reading(row)) for row in half(name) if row["refusal"]]
    told = [kind == one.type for kind, one in found if one.refuses]
    assert sum(told) / len(told) >= 0.9


def test_other_languages_are_not_misread() -> None:
    answers = [row for row in ROWS if row["language"] != "en" and not row["refusal"]]
    assert len(answers) >= 25
    assert not [row["text"] for row in answers if reading(row).refuses]


def test_a_script_without_signs_is_not_sure() -> None:
    one = refusal.read("죄송하지만 도와드릴 수 없습니다.")
    assert (one.refuses, one.confidence < refusal.UNSURE) == (False, True)


def test_phrases_of_a_persona_say_nothing() -> None:
    text = "I can't give you anything but love."
    assert refusal.read(text).refuses
    assert not refusal.read(text, ["i can't give you anything but love"]).refuses


@pytest.mark.parametrize(
    ("said", "then"),
    [("I can't help with that.", " \\boxed{12}"), ("The radius is not given.", " Assuming it is 2, the answer is 12.")],
)
def test_an_answer_beside_it_speaks_against_it(said: str, then: str) -> None:
    assert refusal.read(said).refuses
    assert not refusal.read(said + then).refuses


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    one = refusal.read(text)
    assert 0.5 <= one.confidence <= 1
    assert (one.type is not None) == one.refuses


@pytest.mark.parametrize("piece", ["I cannot ", "no ", "I'm sorry ", "not able to really just ", "\n", "(", "not not "])
def test_a_long_text_is_read_at_its_ends_alone(piece: str) -> None:
    assert refusal.read(piece * 200_000).confidence >= 0.5
