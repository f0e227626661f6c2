r"""Proves which answer a text prints: thinking stripped, marks read in order, in linear time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testtime.answers import extract

# (text, its key); cases of our own, grouped by what they try.
CASES: list[tuple[str | None, str | None]] = [
    # no answer
    (None, None),
    ("", None),
    ("   \n\n", None),
    ("I cannot tell.", None),
    ("No number, only words: eighteen.", None),
    # free text: the last number
    ("She sells 9 eggs at $2 each and so makes $18 per day.", "18"),
    ("16 - 3 - 4 = 9\n9 * 2 = 18", "18"),
    ("That is $<<9*2=18>>18 every day.", "18"),
    ("It costs $1,234.50 in all", "1234.5"),
    ("the debt is -$5", "-5"),
    ("He is 5cm short; so 12 km/h", "12"),
    ("so it holds 18 cm^2", "18"),
    ("the values are 1,2,3 hence 7", "7"),
    ("in 1.5 million ways, i.e. 1,500,000.", "1500000"),
    ("1e2000000 is more than 7", "7"),
    ("17\n18\n", "18"),
    # weak marks
    ("A: 18", "18"),
    ("… 5 * 2 = 10\nA: 18\n", "18"),
    ("The answer is 18.", "18"),
    ("the ANSWER IS: 18", "18"),
    ("So the answer is $18 per day, 7 days a week.", "18"),
    ("The answer is 18. She has 16 eggs and eats 3.", "18"),
    ("The answer is 18 because 2 × 9 is 18 and 9 = 16 - 7.", "18"),
    ("The answer to the second question is 18.", "18"),
    ("Answer: **18** dollars", "18"),
    ("**Answer:** 18", "18"),
    ("The answer is:\n\n18", "18"),
    ("answer = 18", "18"),
    ("The answer is 17. Wait: the answer is 18. I sold 9.", "18"),
    ("The answer is easy: 16 - 7 = 9, 9 * 2 = 18.", "18"),
    ("The answer is clear.\nShe makes 18.", "18"),
    ("The answer should be 3 + 4 = 7 eggs", "7"),
    ("The answer is -3 degrees.", "-3"),
    ("The answer is 1/2 of the 7 cakes.", "0.5"),
    ("The answer is 85%.", "85"),
    ("The correct answer would be 2 1/2 cups of 3.", "2.5"),
    ("My answers are 3. Answer: 4", "4"),
    # final line
    ("Final Answer: 18", "18"),
    ("final answer: 18", "18"),
    ("FINAL ANSWER: 18", "18"),
    ("Final Answer: $18 per day.", "18"),
    ("Final Answer: 1,234", "1234"),
    ("Final Answer: 18.00", "18"),
    ("Final Answer: 3\nWait, no.\nFinal Answer: 18", "18"),
    ("**Final Answer:** 18", "18"),
    ("**Final Answer**: **18**", "18"),
    ("Final Answer: **$18** (9 eggs at $2)", "18"),
    ("Final Answer:\n18", "18"),
    ("### Final Answer\n\n18 dollars", "18"),
    ("Final Answer: 9 × 2 = 18 dollars", "18"),
    ("Final Answer: x = 18", "18"),
    ("Final Answer: 18 = 2 · 9", "18"),
    ("Final Answer: The final answer is $18$. I hope it is correct.", "18"),
    ("Final Answer: −3", "-3"),
    ("Final Answer: 1/3", "1/3"),
    ("Final Answer: 18%", "18"),
    ("Final Answer: it cannot be determined\n(5 of 6)", None),
    ("Final Answer: 3,4", None),
    ("Final Answer: 18\nShe has 16 eggs. How much does she make at $2?", "18"),
    ("The answer is 5.\nFinal Answer: 18", "18"),
    ("Final Answer: 18\nThe answer is 5.", "18"),
    ("Final answer is: 18", "18"),
    ("Final Answer: 18 dollars and 50 cents", "18"),
    ("Final Answer: 1.5 × 10^3", "1500"),
    ("Final Answer: 07", "7"),
    ("Final Answer: 18\r\n", "18"),
    ("Final Answer: <18>", "18"),
    ("Final Answer - 18", "18"),
    ("Final Answer: 5 feet 6", "5"),
    ("Final Answer: 18, since 16 - 7 = 9", "18"),
    ("Final Answer: 18 (as 16 - 7 = 9)", "18"),
    ("Final Answer: 2(3 + 6) = 18", "18"),
    ("Final Answer: 9 eggs * $2 = $18", "18"),
    ("Final Answer: 18 -- 16 - 7 = 9 eggs", "18"),
    ("Final Answer: 20% * 90 = 18", "18"),
    ("Final Answer: 100 - 82 = 18 left of 100", "18"),
    ("Final Answer: 18, 20", None),
    ("Final Answer: 18 or $20", None),
    ("Final Answer: $18 per day, 7 days a week", "18"),
    (r"\boxed{3, 4}", None),
    (r"\boxed{(3,4)}", None),
    ("Final Answer: 1.5 million", "1.5"),
    # boxes
    (r"\boxed{18}", "18"),
    (r"so $\boxed{18}$.", "18"),
    (r"\boxed{7} no, \boxed{18}", "18"),
    (r"\boxed{\$18}", "18"),
    (r"\boxed{18\%}", "18"),
    (r"\boxed{\text{18 dollars}}", "18"),
    (r"\boxed{1{,}234}", "1234"),
    (r"\boxed{18 \text{ cm}^2}", "18"),
    (r"\boxed{\frac{1}{2}}", "0.5"),
    (r"\boxed{-\dfrac{3}{4}}", "-0.75"),
    (r"\boxed{x = 18}", "18"),
    (r"\fbox{18}", "18"),
    (r"\boxed{\boxed{18}}", "18"),
    (r"\boxed{18} for 7 days at \boxed{2", "18"),
    (r"{{ \boxed{18} }}}", "18"),
    (r"\boxed{}", None),
    (r"Final Answer: 18 \boxed{}", "18"),
    (r"\boxed{\text{Monday}} 5", None),
    (r"\boxed{\sqrt{2}}", None),
    (r"\boxed{3\pi}", None),
    (r"Final Answer: \boxed{18}", "18"),
    (r"\boxed{5}. Final Answer: 18", "18"),
    (r"Final Answer: 5. So \boxed{18}", "18"),
    (r"\\boxed{18}", "18"),
    (r"\boxed {18}", "18"),
    (r"\{ \boxed{18} \}", "18"),
    (r"\boxed{2^5}", None),
    (r"\boxed{9 \times 2 = 18}", "18"),
    (r"\boxed{12,\!345}", "12345"),
    (r"\boxed{45^\circ}", "45"),
    # the data set's own mark
    ("9 * 2 = 18\n#### 18", "18"),
    ("#### $18.00", "18"),
    ("####18 eggs", "18"),
    ("#### **18**", "18"),
    ("#### -10", "-10"),
    ("#### 114,200", "114200"),
    ("#### 2. Add them\n5 + 13 = 18", "18"),
    ("#### Step 1\n18", "18"),
    ("#### 5\n#### 18", "18"),
    # thinking
    ("<think>the answer is 7</think>The answer is 18", "18"),
    ("<think>Final Answer: 7</think>", None),
    ("<think>18", None),
    (r"<think>\boxed{7}</think> It is 18", "18"),
    (r"it is \boxed{7} hm</think>so 18", "18"),
    ("18 <think>or 7", "18"),
    ("<think>a</think>9<think>b 3</think> and 18", "18"),
    ("<THINKING>7</THINKING>18", "18"),
    ("<think></think>18", "18"),
    ("<think>7</think>8 wait</think>18", "18"),
    (r"<think>\boxed{7</think>}18", "18"),
]


@pytest.mark.parametrize(("text", "key"), CASES, ids=[repr(text)[:48] for text, _ in CASES])
def test_the_key_of_a_text(text: str | None, key: str | None) -> None:
    assert extract.number(text)[1] == key


def test_an_answer_without_a_number_is_kept_as_printed_and_abstains() -> None:
    assert extract.number("Final Answer: cannot be determined.") == ("cannot be determined", None)
    assert extract.number(r"\boxed{ \text{none} } of 5") == (r"\text{none}", None)
    assert extract.number("Final Answer: $1,234.00 per day") == ("1,234.00", "1234")


@given(st.integers(-(10**9), 10**9), st.text(alphabet="abc .,\n$*", max_size=40))
def test_a_final_line_is_read_whatever_came_before(value: int, before: str) -> None:
    assert extract.number(f"{before}\nFinal Answer: {value}")[1] == str(value)
    assert extract.number(f"{before} \\boxed{{{value:,}}} {before}")[1] == str(value)


@given(st.text(alphabet="a1{}\\", max_size=30), st.text(alphabet="ab1 ", max_size=10))
def test_thinking_is_never_read(thought: str, said: str) -> None:
    assert extract.number(f"<think>{thought}</think>{said}") == extract.number(said)


PIECES = [
    "\\boxed{",
    "{",
    "}",
    "\\",
    "<think>",
    "</think>",
    "final answer:",
    "answer is ",
    "#### 1",
    "\n",
    "A:",
    "1",
    " ",
    "-",
    "$",
    "=",
    ".",
    ",",
    "/",
    "^",
]


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_no_text_breaks_it_and_a_key_comes_only_with_an_answer(text: str) -> None:
    printed, key = extract.number(text)
    assert key is None or printed is not None


@pytest.mark.parametrize(
    "piece", [*PIECES, "\\boxed{1", "{}", "\\boxed{}", "1,", "1/", "1 1/", "\nA:\n", "final answer:\n\n"]
)
def test_a_megabyte_of_one_thing_ends(piece: str) -> None:
    """Quadratic work on these would be some 10^11 steps: the run would never end."""
    text = piece * (1_000_000 // len(piece))
    assert extract.number("18 " + text + " Final Answer: 18" + "}" * 1000)[1] in ("18", None)


def test_nested_boxes_of_a_megabyte_give_the_inner_one() -> None:
    depth = 60_000
    assert extract.number("\\boxed{" * depth + "18" + "}" * depth)[1] == "18"
