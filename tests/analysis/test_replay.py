"""Proves that replay gives what a plain loop over all orders gives, that no draw it may not see changes anything,

and that what literature says of its rules holds on recorded samples.
"""

from __future__ import annotations

import gzip
import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testtime.analysis.replay import has_gold, outcomes, play
from testtime.core.errors import BadInput, Refused
from testtime.core.history import Asks, Ballot, History
from testtime.core.protocols import Policy
from testtime.core.records import Arm
from testtime.core.strings import parse
from testtime.policies.adaptive_margin import AdaptiveMargin
from testtime.policies.sc_fixed import ScFixed
from testtime.policies.stops.window import Window
from testtime.store.outcomes import outcome_schema
from testtime.store.pool import Draws, Pool, codes_of

DATA = Path(__file__).parents[3] / "shared" / "data"
RULES = ["share", "margin", "entropy", "beta", "dirichlet", "sprt", "window,width=3", "lossless"]
NAN = float("nan")


def pool(keys: Sequence[Sequence[str | None]], gold: Sequence[str] | None = None, **columns: Any) -> Pool:
    codes, names = codes_of(keys)
    gold = ["a"] * len(keys) if gold is None else gold
    right = np.array([[float(key == want) for key in row] for row, want in zip(keys, gold, strict=True)])
    floor, grouped = columns.pop("floor", None), columns.pop("grouped", False)
    arrays = {name: np.array(column, dtype=float) for name, column in columns.items()}
    draws = Draws(Arm("arm", {"model": "m"}), codes, right, arrays, floor=floor, grouped=grouped)
    queries = [f"q{i}" for i in range(len(keys))]
    return Pool("run", "set", queries, ["test"] * len(keys), {"arm": draws}, names)


def random_pool(problems: int, draws: int, seed: int, abstain: float = 0.1) -> Pool:
    rng = np.random.default_rng(seed)
    ease = rng.uniform(0, 1, problems)
    keys = [
        [
            None if rng.uniform() < abstain else "a" if rng.uniform() < p else "bcde"[rng.integers(4)]
            for _ in range(draws)
        ]
        for p in ease
    ]
    shape = (problems, draws)
    lengths = {
        "completion": rng.integers(50, 300, shape),
        "prompt": np.full(shape, 40),
        "seconds": rng.gamma(2, 1, shape),
    }
    return pool(keys, **lengths)


def adaptive(rule: str, max_n: int, **more: Any) -> AdaptiveMargin:
    policy = parse("policy", f"adaptive_margin:max_n={max_n},stop_rule={rule}")
    assert isinstance(policy, AdaptiveMargin)
    return replace(policy, **more) if more else policy


# ---- against a plain loop over all orders ----
SMALL = st.integers(1, 5).flatmap(
    lambda n: st.tuples(
        st.lists(st.sampled_from(["a", "b", "c", None]), min_size=n, max_size=n),
        st.lists(st.integers(1, 9), min_size=n, max_size=n),
        st.integers(1, n),
    )
)


def by_hand(keys: list[str | None], lengths: list[int], stop: Callable[[list[str | None]], bool]) -> dict[str, float]:
    """Mean over every order: the share of it that is right, draws, tokens."""
    sums: Counter[str] = Counter()
    orders = list(itertools.permutations(range(len(keys))))
    for order in orders:
        n = next(n for n in range(1, len(keys) + 1) if stop([keys[j] for j in order[:n]]))
        votes = Counter(keys[j] for j in order[:n] if keys[j] is not None)
        winners = [key for key, c in votes.items() if c == max(votes.values())]
        sums["correct"] += ("a" in winners) / max(len(winners), 1)
        sums["answered"] += bool(winners)
        sums["candidates"] += n
        sums["gen_tokens"] += sum(lengths[j] for j in order[:n])
        sums["critical_seconds"] += max(lengths[j] for j in order[:n])
    return {name: total / len(orders) for name, total in sums.items()}


