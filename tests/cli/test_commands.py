"""The commands do what the how-to says, from an answers file to a figure, and a mistake is one line that
says what to do, leaves nothing behind, and has the promised exit code.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from testtime import sources
from testtime.analysis.inspection import Spent
from testtime.cli import COMMANDS, main
from testtime.figures.inspection import inspection

Run = Callable[[str], Any]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# ---- the way through ----
def test_replay_prints_every_setting_with_its_interval_and_writes_what_it_prints(testtime: Run, folder: Path) -> None:
    ran = testtime("replay answers.jsonl --sc_n 1 3 --adaptive-max-n 4 --out_csv t/s.csv --out_jsonl o/r.jsonl")
    assert (ran.code, ran.err) == (0, "")
    table = rows(folder / "t/s.csv")
    assert [(row["policy"], row["setting"].split(",")[0]) for row in table] == [
        ("sc_fixed", "n=1"), ("sc_fixed", "n=3"), ("adaptive_margin", "stop_rule=sprt"),
    ]  # fmt: skip
    for row in table:
        assert f"{100 * float(row['accuracy']):.1f} [{100 * float(row['accuracy_low']):.1f}, " in ran.out
        assert row["seconds"] == row["usd"] == ""
    assert float(table[0]["candidates"]) == pytest.approx(1, abs=1e-12)
    assert float(table[0]["accuracy"]) == pytest.approx((4 / 6 + 4 / 6 + 2 / 6) / 3, abs=1e-12)
    assert len((folder / "o/r.jsonl").read_bytes().split(b"\n")) == 3 * 3 + 1
    assert max(map(len, ran.out.split("\n")[:12])) <= 80


def test_analyze_of_outcomes_is_the_table_of_the_replay(testtime: Run, folder: Path) -> None:
    testtime("replay answers.jsonl --sc_n 1 2 4 --max_n 4 --out_csv s.csv --out_jsonl o/r.jsonl")
    ran = testtime("analyze --glob o/*.jsonl --out_csv again.csv --against sc_fixed")
    assert ran.code == 0
    assert (folder / "again.csv").read_bytes() == (folder / "s.csv").read_bytes()
    assert {row["axis"] for row in rows(folder / "again_frontier.csv")} == {"linear", "log2"}
    assert [row["policy"] for row in rows(folder / "again_against.csv")] == ["adaptive_margin"]


def test_analyze_takes_answers_too_and_keeps_runs_apart(testtime: Run, folder: Path) -> None:
    (folder / "other.jsonl").write_bytes((folder / "answers.jsonl").read_bytes())
    assert testtime("analyze --glob *.jsonl --out_csv s.csv").code == 0
    assert {row["run"] for row in rows(folder / "s.csv")} == {"answers", "other"}


def test_without_tokens_the_frontier_is_over_candidates(testtime: Run, folder: Path) -> None:
    (folder / "bare.jsonl").write_text('{"id": 1, "gold": 1, "answers": [1, 2, 1, 1]}\n')
    assert testtime("analyze --glob bare.jsonl --out_csv s.csv").code == 0
    assert {row["x"] for row in rows(folder / "s_frontier.csv")} == {"candidates"}


def test_plot_draws_each_format(testtime: Run, folder: Path) -> None:
    testtime("replay answers.jsonl --sc_n 1 2 4 --out_csv s.csv")
    ran = testtime("plot --csv s.csv --out_png f/a.png --out_svg a.svg --out_html a.html --out_json a.json")
    assert ran.code == 0
    assert (folder / "f/a.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (folder / "a.svg").read_bytes()
    assert b'src="http' not in (folder / "a.html").read_bytes()
    assert "layer" in json.loads((folder / "a.json").read_bytes())


def test_import_makes_a_folder_that_replays_like_the_file(testtime: Run, folder: Path) -> None:
    assert testtime("import answers answers.jsonl --out runs --model m --run r").code == 0
    testtime("replay answers.jsonl --sc_n 2 --out_csv file.csv")
    testtime("replay runs/r --sc_n 2 --out_csv folder.csv")
    left, right = rows(folder / "file.csv"), rows(folder / "folder.csv")
    assert [row["model"] for row in right] == ["m"] * len(right)
    assert [row["accuracy"] for row in left] == [row["accuracy"] for row in right]
    again = testtime("import answers answers.jsonl --out runs --run r")
    assert again.code == 2
    assert "already" in again.err


def test_inspect_says_what_is_in_the_pool(testtime: Run) -> None:
    ran = testtime("inspect answers.jsonl")
    assert ran.code == 0
    for words in ("3 × 6", "1 of 18 (5.6%)", "any of 6", "100.0 [", "maj@k", "have all 6; 3 at least one verified"):
        assert words in ran.out


def test_a_mean_of_which_some_is_unknown_is_told_as_the_least_it_can_be(folder: Path) -> None:
    (one,) = sources.inspect(folder / "answers.jsonl")
    several = inspection(replace(one, spends={"completion_tokens": Spent(30.0, 2, 1)}))
    (cells,) = next(table.cells for table in several if table.title == "Spend")
    assert [cells[0], *cells[1:3]] == ["tokens", "≥ 10", "≥ 30"]


def test_several_pools_are_set_side_by_side_and_compared_by_one_function(testtime: Run, folder: Path) -> None:
    (folder / "b.jsonl").write_text((folder / "answers.jsonl").read_text())
    both = testtime("inspect answers.jsonl b.jsonl")
    assert both.code == 0
    compared = testtime("compare answers.jsonl b.jsonl --columns completion")
    assert compared.code == 0
    table = compared.out[compared.out.index("B against A") : compared.out.index("Means a draw")]
    assert table.strip() in both.out
    said = json.loads(testtime("compare answers.jsonl b.jsonl --json").out)
    assert {row["difference"] for row in said["rows"]} == {0.0}
    (one,) = json.loads(testtime("inspect answers.jsonl --json").out)
    assert (one["problems"], one["floor"], one["spends"]["cost_usd"]["rows"]) == (3, 6, 0)
    watched = testtime("compare answers.jsonl b.jsonl --monitor --effect 5pt")
    assert "To be ended at any look, wrong in at most 5 %" in watched.out
    assert json.loads(testtime("compare answers.jsonl b.jsonl --json --monitor").out)["monitor"][0]["e_value"] > 0
    assert testtime("compare answers.jsonl b.jsonl --monitor --effect much").code == 2
    assert testtime("compare answers.jsonl").code == 2


def test_boundary_prints_the_beta_rule(testtime: Run) -> None:
    ran = testtime("boundary adaptive_margin:stop_rule=beta,threshold=.95")
    firsts = [line.split()[1] for line in ran.out.split("\n")[4:12]]
    assert firsts == ["4", "6", "8", "9", "11", "12", "14", "15"]


def test_flags_may_be_repeated_and_spelt_with_dashes_or_underscores(testtime: Run) -> None:
    one = testtime("replay answers.jsonl --policies sc_fixed --sc-n 1 2")
    assert one.out == testtime("replay answers.jsonl --policies=sc_fixed --sc_n 1 --sc_n=2").out


def test_a_file_of_keys_is_the_same_command_and_flags_beat_it(testtime: Run, folder: Path) -> None:
    (folder / "r.yaml").write_text("pools: answers.jsonl\npolicies: [sc_fixed]\nsc_n: [1, 2]\nseed: 3\n")
    line = "replay answers.jsonl --policies sc_fixed --seed 0 --sc_n"
    assert testtime("replay --config r.yaml --seed 0").out == testtime(f"{line} 1 2").out
    assert testtime("replay --config r.yaml --seed 0 --sc_n 5").out == testtime(f"{line} 5").out


def test_a_switch_of_the_file_can_be_turned_off(testtime: Run, folder: Path) -> None:
    (folder / "replay.yaml").write_text("realised: true\nsc_n: 2\npolicies: sc_fixed\nout_jsonl: o.jsonl\n")
    for flag, kind in (("", "realised"), ("--no_realised", "expected"), ("--no-realised", "expected")):
        assert testtime(f"replay answers.jsonl --config replay.yaml {flag}").code == 0
        assert {json.loads(line)["kind"] for line in (folder / "o.jsonl").read_text().split("\n") if line} == {kind}


def test_the_next_command_can_be_copied_whatever_the_file_is_called(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (["replay", "answers.jsonl"], ["analyze", "--glob", "answers.jsonl"]):
        assert main([*command, "--out_csv", "my s.csv"]) == 0
        assert "next: testtime plot --csv 'my s.csv' --out_png 'my s.png'" in capsys.readouterr().out


def test_a_mistyped_dash_finds_the_flag_with_the_underscore(testtime: Run) -> None:
    assert "unknown flag 'sc_m'; did you mean sc_n?" in testtime("replay answers.jsonl --sc-m 3").err


def test_realised_plays_the_recorded_order(testtime: Run, folder: Path) -> None:
    testtime("replay answers.jsonl --policies sc_fixed --sc_n 1 --realised --out_jsonl r.jsonl")
    lines = [json.loads(line) for line in (folder / "r.jsonl").read_bytes().split(b"\n") if line]
    assert [(line["kind"], line["answer"], line["correct"]) for line in lines] == [
        ("realised", "18", 1.0), ("realised", "3", 1.0), ("realised", "8", 0.0),
    ]  # fmt: skip


# ---- mistakes ----
@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("reply x", "unknown command 'reply'; did you mean replay?"),
        ("replay", "no pool given"),
        ("replay none.jsonl --out_csv new", "none.jsonl: no such file or folder; check the path"),
        ("replay zz*.jsonl --out_csv new", "zz*.jsonl: no such file or folder; check the pattern"),
        ("replay answers.jsonl --thresold .5 --out_csv new", "unknown flag 'thresold'; did you mean threshold?"),
        ("replay answers.jsonl --max_examples 3", "unknown flag 'max_examples'"),
        ("replay answers.jsonl --max_n 4 --adaptive_max_n 4", "two spellings of one flag"),
        ("replay answers.jsonl --policies sc_fixed --width 3 --out_csv new", "it belongs to adaptive_margin"),
        ("replay answers.jsonl --policies sc_fixd", "did you mean sc_fixed?"),
        ("replay answers.jsonl --policies best_of_n --by rm --out_csv new", "no column 'rm'"),
        ("replay answers.jsonl --policies best_of_n", "by is missing"),
        ("replay answers.jsonl --orders 0", "--orders"),
        ("replay answers.jsonl --orders x", "--orders"),
        ("replay answers.jsonl --sc_n 1.5", "n=1.5 cannot be"),
        ("replay answers.jsonl --config none.yaml", "none.yaml: no such file"),
        ("replay broken.jsonl --out_csv new", "broken.jsonl:2: "),
        ("replay empty.jsonl --out_csv new", "empty.jsonl: the file holds no rows"),
        ("replay nogold.jsonl --out_csv new --out_jsonl new2", "no answer is known to be right or wrong"),
        ("replay answers.jsonl --out_csv answers.jsonl/s.csv", "answers.jsonl/s.csv: "),
        ("replay answers.jsonl --out_csv new --out_jsonl .", "is a folder; name a file in it"),
        ("replay answers.jsonl --out_csv new --out_jsonl ./new", "would overwrite what is read, or be written twice"),
        ("replay answers.jsonl --out_csv new --out_jsonl answers.jsonl", "answers.jsonl: would overwrite what is read"),
        ("analyze --glob answers.jsonl --out_csv answers.jsonl", "answers.jsonl: would overwrite what is read"),
        ("plot --csv s.csv --out_svg new --out_png .", "is a folder"),
        ("plot --csv s.csv --out_png s.csv", "would overwrite what is read"),
        ("analyze --glob none/*.jsonl --out_csv new", "check the pattern"),
        ("analyze --glob answers.jsonl --out_csv new --x hours", "unknown x axis 'hours'"),
        (
            "analyze --glob answers.jsonl --out_csv new --x dollars",
            "no outcome says its dollars; known here: candidates",
        ),
        ("replay o.jsonl", "these are outcomes, not a pool; use: testtime analyze --glob"),
        ("analyze --glob answers.jsonl --out_csv new --against best_of_n", "no outcomes of best_of_n"),
        ("plot --csv none.csv --out_png new", "none.csv: "),
        ("plot --csv answers.jsonl --out_png new", "answers.jsonl: "),
        ("plot --csv answers.jsonl", "no file to draw"),
        ("boundary sc_fixed:n=3", "unknown setting|no stopping rule|no setting"),
        ("boundary adaptive_margin:stop_rule=window", "looks at run"),
        ("import answrs answers.jsonl --out new", "did you mean answers?"),
        ("import esc answers.jsonl --out new", "answers.jsonl:1: "),
        ("inspect", "no pool given"),
    ],
)
def test_a_mistake_is_one_line_exit_2_and_nothing_written(testtime: Run, folder: Path, line: str, says: str) -> None:
    (folder / "broken.jsonl").write_text('{"id": 1, "gold": 1, "answers": [1]}\n{"id": 2,\n')
    (folder / "empty.jsonl").write_text("\n")
    (folder / "o.jsonl").write_text('{"policy": "p", "setting": "", "query_id": "1"}\n')
    (folder / "nogold.jsonl").write_text('{"id": 1, "gold": null, "answers": [1, 2]}\n')
    before = sorted(folder.rglob("*"))
    ran = testtime(line)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("testtime: ")
    assert ran.err.count("\n") == 1
    assert any(part in ran.err for part in says.split("|")), ran.err
    assert sorted(folder.rglob("*")) == before


def test_debug_shows_where_a_mistake_was_found(folder: Path) -> None:
    with pytest.raises(Exception, match="no such file or folder"):
        main(["replay", "none.jsonl", "--debug"])


def test_an_interrupt_is_exit_130(testtime: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("testtime.api.load", interrupted)
    ran = testtime("replay answers.jsonl")
    assert (ran.code, ran.err) == (130, "testtime: interrupted\n")


def test_a_closed_pipe_is_quiet_and_loses_no_file(folder: Path) -> None:
    line = f"'{sys.executable}' -m testtime replay answers.jsonl --out_csv s.csv | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True, cwd=folder)
    assert done.stderr == ""
    assert len(rows(folder / "s.csv")) == 4


def test_a_terminal_that_knows_no_unicode_is_no_error(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "testtime", "inspect", "answers.jsonl"],
        capture_output=True, check=True, cwd=folder, env={"PYTHONIOENCODING": "ascii", "PATH": ""},
    )  # fmt: skip
    assert b"maj@k" in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_for_every_flag(testtime: Run, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    ran = testtime(f"{name} --help")
    assert ran.code == 0
    assert COMMANDS[name][1].split()[0] in ran.out
