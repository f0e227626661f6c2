"""A folder of runs says what lies in it; notes are added and nothing is rewritten; a packed run is the run, for every
reader, without its machine, its user, and, where asked, without its texts.
"""

from __future__ import annotations

import getpass
import json
import re
import shutil
import socket
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import fake_model
from testtime.core.records import Generation, Request
from testtime.models import BUILTIN
from testtime.store.pack import Places, pack, unpacked

Run = Callable[[str], Any]
READERS = (
    "inspect {} --json",
    "replay {} --policies sc_fixed --sc_n 1 2",
    "show {}",
    "analyze --glob {} --out_csv s.csv",
    "recommend {} --budget 2draws",
    "forecast {} --to 8",
    "plan --pilot {} --effect 5pt",
    "policies fit bayes:max_n=4,agreement=0.9 {}",
    "report {} --out page.html --json",
    "export {} --format rm --out x.jsonl",
    "audit {} --out_csv l.csv",
)


@pytest.fixture(autouse=True)
def _run(folder: Path, testtime: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BUILTIN, "fake", fake_model.PLACE)
    monkeypatch.setenv("FAKE_COUNT", str(folder / "count"))
    monkeypatch.setenv("SECRET_KEY", "sk-very-secret-0123456789")
    fake_model.sums(folder / "sums.jsonl", 6)
    place = folder / "sums.jsonl"
    ran = testtime(f"run --model fake:n --dataset gsm8k --dataset_path {place} --run r --sc_n 1 4 --policies sc_fixed")
    assert ran.code == 0
    assert "no notes" in ran.out


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


def test_a_run_without_notes_says_so_once(testtime: Run, folder: Path) -> None:
    again = testtime(f"run --model fake:n --dataset gsm8k --dataset_path {folder / 'sums.jsonl'} --run r --sc_n 1 4")
    assert "no notes" not in again.out


@pytest.mark.parametrize("file", ["calls.parquet", "candidates.parquet"])
def test_a_file_of_a_run_that_is_torn_is_one_line_and_hides_no_other_run(
    testtime: Run, folder: Path, file: str
) -> None:
    shutil.copytree(folder / "results/r", folder / "results/torn")
    torn = folder / "results/torn" / file
    torn.write_bytes(torn.read_bytes()[:300])
    for command in ("inspect", "report"):
        said = testtime(f"{command} results/torn")
        assert said.code == 2
        assert said.err == f"testtime: results/torn/{file}: is no Parquet file that can be read; is it whole?\n"
    states = {one["run"]: one["state"] for one in json.loads(testtime("runs --json").out)}
    assert states["r"] == "finished"
    assert states["torn"].startswith("cannot be read: ")


def test_runs_lists_what_each_was_and_finds_words_in_notes(testtime: Run, folder: Path) -> None:
    pool = (folder / "results/r/candidates.parquet").read_bytes()
    assert testtime("note results/r Votes").code == 0
    assert testtime("note results/r help.").code == 0
    assert (folder / "results/r/candidates.parquet").read_bytes() == pool
    (one,) = json.loads(testtime("runs --json").out)
    assert (one["run"], one["model"], one["state"], one["problems"], one["draws"]) == ("r", "fake:n", "finished", 6, 4)
    table = pl.read_csv(folder / "results/r/summary.csv").filter(pl.col("setting") == "n=4")
    assert one["accuracy"] == table["accuracy"][0]
    assert [line.partition(" ")[2][11:] for line in one["notes"].split("\n")] == ["Votes", "help."]
    assert "Votes" in testtime("runs --grep VOTES").out
    assert json.loads(testtime("runs --json --grep nothing").out) == []
    assert "help." in testtime("inspect results/r").out


def test_a_run_of_several_splits_is_listed_over_all_of_them(testtime: Run, folder: Path) -> None:
    line = "run --model pocket-s --dataset pocket-math --splits easy hard --max_queries 4 --run two --policies sc_fixed"
    assert testtime(f"{line} --sc_n 1 2").code == 0
    (listed,) = (one for one in json.loads(testtime("runs results --json").out) if one["run"] == "two")
    rows = pl.read_csv("results/two/summary.csv").filter(pl.col("setting") == "n=2")
    assert rows["n_problems"].to_list() == [4, 4]
    assert listed["problems"] == 8
    assert listed["accuracy"] == pytest.approx(rows["accuracy"].mean())
    assert listed["accuracy_low"] <= listed["accuracy"] <= listed["accuracy_high"]
    assert listed["accuracy_low"] >= rows["accuracy_low"].mean(), "eight problems tell more than four"


