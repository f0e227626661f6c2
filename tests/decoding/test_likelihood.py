"""Proves that the likeliest option is the answer, that TruthfulQA's mc1 and mc2 follow from the options' likelihoods
alone, and that neither is ever measured by a decoding that writes text.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from testtime.build import plan_of, resolve
from testtime.core.errors import ModelError, Refused
from testtime.core.records import Arm, Problem
from testtime.core.registry import find
from testtime.decoding.likelihood import Likelihood
from testtime.runspec import run_spec
from testtime.tasks.truthfulqa import TruthfulQa

CSV = (
    "Type,Category,Question,Best Answer,Correct Answers,Incorrect Answers,Source\n"
    "A,Food,What of seeds?,They pass,They pass; Nothing happens,You die; They grow,x\n"
)


@dataclass
class Scores:
    """`Ask` that scores each text by a table."""

    table: dict[str, list[float]]
    arms: Any = (Arm("likelihood", {"model": "m"}),)

    async def score(self, role: str, request: Any, texts: Any, full: bool = False) -> Any:
        return [np.array(self.table[text]) for text in texts]


MC2 = (math.exp(-2) + math.exp(-3)) / (math.exp(-2) + math.exp(-3) + math.exp(-1.5) + math.exp(-9))
TABLE = {"They pass": [-1.0, -1.0], "Nothing happens": [-3.0], "You die": [-1.5], "They grow": [-9.0]}


@pytest.mark.parametrize(("form", "value", "score"), [("mc1", False, None), ("mc2", None, MC2)])
def test_mc1_and_mc2_follow_from_likelihoods(
    tmp_path: Path, form: str, value: bool | None, score: float | None
) -> None:
    (tmp_path / "t.csv").write_text(CSV)
    task = TruthfulQa(tmp_path / "t.csv")
    (problem,) = task.problems(form)
    (made,) = asyncio.run(Likelihood().draw(problem, [], 0, cast(Any, Scores(TABLE))))
    printed, key = task.answer(problem, made.text)
    assert problem.fields["choices"][str(key)] == "You die"
    judged = replace(made, facts={**made.facts, "answer": printed, "answer_key": key})
    verdict = asyncio.run(find("verifier", "each")(task).verify(problem, judged, cast(Any, None)))
    assert (verdict.value, verdict.method) == (value, form)
    assert verdict.score == (None if score is None else pytest.approx(score))


def test_a_problem_without_options_is_a_failed_draw() -> None:
    with pytest.raises(ModelError, match="no options"):
        asyncio.run(Likelihood().draw(Problem("q", "t", "?"), [], 0, cast(Any, Scores({}))))


def test_no_other_decoding_gives_that_measure(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(CSV)
    asked = {
        "model": "pocket-s",
        "dataset": "truthfulqa",
        "dataset_path": tmp_path / "t.csv",
        "policies": ["sc_fixed:n=1"],
    }
    with pytest.raises(Refused, match="mc1 is measured by the decoding likelihood, not plain"):
        plan_of(resolve(run_spec({**asked, "splits": ["mc1"]})), "r")
    plan_of(resolve(run_spec({**asked, "splits": ["mc1"], "decoding": ["likelihood"]})), "r")
    plan_of(resolve(run_spec(asked)), "r")
