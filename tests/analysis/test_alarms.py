"""Proves that each leak alarm rings on its planted leak and, on clean pools, about never."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from testtime.analysis import alarms
from testtime.core.history import Ballot, History, only
from testtime.core.records import Arm
from testtime.importers.answers import read
from testtime.policies.bayes import Bayes
from testtime.policies.sc_fixed import ScFixed
from testtime.store.frame import pool_of
from testtime.store.pool import Draws, Pool, codes_of

CLEAN = 300
RECORDED = Path(__file__).parents[3] / "shared/data/consol/gsm_samples40_first_half.jsonl.gz"


def a_pool(seed: int, problems: int = 60, draws: int = 16, answers: int = 4) -> Pool:
    """Problems of every difficulty, a few abstentions, keys as the importers make them."""
    rng = np.random.default_rng(seed)
    ease = rng.beta(2, 1, (problems, 1))
    said = np.where(rng.random((problems, draws)) < ease, 7, rng.integers(0, answers, (problems, draws)))
    keys = [[None if rng.random() < 0.03 else str(value) for value in row] for row in said]
    codes, names = codes_of(keys)
    right = np.where(codes >= 0, said == 7, 0).astype(float)  # where 7 is among the others, it is right too
    ids = [f"q{at}" for at in range(problems)]
    return Pool("R", "", ids, [""] * problems, {"a": Draws(Arm("a", {"model": "m"}), codes, right)}, names)


def with_draws(pool: Pool, **changes) -> Pool:
    return replace(pool, arms={"a": replace(pool.arms["a"], **changes)})


def rung(found: list[alarms.Alarm]) -> set[str]:
    return {alarm.name for alarm in found if alarm.rings}


@pytest.mark.parametrize("answers", [4, 40])
def test_clean_pools_ring_less_often_than_one_in_a_hundred(answers):
    """With few and with many different wrong answers: these are not independent of each other."""
    pools = (a_pool(seed, answers=answers) for seed in range(CLEAN))
    assert sum(len(rung(alarms.of_pool(pool))) for pool in pools) <= CLEAN / 100


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded samples are not here")
def test_a_recorded_pool_rings_nothing():
    got = read(RECORDED)
    assert rung(alarms.of_pool(pool_of(got.frame, got.meta))) == set()


def test_draws_sorted_by_rightness_ring():
    pool = a_pool(1)
    draws = pool.arms["a"]
    order = np.argsort(-draws.right, axis=1, kind="stable")
    planted = with_draws(
        pool, codes=np.take_along_axis(draws.codes, order, 1), right=np.take_along_axis(draws.right, order, 1)
    )
    assert "first_n_of_a_sorted_pool" in rung(alarms.of_pool(planted))


def test_draws_whose_most_common_answer_comes_first_ring():
    pool = a_pool(2)
    draws = pool.arms["a"]
    order = np.argsort(-np.nan_to_num(alarms._of_mode(draws.codes)), axis=1, kind="stable")
    planted = with_draws(
        pool, codes=np.take_along_axis(draws.codes, order, 1), right=np.take_along_axis(draws.right, order, 1)
    )
    assert "first_n_of_a_sorted_pool" in rung(alarms.of_pool(planted))


def test_answers_numbered_with_the_right_one_first_ring():
    pool = a_pool(3, problems=200, draws=6)
    draws = pool.arms["a"]
    codes = draws.codes.copy()
    for row, right in zip(codes, draws.right, strict=True):
        gold = set(row[(right == 1) & (row >= 0)].tolist())
        names = sorted(range(int(row.max()) + 1), key=lambda code: code not in gold)
        rank = {name: at for at, name in enumerate(names)}
        row[:] = [rank.get(code, -1) for code in row.tolist()]
    assert "gold_order" in rung(alarms.of_pool(with_draws(pool, codes=codes)))


@pytest.mark.parametrize("text", ["None", "null", " ", "[invalid]", "N/A"])
def test_an_answer_that_says_there_is_none_rings_when_it_votes(text):
    pool = a_pool(4)
    planted = replace(pool, keys=[[text if key == "1" else key for key in keys] for keys in pool.keys])
    assert "abstentions_voting" in rung(alarms.of_pool(planted))


@dataclass(frozen=True)
class ByLabel(ScFixed):
    """Ties go to the smallest code."""

    def choose(self, history: History) -> Ballot:
        _, track = only(history)
        codes = track.cells.codes[track.rows][..., : self.n]
        counts = (codes[..., :, None] == codes[..., None, :]).sum(axis=-1) * (codes >= 0)
        best = (counts == counts.max(axis=-1, keepdims=True)) & (codes >= 0)
        first = np.where(best, codes, 99).min(axis=-1, keepdims=True)
        return Ballot.of(((codes == first) & best).astype(float))


def test_ties_broken_by_label_ring_and_shared_ones_do_not():
    pool = a_pool(5)
    assert alarms.ties_by_name(ByLabel(2), pool, "a").rings
    for seed in range(20):
        assert not alarms.ties_by_name(ScFixed(2), a_pool(seed), "a").rings


def test_a_prior_from_the_question_itself_rings_and_a_cross_fitted_one_does_not():
    policy, pool = Bayes(16), a_pool(6)
    clean = alarms.prior_from_the_question(alarms.cross_fitted(policy, pool, "a"), pool, "a")
    assert not clean.rings
    leaky = alarms.prior_from_the_question(lambda _: policy.fitted(pool.arms["a"].codes, {}), pool, "a")
    assert leaky.rings


def test_the_luckiest_of_many_equal_settings_rings_and_a_better_one_does_not():
    rng = np.random.default_rng(7)
    equal = (rng.random((40, 200)) < 0.7).astype(float)
    assert alarms.tuned_on_test(equal, int(equal.mean(axis=1).argmax())).rings
    silent = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        share = np.linspace(0.5, 0.9, 12)[:, None]
        honest = (rng.random((1, 400)) < share).astype(float)  # the same problems, harder for worse settings
        silent += not alarms.tuned_on_test(honest, 11).rings
    assert silent == 20
