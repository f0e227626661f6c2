r"""Training examples: a prompt, and a trace of which some tokens are not taught.

A trace is one or more passes over the story's steps (`passes.py`), a slip as likely as its reasoner makes it: so
the models slip, too, at temperatures above 0, and votes and second thoughts have something to mend. A wrong pass
is often noticed when it is done, and `Wait, again:` begins another. Traces that are right go on as well: there
the `Wait` is not taught, what follows it is, so that a `Wait` that is forced on a model in place of `</think>`
means to it what it says. Multiple choice looks the value up, one option a line, until one agrees.

Some traces are cut short anywhere: `</think>` comes, and the answer is that of the last whole pass, or a best
guess where there is none. That is what a thinking budget does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from testtime.tasks.pocket_math import LEVELS, PROMPT, choice_question, choices, part_of
from testtime.tasks.pocket_story import Dice, Story, tell
from testtime.tasks.pocket_trace import answer
from training.passes import AGAIN, WAIT, passed
from training.vocabulary import ASSISTANT, END, SYSTEM, UNK, USER, Vocabulary

Piece = tuple[str, bool]
"""(Text, taught?)."""


@dataclass(frozen=True, slots=True)
class Mix:
    """Shares of the kinds of examples."""

    choice: float = 0.3
    foreign: float = 0.03
    """Prompts with unknown words before or after the question."""
    slip: float = 0.04
    """A carry or digit of the first pass; half as often in each later one."""
    late: float = 0.5
    """Wrong passes that are noticed when they are done."""
    again: float = 0.25
    """Passes after which another is forced."""
    lines: int = 30
    """Steps of all passes together at most; the last pass that fits makes no slip."""
    cut: float = 0.12
    """Traces cut short."""


@dataclass(slots=True)
class Trace:
    """Thinking as it grows, and the answer that each whole pass gave."""

    pieces: list[Piece]
    said: str | None = None
    """The answer of the last whole pass."""
    is_right: bool = False
    known: list[tuple[int, str]] | None = None
    """(Number of pieces, answer) after each whole pass."""


def example(dice: Dice, story: Story, mix: Mix) -> tuple[str, list[Piece]]:
    """(Prompt, trace) of a story."""
    offered = choices(story) if dice.chance(mix.choice) else None
    asked = prompt(dice, choice_question(story) if offered else story.question, mix)
    trace = thought(dice, story, offered, mix)
    if dice.chance(mix.cut):
        return asked, cut(dice, trace, right_answer(story, offered))
    assert trace.said is not None
    return asked, [*trace.pieces, ("</think>", trace.is_right), (answer(trace.said) + END, True)]


def thought(dice: Dice, story: Story, offered: dict[str, str] | None, mix: Mix) -> Trace:
    """Thinking up to its end, tags left out but the first."""
    trace = Trace([("<think>\n", True)], known=[])
    most = max(1, mix.lines // len(story.steps))
    for turn in range(most):
        is_last = turn + 1 == most
        done = passed(dice, story.steps, 0.0 if is_last else mix.slip / 2**turn)
        trace.pieces.append((done.text, True))
        trace.said = None if done.value is None else f"{done.value:03d}"
        if offered and trace.said is not None:
            walk, trace.said = looked_up(offered, trace.said)
            trace.pieces.append((walk, True))
        trace.is_right = done.value == story.value
        if trace.said is not None and trace.known is not None:
            trace.known.append((len(trace.pieces), trace.said))
        notices = not trace.is_right and (trace.said is None or dice.chance(mix.late))
        if is_last or not (notices or dice.chance(mix.again)):
            break
        trace.pieces += [(WAIT, not trace.is_right), (AGAIN, True)]
    return trace


def looked_up(offered: dict[str, str], value: str) -> tuple[str, str | None]:
    r"""(Options, a line each, up to the one of this value, its letter); all of them and None where there is none.

    Digits of option and value side by side, each pair with its verdict, up to the first that differs.

    >>> looked_up({"A": "447", "B": "457"}, "457")
    ('A:44=45-\nB:44=55=77=\n', 'B')
    """
    text = ""
    for letter, number in offered.items():
        text += f"{letter}:"
        for theirs, ours in zip(number, value, strict=True):
            text += f"{theirs}{ours}" + ("=" if theirs == ours else "-")
            if theirs != ours:
                break
        text += "\n"
        if number == value:
            return text, letter
    return text, None


def right_answer(story: Story, offered: dict[str, str] | None) -> str:
    """The story's answer as it is to be said."""
    value = f"{story.value:03d}"
    return next(letter for letter, text in offered.items() if text == value) if offered else value


def cut(dice: Dice, trace: Trace, right: str) -> list[Piece]:
    """The trace ended after any of its tokens, with the answer that is known by then."""
    vocabulary = Vocabulary()
    tokens = [
        (token, index, learn) for index, (text, learn) in enumerate(trace.pieces) for token in vocabulary.split(text)
    ]
    kept = tokens[: dice.between(1, len(tokens))]
    whole = kept[-1][1] if len(kept) < len(tokens) else len(trace.pieces)
    said = next((said for pieces, said in reversed(trace.known or []) if pieces <= whole), right)
    return [*((token, learn) for token, _, learn in kept), ("</think>", False), (answer(said) + END, True)]


def prompt(dice: Dice, question: str, mix: Mix) -> str:
    """The chat prompt of a question, sometimes among words that the vocabulary lacks."""
    asked = PROMPT.format(question=question)
    system = ""
    if dice.chance(mix.foreign):
        system = SYSTEM + UNK * dice.between(3, 20)
    if dice.chance(mix.foreign):
        asked = question + "\n" + UNK * dice.between(3, 15)
    return f"{system}{USER}{asked}{ASSISTANT}"


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
