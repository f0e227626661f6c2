"""What a newcomer runs into: whatever is printed to be typed next works, and what cannot work says how it would."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[[str], Any]


def _next(out: str) -> str:
    return out.rstrip().rpartition("next: testtime ")[2]


def test_usual_settings_ask_for_no_more_draws_than_there_are(testtime: Run) -> None:
    rows = json.loads(testtime("replay answers.jsonl --json").out)["rows"]
    assert [row["setting"] for row in rows] == ["n=1", "n=2", "n=4", "stop_rule=sprt,p1=0.7,error=0.05,max_n=6"]
    assert all(row["accuracy"] is not None for row in rows)
    typed = json.loads(testtime("replay answers.jsonl --policies sc_fixed --sc_n 1 16 --json").out)["rows"]
    assert [row["setting"] for row in typed] == ["n=1", "n=16"], "what is typed is scored, or said to have no result"


def test_a_run_that_has_written_no_pool_is_passed_over_beside_others(testtime: Run, folder: Path) -> None:
    testtime("import answers answers.jsonl --out runs")
    (folder / "runs" / "late" / "journal").mkdir(parents=True)
    assert testtime("inspect runs").code == 0
    alone = testtime("inspect runs/late")
    assert (alone.code, "no candidates yet" in alone.err, "run its command again" in alone.err) == (2, True, True)
    (folder / "only").mkdir()
    shutil.move(folder / "runs" / "late", folder / "only" / "late")
    assert "only: no run here has candidates yet" in testtime("inspect only").err


def test_a_package_that_is_missing_is_told_of_a_prompt_too(testtime: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    ran = testtime("guide --base_model 1B --oracle_model 8B --prompt What?")
    assert (ran.code, ran.out) == (2, "")
    assert 'pip install "testtime[openai]"' in ran.err


@pytest.mark.parametrize(
    ("line", "after"),
    [
        ("show answers.jsonl a", "show answers.jsonl a --every --thinking"),
        ("show answers.jsonl a --every --thinking", "show answers.jsonl"),
        ("policies risk certified:max_n=4 answers.jsonl", "replay answers.jsonl --policies certified:max_n=4"),
        ("runs . --grep nothing", "runs ."),
    ],
)
def test_what_to_try_next_is_there_and_leads_on(testtime: Run, line: str, after: str) -> None:
    ran = testtime(line)
    assert (ran.code, _next(ran.out)) == (0, after)
    assert testtime(after).code == 0


@pytest.mark.parametrize(
    ("line", "mend"),
    [
        ("replay answers.jsonl --policies sc_fixed --sc_n 1,2,4", "give several values apart: --n 1 2 4"),
        ("list", "list of what; testtime list models, or policies"),
        ("run --config .", ".: is a folder; name a YAML file in it"),
    ],
)
def test_mistakes_say_their_mend(testtime: Run, line: str, mend: str) -> None:
    ran = testtime(line)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert mend in ran.err


def test_pools_without_a_common_problem_are_named_as_they_were_typed(testtime: Run, folder: Path) -> None:
    (folder / "other.jsonl").write_text(json.dumps({"id": "z", "gold": 1, "answers": [1, 2]}) + "\n")
    ran = testtime("compare answers.jsonl other.jsonl")
    assert (ran.code, ran.err.startswith("testtime: no problem in common: answers and other; ")) == (2, True)


def test_importers_are_told_apart(testtime: Run) -> None:
    said = [line.partition("  ")[2].strip() for line in testtime("list importers").out.splitlines()[:-1]]
    assert len(set(said)) == len(said) > 5


def test_a_look_at_a_pool_does_not_wait_for_what_only_writing_or_filtering_needs(testtime: Run, folder: Path) -> None:
    assert testtime("import answers answers.jsonl --out runs").code == 0
    code = (
        "import sys; from testtime.cli import main; main(['inspect', 'runs/answers']); "
        "print(sorted({'pyarrow.compute', 'pydantic', 'pandas', 'altair'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=folder)
    assert done.stdout.rstrip().endswith("[]")
