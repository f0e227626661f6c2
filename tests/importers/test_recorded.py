"""Proves that the four recorded files load whole and give the numbers known of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from testtime.analysis.estimators import best_at_k, maj_at_k, pass_at_k
from testtime.core.registry import find
from testtime.importers import sniff
from testtime.importers.imported import Imported
from testtime.policies.sc_fixed import ScFixed
from testtime.store.frame import pool_of
from testtime.store.pool import Draws, Pool

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"
FILES = {
    "answers": "consol/gsm_samples40_first_half.jsonl.gz",
    "esc": "esc_last_letters_gpt35/T0.7.jsonl.gz",
    "qwen-rm": "qwen_math_rm8/math_cot_100.jsonl.gz",
    "tot24": "tot_game24_gpt4/gpt-4_0.7_naive_cot_sample_100_start900_end1000.json.gz",
}


def load(name: str) -> tuple[Imported, Pool, Draws]:
    path = DATA / FILES[name]
    if not path.exists():
        pytest.skip(f"{FILES[name]} is not here")
    imported: Imported = find("importer", name)(path)
    pool = pool_of(imported.frame, imported.meta)
    (draws,) = pool.arms.values()
    return imported, pool, draws


def vote_first_seen(pool: Pool, draws: Draws) -> float:
    """Percent right when all draws vote in issue order and the answer seen first wins ties."""
    count = draws.codes.shape[1]
    history = pool.worlds().history(list(pool.arms))
    everything = {arm: track.more(np.full(track.seen.shape, count)) for arm, track in history.items()}
    ballot = ScFixed(n=count, ties="first").choose(everything)
    return 100 * float(ballot.expect(draws.right[ballot.row, ballot.draw], len(pool.problems)).mean())


def vote(draws: Draws) -> float:
    """Percent right when all draws vote and ties are random."""
    return 100 * float(maj_at_k(draws.codes, draws.right, [draws.codes.shape[1]]).mean())


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_known_by_its_first_row(name: str) -> None:
    load(name)
    assert sniff(DATA / FILES[name]) == name


def test_the_gsm8k_answers_load_whole() -> None:
    imported, pool, draws = load("answers")
    assert draws.codes.shape == (659, 40)
    assert not (draws.codes < 0).any(), "this file has no null answers"
    assert not np.isnan(draws.column("completion")).any()
    assert pool.run == "gpt4omini-gsm-vote"
    assert imported.frame["completion_tokens"].head(3).to_list() == [107, 105, 99]
    assert imported.frame["answer_key"][0] == "18"


def test_the_last_letters_pool_gives_83_2_at_40() -> None:
    _, pool, draws = load("esc")
    assert draws.codes.shape == (500, 40)
    assert int((draws.codes < 0).sum()) == 73, 'texts that never say "answer is"'
    assert vote(draws) == pytest.approx(83.2, abs=1e-9)
    assert "answer is" in pool.vote


def test_the_qwen_pool_gives_its_six_numbers() -> None:
    _, pool, draws = load("qwen-rm")
    assert draws.codes.shape == (100, 8)
    assert 100 * draws.right.mean() == pytest.approx(91.0)
    assert vote(draws) == pytest.approx(92.5)
    assert vote_first_seen(pool, draws) == pytest.approx(93)
    assert 100 * best_at_k(draws.column("rm_score"), draws.right, [8]).mean() == pytest.approx(94)
    assert 100 * pass_at_k(draws.right, [8]).mean() == pytest.approx(96)


def test_the_game_of_24_pool_gives_its_four_numbers() -> None:
    _, pool, draws = load("tot24")
    assert draws.codes.shape == (100, 100)
    assert 100 * draws.right.mean() == pytest.approx(4.03)
    assert vote(draws) == pytest.approx(8.83, abs=0.005)
    assert vote_first_seen(pool, draws) == pytest.approx(9.0)
    assert 100 * pass_at_k(draws.right, [100]).mean() == pytest.approx(49)
    assert np.isnan(draws.column("completion")).all(), "tokens by candidate are unknown, not zero"


@pytest.mark.parametrize("name", FILES)
def test_equal_keys_of_a_problem_have_one_verdict(name: str) -> None:
    """A vote over keys is only sound where a key is either right or wrong."""
    imported, _, _ = load(name)
    voting = imported.frame.drop_nulls("answer_key")
    verdicts = voting.group_by("query_id", "answer_key").agg(pl.col("is_verified").n_unique())
    assert verdicts["is_verified"].max() == 1
