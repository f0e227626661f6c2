"""What policies give and spend on each problem, whichever way it was found: one record, one table.

All additive spends come from one array: how often each draw of the pool is used. A fixed n uses every draw
k/N times, an exact law says how often each answer's draws are used, and orders are counted. So E[tokens] is
never E[n] × mean tokens: stopping selects answers, and with them lengths.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from testtime.analysis.estimators import key_rightness
from testtime.analysis.play import Played, Step
from testtime.core.history import Bools, Floats, Ints
from testtime.core.protocols import Policy
from testtime.core.records import Arm
from testtime.core.strings import setting
from testtime.store.outcomes import outcome_schema
from testtime.store.pool import Draws, Worlds

UNCERTIFIED = "uncertified"
"""The grade of an answer for which nothing is promised."""
_PLACE = ("run", "provider", "model", "dataset", "arm", "decoding", "temperature")


@dataclass(frozen=True, eq=False)
class Result:
    """One policy over one arm, or several; arrays are [problem]."""

    method: NDArray[np.str_]
    """exact, orders or issue."""
    correct: Floats
    answered: Floats
    used: Mapping[str, Floats]
    """Arm → [problem, draw] how often each draw is used: between 0 and 1."""
    rounds: Mapping[str, Floats]
    """Arm → expected rounds in which it is asked: a grouped arm pays for its prompt once in each."""
    critical: Floats
    correct_var: Floats
    exhausted: Floats
    agreement: Floats
    """How probably the answer is a winner of the vote over all draws; nan with several arms."""
    answers: Sequence[str | None] | None = None
    """Of a realised outcome."""
    e_value: Floats | None = None
    certified: Floats | None = None
    """How probably the policy certifies its answer; None where it certifies none."""

    def replaced(self, law: Result, known: Bools) -> Result:
        """With the law's values where it is known. Rounds, and what they cost, stay as played."""
        here = {
            name: np.where(known, getattr(law, name), getattr(self, name))
            for name in ("method", "correct", "answered", "agreement", "correct_var", "exhausted")
        }
        used = {label: np.where(known[:, None], law.used[label], self.used[label]) for label in self.used}
        return replace(self, **here, used=used)


