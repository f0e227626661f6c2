"""Proves that a pool is judged again without drawing and keeps both verdicts, that pairs are judged row by row, that
anyone's outputs become a pool that can be judged, and that what cannot be is one line.
"""

from __future__ import annotations

import asyncio
import csv
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest

from testtime import solo, verifying
from testtime.analysis.judging import asked_anew
from testtime.core.errors import ModelError
from testtime.core.records import Generation, Request
from testtime.models import BUILTIN
from testtime.models.scripted import Scripted
from testtime.serve.server import running
from testtime.verifiers.math import installed

Run = Callable[[str], Any]
MATH = [
    {"problem": "Half of one?", "answer": r"\frac{1}{2}", "unique_id": "p/1"},
    {"problem": "Two?", "answer": "2", "unique_id": "p/2"},
]
TEXTS = [
    {"query_id": "p/1", "texts": [r"\boxed{0.5}", r"\boxed{\frac{2}{4}}", "No idea.", None]},
    {"query_id": "p/2", "texts": [r"\boxed{2}", r"\boxed{3}", r"<think>\boxed{2}</think>", r"It is \boxed{2.0}."]},
]


def write(path: Path, several: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in several))


@pytest.fixture
def pool(folder: Path, testtime: Run) -> str:
    write(folder / "math.jsonl", MATH)
    write(folder / "mine.jsonl", TEXTS)
    ran = testtime("import candidates mine.jsonl --dataset math --dataset_path math.jsonl --out out")
    assert ran.code == 0, ran.err
    assert "testtime verify out/mine --verifier math" in ran.out
    return "out/mine"


