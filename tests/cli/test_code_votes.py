"""Votes over programs: those that do the same on the examples their prompt shows are one vote.

Real problems of HumanEval whose first draw is a mutant: the majority is right where the first is wrong. A program that
raises or never ends abstains. Keys are journalled like verdicts: a run that lost some gives those alone anew.
"""

from __future__ import annotations

import ast
import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testtime.cli import main
from testtime.core.records import Candidate, Limits, Problem, Request
from testtime.models import BUILTIN
from testtime.models.scripted import ALL, Scripted
from testtime.sandbox import bubblewrap
from testtime.sandbox.form import form
from testtime.tasks.humaneval import HumanEval
from testtime.tasks.local import Local
from testtime.tasks.mbpp import Mbpp
from testtime.verifiers.outputs import Outputs

needs_bubblewrap = pytest.mark.skipif(bubblewrap.missing() is not None, reason=f"{bubblewrap.missing()}")
BY_DRAW = ("wrong", "right", "other", "right", "raises", "right")
"""What each draw of a problem is: the first is wrong, three of six are right."""
SOLUTIONS: dict[str, str] = {}
"""Prompt → the dataset's own program."""


class _Changed(ast.NodeTransformer):
    """Each returned value inside a pair with a word, or an exception instead."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def visit_Return(self, node: ast.Return) -> ast.AST:
        if self.kind == "raises":
            return ast.parse("raise RuntimeError('mutant')").body[0]
        return ast.Return(ast.Tuple([ast.Constant(self.kind), node.value or ast.Constant(None)], ast.Load()))


def reply(request: Request, seed: int) -> str:
    asked, kind = str(request.messages[-1]["content"]), BY_DRAW[seed - int(request.seed or 0)]
    source = next(source for prompt, source in SOLUTIONS.items() if prompt in asked)
    if kind != "right":
        source = ast.unparse(ast.fix_missing_locations(_Changed(kind).visit(ast.parse(source))))
    return f"```python\n{source}\n```"


class Coder(Scripted):
    def __init__(self, name: str) -> None:
        super().__init__(reply, name=f"coder:{name}", can=ALL)


@pytest.fixture
def some(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of six problems of HumanEval that show examples."""
    whole = data / "humaneval" / "HumanEval.jsonl.gz"
    shows = [one.query_id for one in HumanEval(whole).problems("test") if one.fields["public"]][::25]
    with gzip.open(whole, "rt", encoding="utf-8") as file:
        rows = [row for row in map(json.loads, file) if row["task_id"] in shows]
    monkeypatch.setitem(BUILTIN, "coder", f"{__name__}:Coder")
    monkeypatch.chdir(tmp_path)
    for row in rows:
        monkeypatch.setitem(SOLUTIONS, row["prompt"].strip("\n"), row["prompt"] + row["canonical_solution"])
    path = tmp_path / "some.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@needs_bubblewrap
