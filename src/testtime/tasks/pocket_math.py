r"""pocket-math: generated word problems for the pocket models, and a benchmark that needs no download.

Splits are `[train-|validation-|test-]easy|medium|hard[-choice]`: easy has 2–3 steps, medium 4–5, hard
6–8. `medium` is `test-medium`; `test` alone is its three levels after each other. A `-choice` split asks
for one of four letters, whose distractors are what plausible slips would have given. Answers are integers
in 000–999, so that a solution set can be enumerated (`SOLUTIONS`).

The digest of a story's structure and numbers decides whether it is for training, validation or test:
no test problem was trained on under other names, things or wording, whatever the seeds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from testtime.answers import extract, numbers
from testtime.core.errors import unknown_name
from testtime.core.records import Problem
from testtime.core.seeds import seed_of
from testtime.tasks import pocket_trace
from testtime.tasks.pocket_story import LARGEST, Dice, Step, Story, tell

LEVELS = {"easy": (2, 3), "medium": (4, 5), "hard": (6, 8)}
"""Level → fewest and most steps."""
SIZES = {"train": 2000, "validation": 1000, "test": 1000}
"""Problems of each level."""
SEED = 2025
LETTERS = "ABCD"
SOLUTIONS = tuple(f"{value:03d}" for value in range(LARGEST + 1))
"""Every possible answer, as a pocket model writes it."""

PROMPT = "{question}\nAnswer in \\boxed{{}}."


@dataclass(frozen=True)
class PocketMath:
    r"""The task.

    >>> task = PocketMath()
    >>> problem = next(task.problems("easy"))
    >>> problem.query_id.startswith("easy-0-"), len(problem.fields["steps"]) in (2, 3)
    (True, True)
    >>> task.answer(problem, "<think>\nMarch:036+047:13,08,00=083\n</think>\n\\boxed{083}")
    ('083', '83')
    """

    name: ClassVar[str] = "pocket-math"
    prompt: ClassVar[str] = PROMPT
    verifier: ClassVar[str] = "math"

    def problems(self, split: str) -> Iterator[Problem]:
        """The problems of a split, always the same. Raises BadInput for a split that does not exist."""
        part, levels, choice = parse(split)
        for level in levels:
            name = split if len(levels) == 1 else f"{split}-{level}"
            for index, story in enumerate(stories(part, level, SIZES[part])):
                yield _problem(name, index, story, choice)

    def answer(self, problem: Problem, text: str) -> tuple[str | None, str | None]:
        """(As printed, key) of the last box after the thinking; the key is an integer 0–999, or a letter."""
        if "choices" in problem.fields:
            box = extract.marked(extract.unthink(text))
            printed = box.text if box else None
            return printed, printed if printed is not None and printed in problem.fields["choices"] else None
        printed, key = extract.number(text)
        return printed, key if key is not None and key.isdecimal() and int(key) <= LARGEST else None

    def unsound(self, problem: Problem, text: str) -> list[str]:
        """Steps of a text, whole or not, that cannot be right by themselves; the reference is not looked at."""
        return pocket_trace.unsound(problem.question, text)

    def right(self, problem: Problem, key: str | None) -> bool | None:
        """Whether an answer key is the reference; an abstention is wrong."""
        return key == problem.reference if "choices" in problem.fields else numbers.same(key, problem.reference)


def parse(split: str) -> tuple[str, tuple[str, ...], bool]:
    """(Part, levels, multiple choice?) of a split's name. Raises BadInput with the nearest name.

    >>> parse("medium"), parse("validation-hard-choice")
    (('test', ('medium',), False), ('validation', ('hard',), True))
    """
    known = {
        "-".join(filter(None, (part, level, choice))): (
            part or "test",
            (level,) if level else tuple(LEVELS),
            bool(choice),
        )
        for part in ("", *SIZES)
        for level in ("", *LEVELS)
        for choice in ("", "choice")
    }
    if split not in known or split in ("", "choice"):
        raise unknown_name("split of pocket-math", split, [name for name in known if name not in ("", "choice")])
    return known[split]


def stories(part: str, level: str, most: int, seed: int = SEED) -> Iterator[Story]:
    """So many different stories of a level, all of which belong to this part."""
    dice = Dice(seed_of(seed, "pocket-math", part, level))
    seen: set[str] = set()
    while len(seen) < most:
        story = tell(dice, dice.between(*LEVELS[level]))
        if part_of(story) == part and story.signature not in seen:
            seen.add(story.signature)
            yield story


def part_of(story: Story) -> str:
    """The part a story belongs to by its signature alone: 80 % train, 10 % validation, 10 % test."""
    bucket = int(story.signature, 16) % 10
    return "train" if bucket < 8 else "validation" if bucket == 8 else "test"


def choices(story: Story) -> dict[str, str]:
    """Letter → number: the answer and three values that slips would have given, in an order the story decides."""
    dice = Dice(int(story.signature, 16))
    wrong: list[int] = []
    slips = dice.shuffled(_slips(story))
    while len(wrong) < len(LETTERS) - 1:
        value = slips.pop() if slips else dice.between(0, LARGEST)
        if value != story.value and value not in wrong and 0 <= value <= LARGEST:
            wrong.append(value)
    return dict(zip(LETTERS, (f"{value:03d}" for value in dice.shuffled([story.value, *wrong])), strict=True))


def choice_question(story: Story) -> str:
    """The question with its choices, a line each."""
    return "\n".join([story.question, *(f"{letter}) {text}" for letter, text in choices(story).items())])


def _slips(story: Story) -> list[int]:
    """What a lost carry, a digit one off, a forgotten last step or the wrong operation would have given."""
    last = story.steps[-1]
    other = Step(last.key, "-" if last.op == "+" else "+", last.left, last.right)
    return [last.left, other.value, *(story.value + off for off in (-100, -10, -1, 1, 10, 100))]


def _problem(split: str, index: int, story: Story, choice: bool) -> Problem:
    steps = tuple(f"{step.left}{step.op}{step.right}={step.value}" for step in story.steps)
    query_id = f"{split}-{index}-{story.signature[:8]}"
    if not choice:
        fields = {"steps": steps, "solution_set": f"{SOLUTIONS[0]}..{SOLUTIONS[-1]}"}
        return Problem(query_id, split, story.question, str(story.value), fields)
    offered = choices(story)
    letter = next(letter for letter, text in offered.items() if int(text) == story.value)
    return Problem(query_id, split, choice_question(story), letter, {"steps": steps, "choices": offered})