def test_a_run_that_cannot_be_read_hides_no_other(testtime: Run, folder: Path) -> None:
    broken = folder / "results/broken"
    broken.mkdir()
    (broken / "candidates.parquet").write_bytes(b"PAR1 not really")
    states = {one["run"]: one["state"] for one in json.loads(testtime("runs --json").out)}
    assert states["r"] == "finished"
    assert states["broken"].startswith("cannot be read: ")


def test_a_killed_run_is_interrupted(testtime: Run, folder: Path) -> None:
    journal = folder / "results/r/journal/main.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-1]))
    (one,) = json.loads(testtime("runs --json").out)
    assert one["state"] == "interrupted"


@pytest.mark.parametrize("line", READERS)
@pytest.mark.parametrize("texts", [True, False])
def test_every_reader_takes_a_pack_for_the_run(testtime: Run, folder: Path, line: str, texts: bool) -> None:
    assert testtime(f"pack results/r --out r.zip{'' if texts else ' --no_text'}").code == 0
    packed, plain = testtime(line.format("r.zip")), testtime(line.format("results/r"))
    assert packed.code == plain.code == 0, packed.err

    def said(out: str) -> str:
        return re.sub(r"\S*results/r\b|r\.zip", "RUN", out)

    if line.startswith("export") and not texts:
        assert "0 rows" in packed.out
    elif not line.startswith(("audit", "report")):
        assert said(packed.out) == said(plain.out)


def test_a_pack_beside_its_run_differs_in_nothing(testtime: Run, folder: Path) -> None:
    testtime("pack results/r --out r.zip")
    rows = json.loads(testtime("compare results/r r.zip --json").out)["rows"]
    assert rows
    assert {row["difference"] for row in rows} <= {0.0, None}


def test_a_pack_tells_nothing_of_the_machine_and_its_user(testtime: Run, folder: Path) -> None:
    host, user, secret = socket.gethostname(), getpass.getuser(), "sk-very-secret-0123456789"
    note = f"made by {user} on {host} from {folder}/sums.jsonl at http://{host}:8000/v1 with {secret}"
    (folder / "results/r/notes.md").write_text(f"- 2026-11-25 {note}\n")
    assert testtime("pack results/r --out r.zip").code == 0
    for name, said in members(folder / "r.zip").items():
        if not name.endswith(".parquet"):
            for what in (str(folder), str(Path.home()) + "/", secret, *((host,) if len(host) > 2 else ())):
                assert what.encode() not in said, (name, what)
    place = unpacked(folder / "r.zip")
    for table in ("candidates", "calls"):
        dumped = json.dumps(pl.read_parquet_metadata(place / f"{table}.parquet")) + json.dumps(
            pl.read_parquet(place / f"{table}.parquet").to_dicts()
        )
        assert str(folder) not in dumped
        assert secret not in dumped


def test_a_pack_holds_figures_and_later_verdicts_without_places(testtime: Run, folder: Path) -> None:
    run, host, secret = folder / "results/r", "box-of-ada.lab", "sk-very-secret-0123456789"
    planted = f"by ada on {host} at /home/ada/pools/a.jsonl with {secret}"
    assert testtime("verify results/r --verifier refusal").code == 0
    (overlay,) = (run / "verdicts").glob("*.parquet")
    pl.read_parquet(overlay).with_columns(verification_explanation=pl.lit(planted)).write_parquet(overlay)
    for name in ("a.svg", "a.json"):
        (run / "figures" / name).write_text(f'<svg xmlns="http://www.w3.org/2000/svg">{planted}</svg>')
    outcomes = run.with_name("r.jsonl")
    first = {**json.loads(outcomes.read_text().splitlines()[0]), "model": planted, "setting": planted}
    outcomes.write_text(json.dumps(first) + "\n")
    pack(run, folder / "r.zip", Places({"ada": "USER", host: "HOST"}, ["/home/ada"]))
    files = members(folder / "r.zip")
    assert {"r/figures/a.svg", "r/figures/accuracy_vs_tokens.png", f"r/verdicts/{overlay.name}"} <= set(files)
    assert b"http://www.w3.org/2000/svg" in files["r/figures/a.svg"], "a figure's grammar stays"
    place = unpacked(folder / "r.zip")
    dumped = json.dumps(pl.read_parquet(place / f"verdicts/{overlay.name}").to_dicts()).encode()
    for name, said in [*files.items(), ("overlay", dumped)]:
        for what in (host, "/home/ada", "by ada", secret):
            assert what.encode() not in said, (name, what)


