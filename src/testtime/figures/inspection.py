"""What is in a pool, as tables for reading: its facts, its rates by split and candidate, exact maj@k and pass@k."""

from __future__ import annotations

from typing import Any

from testtime.analysis.bootstrap import wilson
from testtime.analysis.inspection import AGREES, Inspected, Rate
from testtime.analysis.ledger import plain as plain_ledger
from testtime.figures.ledger import books
from testtime.figures.tables import UNKNOWN, Rows, cost, interval, letters_of

NAMES = {
    "prompt_tokens": "prompt tokens",
    "completion_tokens": "tokens",
    "reasoning_tokens": "of them thinking",
    "latency_s": "seconds",
    "cost_usd": "dollars",
    "joules": "joules",
}
LENGTHS = {
    "quality_answer_length": "answer",
    "quality_reasoning_length": "reasoning",
    "quality_total_response_length": "whole text",
}


def inspection(one: Inspected) -> list[Rows]:
    """One arm of a pool."""
    shown = [_facts(one)]
    if one.judged:
        shown += [_rates(one), *_splits(one), _by_candidate(one), _by_size(one)]
    shown += _persona(one)
    return [*shown, _spends(one), *books(one.ledger)]


def side_by_side(several: list[Inspected]) -> list[Rows]:
    """Files beside each other under letters: what each is, and the rates that sum it up."""
    letters = letters_of([one.name for one in several])
    named = [[letter, name, one.model or UNKNOWN] for (name, letter), one in zip(letters.items(), several, strict=True)]
    heads = ["", "problems", "N", "a candidate %", "first %", "any of N %"]
    cells = [
        [letter, f"{one.problems:,}", str(one.floor), *map(_rate, (one.mean, one.first, one.any))]
        for letter, one in zip(letters.values(), several, strict=True)
    ]
    return [Rows("", ["", "pool", "model"], named, left=True), Rows("Verified", heads, cells)]


def _facts(one: Inspected) -> Rows:
    facts = {
        "model": one.model or UNKNOWN,
        "dataset": " ".join(part for part in (one.dataset, ", ".join(filter(None, one.splits))) if part) or UNKNOWN,
        "decoding": one.decoding,
        "problems × draws": f"{one.problems:,} × {one.drawn}",
        "floor": f"{one.floor} draws of each problem are a sample",
        "coverage": f"{one.covered:,} of {one.problems:,} problems have all {one.floor}"
        + (f"; {one.solved:,} at least one verified" if one.judged else ""),
        "rows": f"{one.rows:,}",
        **{name: _share(*share, name == AGREES) for name, share in one.shares.items()},
        **({"characters, median": ", ".join(_lengths(one))} if _lengths(one) else {}),
        "one vote is": one.vote,
        **one.about,
    }
    return Rows(one.name, ["", ""], [[name, text] for name, text in facts.items()], left=True)


def _lengths(one: Inspected) -> list[str]:
    known = [(LENGTHS[name], value) for name, value in one.lengths.items() if value is not None]
    return [f"{name} {value:,.0f}" for name, value in known]


def _share(hits: int, known: int, sampled: bool = False) -> str:
    """So many of so many; of a sample with Wilson's interval."""
    if not known:
        return UNKNOWN
    ends = f" [{', '.join(f'{100 * end:.1f}' for end in wilson(hits / known, known))}]" if sampled else ""
    return f"{hits:,} of {known:,} ({hits / known:.1%}{ends})"


def _rates(one: Inspected) -> Rows:
    judged, right = one.row_verdicts
    cells = [
        ["verified, of rows with a verdict", f"{right / judged:.2%} of {judged:,}"],
        ["verified, of all rows", f"{right / one.rows:.2%} of {one.rows:,}; {one.rows - judged:,} without a verdict"],
        ["a problem's mean candidate", f"{_rate(one.mean)} %"],
        ["the first candidate", f"{_rate(one.first)} %"],
        [f"any of {one.floor}", f"{_rate(one.any)} %"],
        ["one candidate more is worth", _worth(one)],
    ]
    return Rows("Verified", ["", ""], cells, left=True)


def _worth(one: Inspected) -> str:
    """What the last doubling of candidates brought, and hence one more of them."""
    if len(one.ks) < 2:
        return UNKNOWN
    before, after = one.ks[-2:]
    steps = [
        f"{name} {(rates[-1].mean - rates[-2].mean) / (after - before) * 100:+.2f}"
        for name, rates in (("majority", one.majority), ("any", one.passed))
        if rates[-1].mean is not None and rates[-2].mean is not None
    ]
    return f"{', '.join(steps)} points (k {before} to {after})" if steps else UNKNOWN


def _splits(one: Inspected) -> list[Rows]:
    if len(one.splits) < 2:
        return []
    cells = [[name or UNKNOWN, f"{rate.n:,}", _rate(rate)] for name, rate in one.splits.items()]
    return [Rows("By split", ["split", "problems", "mean candidate %"], cells)]


def _by_candidate(one: Inspected) -> Rows:
    cells = [[str(at), _rate(rate)] for at, rate in enumerate(one.candidates)]
    return Rows("Does the first win? Accuracy by candidate", ["candidate", "accuracy %"], cells)


def _by_size(one: Inspected) -> Rows:
    cells = [
        [str(k), _rate(majority), _rate(passed)]
        for k, majority, passed in zip(one.ks, one.majority, one.passed, strict=True)
    ]
    return Rows("Exact over all subsets of k draws, random ties", ["k", "maj@k %", "pass@k %"], cells)


def _persona(one: Inspected) -> list[Rows]:
    """How strongly the persona shows, and accuracy by its strength."""
    if (persona := one.persona) is None:
        return []
    facts = {
        "markers a text shows": UNKNOWN if persona.markers is None else f"{persona.markers:.2f}",
        "texts that break a constraint": _share(*persona.breaking),
        "a judge's score, 0 to 5": UNKNOWN if persona.score is None else f"{persona.score:.2f}",
    }
    shown = [Rows("Persona", ["", ""], [[name, text] for name, text in facts.items()], left=True)]
    return shown + persona_by_strength(one)


def persona_by_strength(one: Inspected) -> list[Rows]:
    """How often a text is right, by how many of the persona's markers it shows; nothing where none is known."""
    several = [] if one.persona is None else one.persona.strengths
    cells = [[name, f"{rows:,}", _rate(rate)] for name, rows, rate in several if rows]
    return [Rows("Persona beside accuracy", ["markers", "texts", "verified %"], cells)] if cells and one.judged else []


def _spends(one: Inspected) -> Rows:
    cells = []
    for name, spent in one.spends.items():
        if spent.rows:
            least, draws = "≥ " if spent.unknown else "", spent.rows + spent.unknown
            each, whole = (f"{least}{cost(value, _digits(name))}" for value in (spent.known / draws, spent.known))
            missing = f"{spent.unknown:,} unknown" if spent.unknown else ""
            cells.append([NAMES[name], each, whole, missing])
    return Rows("Spend", ["", "a draw", "in all", ""], cells)


def _digits(name: str) -> str:
    return "usd" if name == "cost_usd" else name


def _rate(rate: Rate) -> str:
    return UNKNOWN if rate.mean is None else interval(rate.mean, rate.low, rate.high)


def plain(one: Inspected) -> dict[str, Any]:
    """The same by name, the ledger as it is told."""
    return {**vars(one), "ledger": plain_ledger(one.ledger)}
