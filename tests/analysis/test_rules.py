"""Proves what a rule is said to do by itself: against every sequence of votes, and against simulation."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from testtime.analysis.play import play
from testtime.analysis.rules import behaviour, table
from testtime.core.errors import BadInput
from testtime.core.records import Arm
from testtime.core.strings import parse
from testtime.store.pool import Draws, Pool

RULES = ["sc_fixed:n=5", "adaptive_margin:stop_rule=beta,threshold=0.8,max_n=6", "curtail:max_n=6,epsilon=0.2"]
SHARES = [(0.7, 0.3), (0.5, 0.3), (1.0, 0.0)]


@pytest.mark.parametrize("text", RULES[1:])
@pytest.mark.parametrize(("p1", "p2"), SHARES)
def test_the_exact_numbers_are_those_of_every_sequence(text, p1, p2):
    """Three kinds of vote: the first, the second, and one that never repeats."""
    policy, most = parse("policy", text), 6
    kinds = np.array(list(product(range(3), repeat=most)))
    chance = np.prod(np.array([p1, p2, max(1 - p1 - p2, 0.0)])[kinds], axis=1)
    codes = np.where(kinds == 2, 2 + np.arange(most), kinds).astype(np.int16)
    right = (codes == 0).astype(float)
    names = [str(at) for at in range(len(codes))]
    pool = Pool("all", "", names, [""] * len(codes), {"a": Draws(Arm("a", {"model": "m"}), codes, right)})
    played = play(policy, pool.worlds(), ["a"])
    hit = played.ballot.expect(right[played.ballot.row, played.ballot.draw], len(codes))
    (found,) = behaviour(policy, [(p1, p2)])
    assert found.draws == pytest.approx(float(chance @ played.seen["a"][0]))
    assert found.wrong == pytest.approx(float(chance @ (1 - hit)))
    assert found.error == 0


def test_what_is_no_rule_of_counts_is_simulated_with_its_error():
    (found,) = behaviour(parse("policy", "certified:max_n=20"), [(0.9, 0.1)])
    assert found.error > 0, "also where no wrong answer was seen"
    assert 6 < found.draws < 20
    (fixed,) = behaviour(parse("policy", RULES[0]), [(0.7, 0.3)])
    assert fixed.wrong == pytest.approx(0.163, abs=4 * fixed.error)


def test_harder_problems_take_more_draws_and_the_bound_is_beside_them():
    found = table(parse("policy", "curtail:max_n=40"))
    assert found["draws"][0] < found["draws"][4] < found["draws"][7]
    assert found["certificate"][0] == pytest.approx(3.82, abs=0.01)


def test_long_rules_are_simulated_on_fewer_questions_and_the_longest_not_at_all():
    (short,) = behaviour(parse("policy", "sc_fixed:n=250"), [(1.0, 0.0)])
    (long,) = behaviour(parse("policy", "sc_fixed:n=8000"), [(1.0, 0.0)])
    assert (short.wrong, long.wrong) == (0, 0)
    assert (short.error, long.error) == (1 / 3200, 1 / 100)
    with pytest.raises(BadInput, match=r"100,000 draws .* at most 10,000"):
        behaviour(parse("policy", "certified:max_n=100000"))


def test_a_policy_of_two_arms_has_no_table():
    with pytest.raises(BadInput, match="by itself"):
        behaviour(parse("policy", "cascade:n=2"))
