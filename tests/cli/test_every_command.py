"""What every command keeps to: it ends with one thing to try next, that can be copied; where it prints numbers, --json
prints them alone, for a program to read; it leaves nothing half done at Ctrl-C.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import fake_model
from testtime.cli import COMMANDS, GROUPS, app
from testtime.models import BUILTIN
from testtime.spec import canonical_flags

Run = Callable[[str], Any]
RUN = "run --model fake:n --dataset gsm8k --dataset_path sums.jsonl --policies sc_fixed --sc_n 1 4 --run r"
GUIDED = "guide --base_model pocket-s --oracle_model pocket-m --dataset pocket-math --split medium --num_samples 2"
GUIDE = f"{GUIDED} --c 2 --k 2 --output_file g.jsonl"
LINES = {
    "demo": ["demo --max_queries 2 --out_dir demo"],
    "init": ["init mine"],
    "run": [RUN, f"{RUN} --dry_run", f"{RUN} --explain_miss"],
    "guide": [GUIDE, "guide --base_model pocket-s --oracle_model pocket-m --prompt What?"],
    "import": ["import answers answers.jsonl --out imported"],
    "merge": ["merge results/s.1of2 results/s.2of2"],
    "verify": ["verify results/r --verifier math", "verify --pairs pairs.jsonl --verifier math --output judged.jsonl"],
    "inspect": ["inspect results/r", "inspect results/r answers.jsonl"],
    "show": ["show results/r", "show answers.jsonl a"],
    "runs": ["runs results"],
    "note": ["note results/r why"],
    "emergence": ["emergence budgets.parquet"],
    "stats": ["stats --stats_file g.jsonl"],
    "replay": ["replay answers.jsonl", "replay answers.jsonl --out_csv s.csv"],
    "analyze": ["analyze --glob answers.jsonl --out_csv s.csv --against sc_fixed"],
    "plot": ["plot --csv results/r/summary.csv --out_json f.json"],
    "compare": ["compare answers.jsonl copy.jsonl"],
    "recommend": ["recommend answers.jsonl --budget 3draws"],
    "plan": ["plan --pilot answers.jsonl --effect 10pt"],
    "forecast": ["forecast answers.jsonl --to 8"],
    "policies": [
        "policies table curtail:max_n=8,epsilon=0.1",
        "policies design --draws 3 --max_n 8",
        "policies fit bayes:max_n=4,agreement=0.9 answers.jsonl",
    ],
    "boundary": ["boundary adaptive_margin:stop_rule=beta,threshold=0.95,max_n=8"],
    "audit": ["audit results/r --labels labels.csv"],
    "calibrate": [
        "calibrate --model pocket-s --dataset pocket-math --splits medium --max_queries 2 --output c.parquet"
    ],
    "list": ["list policies", "list models"],
    "doctor": ["doctor pocket", "doctor --gpu --model hf:org/name-7B"],
    "pack": ["pack results/r --out r.zip"],
    "export": ["export results/r --format rm --out rm.jsonl"],
}
WORDS = {"init", "import", "note", "pack", "plot", "serve"}
"""Commands that print no number that a program would want."""
READY = {"serve": "tests/cli/test_serve.py", "report": "tests/report", "submit": "tests/cluster"}
"""Commands that are tested so elsewhere."""


@pytest.fixture(autouse=True)
def _files(folder: Path, testtime: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BUILTIN, "fake", fake_model.PLACE)
    monkeypatch.setenv("FAKE_COUNT", str(folder / "count"))
    fake_model.sums(folder / "sums.jsonl", 6)
    (folder / "copy.jsonl").write_bytes((folder / "answers.jsonl").read_bytes())
    (folder / "pairs.jsonl").write_text('{"gold": "1", "prediction": "1.0"}\n')


def prepared(testtime: Run, folder: Path, name: str) -> None:
    """What a command's line needs to be there."""
    if name in ("verify", "inspect", "show", "runs", "note", "plot", "pack", "export", "audit"):
        assert testtime(RUN).code == 0
    if name == "audit":
        assert testtime("audit results/r --n 4 --out_csv labels.csv").code == 0
        labels = pl.read_csv(folder / "labels.csv", infer_schema=False)
        labels.with_columns(label=pl.lit("right")).write_csv(folder / "labels.csv")
    if name == "stats":
        assert testtime(GUIDE).code == 0
    if name == "emergence":
        line = "run --model pocket-m --dataset pocket-math --split easy --max_queries 3 --policies sc_fixed:n=1"
        assert testtime(f"{line} --decoding prefix --budgets 8 16 32 --output budgets.parquet").code == 0
    if name == "merge":
        for part in (1, 2):
            assert testtime(f"{RUN.removesuffix('r')}s --shard {part}/2").code == 0


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in READY])
def test_a_command_ends_with_what_to_try_next_and_gives_its_numbers_as_json(
    testtime: Run, folder: Path, name: str
) -> None:
    prepared(testtime, folder, name)
    for line in LINES[name]:
        ran = testtime(line)
        assert ran.code == 0, (line, ran.err)
        last = ran.out.rstrip("\n").rpartition("\n")[2]
        assert last.startswith("next: "), (line, ran.out)
        following = shlex.split(last.removeprefix("next: "))
        if following[0] == "testtime":
            argv = canonical_flags([word for word in following[1:] if word != "--help"])
            assert argv[0] in COMMANDS
            if "--help" not in following and len(argv) > 1:
                app().parse_args(argv, exit_on_error=False, print_error=False)
        ruled = [said for said in ran.out.split("\n") if "───" in said]
        assert all(len(said) <= 80 for said in ruled), "a table fits 80 columns"
        assert not re.search(r"tokens/s|left\b", ran.err), "quiet when piped"
        if name not in WORDS:
            told = testtime(f"{line} --json")
            assert told.code == 0, (line, told.err)
            assert json.loads(told.out) not in ({}, []), line


def test_every_command_is_tried_here_or_somewhere() -> None:
    assert set(LINES) | set(READY) >= set(COMMANDS)
    assert set(COMMANDS) == {name for names in GROUPS.values() for name in names}


def test_the_help_says_the_exit_codes_and_the_groups_in_order(
    testtime: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    out = testtime("--help").out
    places = [out.index(f"─ {heading} ─") for heading in GROUPS]
    assert places == sorted(places)
    assert "Exit codes: 0 done, 2 bad input, 3 stopped early with usable output, 130 interrupted." in " ".join(
        out.split()
    )
