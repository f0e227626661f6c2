r"""Proves that equal keys are equal values and that what people write in several ways has one key; that nothing
a model can write takes long; and what the keys leave apart on real answers.
"""

from __future__ import annotations

import gzip
import json
import math
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testtime.answers.expression import key

SAME = [
    ["1/2", "0.5", r"\frac{1}{2}", r"\dfrac12", r"$\tfrac{1}{2}$", "x=1/2", r"\boxed{.5}", r"(\frac24)"],
    ["7 425 000", r"\$7 425 000", "7 425 000 dollars", "7425000"],
    ["7425000", "7,425,000", r"7{,}425{,}000", r"7\!,425\!,000", r"\$7,425,000"],
    [r"\frac{\sqrt{8}}{4}", r"1/\sqrt2", r"\frac{\sqrt 2}{2}", r"\sqrt{\frac12}", r"2^{-1/2}"],
    [r"\frac{1}{2-\sqrt3}", r"2+\sqrt{3}", r"\sqrt3 + 2"],
    [r"x^2+2x+1", r"(x+1)^2", r"x^2 + 2*x - (-1)", r"(1+x)(x+1)", r"y = x^2+2x+1", r"f(x) = (x+1)^{2}"],
    [r"2, 1", r"\{1, 2\}", r"1 \text{ and } 2", "1 and 2", r"x = 1, x = 2", r"\boxed{1}, \boxed{2}"[7:8] + ", 2"],
    [r"1 \pm \sqrt{19}", r"1+\sqrt{19}, 1-\sqrt{19}", r"\{1-\sqrt{19},1+\sqrt{19}\}"],
    [r"15\mbox{ cm}^2", "15", r"15 \text{ square inches}", "15 cm", r"15^\circ", r"15\%", "15%", "15 degrees"],
    ["no", "No.", r"\text{No}"],
    ["1024", "2^10", "2^{10}", "2**10"], ["10^-12", "10^{-12}", r"\frac{1}{10^12}"], ["x^{10}", "x^10"],
    ["x²+½", r"x^2+\frac{1}{2}"], ["15 cm²", r"15\text{ cm}²", "15"], ["2½", "2.5"],
    [r"\text{Evelyn}", "Evelyn", r"\textbf{evelyn}.", r"\mathrm{Evelyn}"],
    ["x > 5", "5 < x", r"x \gt 5"],
    [r"-3 \le x < 4", r"-3 \leq x \lt 4"],
    [r"\begin{pmatrix} 1/2 & 0 \\ 0 & -1 \end{pmatrix}", r"\begin{bmatrix}0.5&0\\0&-1\end{bmatrix}"],
    [r"5x - 7y + 11z + 4 = 0", r"7y = 5x + 11z + 4", r"-10x + 14y - 22z = 8"],
    [r"(\tfrac{9}{4}, \pi)", r"(2.25,\pi)", r"\left( 9/4, \pi \right)"],
    [r"[0, 1) \cup (2, \infty)", r"(2,\infty)\cup[0,1)", r"x \in [0,1) \cup (2,+\infty)"],
    [r"2\frac{1}{3}", "7/3", "2 1/3", r"2.\overline{3}"],
    [r"3i^2 + i", "i - 3"],
    [r"\frac{1}{1+i}", r"\frac{1-i}{2}", "0.5-0.5i"],
    [r"\frac{\pi r}{h+r}", r"\pi r/(r+h)"],
    [r"\binom{5}{2}", "10", "5!/12"],
    [r"\frac{x}{2}", "x/2", "0.5x", r"\frac{1}{2}x"],
    [r"2\sin b\cos a", r"2\cos a \sin b"],
]  # fmt: skip
DIFFERENT = [
    ("5.001", "5"), ("x^3+2x+1", "x^2+2x+1"), ("(2,1)", "(1,2)"), ("[0,1)", "(0,1)"), ("x>5", "x<5"), ("x", "X"),
    (r"\sqrt{67}", r"\sqrt{67},-\sqrt{85}"), ("x = 1, y = 2", "x = 2, y = 1"), ("204_5", "204"), ("204_5", "204_6"),
    (r"\sqrt{x^2}", "x"), ("3,4", "34"), (r"\text{oddd}", "odd"), ("x", "2x"), (r"\infty", r"-\infty"), ("E*2", "E"),
    (r"2^{10}", "20"), (r"x_1", "x_2"), ("(1,2)", "{1,2}"), ("1:2", "12"), ("12 34", "1234"),
    ("12 34", "408"), ("10^12", "0"), ("x^23", "3x^2"),
    ("1 0000", "0"), ("2 3x", "6x"), ("10 000", "0"), (r"\overline{CD}", "CD"), ("", "0"),
]  # fmt: skip