@given(SMALL)
@settings(max_examples=60, deadline=None)
def test_a_fixed_n_is_the_mean_over_all_orders(case: tuple[list[str | None], list[int], int]) -> None:
    keys, lengths, n = case
    row = outcomes(pool([keys], completion=[lengths], seconds=[lengths]), [ScFixed(n)]).row(0, named=True)
    expected = by_hand(keys, lengths, lambda votes: len(votes) == n)
    assert {name: row[name] for name in expected} == pytest.approx(expected)
    assert row["method"] == "exact"
    assert row["correct_var"] == 0


@given(SMALL, st.booleans())
@settings(max_examples=60, deadline=None)
def test_an_adaptive_rule_is_the_mean_over_all_orders(
    case: tuple[list[str | None], list[int], int], curtail: bool
) -> None:
    keys, lengths, max_n = case

    def stop(votes: list[str | None]) -> bool:
        counts = [c for _, c in Counter(v for v in votes if v is not None).most_common(2)] + [0, 0]
        n, lead = len(votes), counts[0] - counts[1]
        return n >= max_n or (n >= 2 and (lead >= 2 or (curtail and lead > max_n - n)))

    policy = adaptive("sprt,p1=.9", max_n, curtail=curtail)  # .9 is lead ≥ 2
    expected = by_hand(keys, lengths, stop)
    del expected["critical_seconds"]
    row = outcomes(pool([keys], completion=[lengths]), [policy]).row(0, named=True)
    assert row["method"] == "exact"
    assert {name: row[name] for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("ties", ["uniform", "first"])
def test_issue_order_is_a_plain_loop(rule: str, ties: str) -> None:
    source = random_pool(80, 16, seed=5)
    policy = adaptive(rule, 16, ties=ties)
    table = outcomes(source, [policy], realised=True)
    draws = source.arms["arm"]
    for at, row in enumerate(table.iter_rows(named=True)):
        n = next(n for n in range(1, 17) if bool(policy.stops(tally_of(draws.codes[at, :n]))))
        votes = [source.keys[at][c] for c in draws.codes[at, :n] if c >= 0]
        winners = [key for key, c in Counter(votes).items() if c == max(Counter(votes).values())]
        if (
            rule.startswith("window")
            and n % 3 == 0
            and len(set(draws.codes[at, n - 3 : n])) == 1
            and draws.codes[at, n - 1] >= 0
        ):
            winners = [source.keys[at][draws.codes[at, n - 1]]]
        winners = winners[:1] if ties == "first" else winners
        assert row["candidates"] == n
        assert row["answer"] == (" | ".join(winners) if winners else None)
        assert row["correct"] == pytest.approx(("a" in winners) / max(len(winners), 1))
        assert row["gen_tokens"] == draws.columns["completion"][at, :n].sum()
        assert (row["kind"], row["method"]) == ("realised", "issue")


def tally_of(votes: np.ndarray) -> Any:
    from testtime.core.history import Cells

    return Cells(votes[None]).track(len(votes)).tally


# ---- laws ----
@given(st.lists(st.lists(st.sampled_from("abc"), min_size=4, max_size=4), min_size=1, max_size=5))
@settings(deadline=None)
def test_two_votes_are_worth_one_where_nobody_abstains(keys: list[list[str | None]]) -> None:
    table = outcomes(pool(keys), [ScFixed(1), ScFixed(2)])
    one, two = (table.filter(pl.col("setting") == f"n={n}")["correct"].to_numpy() for n in (1, 2))
    assert np.allclose(one, two, atol=1e-12)


@dataclass(frozen=True)
class OneByOne:
    """Another policy, asking for a single draw at a time."""

    inner: AdaptiveMargin
    name: ClassVar[str] = "one_by_one"
    arms: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[frozenset[str]] = frozenset()
    across: ClassVar[bool] = False
    floor: ClassVar[int] = 0
    most: ClassVar[None] = None

    def ask(self, history: History) -> Asks:
        return {label: np.minimum(asked, 1) for label, asked in self.inner.ask(history).items()}

    def choose(self, history: History) -> Ballot:
        return self.inner.choose(history)


def same_ballot(one: Ballot, other: Ballot) -> bool:
    both = [np.stack([b.row, b.draw, b.weight], axis=1) for b in (one, other)]
    return np.array_equal(*(entries[np.lexsort(entries[:, :2].T)] for entries in both))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("max_n", [3, 20])
@pytest.mark.parametrize("abstain", [0.0, 0.3])
@pytest.mark.parametrize("curtail", [True, False])
def test_the_least_batch_draws_what_one_by_one_draws(rule: str, max_n: int, abstain: float, curtail: bool) -> None:
    if rule == "lossless" and not curtail:
        with pytest.raises(BadInput, match="never stops"):
            adaptive(rule, max_n, curtail=False)
        return
    worlds = random_pool(60, 20, seed=7, abstain=abstain).worlds(8)
    policy = adaptive(rule, max_n, curtail=curtail)
    batched, single = play(policy, worlds, ["arm"]), play(OneByOne(policy), worlds, ["arm"])
    assert np.array_equal(batched.seen["arm"], single.seen["arm"])
    assert same_ballot(batched.ballot, single.ballot)
    assert (batched.rounds <= single.rounds).all()
    assert np.array_equal(single.rounds, single.seen["arm"])


def answers(source: Pool, policy: Policy, orders: int = 20) -> np.ndarray:
    """[world · problem, code] the weights of the answers."""
    worlds = source.worlds(orders)
    played = play(policy, worlds, ["arm"])
    world, problem = np.divmod(played.ballot.row, len(source.problems))
    order = worlds.order("arm")
    assert order is not None
    codes = source.arms["arm"].codes[problem, order[problem, world, played.ballot.draw]]
    weights = np.zeros((played.rounds.size, 8))
    np.add.at(weights, (played.ballot.row, codes), played.ballot.weight)
    return weights


@pytest.mark.parametrize("max_n", [4, 9, 16])
@pytest.mark.parametrize("ties", ["uniform", "first"])
def test_lossless_gives_the_answer_of_the_fixed_n_in_every_world(max_n: int, ties: str) -> None:
    source = random_pool(80, 16, seed=11)
    lossless, fixed = adaptive("lossless", max_n, ties=ties), ScFixed(max_n, ties)  # type: ignore[arg-type]
    assert np.array_equal(answers(source, lossless), answers(source, fixed))
    assert outcomes(source, [lossless])["candidates"].sum() < max_n * 80


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule[0] not in "lw"])
def test_curtailment_never_changes_a_majority(rule: str) -> None:
    source = random_pool(80, 16, seed=13)
    with_it, without = adaptive(rule, 16), adaptive(rule, 16, curtail=False)
    assert np.array_equal(answers(source, with_it), answers(source, without))


