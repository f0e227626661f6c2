"""Speculative decoding is exact: what comes out is distributed as the oracle's own text, whatever the base drafts.

The first law is checked on small laws by counting, the second on the pocket models against the oracle's exact law;
the same test on the base's own samples fails, so it could have failed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from drawing import GREEDY, asked, drawn, model, problems, tokens
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from testtime.core.errors import BadInput
from testtime.core.records import Request
from testtime.decoding.plain import Plain
from testtime.decoding.speculative import Speculative, shaped, verified

SHARED = model("pocket-s").vocabulary
P_VALUE = 1e-4
"""Below it a law is taken as refuted."""


@pytest.mark.parametrize("draft", [1, 2, 3])
def test_the_next_token_has_the_oracles_law_whatever_the_draft(draft: int) -> None:
    rng = np.random.default_rng(0)
    p, q = (rng.dirichlet(np.full(5, 0.5), size=draft + 1) for _ in range(2))
    first: Counter[int] = Counter()
    for _ in range(40_000):
        ids = [int(rng.choice(5, p=law)) for law in q[:draft]]
        kept, last = verified(ids, p, q, rng)
        first[[*ids[:kept], last][0]] += 1
    seen = np.array([first[token] for token in range(5)])
    assert chisquare(seen, p[0] * seen.sum()).pvalue > P_VALUE
    assert chisquare(seen, q[0] * seen.sum()).pvalue < P_VALUE, "the test can fail"


def test_equal_laws_keep_every_draft_and_disjoint_ones_none() -> None:
    rng = np.random.default_rng(0)
    one, other = np.array([[0.5, 0.5, 0.0, 0.0]] * 3), np.array([[0.0, 0.0, 0.5, 0.5]] * 3)
    assert all(verified([0, 1], one, one, rng)[0] == 2 for _ in range(50))
    assert all(verified([0, 1], other, one, rng)[0] == 0 for _ in range(50))


def test_greedy_it_is_the_oracle_token_for_token(tmp_path: Path) -> None:
    found = drawn(tmp_path / "g", {f"{n}": Speculative(GREEDY, SHARED, draft=n) for n in (1, 4)}, count=4)
    large = drawn(tmp_path / "m", {"plain": Plain(GREEDY)}, count=4, roles={"model": "pocket:pocket-m"})["plain"]
    for ones in found.values():
        assert [tokens(one) for one in ones] == [tokens(one) for one in large]
        assert [one.finish for one in ones] == [one.finish for one in large]
    assert {part.kind for one in found["4"] for part in one.parts} == {"base", "oracle"}
    assert all(0 < one.facts["accepted_share"] <= 1 for one in found["4"])


def test_sampled_on_the_pocket_models_it_has_the_oracles_exact_law(tmp_path: Path) -> None:
    """The third token of hot samples, given the first two: against the law by teacher forcing, over 600 draws."""
    hot = {"temperature": 4.0, "top_p": 1.0, "max_tokens": 1}
    problem = problems(1)
    laws = {}
    for name in ("pocket-s", "pocket-m"):
        (law,) = asyncio.run(model(name).score(Request(asked(problem[0])), ["<think>"], full=True))
        laws[name] = shaped(law, hot)[0]
    made = {"s": Speculative(hot, SHARED, draft=2)}
    ones = drawn(tmp_path / "s", made, task=problem, due=600)["s"]
    base = drawn(tmp_path / "b", {"p": Plain(hot)}, task=problem, due=600)["p"]
    assert fits([tokens(one) for one in ones], laws["pocket-m"])
    assert not fits([tokens(one) for one in base], laws["pocket-m"]), "the test can fail"


def fits(drawn_ids: list[tuple[int, ...]], law: np.ndarray) -> bool:
    """Chi-square of first tokens in ten bins of about equal weight."""
    order = np.argsort(-law)
    bins = np.minimum((np.cumsum(law[order]) * 10).astype(int), 9)
    bin_of = dict(zip(order.tolist(), bins.tolist(), strict=True))
    end = next(iter(SHARED.ends))
    seen = np.bincount([bin_of[ids[0] if ids else end] for ids in drawn_ids], minlength=10)
    due = np.bincount(bins, weights=law[order], minlength=10) * len(drawn_ids)
    return bool(chisquare(seen[due > 0], due[due > 0]).pvalue > P_VALUE)


@given(st.integers(0, 10_000), st.floats(0.2, 3.0), st.floats(0.05, 1.0))
def test_a_shaped_law_is_a_law_and_keeps_the_fewest_tokens_that_reach_the_nucleus(
    seed: int, temperature: float, nucleus: float
) -> None:
    law = np.log(np.random.default_rng(seed).dirichlet(np.ones(6), size=2))
    (whole, _), (cut, _) = (shaped(law, {"temperature": temperature, "top_p": p}) for p in (1.0, nucleus))
    assert cut.sum() == pytest.approx(1)
    kept = cut > 0
    assert whole[kept].sum() >= nucleus - 1e-9
    assert whole[kept].sum() - whole[kept].min() < nucleus + 1e-9


def test_without_a_common_vocabulary_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="needs one vocabulary"):
        drawn(tmp_path, {"s": Speculative(GREEDY)}, count=1)
