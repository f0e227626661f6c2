"""Thinking never exceeds its budget, what was forced is noted, and one trace serves many budgets alike."""

from __future__ import annotations

import asyncio
import json
import math
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rooms import drawn, facts, lane

from testtime.core.errors import BadInput, Refused
from testtime.core.records import Completion, Generation, Problem, Request
from testtime.core.seeds import digest
from testtime.core.spend import Spend
from testtime.decoding.budget import Budget
from testtime.decoding.native_budget import NativeBudget
from testtime.decoding.prefix import Prefix
from testtime.decoding.thinking import MARKS, closed, marks_of
from testtime.models.pocket.backend import PocketModel
from testtime.models.scripted import ALL, Scripted
from testtime.tasks.pocket_math import PROMPT, PocketMath

BUDGETS = (8, 16, 32, 64, 128)


class Thinker:
    """Thinks `length` words between ends and then stops, answers `7}`; says how many tokens it read, or does not."""

    name = "scripted:thinker"
    can = ALL

    def __init__(self, length: int, tells: bool = True) -> None:
        self.length, self.tells = length, tells
        self.asked: list[Request] = []

    def refuses(self, request: Request) -> str | None:
        return None

    async def generate(self, request: Request) -> Generation:
        self.asked.append(request)
        prefix, limit = str(request.prefix), request.params["max_tokens"]
        read = len(prefix.split()) + 10
        if prefix.endswith("{"):
            said = Completion("7} and more", "stop", 3)
        else:
            left = max(self.length - len(prefix.rpartition("Wait")[2].split()), 0)
            count = min(left, limit)
            said = Completion(" w " * count, "stop" if count == left < limit else "length", count)
        spend = Spend(read if self.tells else None, 0, said.tokens, 0, 0.0)
        return Generation([said], spend, self.name)

    async def score(self, request: Request, texts: Any, full: bool = False) -> Any:
        return [np.log([0.5 if "7" in text else 0.25]) for text in texts]


def sevens(problem: Problem, text: str) -> tuple[str | None, str | None]:
    return ("7", "7") if "7}" in text else (None, None)


def problem(name: str = "q", **fields: Any) -> Problem:
    return Problem(name, "test", f"what is {name}", "7", fields)


def one(folder: Path, decoding: Any, model: Thinker) -> dict[str, Any]:
    rows = drawn(folder, model, [problem(choices=["7", "8"])], [lane(decoding, model.name, "{question}", 1)], sevens)
    return {**rows.row(0, named=True), **facts(rows)[0]}


@settings(max_examples=60, deadline=None)
@given(
    budget=st.integers(1, 60), length=st.integers(0, 30), wait=st.sampled_from(["none", "wait", "Wait now"]),
    tells=st.booleans(), repetition=st.integers(0, 5),
)  # fmt: skip
def test_thinking_never_exceeds_its_budget(
    budget: int, length: int, wait: str, tells: bool, repetition: int, tmp_path_factory: Any
) -> None:
    decoding = Budget(budget=budget, force_continue=wait, repetition_threshold=repetition, score="none")
    row = one(tmp_path_factory.mktemp("run"), decoding, Thinker(length, tells))
    thought = row["candidate_text"].partition("</think>")[0].split()
    assert len(thought) <= row["thinking_tokens"] <= budget
    assert not (row["forced"] and row["stopped_early"])
    assert row["forced"] or length <= budget
    if tells:
        assert len(thought) == row["thinking_tokens"]
    assert row["n_continuations"] == thought.count("Wait")
    assert row["answer_key"] == "7"


def test_what_was_forced_is_noted(tmp_path: Path) -> None:
    cut = one(tmp_path / "cut", Budget(budget=10, score="none"), Thinker(30))
    assert (cut["thinking_tokens"], cut["forced"], cut["stopped_early"]) == (10, True, False)
    early = one(tmp_path / "early", Budget(budget=10, score="none"), Thinker(4))
    assert (early["thinking_tokens"], early["forced"], early["stopped_early"]) == (4, False, True)
    assert early["control_error"] == pytest.approx(-0.6)
    assert early["candidate_text"].endswith("\\boxed{7}")  # up to the brace that closes the answer