@dataclass(frozen=True, eq=False)
class Books:
    """The worlds of a pool with what is kept between policies."""

    worlds: Worlds
    _kept: dict[tuple[str, ...], Any] = field(default_factory=dict, repr=False)

    def draws(self, label: str) -> Draws:
        """An arm's draws."""
        return self.worlds.pool.arms[label]

    def depth(self, label: str) -> int:
        """How many draws can be met: the sampled ones, or in issue order all."""
        draws = self.draws(label)
        return draws.codes.shape[1] if self.worlds.orders is None else draws.sampled

    def column(self, label: str, name: str) -> Floats:
        """[problem, draw] a column as far as draws are met."""
        return self.draws(label).column(name)[:, : self.depth(label)]

    def known(self, label: str, name: str) -> bool:
        """Whether the column has any value."""
        if ("known", label, name) not in self._kept:
            self._kept["known", label, name] = not np.isnan(self.column(label, name)).all()
        known: bool = self._kept["known", label, name]
        return known

    def codes(self, label: str) -> Ints:
        """[problem, draw] the votes as far as draws are met."""
        return self.draws(label).codes[:, : self.depth(label)]

    def right(self, label: str, policy: Policy | None = None) -> Floats:
        """[problem, draw] how right an answer is that a draw stands for: its key's, or its own where a policy picks."""
        draws, depth = self.draws(label), self.depth(label)
        right = draws.right[:, :depth]
        if policy is not None and getattr(policy, "picks", False):
            return right
        if ("right", label) not in self._kept:
            self._kept["right", label] = key_rightness(self.codes(label), right, np.minimum(draws.size, depth))
        kept: Floats = self._kept["right", label]
        return kept

    def winner(self, label: str) -> Floats:
        """[problem, draw] 1 where a draw's answer is a winner of the vote over all; 1 throughout where nobody votes."""
        if ("winner", label) not in self._kept:
            codes = self.codes(label)
            votes, keys = codes >= 0, int(codes.max(initial=0)) + 1
            slot = np.arange(len(codes))[:, None] * keys + np.where(votes, codes, 0)
            counts = np.bincount(slot[votes], minlength=len(codes) * keys)
            most = counts.reshape(len(codes), keys).max(axis=1, keepdims=True)
            wins = np.where(votes, counts[slot] == most, most == 0)
            self._kept["winner", label] = wins.astype(float)
        kept: Floats = self._kept["winner", label]
        return kept

    def gold(self, labels: Sequence[str]) -> Bools:
        """[problem] whether any verdict is known: without one, no answer is unknown and not wrong."""
        known: Bools = np.any(
            [~np.isnan(self.draws(label).right[:, : self.depth(label)]).all(axis=1) for label in labels], axis=0
        )
        return known

    def pays_rounds(self, labels: Sequence[str]) -> bool:
        """Whether anything that is known depends on rounds: a prompt paid once in each, or the wait for the slowest."""
        return any(
            self.known(label, "seconds") or (self.draws(label).grouped and self.known(label, "prompt"))
            for label in labels
        )

    def weigh(self, played: Played, policy: Policy, labels: Sequence[str]) -> Result:
        """What a policy that was played gives, as means over the worlds."""
        worlds, problems = self.worlds.shape
        codes, right, wins = self._entries(played, policy, labels)
        correct = played.ballot.expect(right, worlds * problems).reshape(worlds, problems)
        answered = played.ballot.expect((codes >= 0).astype(float), worlds * problems).reshape(worlds, problems)
        gold = self.gold(labels)
        spread = correct.var(axis=0, ddof=1) / worlds if worlds > 1 else np.zeros(problems)
        issue = self.worlds.orders is None
        agreement = played.ballot.expect(wins, worlds * problems).reshape(worlds, problems).mean(axis=0)
        silent = (self.codes(labels[0]) < 0).all(axis=1)
        return Result(
            method=np.full(problems, "issue" if issue else "orders"),
            correct=np.where(gold, correct.mean(axis=0), np.nan),
            answered=answered.mean(axis=0),
            used={label: self._used(label, played.seen[label]) for label in labels},
            rounds={label: self._rounds(label, played) for label in labels},
            critical=self._critical(played, labels),
            correct_var=np.where(gold, spread, np.nan),
            exhausted=played.exhausted.mean(axis=0),
            agreement=np.where(silent, 1.0, agreement) if len(labels) == 1 else np.full(problems, np.nan),
            answers=self._answers(played, codes) if issue else None,
            e_value=played.e_value[0] if issue and played.e_value is not None else None,
            certified=None if played.certain is None else played.certain.mean(axis=0),
        )

    def _entries(self, played: Played, policy: Policy, labels: Sequence[str]) -> tuple[Ints, Floats, Floats]:
        """[entry of the ballot] the answer code, how right it is, and whether all draws' vote has it as a winner."""
        ballot, problems = played.ballot, self.worlds.shape[1]
        world, problem = np.divmod(ballot.row, problems)
        codes = np.zeros(ballot.row.shape, dtype=np.int64)
        right, wins = np.zeros(ballot.row.shape), np.zeros(ballot.row.shape)
        for at, label in enumerate(labels):
            here = ballot.arm == at
            order, draw = self.worlds.order(label), ballot.draw[here]
            if order is not None:
                draw = order[problem[here], world[here], draw]
            codes[here] = self.codes(label)[problem[here], draw]
            right[here] = self.right(label, policy)[problem[here], draw]
            if len(labels) == 1:
                wins[here] = self.winner(label)[problem[here], draw]
        return codes, right, wins

    def _used(self, label: str, seen: Ints) -> Floats:
        """[problem, draw] the share of worlds in which each draw is used."""
        order = self.worlds.order(label)
        if order is None:
            first: Floats = (np.arange(self.depth(label)) < seen[0][:, None]).astype(float)
            return first
        if ("place", label) not in self._kept:
            place = np.empty(order.shape, dtype=np.int16)
            np.put_along_axis(place, order, np.arange(order.shape[2], dtype=np.int16)[None, None, :], axis=2)
            self._kept["place", label] = place
        drawn = self._kept["place", label] < seen.T.astype(np.int16)[:, :, None]
        share: Floats = drawn.sum(axis=1, dtype=np.int32) / order.shape[1]
        return share

    def _rounds(self, label: str, played: Played) -> Floats:
        """[problem] the mean number of rounds in which the arm is asked."""
        counts = np.zeros(played.rounds.size)
        for step in played.steps:
            start, stop = step.spans.get(label, (np.zeros(1), np.zeros(1)))
            counts[step.rows] += stop > start
        means: Floats = counts.reshape(self.worlds.shape).mean(axis=0)
        return means

    def _critical(self, played: Played, labels: Sequence[str]) -> Floats:
        """[problem] the mean sum over rounds of the slowest draw of the round, in seconds."""
        problems = self.worlds.shape[1]
        if not all(self.known(label, "seconds") for label in labels):
            return np.full(problems, np.nan)
        waited = np.zeros(played.rounds.size)
        for step in played.steps:
            waited[step.rows] += np.max([self._slowest(label, step) for label in step.spans], axis=0)
        means: Floats = waited.reshape(self.worlds.shape).mean(axis=0)
        return means

    def _slowest(self, label: str, step: Step) -> Floats:
        """[row of the step] the longest of the arm's draws of the round; 0 where it was not asked."""
        if ("seconds", label) not in self._kept:
            self._kept["seconds", label] = self.worlds.gather(label, self.column(label, "seconds"))
        worlds, problems = self.worlds.shape
        start, stop = step.spans[label]
        row = step.rows % problems * worlds + step.rows // problems
        slowest = np.zeros(step.rows.size)
        for further in range(int((stop - start).max(initial=0))):
            here = np.flatnonzero(start + further < stop)
            seconds = self._kept["seconds", label][row[here], start[here] + further]
            slowest[here] = np.maximum(slowest[here], seconds)
        return slowest

    def _answers(self, played: Played, codes: Ints) -> list[str | None]:
        """[problem] the answer of the one world; tied answers are joined by a bar."""
        keys = self.worlds.pool.keys
        found: list[dict[str, None]] = [{} for _ in self.worlds.pool.problems]
        for problem, code in zip(played.ballot.row, codes, strict=True):
            if code >= 0 and keys:
                found[problem][keys[problem][code]] = None
        return [" | ".join(answers) if answers else None for answers in found]

    def spends(self, result: Result) -> dict[str, Floats]:
        """What was spent on each problem; nan where any draw that may be used leaves it unknown."""
        total = {
            name: _sum([self._total(label, name, used) for label, used in result.used.items()])
            for name in ("completion", "seconds", "usd", "joules", "truncated")
        }
        drawn = _sum([used.sum(axis=1) for used in result.used.values()])
        prompt = _sum([self._prompt(label, used, result.rounds[label]) for label, used in result.used.items()])
        return {
            "truncated": np.divide(total["truncated"], drawn, out=np.zeros(drawn.shape), where=drawn > 0),
            "candidates": drawn,
            "rounds": _sum(list(result.rounds.values())),
            "gen_tokens": total["completion"],
            "total_tokens": total["completion"] + prompt,
            "seconds": total["seconds"],
            "critical_seconds": result.critical,
            "usd": total["usd"],
            "joules": total["joules"],
        }

    def _total(self, label: str, name: str, used: Floats) -> Floats:
        """[problem] Σ used · column over the draws that are used at all."""
        if not self.known(label, name):
            return np.full(used.shape[0], np.nan)
        sums: Floats = np.where(used > 0, used * self.column(label, name), 0.0).sum(axis=1)
        return sums

    def _prompt(self, label: str, used: Floats, rounds: Floats) -> Floats:
        """Prompt tokens as the policy would have sent them: with every draw, or once a round where draws share."""
        tokens = self._total(label, "prompt", used)
        if not self.draws(label).grouped:
            return tokens
        drawn = used.sum(axis=1)
        each: Floats = np.divide(tokens, drawn, out=np.zeros(drawn.shape), where=drawn > 0)
        return each * rounds


