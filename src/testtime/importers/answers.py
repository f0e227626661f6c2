"""Answers and token counts alone: rows `{id, gold, answers[], tokens[]}`, one a problem, in sampling order.

A null or blank answer abstains. The vote key is the number where the answer is one (18.0 = "18" =
"$18"), else the text without surrounding space, exactly as written. A null gold leaves the problem
without a verdict. Optional keys: `run, model, provider, dataset, temperature` (the same in every
row), `split`, `question`, `cluster` (what problems of one source share), and `scores`, a list (column `score`) or a
mapping of names to lists.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from testtime.answers import numbers
from testtime.core.rows import Row
from testtime.core.rows import read as read_rows
from testtime.importers.imported import Ids, Imported, imported, items, real, text
from testtime.store.frame import SPENDS
from testtime.store.schema import CANDIDATES

KEYS = frozenset({"id", "answers"})
VOTE = "the number where the answer is one, else the text as written"

_COMMON = ("run", "model", "provider", "dataset", "temperature")
_LONGEST = 10_000
_MOST_TOKENS = 10**12
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,60}")
_TAKEN = frozenset({*CANDIDATES, *SPENDS.values(), "truncated", "refused"})


def read(path: Path | str) -> Imported:
    """The candidates of the file. Raises BadInput naming file and line."""
    candidates: list[dict[str, Any]] = []
    sizes: list[int] = []
    ids, common = Ids(), None
    for row in read_rows(path):
        shared = _common(row)
        if common is not None and shared != common:
            name = next(key for key in _COMMON if shared[key] != common[key])
            row.bad(f"{name!r} differs from the rows before", mend="write one file a run")
        common = shared
        before = len(candidates)
        candidates += _candidates(row, ids.take(row, "id"))
        sizes.append(len(candidates) - before)
    known = {key: value for key, value in (common or {}).items() if value is not None}
    return imported(
        candidates, path, vote=VOTE, method="its key equals the gold answer's", caveats=_ragged(sizes), **known
    )


def _common(row: Row) -> dict[str, Any]:
    temperature = real(row, row.get("temperature"), "'temperature'")
    return {key: text(row, key) for key in _COMMON[:-1]} | {"temperature": temperature}


def _candidates(row: Row, query: str) -> Iterator[dict[str, Any]]:
    answers = items(row, "answers")
    tokens = items(row, "tokens", len(answers)) if "tokens" in row else [None] * len(answers)
    scores = _scores(row, len(answers))
    row.need("gold")
    gold, gold_key = _answer(row, row["gold"], "gold")
    if row["gold"] is not None and gold_key is None:
        row.bad("'gold' is blank", mend="null says that it is unknown")
    shared = {
        "query_id": query,
        "split": text(row, "split"),
        "cluster": text(row, "cluster"),
        "question": text(row, "question"),
        "ground_truth_answer": gold,
    }
    for at, (answer, count) in enumerate(zip(answers, tokens, strict=True)):
        printed, key = _answer(row, answer, f"answers[{at}]")
        yield {
            **shared,
            "candidate_idx": at,
            "answer": printed,
            "answer_key": key,
            "is_verified": None if gold_key is None else key == gold_key,
            "completion_tokens": _tokens(row, count, at),
            **{name: real(row, values[at], f"{name}[{at}]") for name, values in scores.items()},
        }


def _answer(row: Row, value: Any, what: str) -> tuple[str | None, str | None]:
    """(As printed, key); neither for null."""
    if value is None:
        return None, None
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        row.bad(f"{what} is neither a text, a number nor null")
    printed = str(value)
    if len(printed) > _LONGEST:
        row.bad(
            f"{what} has {len(printed):,} characters", mend=f"answers have at most {_LONGEST:,}; keep texts elsewhere"
        )
    return printed, numbers.canonical(printed) or printed.strip() or None


def _tokens(row: Row, value: Any, at: int) -> int | None:
    count = real(row, value, f"tokens[{at}]")
    if count is None:
        return None
    if not (0 <= count <= _MOST_TOKENS and count.is_integer()):
        row.bad(f"tokens[{at}] is not a count")
    return int(count)


def _scores(row: Row, count: int) -> Mapping[str, list[Any]]:
    scores = row.get("scores")
    if scores is None:
        return {}
    named = scores if isinstance(scores, dict) else {"score": scores}
    for name in named:
        if not _NAME.fullmatch(name) or name in _TAKEN:
            row.bad(f"{name[:60]!r} cannot name a score", mend="use a name of letters that no other column has")
    return {name: items(Row(named, row.where), name, count) for name in named}


def _ragged(sizes: list[int]) -> list[str]:
    """A note where problems have unequal numbers of draws, of which the least is what all share."""
    least, most = min(sizes), max(sizes)
    short = sum(size < most for size in sizes)
    return [f"problems have {least} to {most} draws ({short} have fewer than {most})"] if short else []
