r"""Proves where the final answer of an expression, a choice or a program is found, and that what is none abstains."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from testtime.answers.expression import key
from testtime.answers.final import letter, mathematics, program


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"First \boxed{3}, no: \boxed{\frac{1}{2}}.", "0.5"),
        (r"\boxed{1} and \boxed{2}", "{1,2}"),
        (r"\boxed{1}, \boxed{2}, $\boxed{5}$", "{1,2,5}"),
        (r"\boxed{1} no no \boxed{2}", "2"),
        (r"<think>\boxed{9}</think>The answer is $\sqrt{2}$, as said.", "2^0.5"),
        ("Final Answer: The final answer is $(3, -1)$. I hope it is correct.", "(3,-1)"),
        ("So the answer is Monday.", "monday"),
        ("It follows that there are 12 of them.", "12"),
        ("<think>12 or 13", None),
        ("", None),
    ],
)
def test_the_last_mark_holds_the_answer(text: str, expected: str | None) -> None:
    assert mathematics(text)[1] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Answer: B", "B"), ("The correct option is (C).", "C"), (r"\boxed{\text{D}}", "D"),
        (r"\boxed{\textbf{(A) }5}", "A"),
        ("B", "B"), ("I think so.\n\n**C**", "C"), ("Final Answer: D) none of these", "D"), ("Answer: E", None),
        ("A man walks into a bar", None), ("Final Answer: blue", "B"), ("", None), ("<think>A</think>\nB.", "B"),
        ("A: maybe. B: no. So the answer is A", "A"),
    ],
)  # fmt: skip
def test_a_choice_is_a_letter_that_is_offered(text: str, expected: str | None) -> None:
    assert letter(text, {"A": "red", "B": "blue", "C": "green", "D": "none of these"})[1] == expected


def test_a_program_is_the_last_block_that_defines_the_function() -> None:
    text = "Try:\n```python\ndef f(x):\n    return x\n```\nUse it:\n```python\nprint(f(2))\n```\n"
    assert program(text, "f") == "def f(x):\n    return x\n"
    assert program(text) == "print(f(2))\n"
    assert program("    return x", "f", "def f(x):\n") == "def f(x):\n    return x\n"
    assert program("<think>```python\nx\n```</think>") is None


def test_every_real_solution_prints_its_answer(data: Path) -> None:
    rows = [json.loads(line) for line in (data / "math" / "math500.jsonl").read_text(encoding="utf-8").split("\n")[:-1]]
    assert len(rows) == 500
    differ = [row["answer"] for row in rows if mathematics(row["solution"])[1] != key(row["answer"])]
    assert differ == []


def test_extraction_finds_what_the_recorded_grader_found(data: Path) -> None:
    """800 responses: the recorded prediction is what the text prints, but for a handful that the recorder cut."""
    with gzip.open(data / "qwen_math_rm8" / "math_cot_100.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    pairs = [(text, said) for row in rows for text, said in zip(row["code"], row["pred"], strict=True)]
    differ = [(said, mathematics(text)[0]) for text, said in pairs if mathematics(text)[1] != key(said)]
    assert len(pairs) == 800
    assert len(differ) <= 8, differ
