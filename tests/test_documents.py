"""What the describing documents show works as they show it: their configurations are read unchanged, and their pandas
recipes run on our Parquet, on a file that holds nulls, failures and retries, and give the numbers of `inspect`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

from testtime.core.records import Arm
from testtime.runspec import run_spec
from testtime.sources import inspect
from testtime.store.parquet import write_frame

SEEDS = Path(__file__).parents[2] / "shared" / "seeds"
DOCUMENTS = sorted(SEEDS.glob("00[24]_*.txt"))
needs_documents = pytest.mark.skipif(not DOCUMENTS, reason="the describing documents are not on this machine")


def blocks(language: str) -> list[Any]:
    """(document, number) → each code block of a language."""
    found = []
    for path in DOCUMENTS:
        texts = re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.S | re.M)
        found += [pytest.param(text, id=f"{path.name[:3]}-{at}") for at, text in enumerate(texts)]
    return found


@needs_documents
@pytest.mark.parametrize("text", [one for one in blocks("yaml") if "dataset:" in one.values[0]])
def test_a_documented_configuration_is_read_unchanged(text: str, tmp_path: Path) -> None:
    path = tmp_path / "experiment.yaml"
    path.write_text(text)
    spec = run_spec({}, path)
    assert spec.model
    assert spec.num_candidates is not None
    assert str(spec.output).startswith("experiments/")
    assert run_spec({"max_queries": 50}, path).max_queries == 50, "a flag beats the file"
    said = re.search(r"^splits: *([\w,]+)", text, re.M)
    assert said is not None
    assert spec.splits == tuple(said[1].split(","))


def rows(run: str, shift: int) -> pl.DataFrame:
    made = []
    for query in range(12):
        for idx in range(4):
            failed, unknown = (query, idx) == (1, 2), (query, idx) == (2, 1)
            right = None if unknown else not failed and (query + idx + shift) % 3 == 0
            made.append({
                "arm": "plain", "query_id": f"q{query}", "candidate_idx": idx, "is_retry": False,
                "split": "tool_calling" if query % 3 == 0 else "math", "answer_key": None if failed else str(idx % 2),
                "is_verified": right, "error": "lost" if failed else None, "ground_truth_answer": "1",
                "verification_explanation": f"because {run}", "refusal_is_refusal": query == 4,
                "completion_tokens": None if failed else 10,
            })  # fmt: skip
    return pl.DataFrame(made)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    paths = {}
    for shift, name in enumerate(("baseline", "other")):
        paths[name] = tmp_path / f"{name}.parquet"
        about = {"run": name, "model": "m", "notes": "why", "floor": {"plain": 4}, "num_candidates": 4}
        arms = [Arm("plain", {"model": "m"})]
        write_frame(paths[name], rows(name, shift), {**about, "temperature": 0.7, "splits": ["math"], "arms": arms})
    return paths


@needs_documents
@pytest.mark.parametrize("text", blocks("python"))
def test_a_documented_recipe_runs_on_our_files(
    text: str, files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = iter([files["baseline"], files["other"]])
    code = re.sub(r"'[^'\n]*\.parquet'", lambda _: repr(str(next(path))), text)
    names: dict[str, Any] = {"pd": pd, "df": pd.read_parquet(files["baseline"])}
    exec(code, names)
    if "metadata" in code:
        assert capsys.readouterr().out.split() == ["m", "why"]
    if "first_wins" in names:
        (one,) = inspect(files["baseline"])
        df = names["df"]
        right, judged = one.row_verdicts[1], one.row_verdicts[0]
        assert df["is_verified"].dropna().astype(float).mean() == right / judged
        assert names["first_wins"] == pytest.approx(one.first.mean)
        known = df.dropna(subset=["is_verified"]).groupby("query_id")["is_verified"]
        some = known.max().astype(bool)
        told = some | (known.count() == 4)  # right, or every draw judged: of the others nobody knows
        assert some[told].mean() == pytest.approx(one.any.mean)


def test_a_draw_that_is_tried_again_is_no_row_of_the_n(files: dict[str, Path], tmp_path: Path) -> None:
    again = rows("again", 0).head(1).with_columns(
        candidate_idx=pl.lit(900, pl.Int64), is_retry=pl.lit(True), is_verified=pl.lit(True)
    )  # fmt: skip
    path = tmp_path / "retried.parquet"
    write_frame(path, pl.concat([rows("again", 0), again]), {"run": "r", "floor": {"plain": 4}})
    (with_retry,), (without,) = inspect(path), inspect(files["baseline"])
    assert (with_retry.rows, with_retry.any.mean) == (without.rows, without.any.mean)
