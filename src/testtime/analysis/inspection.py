"""The numbers of `testtime inspect`: rates with their intervals, of one arm of one pool."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from testtime.analysis.bootstrap import accuracy_interval
from testtime.analysis.ledger import Ledger
from testtime.analysis.survey import LENGTHS, Survey, survey
from testtime.core.history import Floats, Ints
from testtime.core.records import Arm
from testtime.store.blocks import Block
from testtime.store.codec import decode

SPENDS = ("prompt_tokens", "completion_tokens", "reasoning_tokens", "latency_s", "cost_usd", "joules")
TRUNCATED = 0.05
"""The share of truncated texts above which a reader is warned."""
AGREES = "judge agrees, of audited"
"""The share of audited verdicts in which the judge says what the rule says."""


@dataclass(frozen=True)
class Rate:
    """A mean over n problems with its 95 % interval; None where no problem has a verdict."""

    mean: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Spent:
    """A sum over the rows that say it."""

    known: float
    rows: int
    unknown: int


@dataclass(frozen=True)
class Expression:
    """How strongly a persona shows, beside how often it is right."""

    markers: float | None
    """A row's, on average."""
    breaking: tuple[int, int]
    """(Rows that break a constraint, of so many)."""
    score: float | None
    """A judge's, 0 to 5."""
    strengths: Sequence[tuple[str, int, Rate]]
    """(Markers, rows with a verdict, a problem's accuracy over these)."""


@dataclass(frozen=True)
class Inspected:
    """One arm. Rates are over problems and their sampled draws; `row_verdicts` is over rows."""

    name: str
    model: str
    dataset: str
    decoding: str
    vote: str
    problems: int
    rows: int
    floor: int
    drawn: str
    covered: int
    """Problems with all draws of the floor."""
    solved: int
    """Problems of whose sampled draws one is verified, or more."""
    row_verdicts: tuple[int, int]
    """(Rows with a verdict, of these verified)."""
    mean: Rate
    first: Rate
    any: Rate
    splits: Mapping[str, Rate]
    candidates: Sequence[Rate]
    ks: Sequence[int]
    majority: Sequence[Rate]
    passed: Sequence[Rate]
    shares: Mapping[str, tuple[int, int]]
    """What is true of rows: (so many, of so many that say)."""
    spends: Mapping[str, Spent]
    lengths: Mapping[str, float | None]
    """Median characters."""
    persona: Expression | None
    """None: no persona that has marks or a score."""
    about: Mapping[str, str]
    """What the file says of itself: when, notes, …"""
    notes: Sequence[str]
    ledger: Ledger | None = None
    """Of its whole run."""

    @property
    def judged(self) -> bool:
        """Whether any verdict is known."""
        return self.row_verdicts[0] > 0


def inspected(blocks: Iterable[Block], meta: Mapping[str, Any]) -> list[Inspected]:
    """What each arm of a pool holds, from its blocks and its metadata (`store.schema.METADATA`)."""
    floors: Mapping[str, int] = meta.get("floor") or {}
    declared = [arm if isinstance(arm, Arm) else decode(Arm, arm) for arm in meta.get("arms") or ()]
    arms = {arm.label: arm for arm in declared}
    found = survey(blocks, floors)
    return [
        _inspected(label, one, arms.get(label) or Arm(label, {"model": str(meta.get("model") or "")}), meta, len(found))
        for label, one in found.items()
    ]