def test_a_continuation_replaces_the_end_until_the_budget_is_full(tmp_path: Path) -> None:
    row = one(tmp_path, Budget(budget=20, force_continue="wait", score="none"), Thinker(5))
    assert row["thinking_tokens"] == 20
    assert row["n_continuations"] == 3  # 5, then three times Wait and 5, the last cut at 20
    kinds = [part["kind"] for part in json.loads(row["parts"])]
    assert kinds.count("forced") == 4


def test_short_pieces_between_continuations_are_a_repetition(tmp_path: Path) -> None:
    decoding = Budget(budget=50, force_continue="wait", repetition_threshold=5, score="none")
    row = one(tmp_path, decoding, Thinker(5))
    assert (row["n_continuations"], row["repeated"], row["stopped_early"]) == (1, True, True)
    again = one(
        tmp_path / "again", Budget(budget=50, force_continue="wait", repetition_threshold=4, score="none"), Thinker(5)
    )
    assert (again["repeated"], again["thinking_tokens"]) == (False, 50)


def test_continuations_can_be_counted_out(tmp_path: Path) -> None:
    row = one(tmp_path, Budget(budget=50, force_continue="wait", continuations=2, score="none"), Thinker(5))
    assert (row["n_continuations"], row["thinking_tokens"]) == (2, 17)


def test_one_trace_is_cut_at_every_budget_and_asked_only_where_it_grew(tmp_path: Path) -> None:
    model = Thinker(20)
    rows = drawn(
        tmp_path, model, [problem()],
        [lane(Prefix(budget=(8, 32, 16, 64), score="none"), model.name, "{question}", 1)], sevens,
    )  # fmt: skip
    by_budget = dict(zip([one["budget"] for one in facts(rows)], rows.iter_rows(named=True), strict=True))
    thoughts = {budget: row["candidate_text"].count(" w ") for budget, row in by_budget.items()}
    assert thoughts == {8: 8, 16: 16, 32: 20, 64: 20}
    assert len(model.asked) == 3 + 3  # 8, 8 and 4 words; the answer at 8, 16 and 20
    assert by_budget[32]["candidate_text"] == by_budget[64]["candidate_text"]
    assert {one["budget"]: one["forced"] for one in facts(rows)} == {8: True, 16: True, 32: False, 64: False}
    # alone each row costs what `budget` would have: its prompt once for the thought, once for the answer
    assert by_budget[64]["completion_tokens"] == 20 + 3
    assert by_budget[64]["prompt_tokens"] < by_budget[16]["prompt_tokens"] + 10


def test_a_model_that_cannot_go_on_from_a_text_is_refused(tmp_path: Path) -> None:
    model = Scripted(["x"], can=ALL - {"continuation"})
    with pytest.raises(Refused, match="needs continuation, which scripted:1 cannot"):
        drawn(tmp_path, model, [problem()], [lane(Budget(), model.name, "{question}", 1)], sevens)


def test_marks_are_data_by_model_name() -> None:
    assert marks_of("vllm:deepseek-ai/DeepSeek-R1-Distill-Qwen-7B").open == "<think>\n"
    assert marks_of("hf:Qwen/Qwen3-8B").close == "\n</think>"
    assert all(marks.close and marks.ask for marks in MARKS.values())
    assert closed("{1}} x") == "{1}}"


# ---- on the pocket model ----
@pytest.fixture(scope="module")
def pocket() -> PocketModel:
    return PocketModel("pocket-s")


GREEDY = {"temperature": 0.0}


@pytest.fixture(scope="module")
def greedy(pocket: PocketModel, tmp_path_factory: Any) -> pl.DataFrame:
    """Both decodings at temperature 0, on problems of both kinds."""
    task = PocketMath()
    problems = [one for split in ("easy", "easy-choice") for one in islice(task.problems(split), 4)]
    lanes = [lane(Budget(GREEDY, budget=b), pocket.name, PROMPT, 1, GREEDY) for b in BUDGETS]
    lanes.append(lane(Prefix(GREEDY, budget=BUDGETS), pocket.name, PROMPT, 1, GREEDY))
    return drawn(tmp_path_factory.mktemp("run"), pocket, problems, lanes, task.answer)