def _sum(parts: Sequence[Floats]) -> Floats:
    sums: Floats = np.sum(parts, axis=0)
    return sums


def frame_of(books: Books, results: Sequence[tuple[Sequence[str], Policy, Result]]) -> pl.DataFrame:
    """The table of outcomes, in the order of the results and of the pool's problems."""
    pool = books.worlds.pool
    clusters = list(pool.clusters) if pool.clusters is not None else [None] * len(pool.problems)
    problems = pl.DataFrame(
        {"split": list(pool.splits), "query_id": list(pool.problems), "cluster": clusters},
        schema=dict.fromkeys(("split", "query_id", "cluster"), pl.String),
    )
    policies = pl.DataFrame([_facts(books, labels, policy) for labels, policy, _ in results], schema=_FACTS)
    table = policies.join(problems, how="cross", maintain_order="left_right")
    values: dict[str, list[NDArray[Any]]] = {}
    for _, policy, result in results:
        for name, value in _values(books, policy, result).items():
            values.setdefault(name, []).append(value)
    filled = {name: np.concatenate(parts) for name, parts in values.items()}
    columns = [
        pl.Series(name, value.tolist() if value.dtype == object else value, dtype=_SCHEMA[name], nan_to_null=True)
        for name, value in filled.items()
    ]
    unnamed = pl.col("model", "dataset", "split").replace("", None)
    return table.with_columns(unnamed, *columns).select(
        pl.lit(None, dtype=kind).alias(name) if name not in table.columns and name not in filled else name
        for name, kind in _SCHEMA.items()
    )


