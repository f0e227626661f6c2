"""What every policy must keep to, plug-ins too: `check(policy)` in a test of one line.

It plays the policy on random votes. After every round the cells beyond what is visible are replaced by
other votes, the visible answers are renamed, and the policy must ask and choose as before.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from testtime.core.history import ABSTAINS, Asks, Ballot, Cells, History, Ints, Track
from testtime.core.protocols import Policy
from testtime.policies.counts import COUNTS, table

_ANSWERS = 6


def check(policy: Policy, *, seed: int = 0, problems: int = 60, draws: int = 40) -> None:
    """Raises AssertionError, saying what, where a policy

    - asks for less than nothing, for more than its `most`, or without end, or stops below its `floor`;
    - depends on draws it has not seen, on the names of answers, or, unless `across`, on other problems;
    - chooses draws it has not seen, or with weights that do not sum to 1;
    - has a rule of counts (`stops`) that a vote for the leader can undo.

    >>> from testtime.policies.sc_fixed import ScFixed
    >>> check(ScFixed(4))
    """
    rng = np.random.default_rng(seed)
    most = draws if policy.most is None else policy.most
    history = _random(policy, problems, most + 5, rng)
    for _ in range(most * len(history) * (problems if policy.across else 1) + 2):  # a budget may go one by one
        asks = _asked(policy, history, rng)
        if not any(asked.any() for asked in asks.values()):
            break
        history = {label: track.more(asks.get(label, np.zeros_like(track.seen))) for label, track in history.items()}
        total = np.sum([track.seen for track in history.values()], axis=0)
        _demand(policy.most is None or bool((total <= most).all()), policy, f"asks for more than its most, {most}")
    else:
        _demand(policy.most is None, policy, "never stops")
    drawn = np.sum([track.seen for track in history.values()], axis=0)
    _demand(bool((drawn >= policy.floor).all()), policy, f"stops below its floor, {policy.floor}")
    _chosen(policy, history, rng)
    _monotone(policy, most)


def _demand(holds: bool, policy: Policy, otherwise: str) -> None:
    if not holds:
        raise AssertionError(f"{policy}: {otherwise}")


def _random(policy: Policy, problems: int, draws: int, rng: np.random.Generator) -> History:
    """Problems from easy to hopeless, with abstentions, ties and unknown scores."""
    labels = policy.arms or ("arm",)
    tracks = {}
    for label in labels:
        ease = rng.uniform(0, 1, problems)[:, None]
        codes = np.where(
            rng.uniform(size=(problems, draws)) < ease, 0, rng.integers(ABSTAINS, _ANSWERS, (problems, draws))
        )
        tracks[label] = Cells(codes.astype(np.int16), _scores(policy, codes.shape, rng)).track()
    shape = (1, problems)
    return {label: Track(t.cells, t.rows.reshape(shape), t.seen.reshape(shape)) for label, t in tracks.items()}


def _scores(policy: Policy, shape: tuple[int, ...], rng: np.random.Generator) -> Mapping[str, np.ndarray]:
    scores = {name: rng.integers(0, 4, shape) / 4 for name in sorted(policy.needs)}
    return {name: np.where(rng.uniform(size=shape) < 0.1, np.nan, score) for name, score in scores.items()}


def _twin(policy: Policy, history: History, rng: np.random.Generator) -> History:
    """The same visible draws under other names of answers, and other draws beyond; names are shared by arms."""
    (rows, *_) = next(iter(history.values())).cells.codes.shape
    names = np.argsort(rng.uniform(size=(rows, _ANSWERS)), axis=1)
    tracks = {}
    for label, track in history.items():
        codes = track.cells.codes
        renamed = np.where(codes < 0, codes, np.take_along_axis(names, np.maximum(codes, 0).astype(np.int64), axis=1))
        seen = np.zeros(rows, dtype=np.int64)
        seen[track.rows] = track.seen
        shown = np.arange(codes.shape[1]) < seen[:, None]
        other = rng.integers(ABSTAINS, _ANSWERS, codes.shape)
        scores = _scores(policy, codes.shape, rng)
        columns = {name: np.where(shown, track.cells.columns[name], score) for name, score in scores.items()}
        cells = Cells(np.where(shown, renamed, other).astype(np.int16), columns)
        tracks[label] = Track(cells, track.rows, track.seen)
    return tracks


def _asked(policy: Policy, history: History, rng: np.random.Generator) -> Asks:
    asks = {label: np.asarray(asked) for label, asked in policy.ask(history).items()}
    _demand(asks.keys() <= history.keys(), policy, "asks for an arm that it was not shown")
    twin = policy.ask(_twin(policy, history, rng))
    for label, asked in asks.items():
        _demand(bool((asked >= 0).all()), policy, f"asks for {asked.min()} draws")
        _demand(np.array_equal(asked, twin[label]), policy, "asks by draws it has not seen, or by names of answers")
    if not policy.across:
        some = rng.permutation(next(iter(asks.values())).shape[1])[: 1 + len(asks)]
        alone = policy.ask({label: track.at((slice(None), some)) for label, track in history.items()})
        same = all(np.array_equal(asks[label][:, some], alone[label]) for label in asks)
        _demand(same, policy, "asks for a problem by what others drew, though across is False")
    return asks


def _chosen(policy: Policy, history: History, rng: np.random.Generator) -> None:
    ballot, twin = policy.choose(history), policy.choose(_twin(policy, history, rng))
    tracks = list(history.values())
    entries, others = _sorted(ballot), _sorted(twin)
    same = entries.shape == others.shape and np.allclose(entries, others, atol=1e-9)
    _demand(same, policy, "chooses by draws it has not seen, or by names of answers")
    for arm, track in enumerate(tracks):
        here = ballot.arm == arm
        seen: Ints = track.seen.reshape(-1)[ballot.row[here]]
        _demand(bool((ballot.draw[here] < seen).all()), policy, "chooses a draw it has not seen")
    sums = np.bincount(ballot.row, weights=ballot.weight, minlength=tracks[0].seen.size)
    _demand(bool(np.all(np.isclose(sums, 1) | (sums == 0))), policy, "chooses with weights that do not sum to 1")


def _sorted(ballot: Ballot) -> np.ndarray:
    entries = np.stack([ballot.row, ballot.arm, ballot.draw, ballot.weight], axis=1)
    return entries[np.lexsort(entries[:, :3].T)]


def _monotone(policy: Policy, most: int) -> None:
    """Of a rule of counts: one vote more for the leader, and no other change, must not undo a stop."""
    reads = getattr(policy, "reads", None)
    if reads is None or not reads <= COUNTS or policy.most is None:
        return
    stops = table(policy, min(most, 64))  # type: ignore[arg-type]
    undone = stops[:-1, :, :-1] & ~stops[1:, :, 1:]
    _demand(not undone.any(), policy, "has a rule that a vote for the leader can undo")
