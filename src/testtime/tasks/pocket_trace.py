r"""How a pocket model writes a calculation: columns of single digits, so that each next token follows from few others.

One step a line, with three digits each: `March:036+047:13,08,00=083`. After the second colon come ones,
tens and hundreds, each as carry and digit (6 + 7 = 13; 3 + 4 + 1 = 08; 0 + 0 = 00); in a subtraction the
carry is what is borrowed. A whole trace is `<think>`, the lines, `</think>`, and the answer in `\boxed{083}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from testtime.tasks.pocket_story import Op, Step

Columns = tuple[tuple[int, int], ...]
"""(Carry, digit) of ones, tens, hundreds."""


def columns(op: Op, left: int, right: int) -> Columns:
    """The columns of a calculation whose value is in 0–999; a product has one digit on the right.

    >>> columns("+", 36, 47), columns("-", 83, 47), columns("*", 36, 4)
    (((1, 3), (0, 8), (0, 0)), ((1, 6), (0, 3), (0, 0)), ((2, 4), (1, 4), (0, 1)))
    """
    done: list[tuple[int, int]] = []
    carry = 0
    for place in (1, 10, 100):
        carry, digit = column(op, left // place % 10, right if op == "*" else right // place % 10, carry)
        done.append((carry, digit))
    return tuple(done)


def column(op: Op, left: int, right: int, carry: int) -> tuple[int, int]:
    """(Carry, digit) of one column, given its two digits and the carry of the column before."""
    if op == "-":
        rest = left - right - carry
        return (1, rest + 10) if rest < 0 else (0, rest)
    return divmod(left + right + carry if op == "+" else left * right + carry, 10)


def line(step: Step) -> str:
    r"""A step as the model writes it.

    >>> line(Step("March", "+", 36, 47))
    'March:036+047:13,08,00=083\n'
    """
    pairs = ",".join(f"{carry}{digit}" for carry, digit in columns(step.op, step.left, step.right))
    return f"{head(step)}{pairs}={step.value:03d}\n"


def head(step: Step) -> str:
    """A line up to its columns."""
    return f"{step.key}:{step.left:03d}{step.op}{step.right:03d}:"


def thought(steps: Iterable[Step]) -> str:
    """The thinking of a trace without slips, tags included."""
    return "<think>\n" + "".join(map(line, steps)) + "</think>"


def answer(text: str) -> str:
    r"""What follows the thinking.

    >>> answer("083")
    '\n\\boxed{083}'
    """
    return f"\n\\boxed{{{text}}}"


_LINE = re.compile(r"^(\w+):(\d{3})([-+*])(\d{3}):(\d\d),(\d\d),(\d\d)=(\d{3})$", re.MULTILINE)
_IN_WORDS = frozenset({2, 3})
"""Numbers that a story may say in words: twice, doubles, triples."""


def unsound(question: str, text: str) -> list[str]:
    r"""The steps of a trace, by key, whose columns are miscalculated or whose operands came from nowhere.

    An operand may be a number of the question or the result of an earlier step. A step that was done again counts as
    it was done last; what is no whole line is not looked at.

    >>> unsound("36 and 47 more", "<think>\nMarch:036+047:13,08,00=083\nMay:083+047:10,13,01=131\nJune:131+09")
    ['May']
    """
    known = {int(number) for number in re.findall(r"\d+", question)} | _IN_WORDS
    bad: dict[str, bool] = {}
    for key, left, op, right, *pairs, value in _LINE.findall(text):
        a, b = int(left), int(right)
        fits = op != "*" or b < 10
        due = columns(op, a, b) if fits else ()
        written = tuple((int(pair[0]), int(pair[1])) for pair in pairs)
        digits = int("".join(str(digit) for _, digit in reversed(written)))
        bad[key] = not (due == written and int(value) == digits and {a, b} <= known)
        known.add(int(value))
    return [key for key, wrong in bad.items() if wrong]
