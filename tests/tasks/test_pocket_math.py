"""pocket-math: the same from a seed, parts apart, every problem's steps and text come to its answer."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testtime.core.errors import BadInput
from testtime.core.protocols import Task
from testtime.tasks import pocket_math
from testtime.tasks.pocket_math import LEVELS, PROMPT, SIZES, SOLUTIONS, PocketMath, choices, part_of, stories
from testtime.tasks.pocket_story import MONTHS, WORDS, Dice, Story, tell
from testtime.tasks.pocket_trace import answer, columns, line, thought

TASK: Task = PocketMath()
seeds = st.integers(0, 2**31)


def told(question: str) -> int:
    """The answer by reading the sentences alone: an evaluator that knows nothing of steps."""
    *sentences, asked = re.split(r"(?<=[.?]) ", question)
    has: dict[str, int] = {}
    who = ""
    for month, sentence in zip(MONTHS, sentences, strict=False):
        assert sentence.startswith(f"In {month} ")
        who = read(sentence.removeprefix(f"In {month} "), has, who)
    assert asked.endswith(f" in {month}?")
    return sum(has[name] for name in has if re.search(rf"\b{name}\b", asked))


def read(sentence: str, has: dict[str, int], who: str) -> str:
    """Applies one sentence; gives who is spoken of after it."""
    values = [int(number) for number in re.findall(r"\d+", sentence)]
    if compared := re.fullmatch(r"(\w+) has (.*) than (\w+)\.", sentence):
        name, how, other = compared.groups()
        has[name] = has[other] + values[0] * (1 if "more" in how else -1)
        return name
    if compared := re.fullmatch(r"(\w+) has .* as (\w+)\.", sentence):
        has[compared[1]] = has[compared[2]] * (values[0] if values else 2)
        return compared[1]
    if opened := re.fullmatch(r"(\w+) (?:has|starts with|begins with) \d+ \w+\.", sentence):
        has[opened[1]] = values[0]
        return opened[1]
    losses = ["loses", "sells", "drops", "breaks", "lends", "donates", "trades", "uses", "gives", "hides"]
    if "doubles" in sentence or "triples" in sentence:
        has[who] *= 2 if "doubles" in sentence else 3
    elif "each." in sentence:
        has[who] += values[0] * values[1]
    else:
        has[who] += values[0] * (-1 if set(losses) & set(sentence.split()) else 1)
    return who


@given(seeds, st.integers(1, 9))
def test_sentences_and_steps_come_to_one_answer(seed: int, steps: int) -> None:
    story = tell(Dice(seed), steps)
    assert len(story.steps) == steps
    assert told(story.question) == story.value
    assert all(0 <= value <= 999 for step in story.steps for value in (step.left, step.right, step.value))
    assert len({step.key for step in story.steps}) == steps
    assert all(re.search(rf"\b{step.key}\b", story.question) for step in story.steps)


@given(seeds, st.integers(1, 9))
def test_columns_of_a_trace_are_its_sums(seed: int, steps: int) -> None:
    story = tell(Dice(seed), steps)
    for step in story.steps:
        digits = "".join(str(digit) for _, digit in reversed(columns(step.op, step.left, step.right)))
        assert int(digits) == step.value
        written = re.fullmatch(r"(\w+):(\d{3})([-+*])(\d{3}):\d\d,\d\d,\d\d=(\d{3})\n", line(step))
        assert written is not None
        left, op, right, value = int(written[2]), written[3], int(written[4]), int(written[5])
        assert value == {"+": left + right, "-": left - right, "*": left * right}[op]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("part", SIZES)
def test_problems_are_many_different_and_of_their_level(part: str, level: str) -> None:
    problems = list(TASK.problems(f"{part}-{level}"))
    assert len(problems) >= 1000
    assert len({problem.query_id for problem in problems}) == len(problems)
    assert len({problem.question for problem in problems}) == len(problems)
    low, high = LEVELS[level]
    assert {len(problem.fields["steps"]) for problem in problems} == set(range(low, high + 1))
    assert all(problem.reference in map(str, range(1000)) for problem in problems)


def test_no_story_of_one_part_is_in_another_under_other_words() -> None:
    signatures = {
        part: {story.signature for level in LEVELS for story in stories(part, level, SIZES[part])} for part in SIZES
    }
    assert not signatures["train"] & signatures["test"]
    assert not signatures["train"] & signatures["validation"]
    assert not signatures["validation"] & signatures["test"]


@given(seeds)
def test_words_do_not_decide_the_part(seed: int) -> None:
    story = tell(Dice(seed), 4)
    renamed = Story("other words", story.steps)
    assert renamed.signature == story.signature
    assert part_of(renamed) == part_of(story)


def test_every_machine_tells_the_same_stories() -> None:
    """In a fresh process too, whose hashes of strings are salted anew."""
    code = (
        "import hashlib; from testtime.tasks.pocket_math import PocketMath;"
        "print(hashlib.sha256(repr(list(PocketMath().problems('test-choice'))).encode()).hexdigest())"
    )
    here = hashlib.sha256(repr(list(TASK.problems("test-choice"))).encode()).hexdigest()
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here


def test_a_shorter_reading_is_the_beginning_of_a_longer_one() -> None:
    assert list(islice(TASK.problems("hard"), 20)) == list(TASK.problems("hard"))[:20]


@given(seeds)
def test_one_letter_is_right_and_four_numbers_differ(seed: int) -> None:
    story = tell(Dice(seed), 3)
    offered = choices(story)
    assert list(offered) == list("ABCD")
    assert len(set(offered.values())) == 4
    assert list(offered.values()).count(f"{story.value:03d}") == 1
    assert set(offered.values()) <= set(SOLUTIONS)


def test_letters_are_balanced_and_keys_are_letters() -> None:
    problems = list(TASK.problems("medium-choice"))
    right = [problem.reference for problem in problems]
    assert all(150 < right.count(letter) < 350 for letter in "ABCD")
    for problem in problems[:20]:
        offered = problem.fields["choices"]
        assert problem.question.endswith("\n".join(f"{letter}) {text}" for letter, text in offered.items()))
        assert TASK.answer(problem, "<think>\\boxed{A}</think>\n\\boxed{C}") == ("C", "C")
        assert TASK.answer(problem, "</think>\\boxed{E}") == ("E", None)
        assert TASK.answer(problem, "nothing") == (None, None)


def test_the_right_trace_is_right_and_a_box_within_thinking_is_not_read() -> None:
    task = PocketMath()
    for story, problem in zip(stories("test", "medium", 50), task.problems("medium"), strict=False):
        text = thought(story.steps) + answer(f"{story.value:03d}")
        assert task.answer(problem, text) == (f"{story.value:03d}", str(story.value))
        assert task.right(problem, task.answer(problem, text)[1])
    assert task.answer(problem, "<think>\n\\boxed{083}\n")[1] is None
    assert task.answer(problem, "<think></think>\\boxed{1000}") == ("1000", None)
    assert task.answer(problem, "<think></think>\\boxed{-5}") == ("-5", None)
    assert task.answer(problem, "<think></think>\\boxed{007}") == ("007", "7")


def test_stories_hold_no_word_outside_the_vocabulary() -> None:
    held = {
        word for part in SIZES for p in TASK.problems(f"{part}-hard") for word in re.findall("[A-Za-z]+", p.question)
    }
    assert held <= set(WORDS)
    assert len(set(WORDS)) == len(WORDS)


def test_an_unknown_split_is_named_with_the_nearest() -> None:
    with pytest.raises(BadInput, match="test-medium"):
        next(TASK.problems("test-medum"))
    with pytest.raises(BadInput):
        next(TASK.problems(""))


def test_the_prompt_takes_questions_with_braces() -> None:
    assert PROMPT.format(question="{x}") == "{x}\nAnswer in \\boxed{}."
    assert pocket_math.parse("test") == ("test", ("easy", "medium", "hard"), False)