def test_budgets_are_exact_in_the_models_own_tokens(greedy: pl.DataFrame, pocket: PocketModel) -> None:
    for text, noted in zip(greedy["candidate_text"], facts(greedy), strict=True):
        thought = text.removeprefix("<think>\n").partition("</think>")[0]
        assert len(pocket.tokenizer.encode_exactly(thought)) == noted["thinking_tokens"] <= noted["budget"]
        assert noted["forced"] == (noted["thinking_tokens"] == noted["budget"])


def test_greedy_traces_agree_row_for_row(greedy: pl.DataFrame) -> None:
    """Where no chance is left, cutting one trace and thinking anew for each budget give the same rows."""
    same = ["query_id", "candidate_text", "answer_key", "completion_tokens", "finish_reason", "facts"]
    apart = greedy.filter(pl.col("arm").str.starts_with("budget"))
    shared = greedy.filter(pl.col("arm").str.starts_with("prefix"))
    assert apart.select(same).rows() == shared.select(same).rows()


def test_warm_traces_agree_up_to_sampling(pocket: PocketModel, tmp_path: Path) -> None:
    """At temperature 0.7 the two decodings draw apart; accuracies and probabilities differ by chance alone."""
    warm, task = {"temperature": 0.7}, PocketMath()
    problems = list(islice(task.problems("easy"), 12))
    lanes = [lane(Budget(warm, budget=b), pocket.name, PROMPT, 8, warm) for b in (32, 64)]
    lanes.append(lane(Prefix(warm, budget=(32, 64)), pocket.name, PROMPT, 8, warm))
    rows = drawn(tmp_path, pocket, problems, lanes, task.answer)
    chance = pl.Series([one["oracle(answer_probability)"] for one in facts(rows)])
    thought = pl.Series([one["thinking_tokens"] for one in facts(rows)])
    rows = rows.with_columns(chance=chance, thought=thought.cast(pl.Float64))
    for budget in (32, 64):
        for column in ("chance", "thought"):
            one, other = (
                rows.filter(arm=f"{kind} {budget}").group_by("query_id").agg(pl.col(column).mean()).sort("query_id")
                for kind in ("budget", "prefix")
            )
            gap = (one[column] - other[column]).to_numpy()
            assert abs(gap.mean()) <= 4 * max(gap.std(ddof=1) / len(gap) ** 0.5, 1e-9)


def test_a_trace_costs_one_instead_of_the_sum(greedy: pl.DataFrame, pocket: PocketModel) -> None:
    """What was drawn for all budgets: of one trace its longest, of independent ones all of them."""
    thought = [one["thinking_tokens"] for one in facts(greedy)]
    rows = greedy.select("query_id", "arm").with_columns(thought=pl.Series(thought))
    apart = rows.filter(pl.col("arm").str.starts_with("budget"))["thought"].sum()
    shared = rows.filter(pl.col("arm").str.starts_with("prefix")).group_by("query_id").agg(pl.col("thought").max())
    assert shared["thought"].sum() < apart / 2


def test_every_problem_is_scored_with_its_own_gold(greedy: pl.DataFrame, pocket: PocketModel) -> None:
    """Recomputed for each row from the model: no row is scored with another's reference, and 1,000 texts sum to 1."""
    from testtime.answers.solutions import law, solution_set

    task = PocketMath()
    known = {one.query_id: one for split in ("easy", "easy-choice") for one in islice(task.problems(split), 4)}
    golds = set()
    for row, noted in zip(greedy.iter_rows(named=True), facts(greedy), strict=True):
        own = known[row["query_id"]]
        texts = solution_set(own.fields)
        assert texts is not None
        asked = row["candidate_text"].rpartition("{")[0] + "{"
        messages = [{"role": "user", "content": PROMPT.format(question=own.question)}]
        q = law(np.array([one.sum() for one in asyncio.run(pocket.score(Request(messages, asked), texts))]))
        place = texts.index(own.reference if own.reference in texts else f"{int(str(own.reference)):03d}")
        golds.add((len(texts), place))
        assert noted["oracle(answer_probability)"] == pytest.approx(q[place], abs=1e-12)
        assert noted["oracle(answer_rank)"] == 1 + (q > q[place]).sum()
        assert noted["answer_entropy"] == pytest.approx(-(q * np.log2(q)).sum(), abs=1e-9)
        best = max(noted["answer_distribution"], key=noted["answer_distribution"].__getitem__)
        assert texts[int(q.argmax())] == best
        assert len(noted["answer_distribution"]) == min(10, len(texts))
        written = row["candidate_text"].rpartition("{")[2].removesuffix("}")
        assert (noted["oracle(answer_edit_distance)"] == 0) == (written == texts[place])
    assert len(golds) > 4