@pytest.mark.parametrize("line", ["verify {} --verifier refusal", "show {} --json"])
def test_other_readers_take_a_pack_too(testtime: Run, folder: Path, line: str) -> None:
    assert testtime("pack results/r --out r.zip").code == 0
    assert testtime(line.format("r.zip")).code == 0


@pytest.mark.parametrize("line", ["note r.zip hello", "stats --stats_file r.zip", "emergence r.zip"])
def test_what_cannot_take_a_pack_says_so_in_one_line(testtime: Run, folder: Path, line: str) -> None:
    assert testtime("pack results/r --out r.zip").code == 0
    ran = testtime(line)
    assert (ran.code, ran.err.count("\n")) == (2, 1), ran.err


def test_a_packed_page_names_no_place_and_its_programs_are_untouched(testtime: Run, folder: Path) -> None:
    assert testtime("report results/r").code == 0
    page = (folder / "results/r/report.html").read_text(encoding="utf-8")
    planted = "<p>by ada at /home/ada/pools/a.jsonl on http://box.lab:8000/v1</p></main>"
    hidden = Places({"ada": "USER", "make": "HOST"}, ["/home/ada"]).page(page.replace("</main>", planted))
    assert "<p>by USER at a.jsonl on http://HOST/v1</p></main>" in hidden
    programs = r"<script>.*?</script>|<style>.*?</style>|<meta http-equiv[^>]*>"
    assert re.findall(programs, hidden, re.S) == re.findall(programs, page, re.S)
    assert str(folder) not in hidden
    assert hidden.count("<") == page.count("<") + 2, "no markup is lost"


def test_no_text_leaves_answers_verdicts_and_tokens(testtime: Run, folder: Path) -> None:
    testtime("pack results/r --out r.zip --no_text")
    whole = pl.read_parquet(folder / "results/r/candidates.parquet")
    bare = pl.read_parquet(unpacked(folder / "r.zip") / "candidates.parquet")
    for column in ("answer", "answer_key", "is_verified", "completion_tokens", "query_id", "candidate_idx"):
        assert bare[column].equals(whole[column])
    texts = " ".join(filter(None, whole["question"].to_list()))
    for name, said in members(folder / "r.zip").items():
        assert texts[:40].encode() not in said, name
    for column in ("question", "candidate_text", "parts", "input_messages", "output_messages"):
        assert bare[column].null_count() == bare.height


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "r/evil.py", "r/../../evil", "other.jsonl"])
def test_a_zip_that_is_no_pack_is_refused_and_writes_nothing(testtime: Run, folder: Path, name: str) -> None:
    testtime("pack results/r --out r.zip")
    with zipfile.ZipFile(folder / "r.zip", "a") as packed:
        packed.writestr(name, "print('evil')")
    ran = testtime("inspect r.zip")
    assert (ran.code, ran.err) == (2, "testtime: r.zip: is no packed run; these are what testtime pack writes\n")


def test_long_answers_are_digests_that_still_vote_alike() -> None:
    from testtime.store.pack import _short

    program = "def f():\n    return 1\n" * 9
    assert _short("18") == "18"
    assert _short(program) == _short(str(program)) != _short(program + " ")
    assert str(_short(program)).startswith("digest:")


def test_places_are_whole_words() -> None:
    hide = Places({"ada": "USER"}).hidden
    assert hide("adagio by ada at C:\\Users\\ada\\x.txt") == "adagio by USER at x.txt"
    assert hide("3/4 and 1/2/3 are numbers, a/b is no path") == "3/4 and 1/2/3 are numbers, a/b is no path"
    assert hide("see ~/pools/a.jsonl and /home/x/y.parquet") == "see a.jsonl and y.parquet"


def test_a_pack_still_says_which_version_of_a_model_answered(
    testtime: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = fake_model.Fake.generate

    async def dated(self: fake_model.Fake, request: Request) -> Generation:
        return replace(await usual(self, request), model="n-2026-01-01")

    monkeypatch.setattr(fake_model.Fake, "generate", dated)
    testtime("run --model fake:n --dataset gsm8k --dataset_path sums.jsonl --run dated --sc_n 1 --policies sc_fixed")
    testtime("pack results/dated --out dated.zip")
    assert testtime("report dated.zip --out page.html").code == 0
    assert "model n: n-2026-01-01" in (folder / "page.html").read_text(encoding="utf-8")


def test_a_report_of_a_pack_lies_beside_the_pack(testtime: Run, folder: Path) -> None:
    testtime("pack results/r --out r.zip")
    ran = testtime("report r.zip")
    assert ran.code == 0
    assert "wrote r.report.html" in ran.out
    assert (folder / "r.report.html").is_file()
