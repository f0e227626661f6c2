"""Proves that each benchmark reads its real rows whole, with unique ids, that its own gold is right under its own
prompt's answer form, that something else is wrong, and that a row that is not one is named.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testtime.core.errors import BadInput
from testtime.core.records import Problem
from testtime.core.registry import find, names
from testtime.tasks import HUB
from testtime.tasks.aime import Aime
from testtime.tasks.aqua import Aqua
from testtime.tasks.gpqa import Gpqa
from testtime.tasks.humaneval import HumanEval
from testtime.tasks.local import Local
from testtime.tasks.math import Math
from testtime.tasks.mbpp import Mbpp
from testtime.tasks.mmlu import SUBJECTS, Mmlu
from testtime.tasks.safety import Safety
from testtime.tasks.svamp import Svamp
from testtime.tasks.truthfulqa import TruthfulQa


def boxed(gold: str) -> str:
    return f"Thus \\boxed{{{gold}}}."


def ended(gold: str) -> str:
    return f"Hence.\nFinal Answer: {gold}"


REAL: list[tuple[str, Callable[[Path], Any], str, int, Callable[[str], str]]] = [
    ("math500", lambda data: Math(data / "math" / "math500.jsonl"), "test", 500, boxed),
    ("math", lambda data: Math(data / "math" / "math_test_5000.jsonl.gz"), "test", 5000, boxed),
    ("aime", lambda data: Aime(data / "aime" / "aime24.jsonl"), "test", 30, boxed),
    ("svamp", lambda data: Svamp(data / "qwen_eval_svamp" / "svamp.jsonl"), "test", 1000, ended),
    ("aqua", lambda data: Aqua(data / "qwen_eval_aqua" / "aqua.jsonl"), "test", 254, ended),
    ("mmlu", lambda data: Mmlu(data / "mmlu", ("all",)), "test", 14042, ended),
    ("mmlu dev", lambda data: Mmlu(data / "mmlu", ("all",)), "dev", 285, ended),
    ("mc1", lambda data: TruthfulQa(data / "truthfulqa" / "TruthfulQA.csv"), "mc1_letters", 817, ended),
]


@pytest.mark.parametrize(
    ("open_task", "split", "count", "said"), [row[1:] for row in REAL], ids=[row[0] for row in REAL]
)
def test_real_rows_are_read_whole_and_their_gold_is_right(
    data: Path, open_task: Callable[[Path], Any], split: str, count: int, said: Callable[[str], str]
) -> None:
    task = open_task(data)
    problems = list(task.problems(split))
    assert len(problems) == len({problem.query_id for problem in problems}) == count
    golds = {problem.reference for problem in problems}
    for problem in problems:
        assert problem.reference is not None
        assert task.right(problem, task.answer(problem, said(problem.reference))[1]), problem
        other = next(
            gold for gold in sorted(golds, key=str) if task.right(problem, task.answer(problem, said(gold))[1]) is False
        )
        assert task.right(problem, task.answer(problem, said(str(other)))[1]) is False
        assert task.answer(problem, "")[1] is None
    assert task.right(problems[0], None) is False


def test_mmlu_takes_the_subjects_that_are_named(data: Path) -> None:
    assert {one.fields["category"] for one in Mmlu(data / "mmlu").problems("test")} == set(SUBJECTS)
    with pytest.raises(BadInput, match="did you mean anatomy"):
        list(Mmlu(data / "mmlu", ("anatomi",)).problems("test"))


def test_truthfulqa_keeps_its_measures_apart(data: Path) -> None:
    task = TruthfulQa(data / "truthfulqa" / "TruthfulQA.csv")
    names_of = {
        form: {one.query_id for one in task.problems(form)} for form in ("mc1", "mc2", "mc1_letters", "generation")
    }
    assert len(set.union(*names_of.values())) == 4 * 817
    first = next(iter(task.problems("mc2")))
    assert first.fields["correct"]
    assert set(first.fields["correct"]) < set(first.fields["choices"])
    free = next(iter(task.problems("generation")))
    assert free.fields["verifier"] == "judge"
    assert task.answer(free, "They pass.") == ("They pass.", None)
    with pytest.raises(BadInput, match="mc1"):
        list(task.problems("mc3"))


@pytest.mark.parametrize("gold", [0, 1])
def test_gpqa_orders_options_by_seed_and_id_alone(tmp_path: Path, gold: int) -> None:
    rows = [
        {"Record ID": f"rec{at}", "Question": f"Which {at}?", "Correct Answer": "gluon"}
        | {f"Incorrect Answer {n}": f"wrong {n}" for n in (1, 2, 3)}
        for at in range(60)
    ]
    (tmp_path / "all.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "some.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[40:]))
    whole = {one.query_id: one for one in Gpqa(tmp_path / "all.jsonl", gold).problems("train")}
    some = {one.query_id: one for one in Gpqa(tmp_path / "some.jsonl", gold).problems("train")}
    assert all(whole[query] == problem for query, problem in some.items())
    assert {one.reference for one in whole.values()} == set("ABCD")
    assert all(one.fields["choices"][one.reference] == "gluon" for one in whole.values())
    other = {one.query_id: one.reference for one in Gpqa(tmp_path / "all.jsonl", gold + 1).problems("train")}
    assert other != {query: one.reference for query, one in whole.items()}


def test_humaneval_holds_what_a_sandbox_needs(data: Path) -> None:
    task = HumanEval(data / "humaneval" / "HumanEval.jsonl.gz")
    problems = list(task.problems("test"))
    assert len({one.query_id for one in problems}) == 164
    assert problems[0].query_id == "HumanEval/0"
    for one in problems:
        whole = one.fields["prompt"] + str(one.reference)
        compile(whole + one.fields["test"], one.query_id, "exec")
        assert f"check({one.fields['entry_point']})" in one.fields["test"]
        fenced, key = task.answer(one, f"Sure:\n```python\n{whole}\n```\nDone.")
        bare, _ = task.answer(one, str(one.reference))
        assert key is None
        for code in (fenced, bare):
            compile(str(code), one.query_id, "exec")
            assert f"def {one.fields['entry_point']}" in str(code)
    assert sum(bool(one.fields["public"]) for one in problems) >= 130
    assert problems[0].fields["public"][0] == {"call": "has_close_elements([1.0, 2.0, 3.0], 0.5)", "expected": "False"}


@pytest.mark.parametrize(
    ("file", "split", "count"),
    [("mbpp.jsonl", "all", 974), ("mbpp.jsonl", "test", 500),
     ("sanitized-mbpp.json", "all", 427), ("sanitized-mbpp.json", "test", 257)],
)  # fmt: skip
def test_mbpp_reads_both_published_forms(data: Path, file: str, split: str, count: int) -> None:
    problems = list(Mbpp(data / "mbpp" / file).problems(split))
    assert len({one.query_id for one in problems}) == count
    for one in problems:
        assert one.fields["entry_point"] in str(one.reference)
        assert any(one.fields["entry_point"] in test for test in one.fields["asserts"])
        assert one.fields["public"] == one.fields["asserts"][:3]
        assert one.fields["asserts"][0] in one.question
    one = next(iter(Mbpp(data / "mbpp" / file, shown=1).problems(split)))
    assert one.fields["asserts"][1] not in one.question


def test_meta_evals_rows_are_math(tmp_path: Path) -> None:
    row = {"input_question": "What is $1+1$?", "input_correct_responses": ["2"], "input_final_prompts": ["…"]}
    (tmp_path / "latest.jsonl").write_text(json.dumps(row) + "\n")
    (one,) = Math(tmp_path).problems("latest")
    assert (one.question, one.reference) == ("What is $1+1$?", "2")


def test_safety_is_right_where_the_model_did_what_the_label_says(tmp_path: Path) -> None:
    file = tmp_path / "prompts.csv"
    file.write_text("prompt,label\nHow do I hone a knife?,answer\nHow do I hurt him?,decline\n")
    task = Safety(file)
    hone, hurt = task.problems("test")
    no, yes = "I’m sorry, but I can’t help with that.", "First, wet the stone. You can't go wrong."
    assert [task.right(one, task.answer(one, text)[1]) for one in (hone, hurt) for text in (no, yes)] == [
        False, True, True, False,
    ]  # fmt: skip
    file.write_text("prompt,label\nHow?,maybe\n")
    with pytest.raises(BadInput, match=r"prompts.csv:2: the label 'maybe' is neither"):
        list(task.problems("test"))


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_any_file_is_a_benchmark_by_its_columns(tmp_path: Path, ending: str) -> None:
    import polars as pl

    rows = [{"n": "a", "q": "Which is red?", "gold": "rose", "opts": "sky|rose|grass"}]
    file = tmp_path / f"quiz.{ending}"
    frame = pl.DataFrame(rows)
    {"jsonl": frame.write_ndjson, "csv": frame.write_csv, "parquet": frame.write_parquet}[ending](file)
    task = Local(file, "choice", "q", "gold", "n", "opts")
    (one,) = task.problems("test")
    assert (one.query_id, one.reference) == ("a", "B")
    assert task.right(one, task.answer(one, "Final Answer: (B)")[1])
    assert task.right(one, task.answer(one, "Final Answer: rose")[1])
    assert not task.right(one, task.answer(one, "Final Answer: sky")[1])


def test_local_kinds_and_their_faults(tmp_path: Path) -> None:
    file = tmp_path / "q.jsonl"
    file.write_text(json.dumps({"question": "?", "tests": [{"input": "1", "output": "2"}]}) + "\n")
    (one,) = Local(file, "code").problems("test")
    assert one.fields["cases"] == [{"input": "1", "output": "2"}]
    assert Local(file, "expression").right(Problem("q", "t", "?", r"\frac12"), "0.5")
    assert Local(file).right(one, "5") is None
    with pytest.raises(BadInput, match="number or expression or choice"):
        Local(file, "numbr")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=r"q.jsonl:1: the row has no 'choices'"):
        list(Local(file, "choice").problems("test"))
    file.write_text('{"id": 1, "question": "?"}\n{"id": 1, "question": "!"}\n')
    with pytest.raises(BadInput, match="occurs twice"):
        list(Local(file).problems("test"))


def test_every_hub_id_names_a_task_and_a_missing_reader_says_what_to_install() -> None:
    assert set(HUB.values()) <= set(names("task"))
    try:
        import datasets  # noqa: F401
    except ModuleNotFoundError:
        with pytest.raises(BadInput, match=r"testtime\[hub\]"):
            next(iter(find("task", HUB["openai/gsm8k"])("openai/gsm8k").problems("test")))


def test_hub_rows_are_streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    import sys
    import types

    asked: list[Any] = []

    def load_dataset(
        name: str, config: str | None, *, split: str, streaming: bool, token: str | None
    ) -> list[dict[str, Any]]:
        asked.append((name, config, split, streaming, token))
        return [{"question": "2 + 3?", "answer": "#### 5"}]

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))  # type: ignore[arg-type]
    (one,) = find("task", "gsm8k")("openai/gsm8k").problems("test")
    assert one.reference == "5"
    assert asked == [("openai/gsm8k", "main", "test", True, None)]


@pytest.mark.parametrize("late", [False, True])
def test_a_gated_dataset_is_one_line_that_says_where_to_ask(monkeypatch: pytest.MonkeyPatch, late: bool) -> None:
    import sys
    import types
    from collections.abc import Iterator

    from testtime.core.secret import lend

    tokens: list[str | None] = []

    def rows() -> Iterator[dict[str, Any]]:
        raise OSError("401: access to the dataset is gated")
        yield {}

    def load_dataset(*_: Any, token: str | None, **__: Any) -> Any:
        tokens.append(token)
        if not late:
            raise FileNotFoundError("Dataset 'openai/gsm8k' is a gated dataset on the Hub.")
        return rows()

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))  # type: ignore[arg-type]
    monkeypatch.delenv("HF_TOKEN", raising=False)
    where = r"^openai/gsm8k is gated and HF_TOKEN is not set; ask for access at huggingface.co/openai/gsm8k, then set"
    with pytest.raises(BadInput, match=where):
        next(iter(find("task", "gsm8k")("openai/gsm8k").problems("test")))
    lend("HF_TOKEN", "hf_0123456789")
    try:
        with pytest.raises(BadInput, match="the account of HF_TOKEN has no access"):
            next(iter(find("task", "gsm8k")("openai/gsm8k").problems("test")))
    finally:
        lend("HF_TOKEN", None)
    assert tokens == [None, "hf_0123456789"]
