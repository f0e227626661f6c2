r"""Training examples: a prompt, and a trace of which some tokens are not taught.

Most traces are right throughout. In some a digit slips, the next line is `Wait, again:`, and the step is done
anew; in some the slip is seen only when all is done, and `Wait, again:` does everything anew. The slip itself is
never taught, its recovery always. Where nothing had slipped the `Wait` is not taught, what follows it is: so a
`Wait` that is forced on the model has a meaning too. A few traces are cut short before the answer, which
teaches a best guess to a model whose thinking is ended early.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from testtime.tasks.pocket_math import LEVELS, PROMPT, choice_question, choices, part_of
from testtime.tasks.pocket_story import LARGEST, PACKS, Dice, Step, Story, tell
from testtime.tasks.pocket_trace import answer, column, head, line
from training.vocabulary import ASSISTANT, END, SYSTEM, UNK, USER, Vocabulary

Piece = tuple[str, bool]
"""(Text, taught?)."""
AGAIN = ", again:\n"
WAIT = "Wait" + AGAIN


@dataclass(frozen=True, slots=True)
class Mix:
    """Shares of the kinds of examples."""

    choice: float = 0.12
    foreign: float = 0.03
    """Prompts with unknown words before or after the question."""
    noticed: float = 0.16
    """Traces with slips that are noticed at once."""
    checked: float = 0.12
    """Traces done anew when all is done, half of them with a slip."""
    cut: float = 0.05
    """Traces cut short before the answer."""


def example(dice: Dice, story: Story, mix: Mix) -> tuple[str, list[Piece]]:
    """(Prompt, trace) of a story."""
    choice = dice.chance(mix.choice)
    question = choice_question(story) if choice else story.question
    said = f"{story.value:03d}"
    if choice:
        said = next(letter for letter, text in choices(story).items() if text == said)
    closed = [("</think>", True), (answer(said) + END, True)]
    roll = dice.between(0, 9999) / 10_000
    if roll < mix.noticed:
        lines = noticed(dice, story.steps)
    elif (roll := roll - mix.noticed) < mix.checked:
        lines = checked(dice, story.steps)
    elif roll - mix.checked < mix.cut:
        lines = [(line(step), True) for step in story.steps[: dice.between(0, len(story.steps) - 1)]]
        closed[0] = ("</think>", False)
    else:
        lines = [(line(step), True) for step in story.steps]
    return prompt(dice, question, mix), [("<think>\n", True), *lines, *closed]


def prompt(dice: Dice, question: str, mix: Mix) -> str:
    """The chat prompt of a question, sometimes among words that the vocabulary lacks."""
    asked = PROMPT.format(question=question)
    system = ""
    if dice.chance(mix.foreign):
        system = SYSTEM + UNK * dice.between(3, 20)
    if dice.chance(mix.foreign):
        asked = question + "\n" + UNK * dice.between(3, 15)
    return f"{system}{USER}{asked}{ASSISTANT}"


def noticed(dice: Dice, steps: Sequence[Step]) -> list[Piece]:
    """Lines of which one before the last is done twice: after a slip, or after a `Wait` without reason."""
    if len(steps) == 1:
        return checked(dice, steps)
    chosen = dice.between(0, len(steps) - 2)
    pieces: list[Piece] = []
    for index, step in enumerate(steps):
        if index == chosen or (index + 1 < len(steps) and dice.chance(0.15)):
            if dice.chance(0.8):
                pieces += [*spoiled(dice, step)[0], (WAIT, True)]
            else:
                pieces += [(line(step), True), ("Wait", False), (AGAIN, True)]
        pieces.append((line(step), True))
    return pieces


def checked(dice: Dice, steps: Sequence[Step]) -> list[Piece]:
    """All lines, with an unnoticed slip or none, then `Wait` and all of them anew."""
    right: list[Piece] = [(line(step), True) for step in steps]
    if dice.chance(0.5):
        return [*right, ("Wait", False), (AGAIN, True), *right]
    at = dice.between(0, len(steps) - 1)
    slip, value = spoiled(dice, steps[at])
    went_on = followed(steps, at, value)
    if went_on is None:
        return [*right, ("Wait", False), (AGAIN, True), *right]
    pieces = [*right[:at], *slip]
    for index, step in enumerate(went_on[at + 1 :]):
        pieces += [(step.key, False), (line(step)[len(step.key) :], True)] if index == 0 else [(line(step), True)]
    return [*pieces, (WAIT, True), *right]


def spoiled(dice: Dice, step: Step) -> tuple[list[Piece], int]:
    """(A line one of whose columns slipped, the value it comes to). What follows the slip follows from it."""
    at, in_digit = dice.between(0, 2), dice.chance(0.6)
    in_digit = in_digit or at == 2
    pairs: list[str] = []
    carry = 0
    for place in range(3):
        left, right = (value // 10**place % 10 for value in (step.left, step.right))
        carry, digit = column(step.op, left, step.right if step.op == "*" else right, carry)
        if place == at and in_digit:
            digit = (digit + dice.between(1, 9)) % 10
        elif place == at:
            carry = (carry + dice.pick((1, 9))) % 10 if step.op == "*" else 1 - carry
        pairs.append(f"{carry}{digit}")
    value = int("".join(pair[1] for pair in reversed(pairs)))
    text = f"{head(step)}{','.join(pairs)}={value:03d}\n"
    slip = len(head(step)) + 3 * at + in_digit
    return [(text[:slip], True), (text[slip], False), (text[slip + 1 :], True)], value


def followed(steps: Sequence[Step], at: int, value: int) -> list[Step] | None:
    """The steps as they go on from a wrong value of step `at`; None where one leaves 0–999."""
    gone: list[Step] = []
    total, last = steps[0].left, 0
    for index, step in enumerate(steps):
        packed = index + 1 < len(steps) and steps[index + 1].key in PACKS
        if step.key in PACKS:
            left, right = total, last
        elif index == 0 or packed:
            left, right = step.left, step.right
        elif step.key == "together":
            left, right = gone[-1].left, last
        else:
            left, right = last, step.right
        gone.append(Step(step.key, step.op, left, right))
        last = value if index == at else gone[-1].value
        total = _held(steps, index, total) if packed else last
        if not 0 <= last <= LARGEST:
            return None
    return gone


def _held(steps: Sequence[Step], index: int, total: int) -> int:
    """The amount before packs come in: the story's first amount where they come first."""
    return steps[1].left if index == 0 else total


def coded(vocabulary: Vocabulary, asked: str, pieces: Sequence[Piece]) -> tuple[list[int], list[bool]]:
    """(Ids, taught?) of an example, of one length; the prompt is not taught."""
    ids = vocabulary.encode(asked)
    taught = [False] * len(ids)
    for text, learn in pieces:
        more = vocabulary.encode(text)
        ids += more
        taught += [learn] * len(more)
    return ids, taught


def stream(seed: int, levels: Sequence[str], mix: Mix) -> Iterator[tuple[list[int], list[bool]]]:
    """Examples without end, of the training part only; "first" is a level of single steps to begin with."""
    vocabulary, dice = Vocabulary(), Dice(seed)
    spans = {"first": (1, 1), **LEVELS}
    while True:
        story = tell(dice, dice.between(*spans[dice.pick(levels)]))
        if part_of(story) == "train":
            yield coded(vocabulary, *example(dice, story, mix))