@pytest.mark.skipif(not installed(), reason="math-verify is not installed: the extra `math`")
def test_a_stage_that_spoke_meanwhile_keeps_its_word(testtime: Run, pool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes judge an imported pool at the same moment: one of them is the first, and the other finds that."""
    frame = verifying._frame

    def late(*given: Any) -> pl.DataFrame:
        monkeypatch.setattr(verifying, "_frame", frame)
        assert verifying.reverify(Path(pool), "math").first
        return frame(*given)

    monkeypatch.setattr(verifying, "_frame", late)
    assert not verifying.reverify(Path(pool), "math").first


def test_imported_outputs_are_judged_and_both_verdicts_kept(testtime: Run, pool: str) -> None:
    before = pl.read_parquet(Path(pool) / "candidates.parquet")
    ran = testtime(f"verify {pool} --verifier math")
    assert ran.code == 0, ran.err
    assert "4 right, 4 wrong, 0 null of 8" in ran.out
    assert "8 verdicts are others than before" in ran.out
    assert "p/1 #0: null → right by key" in ran.out
    (overlay,) = (Path(pool) / "verdicts").glob("math-*.parquet")
    frame = pl.read_parquet(overlay)
    assert frame["is_verified"].to_list() == [True, True, False, False, True, False, False, True]
    assert frame["was_verified"].null_count() == 8
    assert f"testtime audit {overlay} --n 100" in ran.out
    assert testtime(f"audit {overlay} --n 3 --out_csv labels.csv").code == 0
    assert frame.select("verification_method", "verification_explanation").null_count().sum_horizontal().item() == 0
    after = pl.read_parquet(Path(pool) / "candidates.parquet")
    changed = {name for name in after.columns if not after[name].equals(before[name], null_equal=True)}
    assert changed
    assert all(name.startswith("verification_") or name == "is_verified" for name in changed)
    assert after["is_verified"].to_list() == frame["is_verified"].to_list()  # the first word on it is the pool's
    told = testtime(f"inspect {pool}")
    assert "verified, of all rows" in told.out, told.err
    written = (Path(pool) / "candidates.parquet").read_bytes()
    assert "0 verdicts are others than before" in testtime(f"verify {pool} --verifier math").out
    assert (Path(pool) / "candidates.parquet").read_bytes() == written  # a later word is kept beside it alone


def test_a_text_cut_at_its_limit_is_no_answer_whoever_judges(
    testtime: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds a whole box, and the run says that nothing was answered: so does whoever judges it again."""
    write(folder / "math.jsonl", MATH)
    monkeypatch.setitem(BUILTIN, "cut", f"{__name__}:Cut")
    drawn = testtime(
        "run --model cut:a --dataset math --dataset_path math.jsonl --policies sc_fixed --sc_n 2 --output p.parquet"
    )
    assert drawn.code == 0, drawn.err
    first = pl.read_parquet(folder / "p.parquet")
    assert set(first["finish_reason"]) == {"length"}
    assert first["is_verified"].to_list() == [False] * 4
    ran = testtime("verify p.run --verifier math")
    assert ran.code == 0, ran.err
    assert "0 right, 4 wrong, 0 null of 4" in ran.out
    assert "0 verdicts are others than before" in ran.out


class Cut(Scripted):
    def __init__(self, name: str) -> None:
        super().__init__(lambda request, seed: r"\boxed{2} and on", name=f"cut:{name}")

    async def generate(self, request: Request) -> Generation:
        """As it comes, but said to be cut."""
        said = await super().generate(request)
        return replace(said, completions=[replace(one, finish="length") for one in said.completions])


SAID = {"two": r"\boxed{2}", "yes": '{"right": true, "confidence": 0.9, "reasoning": "so it is"}'}


class Says(Scripted):
    closed: ClassVar[list[str]] = []

    def __init__(self, name: str) -> None:
        super().__init__(lambda request, seed: SAID[name], name=f"says:{name}")

    async def close(self) -> None:
        self.closed.append(self.name)


def test_a_judge_asked_anew_is_set_beside_the_verdicts_before(
    testtime: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of two problems is right by the rule, the judge calls both so; inspect says it too, with the lengths."""
    write(folder / "math.jsonl", MATH)
    monkeypatch.setitem(BUILTIN, "says", f"{__name__}:Says")
    drawn = testtime("run --model says:two --dataset math --dataset_path math.jsonl --sc_n 2 --output p.parquet")
    assert drawn.code == 0, drawn.err
    assert "asked anew" not in testtime("inspect p.run").out
    first = (folder / "p.run/candidates.parquet").read_bytes()
    for line in ("verify p.run --verifier judge --judge_model says:yes", "inspect p.run"):
        ran = testtime(line)
        assert ran.code == 0, ran.err
        assert re.search(r"a judge agrees with (\d+) of (\d+) ", ran.out + ran.err), ran.out
    assert "characters, median" in ran.out
    assert Says.closed.count("says:yes") == 1, "the judge's connections are closed"
    assert (folder / "p.run/candidates.parquet").read_bytes() == first
    (overlay,) = (folder / "p.run/verdicts").glob("judge-*.parquet")
    said = asked_anew(pl.read_parquet(overlay))
    assert said is not None
    assert "verdicts, 50.0 % [" in said
    assert said.endswith("right and 0 right ones wrong")


def test_what_a_fallback_changed_is_told_by_the_run_and_by_inspect(
    testtime: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One problem is right by the rule and audited, the other is called right by the judge alone."""
    write(folder / "math.jsonl", MATH)
    monkeypatch.setitem(BUILTIN, "says", f"{__name__}:Says")
    ran = testtime(
        "run --model says:two --judge_model says:yes --llm_judge_fallback --judge_audit 1 --dataset math"
        " --dataset_path math.jsonl --sc_n 2 --output p.parquet"
    )
    assert ran.code == 0, ran.err
    rows = pl.read_parquet(folder / "p.parquet")
    assert rows["is_verified"].all()
    assert rows["verification_llm_judge_used"].null_count() == 0, "where it was not asked, it says so"
    for said in (ran, testtime("inspect p.parquet"), testtime("inspect p.run")):
        told = " ".join((said.out + said.err).split())
        assert re.search(
            r"asked about (\d+) of \1 verdicts that a rule gave; audited \d+: it agrees in 100.0 % \[", told
        )
        assert "its fallback raised accuracy by 50.0 points, net of what it would take back +" in told


def test_a_judge_on_a_server_is_named_as_a_run_names_it(
    testtime: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By `--base_url`, alone or with the key; `inspect` tells what it says, of the file itself too."""
    pytest.importorskip("openai", reason="the openai package is not installed")
    pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    write(folder / "math.jsonl", MATH)
    monkeypatch.setitem(BUILTIN, "says", f"{__name__}:Says")
    drawn = testtime("run --model says:two --dataset math --dataset_path math.jsonl --sc_n 2 --output p.parquet")
    assert drawn.code == 0, drawn.err
    judge = "verify p.run --verifier judge --judge_model vllm:yes --base_url"
    with running(Says("yes"), name="yes") as url:
        for address in (url, f"judge_model={url}"):
            ran = testtime(f"{judge} {address}")
            assert ran.code == 0, ran.err
        Path("alone.parquet").write_bytes(Path("p.parquet").read_bytes())
        alone = testtime(f"verify alone.parquet --verifier judge --judge_model vllm:yes --base_url {url}")
        assert alone.code == 0, alone.err
    told = re.findall(r"asked anew, a judge agrees with .* right ones wrong", ran.out.replace("\n", " "))
    assert len(told) == 1
    for pool in ("p.run", "p.parquet", "alone.parquet"):
        said = testtime(f"inspect {pool}")
        assert told[0] in (said.out + said.err).replace("\n", " "), pool
    for line, says in (
        (f"{judge} localhost:1", "not an address"),
        (f"{judge} oracle_model=http://h/v1", "oracle_model names no model"),
        ("verify p.run --verifier judge --base_url http://h/v1", "base_url is a setting of no"),
        ("verify p.run --verifier math --base_url http://h/v1", "add --judge_model"),
        ("verify p.run --verifier judge --judge_model says:yes --base_url http://h/v1", "base_url is a setting of no"),
    ):
        ran = testtime(line)
        assert (ran.code, ran.err.count("\n")) == (2, 1)
        assert says in ran.err


def test_where_none_is_named_the_judge_is_the_pools_own_where_its_run_found_it(
    testtime: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own judge, else its model; what it took is told in dollars where its price is known."""
    pytest.importorskip("openai", reason="the openai package is not installed")
    pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    write(folder / "math.jsonl", MATH)
    (folder / "prices.yaml").write_text("vllm:*: {prompt: 100, completion: 100}\n")
    monkeypatch.setitem(BUILTIN, "says", f"{__name__}:Says")
    run = "run --dataset math --dataset_path math.jsonl --sc_n 2"
    with running(Says("yes"), name="yes") as url:
        own = f"{run} --model says:two --judge_model vllm:yes --llm_judge_fallback --base_url judge_model={url}"
        assert testtime(f"{own} --output own.parquet").code == 0
        assert testtime(f"{run} --model vllm:yes --base_url {url} --output made.parquet").code == 0
        for pool in ("own.run", "made.run", "own.parquet"):
            shutil.rmtree("judged", ignore_errors=True)  # what it replied before
            ran = testtime(f"verify {pool} --verifier judge --prices prices.yaml")
            assert ran.code == 0, ran.err
            asked = re.search(r"the judge vllm:yes: (\d+) calls of ([\d,]+) tokens, \$([\d.]+)", ran.out)
            assert asked is not None, ran.out
            assert float(asked[3]) == pytest.approx(int(asked[2].replace(",", "")) / 10_000, abs=1e-4)
    shutil.rmtree("judged")
    monkeypatch.setattr(solo, "BACKOFF", 0.0)
    said = json.loads(testtime("verify own.run --verifier judge --json").out)
    assert (said["judge"], said["calls"] > 0, said["usd"]) == ("vllm:yes", True, 0.0), "of a server that is gone"


def test_a_judge_that_is_busy_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solo, "BACKOFF", 0.0)
    model, request = Busy(3), Request([{"role": "user", "content": "Right?"}])
    judge = solo.Solo(model, True, 2, lambda name, spend: 0.25)
    assert asyncio.run(judge.generate("judge", request)).completions[0].text == "yes"
    assert (judge.calls, judge.dollars.known) == (4, 0.25)
    assert judge.running() == ["$0.2500"], "in a line of 80 columns that also says rate and time left"
    with pytest.raises(ModelError, match="overloaded"):
        asyncio.run(solo.Solo(Busy(99), True, 2, lambda name, spend: None).generate("judge", request))


class Busy(Scripted):
    def __init__(self, times: int) -> None:
        super().__init__(lambda request, seed: "yes", name="busy:a")
        self.times = times

    async def generate(self, request: Request) -> Generation:
        """Refuses so many times first."""
        self.times -= 1
        if self.times >= 0:
            raise ModelError("overloaded", busy=True)
        return await super().generate(request)


def test_a_file_alone_says_which_dataset_it_is_of(testtime: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its rows lie, as long as they lie there; without them an answer is compared with what the file says."""
    monkeypatch.setitem(BUILTIN, "says", f"{__name__}:Says")
    write(folder / "math.jsonl", MATH)
    drawn = testtime("run --model says:two --dataset math --dataset_path math.jsonl --sc_n 2 --output p.parquet")
    assert drawn.code == 0, drawn.err
    Path("alone.parquet").write_bytes(Path("p.parquet").read_bytes())
    for there in (True, False):
        if not there:
            (folder / "math.jsonl").unlink()
        for pool in ("alone.parquet", "p.run"):
            ran = testtime(f"verify {pool} --verifier math")
            assert ran.code == 0, ran.err
            assert "4 right, 4 wrong, 0 null of 8" in ran.out


def test_a_pool_whose_model_cannot_judge_here_has_null_verdicts_and_a_line_says_why(
    testtime: Run, pool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    line = "import candidates mine.jsonl --dataset math --dataset_path math.jsonl --out out"
    for model, says in (("gpt-4o-mini", "no judge was asked: "), ("nobody-1", "it is not certain who")):
        assert testtime(f"{line} --run {model} --model {model}").code == 0
        ran = testtime(f"verify out/{model} --verifier judge")
        assert ran.code == 0, ran.err
        assert re.search(r"0 right, \d wrong, \d null of 8", ran.out)
        assert says in " ".join((ran.out + ran.err).split())
        assert "add --judge_model" in " ".join((ran.out + ran.err).split())


@pytest.mark.skipif(not installed(), reason="math-verify is not installed: the extra `math`")
def test_a_dataset_goes_by_its_id_of_the_hub_too(testtime: Run, folder: Path) -> None:
    write(folder / "math.jsonl", MATH)
    write(folder / "mine.jsonl", TEXTS)
    named = "--dataset HuggingFaceH4/MATH-500 --dataset_path math.jsonl"
    assert testtime(f"import candidates mine.jsonl {named} --out out").code == 0
    ran = testtime(f"verify out/mine --verifier math {named}")
    assert ran.code == 0, ran.err
    assert "4 right, 4 wrong, 0 null of 8" in ran.out


def test_refusals_and_personas_of_anyones_outputs_are_told_too(testtime: Run, pool: str, folder: Path) -> None:
    ran = testtime(f"verify {pool} --verifier refusal")
    assert ran.code == 0, ran.err
    rows = pl.read_parquet(Path(pool) / "candidates.parquet")
    assert rows["refusal_is_refusal"].null_count() == 0
    assert f"{rows['refusal_is_refusal'].sum()} declined, " in ran.out
    assert rows["is_verified"].null_count() == 8
    (folder / "gloomy.txt").write_text("Be gloomy.")
    assert "add --persona FILE" in testtime(f"verify {pool} --verifier persona").err
    (folder / "gloomy.yaml").write_text("markers:\n  dunno: no idea\n")
    ran = testtime(f"verify {pool} --verifier persona --persona gloomy.txt")
    assert ran.code == 0, ran.err
    marks = pl.read_parquet(Path(pool) / "candidates.parquet")["persona_markers"].to_list()
    assert marks == [0, 0, 1, 0, 0, 0, 0, 0]


def test_a_packed_run_is_judged_and_its_verdicts_lie_beside_it(testtime: Run, pool: str, folder: Path) -> None:
    assert testtime(f"pack {pool} --out mine.zip").code == 0
    ran = testtime("verify mine.zip --verifier math --dataset_path math.jsonl")
    assert ran.code == 0, ran.err
    assert "4 right, 4 wrong, 0 null of 8" in ran.out
    assert len([*(folder / "mine.verdicts").glob("math-*.parquet")]) == 1


def test_recorded_answers_are_judged_without_their_dataset(testtime: Run, folder: Path) -> None:
    assert testtime("import answers answers.jsonl --out out").code == 0
    ran = testtime("verify out/answers --verifier math --dataset gsm8k")
    assert ran.code == 0, ran.err
    assert "0 verdicts are others than before" in ran.out


@pytest.mark.skipif(not installed(), reason="math-verify is not installed: the extra `math`")
def test_pairs_are_judged_row_by_row(testtime: Run, folder: Path) -> None:
    several = [
        {"gold": "1/2", "prediction": r"\boxed{0.5}", "id": 7},
        {"gold": "$x > 5$", "prediction": "$x < 5$", "options": {"extract": ["latex"]}},
        {"gold": "3", "prediction": "<think>3</think>"},
    ]
    write(folder / "pairs.jsonl", several)
    ran = testtime("verify --pairs pairs.jsonl --verifier math --output judged.jsonl")
    assert ran.code == 0, ran.err
    judged = [json.loads(line) for line in (folder / "judged.jsonl").read_text().split("\n")[:-1]]
    assert [row["is_verified"] for row in judged] == [True, False, False]
    assert [row["verification_method"] for row in judged] == ["key", "math-verify", "no answer"]
    assert all(0 <= row["verification_confidence"] <= 1 for row in judged)
    assert judged[0]["id"] == 7


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("verify --verifier math", "no pool given"),
        ("verify nowhere --verifier math", "no such file"),
        ("verify out/mine --verifier maths", "did you mean math"),
        ("verify out/mine --verifier math --dataset maths", "is not known"),
        ("verify --pairs math.jsonl --verifier math --output o.jsonl", "no 'gold'"),
        ("verify --pairs mine.jsonl --verifier math --output mine.jsonl", "would overwrite what is read"),
        ("verify --pairs mine.jsonl --verifier math --output .", "is a folder"),
        ("verify --pairs odd0.jsonl --verifier math --output o.jsonl", "odd0.jsonl:1: 'extract' is no list of latex"),
        ("verify --pairs odd1.jsonl --verifier math --output o.jsonl", "option 'precision' is no whole number"),
        ("verify --pairs odd2.jsonl --verifier math --output o.jsonl", "option 'rounding' is not known"),
        ("verify --pairs odd3.jsonl --verifier math --output o.jsonl", "'options' is not a mapping"),
        ("verify --pairs math.jsonl --verifier choice --output o.jsonl", "does not compare pairs"),
        ("import candidates mine.jsonl --dataset math --dataset_path mine.jsonl --out out2", "mine.jsonl:1"),
        ("verify out/mine.parquet --verifier choice --dataset mmlu", "no such file"),
        ("import candidates mine.jsonl --out out2", "add --dataset"),
        ("audit out/mine --n 4", "no candidate has a verdict"),
    ],
)
def test_what_cannot_be_judged_is_one_line(testtime: Run, folder: Path, pool: str, line: str, says: str) -> None:
    for at, options in enumerate([{"extract": ["tex"]}, {"precision": True}, {"rounding": 2}, [1]]):
        write(folder / f"odd{at}.jsonl", [{"gold": "1", "prediction": "1", "options": options}])
    ran = testtime(line)
    assert ran.code == 2
    assert says in ran.err
    assert ran.err.count("\n") == 1


def test_an_id_the_dataset_does_not_have_is_named_with_file_and_line(testtime: Run, pool: str, folder: Path) -> None:
    write(folder / "other.jsonl", [*TEXTS, {"query_id": "p/3", "texts": ["x"]}])
    ran = testtime("import candidates other.jsonl --dataset math --dataset_path math.jsonl --out out")
    assert ran.code == 2
    assert "other.jsonl:3: the dataset has no problem 'p/3'; its ids are like: p/1" in ran.err


def test_labels_by_hand_give_rates(testtime: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert testtime("import answers answers.jsonl --out out").code == 0
    assert testtime("audit out/answers --n 12 --out_csv labels.csv").code == 0
    with (folder / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    for row in rows:
        row["label"] = "right" if row["is_verified"] == "true" else "wrong"
    with (folder / "labels.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    ran = testtime("audit out/answers --labels labels.csv")
    assert ran.code == 0, ran.err
    assert "false negatives)  0.0 %" in ran.out
    typed = iter(["r", "w", "s", "q"])
    monkeypatch.setattr("builtins.input", lambda asked: next(typed))
    assert "2 labels" in testtime("audit out/answers --n 5").out.replace("1 labels", "2 labels")


def test_each_takes_the_stage_of_the_dataset(testtime: Run, pool: str) -> None:
    ran = testtime(f"verify {pool} --verifier each")
    assert ran.code == 0, ran.err
    assert "4 right, 4 wrong" in ran.out


def test_where_rows_have_no_names_their_place_names_them(testtime: Run, folder: Path) -> None:
    write(folder / "sums.jsonl", [{"question": "1+1?", "answer": "#### 2"}, {"question": "2+2?", "answer": "#### 4"}])
    write(folder / "mine.jsonl", [{"query_id": 1, "texts": ["Final Answer: 4"]}])
    ran = testtime("import candidates mine.jsonl --dataset gsm8k --dataset_path sums.jsonl --out out")
    assert ran.code == 0, ran.err
    assert "1 right, 0 wrong" in testtime("verify out/mine --verifier math").out