_SCHEMA = outcome_schema()
_FACTS = {name: _SCHEMA[name] for name in (*_PLACE, "policy", "setting", "kind", "measured")}


def _facts(books: Books, labels: Sequence[str], policy: Policy) -> dict[str, Any]:
    """What all rows of one policy over its arms have in common."""
    pool = books.worlds.pool
    arms = [books.draws(label).arm for label in labels]
    temperatures = {arm.sampling.get("temperature") for arm in arms}
    return {
        "run": pool.run,
        "provider": pool.provider,
        "model": _join(model for arm in arms for model in arm.models.values()),
        "dataset": pool.dataset,
        "arm": _join(labels),
        "decoding": _join(_decoding(arm) for arm in arms),
        "temperature": temperatures.pop() if len(temperatures) == 1 else None,
        "policy": policy.name,
        "setting": setting(policy),
        "kind": "realised" if books.worlds.orders is None else "expected",
        "measured": False,
    }


def _join(names: Any) -> str:
    return "+".join(dict.fromkeys(str(name) for name in names))


def _decoding(arm: Arm) -> str:
    """The decoding's kind with its settings, written like a policy."""
    settings = {key: value for key, value in arm.decoding.items() if key != "kind" and value is not None}
    text = ",".join(f"{key}={settings[key]}" for key in sorted(settings))
    kind = str(arm.decoding.get("kind", "plain"))
    return f"{kind}:{text}" if text else kind


def _values(books: Books, policy: Policy, result: Result) -> dict[str, NDArray[Any]]:
    """The columns that differ from problem to problem. Where the pool ended first, nothing is known."""
    nothing = np.full(result.correct.shape, np.nan)
    numbers = {"correct": result.correct, "answered": result.answered, "agreement": result.agreement}
    numbers |= {"certified": nothing if result.certified is None else result.certified}
    numbers |= {"e_value": nothing if result.e_value is None else result.e_value, **books.spends(result)}
    whole = result.exhausted == 0
    known = {name: np.where(whole, value, np.nan) for name, value in numbers.items()}
    answers: dict[str, NDArray[Any]] = {}
    if result.answers is not None:
        told = [answer if known else None for answer, known in zip(result.answers, whole, strict=True)]
        answers["answer"] = np.array(told, dtype=object)
    return {
        "method": result.method,
        "grade": _grades(policy, result),
        **answers,
        **known,
        "correct_var": np.where(whole, result.correct_var, np.nan),
        "exhausted": result.exhausted,
    }


def _grades(policy: Policy, result: Result) -> NDArray[Any]:
    """[problem] what each answer is called; None where it is certified in some orders and not in others."""
    grade = getattr(policy, "grade", UNCERTIFIED)
    if result.certified is None:
        return np.full(result.correct.shape, grade, dtype=object)
    named = {1.0: grade, 0.0: UNCERTIFIED}
    return np.array([named.get(share) for share in result.certified], dtype=object)
