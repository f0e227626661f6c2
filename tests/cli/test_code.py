"""A run on programs, from the command line to the pool: a model writes functions, the sandbox judges them by the tests,
pass@n is what it is scored by, and a policy that would count votes is refused before any call.
"""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from testtime.cli import main
from testtime.core.records import Request
from testtime.core.seeds import digest
from testtime.models import BUILTIN
from testtime.models.scripted import ALL, Scripted
from testtime.sandbox import bubblewrap

pytestmark = pytest.mark.skipif(bubblewrap.missing() is not None, reason=f"{bubblewrap.missing()}")


def reply(request: Request, seed: int) -> str:
    """Five in eight right; the rest are wrong, leave early, or are no program at all."""
    luck = int(digest(seed, length=6), 16) % 8
    bodies = {5: "return x", 6: "import os; os._exit(0)"}
    if luck == 7:
        return "I would rather not."
    return f"```python\ndef twice(x):\n    {bodies.get(luck, 'return 2 * x')}\n```"


class Coder(Scripted):
    def __init__(self, name: str) -> None:
        super().__init__(reply, name=f"coder:{name}", can=ALL)


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(BUILTIN, "coder", f"{__name__}:Coder")
    monkeypatch.chdir(tmp_path)
    rows = [
        {
            "task_id": f"HumanEval/{at}",
            "prompt": f"def twice(x):\n    'Twice x ({at}).'\n",
            "entry_point": "twice",
            "canonical_solution": "    return 2 * x\n",
            "test": f"def check(candidate):\n    assert candidate({at + 1}) == {2 * at + 2}\n",
        }
        for at in range(6)
    ]
    path = tmp_path / "HumanEval.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_programs_are_run_judged_and_scored_by_pass_at_n(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["run", "--model", "coder:a", "--dataset", "humaneval", "--dataset_path", str(dataset), "--sc_n", "1", "4"]
    assert main(line) == 0, capsys.readouterr().err
    assert "best_of_n" in capsys.readouterr().out
    (file,) = Path("results").glob("*/candidates.parquet")
    rows = pl.read_parquet(file)
    assert rows.height == 24
    for row in rows.iter_rows(named=True):
        right = "return 2 * x" in row["candidate_text"]
        assert row["is_verified"] is right, row["verification_explanation"]
        assert row["verification_method"] is not None
    any_right = rows.group_by("query_id").agg(pl.col("is_verified").any())["is_verified"].mean()
    table = pl.read_csv(next(Path("results").glob("*/summary.csv")))
    assert table.filter(pl.col("setting").str.starts_with("n=4"))["accuracy"][0] == pytest.approx(any_right)


@pytest.mark.parametrize("part", [[], ["--shard", "1/2"]])
def test_a_vote_over_programs_that_show_no_example_is_refused(
    dataset: Path, capsys: pytest.CaptureFixture[str], part: list[str]
) -> None:
    line = ["run", "--model", "coder:a", "--dataset", "humaneval", "--dataset_path", str(dataset)]
    assert main([*line, "--policies", "sc_fixed", "--sc_n", "4", *part]) == 2
    said = capsys.readouterr().err
    assert "no problem of humaneval shows an example to run programs on, so sc_fixed has no votes" in said
    assert "use best_of_n or pass@k" in said
    assert not Path("results").exists()
