"""Training examples: what is taught follows, forced `Wait`s are not taught, and every text is in the vocabulary."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from training.passes import AGAIN, WAIT, as_it_stands, attempted, passed
from training.traces import Mix, Trace, coded, cut, example, looked_up, stream, thought
from training.vocabulary import END, PATTERN, UNK, Vocabulary, tokens

from testtime.tasks.pocket_math import choice_question, choices, part_of
from testtime.tasks.pocket_story import Dice, tell
from testtime.tasks.pocket_trace import line

VOCABULARY = Vocabulary()
KNOWN = Mix(foreign=0.0)
WHOLE = Mix(foreign=0.0, cut=0.0)
seeds = st.integers(0, 2**31)
stories = st.builds(lambda seed, steps: tell(Dice(seed), steps), seeds, st.integers(1, 8))


def said(pieces) -> str:
    return "".join(piece for piece, _ in pieces)


def test_tokens_are_few_and_different() -> None:
    assert len(set(tokens())) == len(tokens()) < 400
    assert all(re.fullmatch(PATTERN, token, re.DOTALL) for token in tokens() if token != UNK)


@given(stories, seeds)
def test_texts_are_covered_and_come_back(story, seed) -> None:
    asked, pieces = example(Dice(seed), story, KNOWN)
    text = asked + said(pieces)
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


@given(stories)
def test_a_pass_without_slips_is_the_story(story) -> None:
    done = passed(Dice(0), story.steps, 0.0)
    assert done.text == "".join(map(line, story.steps))
    assert done.value == story.value


@given(stories, seeds)
def test_a_line_that_slips_looks_like_a_line_and_comes_to_what_it_says(story, seed) -> None:
    for step in story.steps:
        text, value = attempted(Dice(seed), step, 0.3)
        assert re.fullmatch(r"\w+:\d{3}[-+*]\d{3}:\d\d,\d\d,\d\d=\d{3}\n", text)
        assert text.endswith(f"={value:03d}\n")
        assert len(text) == len(line(step))


@given(stories, seeds)
def test_steps_go_on_from_what_the_steps_before_came_to(story, seed) -> None:
    values = [step.value for step in story.steps]
    for index, step in enumerate(story.steps):
        assert as_it_stands(story.steps, index, values) == step
    at = Dice(seed).between(0, len(values) - 1)
    wrong = [*values[:at], values[at] + 1]
    if at + 1 < len(values):
        step, gone = story.steps[at + 1], as_it_stands(story.steps, at + 1, wrong)
        starts_anew = at + 2 < len(values) and gone == step
        assert starts_anew or values[at] + 1 in (gone.left, gone.right)


@given(stories, seeds)
def test_slips_are_made_and_half_of_them_noticed(story, seed) -> None:
    done = passed(Dice(seed), story.steps, 0.2)
    lines = [text for text in done.text.split("\n") if "=" in text]
    redone = done.text.count(WAIT + AGAIN)
    assert len(lines) - redone <= len(story.steps)
    if done.value is not None:
        assert len(lines) - redone == len(story.steps)
        assert done.text.endswith(f"={done.value:03d}\n")


@given(stories, seeds)
def test_only_a_wait_after_a_wrong_pass_is_taught_and_the_end_only_after_a_right_one(story, seed) -> None:
    asked, pieces = example(Dice(seed), story, Mix(foreign=0.0, cut=0.0, choice=0.0, slip=0.1))
    was_right = False
    for text, taught in pieces:
        if text == WAIT:
            assert taught is not was_right
        elif text == "</think>":
            assert taught is was_right
        elif "=" in text:
            was_right = text.rstrip("\n").endswith(f"={story.value:03d}")
        else:
            assert taught
    assert asked.count("<|assistant|>") == 1


@given(stories, seeds)
def test_a_whole_trace_answers_what_its_last_pass_came_to(story, seed) -> None:
    asked, pieces = example(Dice(seed), story, WHOLE)
    boxed = re.fullmatch(r"\n\\boxed\{(\w+)\}" + re.escape(END), pieces[-1][0])
    assert boxed is not None
    text = said(pieces)
    last = re.findall(r"=(\d{3})\n", text)[-1]
    offered = dict(re.findall(r"\n([A-D])\) (\d{3})", asked))
    assert offered.get(boxed[1], boxed[1]) == last
    assert bool(offered) == (choice_question(story) in asked)


@given(stories)
def test_options_are_compared_until_one_agrees(story) -> None:
    offered = choices(story)
    for letter, number in offered.items():
        walk, found = looked_up(offered, number)
        assert found == letter
        assert walk.split("\n")[-2] == f"{letter}:" + "".join(f"{digit}{digit}=" for digit in number)
        assert walk.count("-") == walk.count("\n") - 1
    assert looked_up(offered, "xyz")[1] is None


@given(stories, seeds)
def test_a_cut_trace_answers_with_the_last_whole_pass_or_else_the_truth(story, seed) -> None:
    trace = thought(Dice(seed), story, None, Mix(slip=0.1))
    assert trace.known
    kept = cut(Dice(seed), trace, "truth")
    text = said(kept[:-2])
    assert said(trace.pieces).startswith(text)
    assert kept[-2] == ("</think>", False)
    ends = len(text) + (text == said(trace.pieces))  # a pass is whole once something follows, or nothing is cut
    whole = [answer for count, answer in trace.known if len(said(trace.pieces[:count])) < ends]
    assert kept[-1] == (f"\n\\boxed{{{whole[-1] if whole else 'truth'}}}{END}", True)


def test_a_trace_that_has_no_room_ends_right() -> None:
    for seed in range(200):
        story = tell(Dice(seed), 8)
        trace: Trace = thought(Dice(seed), story, None, Mix(slip=0.5, lines=8))
        assert trace.is_right
        assert trace.said == f"{story.value:03d}"


def test_training_sees_only_its_part_and_repeats_from_a_seed() -> None:
    one, two = stream(7, ("first", "easy", "hard"), Mix()), stream(7, ("first", "easy", "hard"), Mix())
    for _ in range(50):
        assert next(one) == next(two)
    told = (tell(Dice(seed), 3) for seed in range(200))
    assert {part_of(story) for story in told} == {"train", "validation", "test"}


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0, 0), (1.0, 300, 300)])
def test_shares_are_shares(share: float, low: int, high: int) -> None:
    dice = Dice(4)
    asked = [example(dice, tell(dice, 3), Mix(choice=share))[0] for _ in range(300)]
    assert low <= sum("\nA) " in text for text in asked) <= high
