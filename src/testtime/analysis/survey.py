"""What a pool holds, counted in one pass over blocks of whole problems: the numbers of `testtime inspect`.

Rates are per problem and over the draws below the floor, which are a sample; the rate over rows is kept beside
them as what it is. Problems whose draws look alike (so many right, so many votes for each answer) are estimated
once: a file of ten million rows has few patterns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from testtime.analysis.estimators import maj_at_k, pass_at_k
from testtime.core.history import ABSTAINS, Bools, Floats, Ints
from testtime.core.records import ABSTAIN
from testtime.core.spend import Sum
from testtime.store.blocks import Block

SHOWN = 16
"""Candidates whose accuracy is kept one by one."""
SPENDS = ("prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens", "latency_s", "cost_usd", "joules")
LENGTHS = ("quality_answer_length", "quality_reasoning_length", "quality_total_response_length")
PERSONA = ("persona_markers", "persona_constraint_violations", "persona_score")
JUDGED = ("rule_said", "judge_said", "judge_audited")
NUMBERS = (*SPENDS, *LENGTHS, "verification_confidence", *PERSONA, *(f"oracle({name})" for name in JUDGED))
STRENGTHS = 4
"""Strengths of a persona that are told apart: 0, 1, 2, and 3 or more of its markers."""
LONGEST = 100_000
"""Characters beyond which lengths are not told apart."""


@dataclass
class Shares:
    """How many rows something is true of, among those where it is known."""

    hits: int = 0
    known: int = 0

    def add(self, hit: Bools, known: Bools) -> None:
        """More rows."""
        self.hits += int((hit & known).sum())
        self.known += int(known.sum())

    def count(self, hits: int, known: int) -> None:
        """More rows, counted already."""
        self.hits += hits
        self.known += known

    @property
    def value(self) -> float | None:
        """The share; None where nothing is known."""
        return self.hits / self.known if self.known else None


@dataclass
class Survey:
    """One arm. Arrays are [problem], in the order of the file."""

    floor: int
    """Draws of each problem that are a sample."""
    rows: int = 0
    row_right: Shares = field(default_factory=Shares)
    """`is_verified` over the rows that have a verdict."""
    abstained: Shares = field(default_factory=Shares)
    truncated: Shares = field(default_factory=Shares)
    failed: Shares = field(default_factory=Shares)
    refused: Shares = field(default_factory=Shares)
    judged_by_model: Shares = field(default_factory=Shares)
    agreeing: Shares = field(default_factory=Shares)
    """Of the audited verdicts, those in which the judge says what the rule says."""
    breaking: Shares = field(default_factory=Shares)
    """Of rows whose persona has marks, those that break one of its constraints."""
    spends: dict[str, Sum] = field(default_factory=lambda: {name: Sum() for name in NUMBERS})
    """Sums over rows."""
    lengths: dict[str, Ints] = field(
        default_factory=lambda: {name: np.zeros(LONGEST + 1, np.int64) for name in LENGTHS}
    )
    """[characters] rows of that length."""
    refusal_types: dict[str, int] = field(default_factory=dict)
    _split_names: dict[str, int] = field(default_factory=dict)
    _clusters: dict[str, int] = field(default_factory=dict)
    _parts: dict[str, list[Ints]] = field(default_factory=dict)
    _patterns: dict[int, int] = field(default_factory=dict)
    """Digest of a pattern → its number."""
    _samples: list[tuple[Ints, Floats]] = field(default_factory=list)
    """By pattern: the codes and verdicts of one problem that shows it."""

    def add(self, block: Block) -> None:
        """The rows of one block of this arm."""
        problem, draw = block.problem, block.draw
        codes, failed = block.codes("answer_key"), block.there("error")
        codes = np.where(failed, ABSTAINS, codes) if failed.any() else codes
        right = _right(block, codes, failed)
        self._rows(block, codes, failed)
        inside = draw < self.floor
        self._keep("size", block.sizes)
        self._keep("split", self._named(block, "split", self._split_names))
        self._keep("cluster", self._named(block, "cluster", self._clusters))
        shown = np.full((block.problems, min(SHOWN, self.floor)), -1, np.int8)
        some = (draw < shown.shape[1]) & ~np.isnan(right)
        shown[problem[some], draw[some]] = right[some]
        self._keep("shown", shown)
        if "persona_markers" in block.table.column_names:
            self._strength(block, right)
        self._keep(
            "pattern", self._patterned(block.problems, problem[inside], draw[inside], codes[inside], right[inside])
        )

    def _rows(self, block: Block, codes: Ints, failed: Bools) -> None:
        """What is counted over rows."""
        self.rows += block.rows
        every = np.ones(block.rows, dtype=bool)
        self.row_right.count(*block.switch("is_verified"))
        self.abstained.add(codes < 0, every)
        self.failed.add(failed, every)
        finish, names = block.codes("finish_reason"), block.texts("finish_reason")
        self.truncated.add(finish == (names.index("length") if "length" in names else -2), finish >= 0)
        for shares, name in (
            (self.refused, "refusal_is_refusal"),
            (self.judged_by_model, "verification_llm_judge_used"),
        ):
            shares.count(*block.switch(name))
        if f"oracle({JUDGED[-1]})" in block.table.column_names:
            rule, judge, audited = (block.numbers(f"oracle({name})") for name in JUDGED)
            self.agreeing.add(rule == judge, (audited == 1) & ~np.isnan(judge))
        kinds, types = block.codes("refusal_type"), block.texts("refusal_type")
        for at, count in enumerate(np.bincount(kinds[kinds >= 0], minlength=len(types)).tolist()):
            self.refusal_types[types[at]] = self.refusal_types.get(types[at], 0) + count
        for name in NUMBERS:
            values, old = block.known(name), self.spends[name]
            self.spends[name] = Sum(old.known + float(values.sum()), old.unknown + block.rows - len(values))
            if name in LENGTHS:
                capped = np.clip(values, 0, LONGEST).astype(np.int64)
                self.lengths[name] += np.bincount(capped, minlength=LONGEST + 1)

    def _strength(self, block: Block, right: Floats) -> None:
        """[problem, strength] known verdicts, and the right ones among them."""
        markers = block.numbers("persona_markers")
        marked = ~np.isnan(markers)
        self.breaking.add(block.numbers("persona_constraint_violations") > 0, marked)
        some = marked & ~np.isnan(right)
        place = block.problem[some] * STRENGTHS + np.minimum(markers[some], STRENGTHS - 1).astype(np.int64)
        for name, weights in (("strength", np.ones(int(some.sum()))), ("strength right", right[some])):
            counts = np.bincount(place, weights=weights, minlength=block.problems * STRENGTHS)
            self._keep(name, counts.astype(np.int64).reshape(-1, STRENGTHS))

    def _keep(self, name: str, values: Ints) -> None:
        self._parts.setdefault(name, []).append(values)

    def _named(self, block: Block, name: str, known: dict[str, int]) -> Ints:
        """[problem] the number of its split or cluster; −1 where it has none."""
        texts = block.texts(name)
        numbers = np.array([known.setdefault(text, len(known)) for text in texts] + [-1])
        return numbers[block.codes(name)[block.starts]] if texts else np.full(block.problems, -1)

    def _patterned(self, problems: int, problem: Ints, draw: Ints, codes: Ints, right: Floats) -> Ints:
        """[problem] the number of its pattern: equal where size, verdicts and votes are equal up to names and order."""
        digests = _digests(problems, problem, codes, right)
        unique, first, inverse = np.unique(digests, return_index=True, return_inverse=True)
        starts = np.searchsorted(problem, np.arange(problems + 1))
        numbers = np.empty(len(unique), np.int64)
        for at, digest in enumerate(unique.tolist()):
            number = self._patterns.setdefault(digest, len(self._patterns))
            if number == len(self._samples):
                rows = slice(starts[first[at]], starts[first[at] + 1])
                self._samples.append((_renamed(codes[rows]), right[rows]))
            numbers[at] = number
        return numbers[inverse]

    # ---- what came of it ----
    def _whole(self, name: str) -> Ints:
        return np.concatenate(self._parts[name]) if self._parts else np.zeros(0, np.int64)

    @cached_property
    def size(self) -> Ints:
        """[problem] draws there are."""
        return self._whole("size")

    @cached_property
    def splits(self) -> Mapping[str, Bools]:
        """Split → [problem] whether it is of it, in order of appearance; one unnamed where the file has none."""
        codes = self._whole("split")
        return {name: codes == at for name, at in self._split_names.items()} or {"": np.ones(len(codes), bool)}

    @cached_property
    def unit(self) -> Ints:
        """[problem] its unit: its cluster, or itself."""
        clusters = self._whole("cluster")
        if not self._clusters:
            return np.arange(len(clusters))
        alone = np.arange(len(clusters)) + len(self._clusters)
        return np.unique(np.where(clusters >= 0, clusters, alone), return_inverse=True)[1]

    @cached_property
    def shown(self) -> Floats:
        """[problem, candidate] 1, 0 or nan for the first candidates."""
        first = self._whole("shown").astype(float)
        return np.where(first < 0, np.nan, first)

    def majority(self, ks: Iterable[int]) -> Floats:
        """[problem, k] exact maj@k; nan in a split whose right answers have no key (analysis.voteless)."""
        found = self._estimated(lambda codes, right: maj_at_k(codes[None], right[None], list(ks))[0])
        keyed = self._estimated(lambda codes, right: np.array([float((codes >= 0).any())]))[:, 0] == 1
        for part in self.splits.values():
            if not keyed[part].any() and (self.mean[part] > 0).any():
                found[part] = np.nan
        return found

    def passed(self, ks: Iterable[int]) -> Floats:
        """[problem, k] exact pass@k."""
        return self._estimated(lambda codes, right: pass_at_k(right[None], list(ks))[0])

    @property
    def by_strength(self) -> tuple[Ints, Floats] | None:
        """([strength] rows with a verdict, [problem, strength] mean of these); None where no persona has marks."""
        if "strength" not in self._parts:
            return None
        known, right = self._whole("strength"), self._whole("strength right")
        return known.sum(axis=0), np.divide(right, known, out=np.full(known.shape, np.nan), where=known > 0)

    @cached_property
    def mean(self) -> Floats:
        """[problem] mean of the known verdicts of its sampled draws; nan where it has none."""
        return self._estimated(lambda codes, right: np.array([_mean(right)]))[:, 0]

    def _estimated(self, rule: Any) -> Floats:
        by_pattern = np.array([rule(codes, right) for codes, right in self._samples])
        return by_pattern[self._whole("pattern")] if self._samples else np.zeros((0, 1))


def survey(blocks: Iterable[Block], floors: Mapping[str, int | None]) -> dict[str, Survey]:
    """Arm → what it holds. `floors` gives the draws that each problem was due; where unknown, all it has."""
    found: dict[str, Survey] = {}
    for block in blocks:
        if block.arm not in found:
            found[block.arm] = Survey(_floor(block, floors.get(block.arm)))
        found[block.arm].add(block)
    return found


def _floor(block: Block, due: int | None) -> int:
    return int(block.sizes.min()) if due is None else due


def _right(block: Block, codes: Ints, failed: Bools) -> Floats:
    """[row] 1, 0 or nan. A draw without an answer is wrong, but where none of its problem's answers has a verdict.

    There nobody could judge (no reference, no tests), and failures alone would say 0 of a problem of which nothing is
    known; where no draw of a problem has an answer, it is wrong.
    """
    verified = block.numbers("is_verified")
    if not np.isnan(verified).any():
        return np.where(failed, 0.0, verified) if failed.any() else verified
    finish, names = block.codes("finish_reason"), block.texts("finish_reason")
    silent = np.isin(finish, [at for at, name in enumerate(names) if name in ABSTAIN])
    silent |= block.numbers("quality_answer_length") == 0
    blank = failed | (silent & (codes < 0) & (verified != 1.0))
    judged = np.logical_or.reduceat(~np.isnan(verified) & ~blank, block.starts)
    all_blank = np.logical_and.reduceat(blank, block.starts)
    nothing = np.where(failed, 0.0, verified)
    return np.where(blank, np.where((judged | all_blank)[block.problem], nothing, np.nan), verified)


def _digests(problems: int, problem: Ints, codes: Ints, right: Floats) -> Ints:
    """[problem] a 64-bit digest of the multiset of (votes, right, known verdicts) of its answers."""
    out = np.zeros(problems, np.uint64)
    if not len(problem):
        return out.astype(np.int64)
    span = int(codes.max(initial=0)) + 2
    known = ~np.isnan(right)
    state = known + (right == 1.0).astype(np.int64)  # 0 unknown, 1 wrong, 2 right
    packed = np.sort((problem * span + codes + 1) * 4 + state)
    answer, state = packed >> 2, packed & 3
    first = np.flatnonzero(np.append(True, answer[1:] != answer[:-1]))
    votes = np.diff(np.append(first, len(answer)))
    rights, judged = (np.add.reduceat((state >= least).astype(np.int64), first) for least in (2, 1))
    owner = answer[first] // span
    abstains = answer[first] % span == 0
    mixed = _mixed(_mixed(_mixed(votes.astype(np.uint64)) + rights.astype(np.uint64)) + judged.astype(np.uint64))
    of_answer = _mixed(mixed + abstains.astype(np.uint64))
    last = np.flatnonzero(np.append(True, owner[1:] != owner[:-1]))
    out[owner[last]] = np.add.reduceat(of_answer, last)
    return out.astype(np.int64)


def _mixed(values: Any) -> Any:
    """The finaliser of SplitMix64: a bijection that scatters (Steele, Lea, Flood 2014)."""
    values = (values + np.uint64(0x9E3779B97F4A7C15)).astype(np.uint64)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _renamed(codes: Ints) -> Ints:
    """Small codes in place of the block's; abstentions stay."""
    names: dict[int, int] = {}
    return np.array([ABSTAINS if code < 0 else names.setdefault(code, len(names)) for code in codes.tolist()], np.int64)


def _mean(right: Floats) -> float:
    known = right[~np.isnan(right)]
    return float(known.mean()) if known.size else np.nan
