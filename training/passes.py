r"""How a careful but fallible reasoner works through a story: what a pass over its steps looks like.

Now and then a column slips: a digit is one off, or a carry is forgotten or invented. What follows goes on from
it. Half of the slips are noticed when their line is done: `Wait, again:`, and the line is written anew. Each later
pass over all steps is made with twice the care of the one before, so that thinking longer really helps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from testtime.tasks.pocket_story import LARGEST, PACKS, Dice, Step
from testtime.tasks.pocket_trace import column, head, line

WAIT, AGAIN = "Wait", ", again:\n"
NOTICED = 0.5
"""Share of slips that are noticed when their line is done."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass over the steps of a story."""

    text: str
    value: int | None
    """What it comes to; None where a slip led out of 0–999, so that it could not be finished."""


def passed(dice: Dice, steps: Sequence[Step], rate: float) -> Pass:
    """A pass in which every carry and digit slips with probability `rate`."""
    text = ""
    values: list[int] = []
    for index in range(len(steps)):
        step = as_it_stands(steps, index, values)
        if not 0 <= step.value <= LARGEST:
            return Pass(text, None)
        written, value = attempted(dice, step, rate)
        text += written
        is_last = index + 1 == len(steps)  # there, `Wait` begins another pass
        if written != line(step) and not is_last and dice.chance(NOTICED):
            written, value = attempted(dice, step, rate / 2)
            text += WAIT + AGAIN + written
        values.append(value)
    return Pass(text, values[-1])


def attempted(dice: Dice, step: Step, rate: float) -> tuple[str, int]:
    """(The line of a step, with slips or without, the value it comes to)."""
    pairs: list[str] = []
    carry = 0
    for place in range(3):
        left, right = (value // 10**place % 10 for value in (step.left, step.right))
        carry, digit = column(step.op, left, step.right if step.op == "*" else right, carry)
        if place < 2 and dice.chance(rate):
            carry = abs(carry + dice.pick((1, -1))) if step.op == "*" else 1 - carry
        if dice.chance(rate):
            digit = (digit + dice.pick((1, 9))) % 10
        pairs.append(f"{carry}{digit}")
    value = int("".join(pair[1] for pair in reversed(pairs)))
    return f"{head(step)}{','.join(pairs)}={value:03d}\n", value


def as_it_stands(steps: Sequence[Step], index: int, values: Sequence[int]) -> Step:
    """A step as it goes on from the values that the steps before it came to."""
    step, before = steps[index], values[index - 1] if index else steps[0].left
    if step.key in PACKS:
        held = values[index - 2] if index > 1 else steps[1].left
        return step._replace(left=held, right=before)
    if step.key == "together":
        return step._replace(left=as_it_stands(steps, index - 1, values).left, right=before)
    packs_come = index + 1 < len(steps) and steps[index + 1].key in PACKS
    return step if packs_come or index == 0 else step._replace(left=before)
