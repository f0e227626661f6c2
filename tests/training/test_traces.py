"""Training examples: what is taught is right, slips are not taught, and every text is in the vocabulary."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from training.traces import Mix, checked, coded, example, followed, noticed, spoiled, stream
from training.vocabulary import END, PATTERN, UNK, Vocabulary, tokens

from testtime.tasks.pocket_math import choice_question, part_of
from testtime.tasks.pocket_story import Dice, tell
from testtime.tasks.pocket_trace import line

VOCABULARY = Vocabulary()
KNOWN = Mix(foreign=0.0)
seeds = st.integers(0, 2**31)
stories = st.builds(lambda seed, steps: tell(Dice(seed), steps), seeds, st.integers(1, 8))


def test_tokens_are_few_and_different() -> None:
    assert len(set(tokens())) == len(tokens()) < 400
    assert all(re.fullmatch(PATTERN, token, re.DOTALL) for token in tokens() if token != UNK)


@given(stories, seeds)
def test_texts_are_covered_and_come_back(story, seed) -> None:
    asked, pieces = example(Dice(seed), story, KNOWN)
    text = asked + "".join(piece for piece, _ in pieces)
    ids = VOCABULARY.encode(text)
    assert VOCABULARY.ids[UNK] not in ids
    assert VOCABULARY.decode(ids) == text
    assert coded(VOCABULARY, asked, pieces)[0] == ids, "encoding parts is encoding the whole"


@given(st.text(max_size=60))
def test_any_text_encodes_and_only_unknown_pieces_are_lost(text: str) -> None:
    ids = VOCABULARY.encode(text)
    assert len(VOCABULARY.decode(ids).replace(UNK, "")) <= len(text)
    if VOCABULARY.ids[UNK] not in ids:
        assert VOCABULARY.decode(ids) == text


@given(stories, seeds)
def test_a_text_cut_between_lines_encodes_like_its_parts(story, seed) -> None:
    _, pieces = example(Dice(seed), story, KNOWN)
    text = "".join(piece for piece, _ in pieces)
    for cut in re.finditer(r"\n", text):
        parts = VOCABULARY.encode(text[: cut.end()]) + VOCABULARY.encode(text[cut.end() :])
        assert parts == VOCABULARY.encode(text)


@given(stories, seeds)
def test_a_slip_is_one_untaught_digit_and_the_rest_follows(story, seed) -> None:
    for step in story.steps:
        pieces, value = spoiled(Dice(seed), step)
        text = "".join(piece for piece, _ in pieces)
        assert [taught for _, taught in pieces] == [True, False, True]
        assert len(pieces[1][0]) == 1
        assert text != line(step)
        assert text.endswith(f"={value:03d}\n")
        assert len(text) == len(line(step))


@given(stories, seeds)
def test_the_last_writing_of_each_step_is_right(story, seed) -> None:
    for pieces in (noticed(Dice(seed), story.steps), checked(Dice(seed), story.steps)):
        text = "".join(piece for piece, _ in pieces)
        assert "Wait, again:\n" in text
        last = {written.split(":")[0]: written + "\n" for written in text.split("\n") if ":" in written}
        assert [last[step.key] for step in story.steps] == [line(step) for step in story.steps]


@given(stories, seeds)
def test_after_a_slip_later_steps_use_its_value(story, seed) -> None:
    at = Dice(seed).between(0, len(story.steps) - 1)
    assert followed(story.steps, at, story.steps[at].value) == list(story.steps)
    gone = followed(story.steps, at, story.steps[at].value + 1)
    if gone is not None and at + 1 < len(gone):
        assert gone[: at + 1] == list(story.steps[: at + 1])
        assert gone[at + 1 :] != list(story.steps[at + 1 :]) or "*" in {step.op for step in gone[at + 1 :]}


@given(stories, seeds)
def test_every_trace_ends_in_the_answer(story, seed) -> None:
    asked, pieces = example(Dice(seed), story, KNOWN)
    said, taught = pieces[-1]
    boxed = re.fullmatch(r"\n\\boxed\{(\w+)\}" + re.escape(END), said)
    assert taught
    assert boxed is not None
    value = boxed[1]
    if value.isalpha():
        assert choice_question(story) in asked
        value = re.search(rf"\n{value}\) (\d+)", asked)[1]
    assert int(value) == story.value


def test_training_sees_only_its_part_and_repeats_from_a_seed() -> None:
    one, two = stream(7, ("first", "easy", "hard"), Mix()), stream(7, ("first", "easy", "hard"), Mix())
    for _ in range(50):
        assert next(one) == next(two)
    told = (tell(Dice(seed), 3) for seed in range(200))
    assert {part_of(story) for story in told} == {"train", "validation", "test"}