@pytest.mark.parametrize("rule", ["sprt", "beta", "share", "entropy", "dirichlet", "margin", "lossless"])
def test_exact_laws_agree_with_many_orders(rule: str) -> None:
    source = random_pool(40, 12, seed=17)
    policy = adaptive(rule, 12)
    law, many = outcomes(source, [policy]), outcomes(source, [policy], orders=2000, exact=False)
    assert set(law["method"]) == {"exact"}
    assert set(many["method"]) == {"orders"}
    error = np.sqrt(many["correct_var"].sum()) / 40
    assert abs(law["correct"].mean() - many["correct"].mean()) <= 4 * error + 1e-12  # type: ignore[operator]
    worlds = source.worlds(2000)
    seen = play(policy, worlds, ["arm"]).seen["arm"]
    spent = np.cumsum(worlds.gather("arm", source.arms["arm"].columns["completion"]), axis=1).reshape(40, 2000, 12)
    tokens = np.take_along_axis(spent, seen.T[:, :, None] - 1, axis=2)[:, :, 0].T
    for name, values in (("candidates", seen), ("gen_tokens", tokens)):
        error = np.sqrt((values.var(axis=0, ddof=1) / 2000).sum()) / 40
        assert many[name].mean() == pytest.approx(values.mean())
        assert abs(law[name].mean() - values.mean()) < 4 * error  # type: ignore[operator]


