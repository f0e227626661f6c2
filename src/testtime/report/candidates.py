"""Problems with their candidates as the page's script reads them: plain JSON values, long texts cut and said to be.

problem    {id, split, state, apart, refused, failed, question, gold, prompts, candidates, more}
candidate  {arm, number, answer, key, right, why, rule, stage, sure, refusal, error, ended, tokens, dollars, retry,
            persona, calls, pieces: [[kind, thinking, text]]}
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

MOST_TEXT = 12_000
"""Characters of one piece of text."""
MOST_CANDIDATES = 120
"""Of one problem."""
MOST_IN_ALL = 10_000_000
"""Characters of all problems together: beyond them no further problem is added."""


class Piece(Protocol):
    """Some text of a candidate, by one writer (store.texts)."""

    @property
    def kind(self) -> str:
        """A part's kind."""

    @property
    def text(self) -> str:
        """What was written."""

    @property
    def thinking(self) -> bool:
        """Whether all of it is thinking."""


_FIELDS = {
    "arm": "arm", "number": "candidate_idx", "answer": "answer", "key": "answer_key", "right": "is_verified",
    "why": "verification_explanation", "rule": "verification_method", "stage": "verification_verifier_name",
    "sure": "verification_confidence", "refusal": "refusal_type", "error": "error", "ended": "finish_reason",
    "tokens": "completion_tokens", "dollars": "cost_usd", "retry": "retry_of_candidate_idx", "persona": "persona_score",
    "calls": "tool_calls_total",
}  # fmt: skip
"""Key on the page → column."""
COLUMNS = (
    "query_id", "split", "question", "ground_truth_answer", "input_messages", "candidate_text", "parts", "is_retry",
    "refusal_is_refusal", *_FIELDS.values(),
)  # fmt: skip
"""What is read of a candidates.parquet; what it lacks is unknown."""


def problem(facts: Mapping[str, Any], rows: Sequence[tuple[Mapping[str, Any], Iterable[Piece]]]) -> dict[str, Any]:
    """One problem: what `sample.facts` says of it, and its rows with their pieces in order."""
    first = rows[0][0] if rows else {}
    return {
        "id": facts["query_id"], "split": facts["split"], "state": facts["state"],
        **{name: bool(facts[name]) for name in ("apart", "refused", "failed")},
        "question": cut(first.get("question")), "gold": cut(first.get("ground_truth_answer")),
        "prompts": _prompts(rows), "candidates": [_candidate(row, pieces) for row, pieces in rows[:MOST_CANDIDATES]],
        "more": max(len(rows) - MOST_CANDIDATES, 0),
    }  # fmt: skip


def _candidate(row: Mapping[str, Any], pieces: Iterable[Piece]) -> dict[str, Any]:
    said = {name: cut(row.get(column)) for name, column in _FIELDS.items()}
    if row.get("refusal_is_refusal"):
        said["refusal"] = said["refusal"] or "refusal"
    else:
        said["refusal"] = None
    known = {name: value for name, value in said.items() if value is not None}
    return {**known, "pieces": [[piece.kind, piece.thinking, cut(piece.text)] for piece in pieces]}


def cut(value: Any) -> Any:
    """A text no longer than the page takes, with how much is missing; anything else as it is.

    >>> cut("x" * 12_004)[-26:]
    '… 4 characters more are cut'
    """
    if not isinstance(value, str) or len(value) <= MOST_TEXT:
        return value
    return f"{value[:MOST_TEXT]}… {len(value) - MOST_TEXT:,} characters more are cut"


def _prompts(rows: Sequence[tuple[Mapping[str, Any], Iterable[Piece]]]) -> list[list[Any]]:
    """[arms, [[role, content], …]] of every different prompt, as the first candidate of an arm has it."""
    seen: set[str] = set()
    found: dict[str, tuple[list[str], list[list[str]]]] = {}
    for row, _ in rows:
        if row["arm"] not in seen and (messages := _messages(row.get("input_messages"))):
            seen.add(row["arm"])
            found.setdefault(json.dumps(messages), ([], messages))[0].append(row["arm"])
    return [[arms, messages] for arms, messages in found.values()]


def _messages(text: str | None) -> list[list[str]]:
    try:
        messages = json.loads(text) if text else []
    except ValueError:
        return [["user", str(cut(text))]]
    if not isinstance(messages, list):
        return [["user", str(cut(text))]]
    return [
        [str(one.get("role")), str(cut(_content(one.get("content"))))] for one in messages if isinstance(one, Mapping)
    ]


def _content(content: object) -> str:
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)


def length(one: Mapping[str, Any]) -> int:
    """Characters of a problem's texts."""
    return sum(len(text) for row in one["candidates"] for _, _, text in row["pieces"])