def _inspected(label: str, one: Survey, arm: Arm, meta: Mapping[str, Any], arms: int) -> Inspected:
    ks, unit = powers(one.floor), one.unit
    majority, passed = one.majority(ks), one.passed(ks)
    fewest, most = int(one.size.min()), int(one.size.max())
    run = str(meta.get("run") or "pool")
    return Inspected(
        name=run if arms == 1 else f"{run}, arm {label}",
        model=", ".join(f"{name}" if role == "model" else f"{role} {name}" for role, name in arm.models.items()),
        dataset=str(meta.get("dataset") or ""),
        decoding=_decoding(arm),
        vote=str(meta.get("vote") or "answer key"),
        problems=len(one.size),
        rows=one.rows,
        floor=one.floor,
        drawn=f"{fewest}" if fewest == most else f"{fewest} to {most}",
        covered=int((one.size >= one.floor).sum()),
        solved=int((one.mean > 0).sum()),
        row_verdicts=(one.row_right.known, one.row_right.hits),
        mean=rate(one.mean, unit),
        first=rate(one.shown[:, 0], unit),
        any=rate(passed[:, -1], unit),
        splits={name: rate(one.mean[part], unit[part]) for name, part in one.splits.items()},
        candidates=[rate(column, unit) for column in one.shown.T],
        ks=ks,
        majority=[rate(column, unit) for column in majority.T],
        passed=[rate(column, unit) for column in passed.T],
        shares={name: (share.hits, share.known) for name, share in _shares(one).items() if share.known},
        spends={name: Spent(spent.known, one.rows - spent.unknown, spent.unknown) for name, spent in _spends(one)},
        lengths={name: _median(one.lengths[name]) for name in LENGTHS},
        persona=_expression(one),
        about={key: str(meta[key]).strip() for key in ("temperature", "generated_at", "notes") if meta.get(key)},
        notes=[*(meta.get("caveats") or ()), *_warnings(one)],
    )


def _expression(one: Survey) -> Expression | None:
    markers, score = (_mean(one, name) for name in ("persona_markers", "persona_score"))
    if markers is None and score is None:
        return None
    strengths = []
    if (found := one.by_strength) is not None:
        rows, by_problem = found
        names = [*map(str, range(len(rows) - 1)), f"{len(rows) - 1} or more"]
        rates = [rate(column, one.unit) for column in by_problem.T]
        strengths = list(zip(names, rows.tolist(), rates, strict=True))
    return Expression(markers, (one.breaking.hits, one.breaking.known), score, strengths)


def _mean(one: Survey, name: str) -> float | None:
    known = one.rows - one.spends[name].unknown
    return one.spends[name].known / known if known else None


def rate(values: Floats, unit: Ints) -> Rate:
    """The mean of [problem] values, nan left out, with its interval."""
    known = int((~np.isnan(values)).sum())
    if not known:
        return Rate(None, None, None, 0)
    low, high = accuracy_interval(values, unit)
    return Rate(float(np.nanmean(values)), low, high, known)


def powers(most: int) -> list[int]:
    """1, 2, 4, … up to `most`, and `most` itself.

    >>> powers(40)
    [1, 2, 4, 8, 16, 32, 40]
    """
    return sorted({2**at for at in range(most.bit_length())} - {0} | {most})


def _shares(one: Survey) -> dict[str, Any]:
    return {
        "abstentions": one.abstained,
        "truncated": one.truncated,
        "failed": one.failed,
        "refusals": one.refused,
        "judged by a model": one.judged_by_model,
        AGREES: one.agreeing,
    }


def _spends(one: Survey) -> list[tuple[str, Any]]:
    return [(name, one.spends[name]) for name in SPENDS]


def _median(counts: Ints) -> float | None:
    """The median of lengths of which so many rows have each."""
    ranks = np.cumsum(counts)
    return float(np.searchsorted(ranks, (ranks[-1] + 1) / 2)) if ranks[-1] else None


def _warnings(one: Survey) -> list[str]:
    share = one.truncated.value or 0.0
    short = int((one.size < one.floor).sum())
    silent = int((np.isnan(one.majority([1])[:, 0]) & ~np.isnan(one.mean)).sum())
    warned = (
        [f"{share:.1%} of the texts were cut at their token limit; raise --max_tokens"] if share > TRUNCATED else []
    )
    if silent:
        warned.append(f"maj@k leaves {silent:,} problems out, of splits whose answers have no key to vote by")
    return warned + ([f"{short:,} problems have fewer draws than the floor of {one.floor}"] if short else [])


def _decoding(arm: Arm) -> str:
    settings = {**arm.decoding, **arm.sampling}
    kind = str(settings.pop("kind", "plain"))
    return ", ".join([kind, *(f"{key} {value}" for key, value in settings.items())])