@pytest.mark.parametrize("realised", [False, True])
def test_a_pool_replayed_in_blocks_is_the_pool_replayed_whole(realised: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    source = random_pool(11, 9, seed=23)
    policies = [ScFixed(3), adaptive("beta,threshold=.9", 9), adaptive("window,width=3", 9)]
    whole = outcomes(source, policies, realised=realised)
    monkeypatch.setattr("testtime.analysis.replay.BLOCK", 4)
    assert outcomes(source, policies, realised=realised).equals(whole)


def test_orders_are_shared_and_do_not_depend_on_the_other_problems() -> None:
    source = random_pool(12, 10, seed=19)
    some = source.part(slice(4, None))
    policy = adaptive("window,width=3", 10)
    whole, part = outcomes(source, [policy]), outcomes(some, [policy])
    assert whole["correct"][4:].to_list() == part["correct"].to_list()
    assert whole["correct"].to_list() != outcomes(source, [policy], seed=1)["correct"].to_list()


# ---- what may be seen ----
@pytest.mark.parametrize(
    "text", ["sc_fixed:n=5", "adaptive_margin:max_n=6", "adaptive_margin:max_n=6,stop_rule=window,width=3"]
)
def test_draws_past_the_floor_are_no_sample(text: str) -> None:
    source = random_pool(30, 16, seed=23)
    draws = source.arms["arm"]
    codes, right = draws.codes.copy(), draws.right.copy()
    codes[:, 6:], right[:, 6:] = 0, 1.0
    policies = [parse("policy", text)]
    tables = [
        outcomes(replace(source, arms={"arm": replace(draws, codes=c, right=r, floor=6)}), policies)
        for c, r in ((draws.codes, draws.right), (codes, right))
    ]
    assert tables[0].equals(tables[1])


def test_a_pool_that_ends_first_gives_no_result() -> None:
    source = random_pool(30, 8, seed=29)
    table = outcomes(source, [ScFixed(9), adaptive("sprt", 20), adaptive("sprt", 8)])
    fixed, short, enough = (table.slice(30 * i, 30) for i in range(3))
    assert fixed["exhausted"].to_list() == [1.0] * 30
    assert fixed["correct"].null_count() == fixed["gen_tokens"].null_count() == 30
    assert 0 < short["exhausted"].mean() < 1  # type: ignore[operator]
    assert (short["correct"].is_null() == (short["exhausted"] > 0)).all()
    assert enough["exhausted"].sum() == 0


def test_ragged_sizes_are_met_in_issue_order() -> None:
    source = random_pool(6, 8, seed=31)
    sizes = np.array([2, 8, 8, 8, 8, 8])
    ragged = replace(source, arms={"arm": replace(source.arms["arm"], sizes=sizes)})
    table = outcomes(ragged, [ScFixed(4)], realised=True)
    assert table["exhausted"].to_list() == [1, 0, 0, 0, 0, 0]
    assert table["answer"].is_null().to_list() == [True] + [False] * 5
    assert ragged.arms["arm"].sampled == 2
    assert outcomes(ragged, [ScFixed(2)])["exhausted"].sum() == 0


def test_without_gold_there_is_no_accuracy_but_there_is_a_spend() -> None:
    source = random_pool(5, 6, seed=37)
    blind = replace(source, arms={"arm": replace(source.arms["arm"], right=np.full((5, 6), NAN))})
    table = outcomes(blind, [ScFixed(3), adaptive("sprt", 6), adaptive("window,width=2", 6)])
    assert not has_gold(blind)
    assert has_gold(source)
    assert table["correct"].null_count() == table.height
    assert table["gen_tokens"].null_count() == 0


def test_what_a_pool_lacks_is_refused_by_name() -> None:
    source = random_pool(3, 6, seed=41)
    with pytest.raises(Refused, match=r"no column 'rm_score'.*it has: completion, prompt, seconds"):
        outcomes(source, [parse("policy", "best_of_n:n=4,by=rm_score")])
    with pytest.raises(Refused, match="needs the arm 'large'"):
        outcomes(source, [Cascade()])


# ---- what is spent ----
def test_a_grouped_arm_pays_for_its_prompt_once_a_round() -> None:
    keys: list[list[str | None]] = [["a"] * 4]
    spend = {"completion": [[10] * 4], "prompt": [[100] * 4]}
    policies = [ScFixed(4), adaptive("sprt", 4, curtail=False)]
    alone, grouped = (
        outcomes(pool(keys, grouped=g, **spend), policies)["total_tokens"].to_list() for g in (False, True)
    )
    assert alone == [440, 440]
    assert grouped == [140, 140]  # lead 4 needs four votes: one round
    late = [["a", "b", "a", "a", "a", "a"]]
    rounds = pool(late, grouped=True, completion=[[10] * 6], prompt=[[100] * 6])
    row = outcomes(rounds, [adaptive("sprt", 6, curtail=False)], realised=True).row(0, named=True)
    assert (row["candidates"], row["total_tokens"]) == (6, 60 + 200)  # four, then the two that are lacking


def test_seconds_are_work_and_critical_seconds_wait_for_the_slowest_of_each_round() -> None:
    source = pool([["a", "b", "a", "a", "a", "a"]], seconds=[[1, 5, 2, 1, 3, 4]])
    row = outcomes(source, [adaptive("sprt", 6, curtail=False)], realised=True).row(0, named=True)
    assert (row["seconds"], row["critical_seconds"]) == (16, 5 + 4)


def test_waiting_is_played_and_leaves_the_exact_law_as_it_is() -> None:
    source = random_pool(20, 10, seed=59)
    draws = source.arms["arm"]
    without = {name: column for name, column in draws.columns.items() if name != "seconds"}
    timed, plain = (
        outcomes(replace(source, arms={"arm": replace(draws, columns=columns)}), [adaptive("sprt", 10)], orders=300)
        for columns in (draws.columns, without)
    )
    same = ["correct", "candidates", "gen_tokens", "total_tokens", "method", "correct_var"]
    assert timed.select(same).equals(plain.select(same))
    assert plain["critical_seconds"].null_count() == 20
    assert (timed["critical_seconds"] > 0).all()
    assert (timed["critical_seconds"] < timed["seconds"] * 1.05).all()


def test_what_is_unknown_stays_null() -> None:
    source = pool([["a"] * 3, ["a"] * 3], completion=[[1, 2, NAN], [1, 2, 3]], usd=[[1, 1, 1], [NAN] * 3])
    table = outcomes(source, [ScFixed(2), adaptive("share", 3)])
    assert table["gen_tokens"].to_list() == [None, 4.0, None, 6.0]
    assert table["usd"].to_list() == [2.0, None, 3.0, None]
    for name in ("total_tokens", "seconds", "critical_seconds", "joules", "truncated"):
        assert table[name].null_count() == 4
    realised = outcomes(source, [ScFixed(2)], realised=True)
    assert realised["gen_tokens"].to_list() == [3.0, 3.0]


def test_stopping_selects_lengths() -> None:
    """Right answers are short here, and stopping is quick where they are: tokens are not draws × mean."""
    rng = np.random.default_rng(43)
    keys = [["a" if rng.uniform() < 0.6 else "bcd"[rng.integers(3)] for _ in range(12)] for _ in range(30)]
    lengths = [[10 if key == "a" else 100 for key in row] for row in keys]
    table = outcomes(pool(keys, completion=lengths), [adaptive("sprt", 12)])
    naive = table["candidates"].to_numpy() * np.mean(lengths, axis=1)
    many = outcomes(pool(keys, completion=lengths), [adaptive("sprt", 12)], orders=2000, exact=False)
    assert abs(table["gen_tokens"].mean() - many["gen_tokens"].mean()) < 2  # type: ignore[operator]
    assert abs(table["gen_tokens"].mean() - naive.mean()) > 5  # type: ignore[operator]


# ---- several arms, and budgets over problems ----
@dataclass(frozen=True)
class Cascade:
    """Two draws of the small arm; where they differ, one of the large, whose answer counts."""

    name: ClassVar[str] = "cascade"
    arms: ClassVar[tuple[str, ...]] = ("arm", "large")
    needs: ClassVar[frozenset[str]] = frozenset()
    across: ClassVar[bool] = False
    floor: ClassVar[int] = 2
    most: ClassVar[int] = 3

    def ask(self, history: History) -> Asks:
        small, large = history["arm"], history["large"]
        unsure = (small.seen == 2) & (small.tally.v1 < 2)
        return {"arm": np.maximum(2 - small.seen, 0), "large": np.where(unsure & (large.seen == 0), 1, 0)}

    def choose(self, history: History) -> Ballot:
        seen = history["large"].seen.reshape(-1)
        return Ballot(np.arange(seen.size), np.zeros(seen.size, dtype=int), np.ones(seen.size), (seen > 0).astype(int))


def test_a_cascade_plays_two_arms_with_floors_of_their_own() -> None:
    small = random_pool(40, 10, seed=47, abstain=0.0)
    large = Draws(Arm("large", {"model": "L"}), np.zeros((40, 3), dtype=np.int16), np.ones((40, 3)), {}, floor=2)
    both = replace(small, arms={**small.arms, "large": large})
    table = outcomes(both, [Cascade()], orders=400)
    codes = small.arms["arm"].codes
    counts = np.array([[np.sum(row == c) for c in range(8)] for row in codes])
    agree = (counts * (counts - 1)).sum(axis=1) / 90
    right = np.array([[small.arms["arm"].right[p, codes[p] == c].sum() for c in range(8)] for p in range(40)])
    expected = ((right * (counts - 1)).sum(axis=1) / 90 + 1 - agree).mean()
    assert abs(table["candidates"].mean() - (3 - agree.mean())) < 0.02  # type: ignore[operator]
    assert abs(table["correct"].mean() - expected) < 0.02  # type: ignore[operator]
    assert table.select("arm", "model", "decoding").row(0) == ("arm+large", "m+L", "plain")


@dataclass(frozen=True)
class Greedy:
    """A budget over all problems of a world: the next draw goes to the smallest lead."""

    budget: int
    name: ClassVar[str] = "greedy"
    arms: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[frozenset[str]] = frozenset()
    across: ClassVar[bool] = True
    floor: ClassVar[int] = 0
    most: ClassVar[None] = None

    def ask(self, history: History) -> Asks:
        ((label, track),) = history.items()
        lead = np.asarray(track.tally.v1 - track.tally.v2, dtype=float)
        first = np.arange(lead.shape[1]) == np.argmin(lead, axis=1)[:, None]
        left = track.seen.sum(axis=1, keepdims=True) < self.budget
        return {label: (first & left).astype(int)}

    def choose(self, history: History) -> Ballot:
        return ScFixed(1).choose(history)


def test_a_budget_over_problems_is_spent_whole_and_where_votes_differ() -> None:
    keys: list[list[str | None]] = [["a"] * 10, ["a", "b"] * 5]
    played = play(Greedy(8), pool(keys).worlds(None), ["arm"])
    assert played.seen["arm"].tolist() == [[2, 6]]
    assert played.rounds.sum() == 8
    ended = play(Greedy(30), pool(keys).worlds(None), ["arm"])
    assert ended.seen["arm"].sum() <= 20
    assert ended.exhausted.any()


# ---- the table ----
def test_the_columns_are_the_contract() -> None:
    source = random_pool(3, 6, seed=53)
    for table in (outcomes(source, [ScFixed(2)]), outcomes(source, [ScFixed(2)], realised=True), outcomes(source, [])):
        assert table.schema == pl.Schema(outcome_schema())
    assert outcomes(source, [])["run"].to_list() == []


def test_best_of_n_is_exact_and_picks_a_draw() -> None:
    source = pool([["a", "b", None, "b"]], score=[[0.1, 0.9, NAN, 0.5]])
    table = outcomes(source, [parse("policy", f"best_of_n:n={n},by=score") for n in (1, 2, 3, 4)])
    assert table["correct"].to_numpy() == pytest.approx([1 / 4, 1 / 6, 0, 0])
    assert table["answered"].to_numpy() == pytest.approx([3 / 4, 1, 1, 1])
    assert outcomes(source, [parse("policy", "best_of_n:n=4,by=score")], realised=True)["answer"].to_list() == ["b"]


# ---- recorded samples ----
def recorded(name: str) -> list[Any]:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"no recorded samples at {path}")
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().split("\n") if line]