@pytest.mark.parametrize("forms", SAME, ids=lambda forms: forms[0])
def test_forms_of_one_answer_have_one_key(forms: list[str]) -> None:
    assert len({key(form) for form in forms}) == 1, {form: key(form) for form in forms}


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_answers_have_different_keys(one: str, other: str) -> None:
    assert key(one) != key(other)


class Node:
    """An expression of integers in two spellings, with its value."""

    def __init__(self, latex: str, plain: str, value: float) -> None:
        self.latex, self.plain, self.value = latex, plain, value


def _join(sign: str, one: Node, two: Node) -> Node:
    value = {"+": one.value + two.value, "-": one.value - two.value, "*": one.value * two.value}.get(sign)
    if sign == "/":
        if abs(two.value) < 1e-6:
            return one
        return Node(rf"\frac{{{one.latex}}}{{{two.latex}}}", f"(({one.plain})/({two.plain}))", one.value / two.value)
    first, second = (two, one) if sign in "+*" else (one, two)
    spelt = {"*": r" \cdot "}.get(sign, sign)
    assert value is not None
    return Node(rf"\left({one.latex}{spelt}{two.latex}\right)", f"(({first.plain}){sign}({second.plain}))", value)


def _sqrt(number: int) -> Node:
    return Node(rf"\sqrt{{{number}}}", f"{number}^(1/2)", math.sqrt(number))


leaves = st.one_of(st.integers(0, 40).map(lambda n: Node(str(n), str(n), float(n))), st.integers(2, 30).map(_sqrt))
trees = st.recursive(leaves, lambda inner: st.builds(_join, st.sampled_from("+-*/"), inner, inner), max_leaves=6)


@given(trees)
def test_two_spellings_of_one_value_have_one_key(tree: Node) -> None:
    latex, plain = key(tree.latex), key(tree.plain)
    if latex is not None and "(" not in latex:  # fully understood
        assert latex == plain


@given(st.lists(trees, min_size=2, max_size=12))
def test_equal_keys_are_equal_values(several: list[Node]) -> None:
    first: dict[str | None, float] = {}
    for tree in several:
        value = first.setdefault(key(tree.plain), tree.value)
        assert value == pytest.approx(tree.value, rel=1e-6, abs=1e-6)


@given(st.text(alphabet=r"\{}[]()^_/*+-=,.0123456789xyiabcsqrtfn ±∞|!<>$&", max_size=300))
def test_no_text_is_beyond_it(text: str) -> None:
    said = key(text)
    assert said is None or isinstance(said, str)


@pytest.mark.parametrize(
    "text",
    [
        "9^" * 200 + "9", "10^{10^{10^{10}}}", "(" * 300 + ")" * 300, "-" * 590, "(a+b+c+d+e)^{16}" * 30, "1" * 590,
        r"\sqrt{99999999977}" * 30, r"\frac" * 110, "((x+y)^9)(z+w)^9" * 30, "100!!!!!", r"\binom{60}{30}" * 40,
        "(1+" + r"\sqrt{2}+\sqrt{3}+\sqrt{5}+\sqrt{7})/(" * 12, "x " * 300, "=" * 600, r"\begin{pmatrix}" * 30,
    ],
)  # fmt: skip
def test_hostile_answers_take_no_time_worth_naming(text: str) -> None:
    """No clock is asserted beyond the absurd: a hang would be minutes."""
    start = time.process_time()
    key(text)
    assert time.process_time() - start < 5


def test_nearly_every_real_answer_is_understood_and_equal_keys_are_equal(data: Path) -> None:
    """What is not understood keeps its own text: 6 of 2,043 distinct answers."""
    from testtime.answers import expression, numbers
    from testtime.answers.extract import last_box
    from testtime.answers.latex import spelling

    with gzip.open(data / "math" / "math_test_5000.jsonl.gz", "rt", encoding="utf-8") as file:
        boxes = {box.text for row in map(json.loads, file) if (box := last_box(row["solution"]))}
    unread = []
    for text in boxes:
        if numbers.canonical(text) is None:
            try:
                expression._answer(spelling(text))
            except expression.Unreadable:
                unread.append(text)
    assert len(boxes) > 1900
    assert len(unread) <= 8, unread
