"""Proves that GSM8K reads its rows, knows right from wrong as the published labels do, and names bad rows."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import pytest

from testtime.core import registry
from testtime.core.errors import BadInput
from testtime.core.records import Problem
from testtime.core.rows import read
from testtime.tasks.gsm8k import PROMPT, Gsm8k

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"
SOLUTIONS = DATA / "gsm8k_example_model_solutions" / "example_model_solutions.jsonl.gz"
ROWS = [
    {"question": "How many eggs?", "answer": "9 * 2 = <<9*2=18>>18\n#### 18"},
    {"question": "How many eggs?", "answer": "#### 1,234"},
    {"question": "How cold?", "answer": "#### -3"},
]


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def ducks(reference: str | None = "18") -> Problem:
    return Problem("test-0", "test", "How many?", reference)


@pytest.mark.parametrize(
    ("model", "percent"),
    [("6b_finetuning", 21.68), ("6b_verification", 39.04), ("175b_finetuning", 34.72), ("175b_verification", 56.25)],
)
def test_it_agrees_with_every_published_label(model: str, percent: float) -> None:
    if not SOLUTIONS.exists():
        pytest.skip("the published example solutions are not here")
    task, right = Gsm8k(SOLUTIONS), 0
    rows = list(read(SOLUTIONS))
    for row in rows:
        problem = ducks(task.answer(ducks(), row["ground_truth"])[1])
        verdict = task.right(problem, task.answer(problem, row[model]["solution"])[1])
        assert verdict == row[model]["is_correct"], row[model]["solution"]
        right += verdict
    assert len(rows) == 1319
    assert round(100 * right / len(rows), 2) == percent


@pytest.mark.parametrize(
    ("model", "differ"), [("mistralai/Mixtral-8x7B-Instruct-v0.1", 10), ("gpt-4-1106-preview", 43)]
)
def test_it_agrees_with_the_labels_of_free_text_except_where_they_read_no_decimals(model: str, differ: int) -> None:
    """Those labels drop points and signs: `$57.00` is wrong there for 57, 0.84 is right for 84, -54 for 54."""
    responses = DATA / "routellm_pairs" / "gsm8k_responses.csv.gz"
    if not responses.exists():
        pytest.skip("the recorded responses are not here")
    gold = {problem.question: problem for problem in Gsm8k(DATA / "gsm8k").problems("test")}
    with gzip.open(responses, "rt", encoding="utf-8", newline="") as file:
        rows = [(row["prompt"].strip(), row[f"{model}_response"], row[model] == "True") for row in csv.DictReader(file)]
    task, stricter, other = Gsm8k("unused"), 0, 0
    for question, text, label in rows:
        printed, key = task.answer(gold[question], text)
        verdict = task.right(gold[question], key)
        other += verdict != label
        stricter += label and not verdict and not any(sign in str(printed) for sign in ".-")
    assert len(rows) == 1319
    assert other <= differ
    assert stricter <= 1, "a text that ends by restating its question in fractions"


@pytest.mark.parametrize(("split", "count"), [("test", 1319), ("train", 7473)])
def test_the_real_splits_are_read_whole_and_every_gold_solution_is_right(split: str, count: int) -> None:
    if not (DATA / "gsm8k").exists():
        pytest.skip("the GSM8K files are not here")
    task = Gsm8k(DATA / "gsm8k")
    problems = list(task.problems(split))
    assert len({problem.query_id for problem in problems}) == len(problems) == count
    files = {"test": "test.jsonl", "train": "train.jsonl.gz"}
    for problem, row in zip(problems, read(DATA / "gsm8k" / files[split]), strict=True):
        assert task.right(problem, task.answer(problem, row["answer"])[1]) is True


@pytest.mark.parametrize("name", ["test.jsonl", "test.jsonl.gz", "test.json", "test.json.gz"])
def test_every_form_of_the_file_gives_the_same_problems(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, ROWS)
    if ".json" in path.suffixes and ".jsonl" not in path.suffixes:
        text = json.dumps(ROWS, indent=1).encode()
        path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    by_file, by_folder = list(Gsm8k(path).problems("test")), list(Gsm8k(tmp_path).problems("test"))
    assert by_file == by_folder
    assert [problem.reference for problem in by_file] == ["18", "1,234", "-3"]
    assert by_file[0].query_id != by_file[1].query_id, "two problems of one text are two problems"


def test_a_query_id_does_not_depend_on_what_else_is_taken(tmp_path: Path) -> None:
    whole = list(Gsm8k(write(tmp_path / "a.jsonl", ROWS)).problems("test"))
    part = list(Gsm8k(write(tmp_path / "b.jsonl", ROWS[:2])).problems("test"))
    assert [problem.query_id for problem in part] == [problem.query_id for problem in whole[:2]]


@pytest.mark.parametrize(
    ("text", "reference", "right"),
    [
        ("Final Answer: 42", "18", False),
        ("Final Answer: 18.0", "18", True),
        ("Final Answer: 1234", "1,234", True),
        ("Final Answer: 3.5", "4.5", False),
        ("Final Answer: $18 per day.", "18", True),
        ("I cannot tell.", "18", False),
        ("<think>18</think>", "18", False),
        ("Final Answer: 18", None, None),
    ],
)
def test_verdicts(text: str, reference: str | None, right: bool | None) -> None:
    task, problem = Gsm8k("unused"), ducks(reference)
    assert task.right(problem, task.answer(problem, text)[1]) is right


def test_the_prompt_asks_for_the_line_that_is_read() -> None:
    asked = PROMPT.replace("{question}", "How many?").replace("<number>", "18")
    assert "How many?" in asked
    assert Gsm8k("unused").answer(ducks(), asked) == ("18", "18")


def test_it_is_found_by_name() -> None:
    assert registry.find("task", "gsm8k") is Gsm8k


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ('{"answer": "#### 18"}', "no 'question'"),
        ('{"question": "q"}', "no 'answer'"),
        ('{"question": 7, "answer": "#### 18"}', "'question' is not a text"),
        ('{"question": "q", "answer": "no mark"}', "#### <number>"),
        ('{"question": "q", "answer": "#### eighteen"}', "#### <number>"),
        ('["q"]', "a list, not an object"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(tmp_path: Path, row: str, says: str) -> None:
    path = tmp_path / "test.jsonl"
    path.write_text(json.dumps(ROWS[0]) + "\n\n" + row + "\n")
    with pytest.raises(BadInput) as refused:
        list(Gsm8k(path).problems("test"))
    assert f"{path}:3: " in str(refused.value)
    assert says in str(refused.value)


def test_a_missing_split_says_which_file_was_expected(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no file of the split 'dev'; expected dev\.jsonl"):
        list(Gsm8k(tmp_path).problems("dev"))
    with pytest.raises(BadInput, match="no such file"):
        list(Gsm8k(tmp_path / "none.jsonl").problems("test"))