def letters(text: str) -> str | None:
    """The vote key: the letters after the last "answer is"."""
    _, found, rest = text.rpartition("answer is")
    return re.sub("[^a-z]", "", rest.lower()) or None if found else None


@pytest.fixture(scope="module")
def last_letters() -> Pool:
    rows = recorded("esc_last_letters_gpt35/T0.7.jsonl.gz")
    return pool([[letters(text) for text in row["generated_answer"]] for row in rows], [row["answer"] for row in rows])


def test_forty_votes_on_last_letters(last_letters: Pool) -> None:
    assert outcomes(last_letters, [ScFixed(40)])["correct"].mean() == pytest.approx(0.832, abs=5e-4)


def test_the_esc_closed_form_predicts_its_replay(last_letters: Pool) -> None:
    replayed = outcomes(last_letters, [adaptive("window,width=5", 40, curtail=False)], orders=200)["candidates"]
    codes = last_letters.arms["arm"].codes
    shares = [np.bincount(row[row >= 0], minlength=1) / row.size for row in codes]
    predicted = np.mean([Window(5).expected_draws(list(p), 40) for p in shares])
    assert abs(replayed.mean() - predicted) < 0.05  # type: ignore[operator]


def test_the_reward_model_example_of_qwen() -> None:
    rows = recorded("qwen_math_rm8/math_cot_100.jsonl.gz")
    keys = [row["pred"] for row in rows]
    source = pool(keys, score=[np.ravel(row["pred_score"]) for row in rows])
    right = np.array([row["score"] for row in rows], dtype=float)
    draws = replace(
        source.arms["arm"], right=right, columns={**source.arms["arm"].columns, "oracle(is_verified)": right}
    )
    source = replace(source, arms={"arm": draws})
    policies = [
        parse("policy", t)
        for t in ("sc_fixed:n=1", "sc_fixed:n=8", "best_of_n:n=8,by=score", "best_of_n:n=8,by=oracle(is_verified)")
    ]
    means = outcomes(source, policies).group_by("policy", "setting", maintain_order=True).agg(pl.col("correct").mean())
    assert means["correct"].to_list() == pytest.approx([0.91, 0.925, 0.94, 0.96])
    assert outcomes(source, [ScFixed(8, "first")], realised=True)["correct"].mean() == pytest.approx(0.93)


def test_on_gsm8k_exact_laws_agree_with_orders_and_lossless_with_forty_votes() -> None:
    rows = recorded("consol/gsm_samples40_first_half.jsonl.gz")[:120]
    keys = [[None if a is None else str(a) for a in row["answers"]] for row in rows]
    source = pool(keys, [str(row["gold"]) for row in rows], completion=[row["tokens"] for row in rows])
    policies = [adaptive(rule, 40) for rule in ("sprt", "beta", "lossless")]
    law, many = outcomes(source, policies), outcomes(source, policies, orders=500, exact=False)
    for at in range(3):
        one, other = law.slice(120 * at, 120), many.slice(120 * at, 120)
        error = np.sqrt(other["correct_var"].sum() + one["correct_var"].sum()) / 120
        assert abs(one["correct"].mean() - other["correct"].mean()) <= 4 * error + 1e-12  # type: ignore[operator]
        assert one["candidates"].mean() == pytest.approx(other["candidates"].mean(), rel=0.02)
    forty = outcomes(source, [ScFixed(40)])["correct"].mean()
    assert many.slice(240, 120)["correct"].mean() == pytest.approx(forty, abs=1e-12)
