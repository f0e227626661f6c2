"""Beams and particles: one draw is one population and gives one candidate; the others are kept as its parts, their
tokens are paid, and the scorer decides which live on.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from drawing import asked, drawn, model, problems
from hypothesis import given
from hypothesis import strategies as st

from testtime.build import plan_of, resolve
from testtime.core.errors import Refused
from testtime.core.protocols import Ask
from testtime.core.records import Candidate, Problem, Request, Verdict
from testtime.decoding.beam import Beam
from testtime.decoding.particles import Particles, indices
from testtime.models.scripted import Scripted
from testtime.runspec import run_spec
from testtime.tasks.pocket_math import PocketMath, stories
from testtime.tasks.pocket_story import Step
from testtime.tasks.pocket_trace import head, line, thought
from testtime.verifiers.asking import Asking
from testtime.verifiers.likelihood import Likelihood
from testtime.verifiers.reward import Reward
from testtime.verifiers.step_judge import StepJudge
from testtime.verifiers.steps import Steps

WARM = {"temperature": 0.8, "top_p": 1.0, "max_tokens": 300}
STEPS = {"steps": Steps(PocketMath())}


@dataclass
class Sum:
    """Scores a text by its digits: more is better; texts of an ended script are "a 3 5"."""

    stage: ClassVar[str] = "sum"
    digest: ClassVar[str] = "1"
    gold: ClassVar[bool] = False

    async def verify(self, problem: Problem, candidate: Candidate, ask: Ask) -> Verdict:
        digits = [int(sign) for sign in candidate.text if sign.isdigit()]
        return Verdict(self.stage, self.digest, score=sum(digits) / (9 * max(len(digits), 1)))


def digits(request: Request, seed: int) -> str:
    """Ten words, each a digit, of which the request's limit takes some; so a text of ten words has ended."""
    return " ".join(str((seed * 7 + at) % 10) for at in range(20))


def beam_of_digits(tmp_path: Path, made: Beam | Particles) -> Candidate:
    server = Scripted(digits, name="s:1")
    judges = {"sum": Sum()}
    found = drawn(tmp_path, {"x": made}, count=1, models={"s:1": server}, roles={"model": "s:1"}, judges=judges)
    return found["x"][0]


def test_a_beam_keeps_the_best_of_all_that_it_tried(tmp_path: Path) -> None:
    made = Beam({"max_tokens": 2}, width=2, branch=3, depth=1, step_size=2, scorer="sum")
    one = beam_of_digits(tmp_path, made)
    scores = [one.facts["search_score"], *one.facts["member_scores"]]
    assert len(scores) == len(one.parts) == 6
    assert one.facts["search_score"] == max(scores)
    assert [part.kind for part in one.parts] == ["answer", *["member"] * 5]
    assert one.text == one.parts[0].text
    assert one.finish == "length"


@pytest.mark.parametrize(
    "made",
    [
        Beam(WARM, width=2, branch=2, depth=6),
        Particles(WARM, number=4),
        Particles(WARM, number=4, resampling="multinomial"),
        Particles(WARM, number=3, resampling="none"),
    ],
    ids=["beam", "systematic", "multinomial", "none"],
)
def test_one_population_gives_one_candidate_and_all_of_it_is_paid(tmp_path: Path, made: Beam | Particles) -> None:
    found = drawn(tmp_path / "a", {"x": made}, count=3, judges=STEPS)["x"]
    again = drawn(tmp_path / "b", {"x": made}, count=3, judges=STEPS)["x"]
    assert [one.text for one in found] == [one.text for one in again], "its dice are the draw's"
    for one in found:
        chosen, *others = one.parts
        assert one.finish == "stop"
        assert one.text == chosen.text
        assert "\\boxed{" in one.text
        assert {part.kind for part in others} == {"member"}
        assert one.alone["model"].completion > (chosen.tokens or 0), "the members that were not chosen are paid too"
        assert one.facts["search_score"] == max([one.facts["search_score"], *one.facts["member_scores"][:1]])


def test_without_resampling_particles_are_independent_draws(tmp_path: Path) -> None:
    one = drawn(tmp_path, {"x": Particles(WARM, number=5, resampling="none")}, count=1, judges=STEPS)["x"][0]
    assert len(one.parts) == 5
    assert sum(part.tokens or 0 for part in one.parts) == one.alone["model"].completion


def test_a_text_ends_at_its_own_limit_and_depth_at_its_own(tmp_path: Path) -> None:
    short = Beam({**WARM, "max_tokens": 30}, width=1, branch=2, depth=9, step_size=12)
    flat = Beam(WARM, width=1, branch=2, depth=1, step_size=12)
    found = drawn(tmp_path, {"short": short, "flat": flat}, count=2, judges=STEPS)
    assert {one.finish for one in found["short"]} == {"length"}
    assert {one.facts["chosen_tokens"] for one in found["short"]} == {30}
    assert {one.finish for one in found["flat"]} == {"stop"}
    assert {one.facts["steps"] for one in found["flat"]} == {2}


def test_a_scorer_without_a_score_fails_the_draw_with_its_reason(tmp_path: Path) -> None:
    class Mute(Sum):
        async def verify(self, problem: Problem, candidate: Candidate, ask: Ask) -> Verdict:
            return Verdict("sum", "1", explanation="out of order")

    (one,) = drawn(tmp_path, {"x": Beam(WARM, scorer="sum")}, count=1, judges={"sum": Mute()})["x"]
    assert "gave no score: out of order" in str(one.error)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12).filter(any), st.integers(0, 10_000))