def test_the_majority_is_right_where_the_first_is_wrong_and_no_key_is_made_twice(
    some: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made, verify = [], Outputs.verify

    async def counted(self: Outputs, problem: Problem, candidate: Candidate, ask: Any) -> Any:
        made.append((problem.query_id, candidate.candidate_idx))
        return await verify(self, problem, candidate, ask)

    monkeypatch.setattr(Outputs, "verify", counted)
    line = ["run", "--model", "coder:a", "--dataset", "humaneval", "--dataset_path", str(some)]
    line += ["--policies", "sc_fixed", "--sc_n", "1", "6"]
    assert main(line) == 0, capsys.readouterr().err
    (folder,) = (file.parent for file in Path("results").glob("*/candidates.parquet"))
    rows = pl.read_parquet(folder / "candidates.parquet").sort("query_id", "candidate_idx")
    assert rows.height == len(made) == len(set(made)) == 6 * 6
    for (query,), draws in rows.group_by("query_id"):
        keys, right = draws["answer_key"].to_list(), draws["is_verified"].to_list()
        assert right == [kind == "right" for kind in BY_DRAW], query
        assert [key is None for key in keys] == [kind == "raises" for kind in BY_DRAW], query
        assert keys[1] == keys[3] == keys[5], query
        assert len(set(keys)) == 4, query
    accuracy = {row["setting"][:3]: row["accuracy"] for row in pl.read_csv(folder / "summary.csv").to_dicts()}
    assert (accuracy["n=1"], accuracy["n=6"]) == (0.5, 1.0)  # one draw in any order is right in three of six

    (journal,) = (folder / "journal").glob("*.jsonl")
    lines = journal.read_bytes().splitlines(keepends=True)
    keyed = [at for at, text in enumerate(lines) if b'"outputs"' in text]
    assert len(keyed) == 36
    journal.write_bytes(b"".join(text for at, text in enumerate(lines) if at not in keyed[-4:]))
    made.clear()
    assert main(line) == 0, capsys.readouterr().err
    assert len(made) == 4
    again = pl.read_parquet(folder / "candidates.parquet").sort("query_id", "candidate_idx")
    assert again["answer_key"].to_list() == rows["answer_key"].to_list()
    made.clear()
    assert main(line) == 0, capsys.readouterr().err
    assert made == []


@needs_bubblewrap
def test_a_live_vote_counts_the_same_keys(some: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["run", "--model", "coder:a", "--dataset", "humaneval", "--dataset_path", str(some)]
    assert main([*line, "--policies", "sc_fixed:n=6", "--live"]) == 0, capsys.readouterr().err
    table = pl.read_csv(next(Path("results").glob("*/summary.csv")))
    assert table["accuracy"].to_list() == [1.0]


def keys(task: Any, problem: Problem, programs: list[str]) -> list[Any]:
    stage = Outputs(task, limits=Limits(seconds=1.5))

    async def said() -> list[Any]:
        made = [Candidate("a", problem.query_id, 0, (), "stop", facts={"answer": text}) for text in programs]
        return [await stage.verify(problem, one, None) for one in made]  # type: ignore[arg-type]

    verdicts = asyncio.run(said())
    assert all(one.value is None and not one.gold for one in verdicts)
    return [one.columns.get("answer_key") for one in verdicts]


@needs_bubblewrap
def test_an_example_that_is_wrong_silences_nobody(data: Path) -> None:
    """The docstring of HumanEval/47 has 15.0 for a median that is 8.0: the right programs still agree."""
    task = HumanEval(data / "humaneval" / "HumanEval.jsonl.gz")
    problem = next(one for one in task.problems("test") if one.query_id == "HumanEval/47")
    sort = "def median(l):\n    l = sorted(l)\n    n = len(l)\n"
    mine = f"{sort}    return l[n // 2] if n % 2 else (l[n // 2 - 1] + l[n // 2]) / 2\n"
    found = keys(
        task, problem, [str(problem.fields["prompt"]) + str(problem.reference), mine, f"{sort}    return 15.0\n"]
    )
    assert found[0] == found[1] is not None
    assert found[2] not in (None, found[0])


@needs_bubblewrap
def test_asserts_and_inputs_are_examples_too_and_what_gives_no_outputs_abstains(data: Path, tmp_path: Path) -> None:
    task = Mbpp(data / "mbpp" / "mbpp.jsonl")
    problem = next(one for one in task.problems("all") if one.query_id == "2")
    head = "def similar_elements(a, b):\n    "
    programs = ["return tuple(sorted(set(a) & set(b)))", "return tuple(x for x in sorted(a) if x in b)", "return ()"]
    programs += ["raise ValueError", "while True: pass", "import os; os._exit(0)", "return object()"]
    found = keys(task, problem, [str(problem.reference), *[head + text for text in programs], "def other(): pass", ""])
    assert found[1] == found[2] is not None
    assert found[3] not in (None, found[1])
    assert found[4:] == [None] * 6
    row = {"question": "Square it: 3 gives 9.", "tests": [{"input": "5", "output": "25"}]}
    shown = {**row, "question": "Square it. 3 gives 9.", "public_tests": [{"input": "3", "output": "9"}]}
    (tmp_path / "local.jsonl").write_text(json.dumps(row) + "\n" + json.dumps(shown) + "\n")
    silent, printed = Local(tmp_path / "local.jsonl", answers="code").problems("test")
    inputs = ["print(int(input()) ** 2)", "x = int(input())\nprint(f'{x * x} ')", "print(input())", "print(1 / 0)"]
    one, same, other, fails = keys(task, printed, inputs)
    assert one == same is not None
    assert other not in (None, one)
    assert fails is None
    assert keys(task, silent, inputs) == [None] * 4


@needs_bubblewrap
def test_anyones_programs_vote_once_they_are_judged(
    some: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [json.loads(line) for line in some.read_text().splitlines()]
    wrong = "```python\n{prompt}    return 'no'\n```"
    texts = [[wrong.format(**row), *["```python\n{prompt}{canonical_solution}\n```".format(**row)] * 2] for row in rows]
    lines = [json.dumps({"query_id": row["task_id"], "texts": said}) for row, said in zip(rows, texts, strict=True)]
    (tmp_path / "mine.jsonl").write_text("\n".join(lines) + "\n")
    told = ["import", "candidates", "mine.jsonl", "--dataset", "humaneval", "--dataset_path", str(some)]
    assert main([*told, "--out", "out"]) == 0
    assert main(["verify", "out/mine", "--verifier", "code"]) == 0, capsys.readouterr().err
    made = pl.read_parquet("out/mine/candidates.parquet")
    assert made["is_verified"].to_list() == [False, True, True] * len(rows)
    assert made["answer_key"].null_count() == 0
    line = ["replay", "out/mine", "--policies", "sc_fixed", "--sc_n", "3", "--out_csv", "s.csv"]
    assert main(line) == 0, capsys.readouterr().err
    assert pl.read_csv("s.csv")["accuracy"].to_list() == [1.0]


@needs_bubblewrap
def test_where_no_program_can_vote_the_usual_policy_picks_and_a_named_vote_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(BUILTIN, "square", f"{__name__}:Square")
    row = {"question": "Square it.", "tests": [{"input": "5", "output": "25"}]}
    (tmp_path / "local.jsonl").write_text(json.dumps(row) + "\n")
    line = ["run", "--model", "square:a", "--dataset", "local:answers=code", "--dataset_path", "local.jsonl"]
    assert main([*line, "--num_candidates", "2", "--output", "p.parquet"]) == 0, capsys.readouterr().err
    assert pl.read_parquet("p.parquet")["is_verified"].to_list() == [True, True]
    assert set(pl.read_csv("p.run/summary.csv")["accuracy"]) == {1.0}
    capsys.readouterr()
    assert main([*line, "--policies", "sc_fixed", "--output", "q.parquet"]) == 2
    assert "use best_of_n or pass@k" in capsys.readouterr().err


class Square(Scripted):
    def __init__(self, name: str) -> None:
        super().__init__(
            lambda request, seed: "```python\nprint(int(input()) ** 2)\n```", name=f"square:{name}", can=ALL
        )


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from(["", "1", "a,b"])
    | st.sampled_from([0.5, 1.0, 2.0]),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.integers(0, 2), inner),
)


@given(PLAIN, PLAIN)
def test_values_have_one_text_where_python_calls_them_equal(one: Any, other: Any) -> None:
    assert (form(one) == form(other)) == (one == other)


def test_an_object_has_no_text_and_digits_beyond_nine_do_not_count() -> None:
    with pytest.raises(ValueError, match="no plain value"):
        form([object()])
    assert form(0.1 + 0.2) == form(0.3) != form(0.30000001)
    assert form({1, 2}) == form(frozenset({2.0, 1})) != form([1, 2])
    assert form(10**5000) != form(10**5000 + 1)
    assert form(float("nan")) == form(float("nan"))