def test_unnormalised_is_the_gold_answers_own_probability(pocket: PocketModel, tmp_path: Path) -> None:
    task = PocketMath()
    problems = list(islice(task.problems("easy"), 2))
    made = drawn(
        tmp_path, pocket, problems, [lane(Budget(GREEDY, budget=64, score="gold"), pocket.name, PROMPT, 1, GREEDY)],
        task.answer,
    )  # fmt: skip
    for own, row, noted in zip(problems, made.iter_rows(named=True), facts(made), strict=True):
        assert noted["oracle(answer_probability)"] == pytest.approx(math.exp(noted["oracle(answer_log_prob)"]))
        asked = Request([{"role": "user", "content": PROMPT.format(question=own.question)}],
                        row["candidate_text"].rpartition("{")[0] + "{")  # fmt: skip
        (laws,) = asyncio.run(pocket.score(asked, [f"{int(str(own.reference)):03d}"], full=True))
        bits = -(np.exp(laws) * laws / np.log(2)).sum(axis=1).mean()  # bits here too, as over a solution set
        assert noted["answer_entropy"] == pytest.approx(bits, abs=1e-9)
        assert noted["oracle(answer_rank)"] is None
        assert "answer_distribution" not in noted


def test_seeds_make_draws_apart_and_again(pocket: PocketModel, tmp_path: Path) -> None:
    warm, task = {"temperature": 1.0}, PocketMath()
    problems = list(islice(task.problems("easy"), 2))
    texts = []
    for run in ("one", "two"):
        lanes = [lane(Prefix(warm, budget=(8, 64), score="none"), pocket.name, PROMPT, 3, warm)]
        texts.append(drawn(tmp_path / run, pocket, problems, lanes, task.answer)["candidate_text"].to_list())
    assert texts[0] == texts[1]
    assert len(set(texts[0])) > len(problems) * 2
    assert digest(*texts[0])


def test_a_providers_own_budget_is_asked_for_and_its_error_noted(tmp_path: Path) -> None:
    """The model thinks as long as it likes: what it thought is told, and how far that is from what was asked."""

    class Hosted(Thinker):
        can = ALL - {"continuation", "score"} | {"thinking"}

        async def generate(self, request: Request) -> Generation:
            self.asked.append(request)
            return Generation([Completion("so 7}", "stop", 900)], Spend(10, 0, 900, 800, 0.0), self.name)

    model = Hosted(0)
    lanes = [lane(NativeBudget({"max_tokens": 64}, budget=b), model.name, "{question}", 1) for b in (1000, 400)]
    lanes.append(lane(NativeBudget(budget=2000, effort="low"), model.name, "{question}", 1, name="effort"))
    noted = facts(drawn(tmp_path, model, [problem()], lanes, sevens))
    assert [one["thinking_tokens"] for one in noted] == [800] * 3
    assert [one["control_error"] for one in noted] == pytest.approx([-0.2, 1.0, -0.6])
    sent = {str(request.params["thinking"]): request.params.get("max_tokens") for request in model.asked}
    assert sent == {"{'tokens': 1000}": 1064, "{'tokens': 400}": 464, "{'effort': 'low'}": None}


def test_settings_that_cannot_be_are_refused() -> None:
    for wrong in ({"budget": 0}, {"budget": 8, "final_answer_budget": 0}, {"budget": 8, "score": "all"}):
        with pytest.raises(BadInput, match="cannot be"):
            Budget(**wrong)
    for budgets in ((), (8, 8), (0, 4)):
        with pytest.raises(BadInput, match="different whole numbers"):
            Prefix(budget=budgets)