def test_systematic_resampling_gives_each_its_share_within_one(weights: list[float], seed: int) -> None:
    share = np.array(weights) / sum(weights)
    taken = np.bincount(indices(np.array(weights), "systematic", np.random.default_rng(seed)), minlength=len(weights))
    assert (np.abs(taken - share * len(weights)) < 1 + 1e-9).all()
    assert taken.sum() == len(weights)


@pytest.mark.parametrize("resampling", ["systematic", "multinomial"])
def test_resampling_is_unbiased(resampling: str) -> None:
    rng, weights = np.random.default_rng(0), np.array([0.1, 0.2, 0.7])
    counts = sum(np.bincount(indices(weights, resampling, rng), minlength=3) for _ in range(4000)) / 4000
    assert counts == pytest.approx(3 * weights, abs=0.05)


def test_the_step_checker_passes_sound_traces_and_names_the_step_that_is_not() -> None:
    task = PocketMath()
    told = zip(task.problems("validation-medium"), stories("validation", "medium", 30), strict=False)
    for problem, story in told:
        text = thought(story.steps)
        assert task.unsound(problem, text) == []
        last = story.steps[-1]
        wrong = f"{head(last)}{line(last).split(':')[2].split('=')[0]}={(last.value + 1) % 1000:03d}\n"
        assert task.unsound(problem, text.replace(line(last), wrong)) == [last.key]
        redone = text.replace(line(last), f"{wrong}Wait, again:\n{line(last)}")
        assert task.unsound(problem, redone) == [], "a step that was done again counts as it was done last"
        nowhere = line(Step(last.key, "+", 987, 11))
        assert task.unsound(problem, text.replace(line(last), nowhere)) == [last.key]


def test_a_model_scores_steps_by_how_probable_it_finds_them(tmp_path: Path) -> None:
    judges, beside = {"likelihood": Likelihood(PocketMath())}, {"judge": "pocket:pocket-m"}
    made = {"x": Beam(WARM, width=1, branch=2, depth=2, scorer="likelihood")}
    (one,) = drawn(tmp_path, made, count=1, judges=judges, beside=beside)["x"]
    (scores,) = asyncio.run(model("pocket-m").score(Request(asked(problems(1)[0])), [one.text]))
    assert one.facts["search_score"] == pytest.approx(np.exp(scores.mean()))


def rating(request: Request, seed: int) -> str:
    """A judge that likes the digit 7."""
    shown = request.messages[0]["content"].partition("Solution so far:")[2].partition("How likely")[0]
    digits = [sign for sign in shown if sign.isdigit()]
    return f'{{"reasoning": "it counts", "score": {sum(sign == "7" for sign in digits) / max(len(digits), 1)}}}'


def test_a_model_asked_as_judge_scores_steps_without_seeing_the_reference(tmp_path: Path) -> None:
    seen: list[str] = []

    def told(request: Request, seed: int) -> str:
        seen.append(request.messages[0]["content"])
        return rating(request, seed)

    models = {"s:1": Scripted(digits, name="s:1"), "s:judge": Scripted(told, name="s:judge")}
    judges = {"judge": StepJudge(PocketMath(), Asking({}))}
    made = {"x": Beam({"max_tokens": 2}, width=2, branch=3, depth=1, step_size=2, scorer="judge")}
    roles = {"model": "s:1"}
    one = drawn(tmp_path, made, 1, models=models, roles=roles, beside={"judge": "s:judge"}, judges=judges)["x"][0]
    assert one.error is None
    shares = [part.text.count("7") / 2 for part in one.parts]
    assert [one.facts["search_score"], *one.facts["member_scores"]] == shares
    assert one.facts["search_score"] == max(shares)
    assert len(seen) == len(set(seen)), "a text is asked about once"
    question = problems(1)[0].question
    assert all(question in text and str(problems(1)[0].reference) not in text.replace(question, "") for text in seen)


@pytest.mark.parametrize("said", ["no idea", '{"score": 3}', '{"score": true}', '{"reasoning": "0.5"}'])
def test_a_judge_that_names_no_score_fails_the_draw(said: str, tmp_path: Path) -> None:
    models = {"s:1": Scripted(digits, name="s:1"), "s:judge": Scripted(lambda request, seed: said, name="s:judge")}
    judges = {"judge": StepJudge(PocketMath(), Asking({}))}
    made = {"x": Beam({"max_tokens": 2}, width=1, branch=1, depth=1, step_size=2, scorer="judge")}
    beside = {"judge": "s:judge"}
    (one,) = drawn(tmp_path, made, 1, models=models, roles={"model": "s:1"}, beside=beside, judges=judges)["x"]
    assert "the step scorer judge gave no score: " in str(one.error)


def test_a_scorer_that_sees_the_reference_is_refused_and_one_that_cannot_judge(tmp_path: Path) -> None:
    for decoding, words in (("beam:scorer=math", "sees the reference"), ("beam:scorer=judge", "cannot judge")):
        spec = run_spec({"model": "pocket-s", "dataset": "pocket-math", "splits": ("easy",), "decoding": (decoding,),
                         "max_queries": 1, "policies": ("sc_fixed:n=1",), "out_dir": tmp_path})  # fmt: skip
        with pytest.raises(Refused, match=words):
            plan_of(resolve(spec), "x")


def test_a_reward_of_more_than_one_number_is_none(tmp_path: Path) -> None:
    judges, beside = {"reward": Reward(PocketMath())}, {"judge": "pocket:pocket-m"}
    made = {"x": Beam(WARM, width=1, branch=2, depth=2, scorer="reward")}
    (one,) = drawn(tmp_path, made, count=1, judges=judges, beside=beside)["x"]
    assert "the judge is no reward model" in str(one.error)
