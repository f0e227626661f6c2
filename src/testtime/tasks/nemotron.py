r"""Nemotron-Post-Training-Dataset, versions 1 and 2 (NVIDIA, CC BY 4.0): math, code, chat, stem, tool_calling.

Rows of version 1 are `{uuid, category, reasoning, generator, version, messages, metadata}`, the tools of a
tool_calling row in the JSON of `metadata`; version 2 has neither metadata nor tool calls, and no tool_calling split.
The rows belong to the hub; one made up in their layout: messages user "What is 2 + 3?", assistant
"<think>…</think> \\boxed{5}", category math.

Question: the first user message; rows whose question is withheld ("-") or shorter than `min_query_chars` are passed
over. Reference: the column solution, ground_truth, answer or output; else the last box of the first assistant message,
thinking stripped; for other splits than math the message itself. Which version a problem came from is its
`source_dataset`: of the hub, the one that is named, or version 2 (`auto`); tool_calling is always of version 1, which
alone has it, and multilingual_* of version 2.

Scoring by split: math as MATH; code has no tests, so its verdict is null, and tool_calling, chat and stem have no rule:
a judge decides, where there is one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from testtime.answers import expression, extract, final
from testtime.core.records import Problem, canonical
from testtime.core.rows import Row
from testtime.core.seeds import digest
from testtime.core.settings import check, setting
from testtime.tasks.data import rows_of

HUB = "nvidia/Nemotron-Post-Training-Dataset"
REFERENCES = ("solution", "ground_truth", "answer", "output")
STAGES = {"math": "math", "code": "no_tests"}
"""Split → the stage that judges it; a judge where none is named."""


@dataclass(frozen=True)
class Nemotron:
    r"""The task over a local file or folder of such rows, or the hub: `auto`, or one of its two ids.

    >>> sum_ = Problem("0f1e…", "math", "What is 2 + 3?", "5")
    >>> Nemotron("auto").answer(sum_, r"<think>2 + 3</think> It is \boxed{5}.")
    ('5', '5')
    """

    path: Path | str = "auto"
    min_query_chars: int = setting("characters of the shortest question that is taken", 5, least=0)

    name: ClassVar[str] = "nemotron"
    prompt: ClassVar[str] = "{question}"
    verifier: ClassVar[str] = "each"

    def __post_init__(self) -> None:
        check(self)

    def problems(self, split: str) -> Iterator[Problem]:
        """In dataset order; `query_id` is the row's uuid, else a digest of split and question. Raises BadInput.

        A second row with the same id and question is passed over.
        """
        place = self.source(split)
        seen: dict[str, str] = {}
        for row in rows_of(place, split):
            question = _first(row, "user")
            if question in ("", "-") or len(question) < self.min_query_chars:
                continue
            query = next((str(row[key]) for key in ("uuid", "id", "uid") if row.get(key)), None) or digest(
                split, question, length=40
            )
            query = query if seen.get(query, question) == question else f"{query}-{digest(question)}"
            if query not in seen:
                seen[query] = question
                yield self._problem(row, query, split, question, place)

    def answer(self, problem: Problem, text: str) -> tuple[str | None, str | None]:
        """(As printed, key) in the split math; elsewhere the text without its thinking, which votes by nothing."""
        if problem.split == "math":
            return final.mathematics(text)
        if problem.split == "code":
            return final.program(text), None
        return extract.unthink(text).strip() or None, None

    def right(self, problem: Problem, key: str | None) -> bool | None:
        """Whether an answer key is the reference's, in the split math; nobody knows elsewhere."""
        if problem.split != "math" or problem.reference is None:
            return None
        return key is not None and key == expression.key(problem.reference)

    def programs(self, splits: Sequence[str]) -> bool:
        """Whether code alone is asked for."""
        return set(splits) == {"code"}

    def source(self, split: str) -> Path | str:
        """Where a split is read from: of the hub, the version named (`auto`: 2), or the one that has the split."""
        if str(self.path) not in ("auto", f"{HUB}-v1", f"{HUB}-v2"):
            return self.path
        if split == "tool_calling":
            return f"{HUB}-v1"
        return f"{HUB}-v2" if split.startswith("multilingual") or str(self.path) == "auto" else self.path

    def _problem(self, row: Row, query: str, split: str, question: str, place: Path | str) -> Problem:
        version = "v1" if "metadata" in row else "v2"
        known = {key: row[key] for key in ("generator", "version", "license", "reasoning") if row.get(key) is not None}
        fields = {
            "verifier": STAGES.get(split, "judge"),
            "source_dataset": place if str(place).startswith(HUB) else f"{HUB}-{version}",
            "source_metadata": canonical(known),
            "category": row.get("category"),
            "reasoning_mode": row.get("reasoning"),
            "tools": _tools(row),
        }
        kept = {key: value for key, value in fields.items() if value is not None}
        return Problem(query, split, question, _reference(row, split), kept)


def _first(row: Row, role: str) -> str:
    """The first message of a role, trimmed; "" where there is none."""
    messages = row.need("messages")
    if not isinstance(messages, list) or not all(isinstance(message, Mapping) for message in messages):
        row.bad("'messages' is not a list of messages")
    said = next((message.get("content") for message in messages if message.get("role") == role), None)
    return str(said or "").strip()


def _reference(row: Row, split: str) -> str | None:
    """The gold answer, or None where the row gives none."""
    column = next((str(row[key]) for key in REFERENCES if row.get(key)), None)
    said = extract.unthink(column if column is not None else _first(row, "assistant")).strip()
    box = extract.last_box(said)
    if box is not None and split in ("math", "stem"):
        return box.text
    return (said or None) if column is not None or split != "math" else None


def _tools(row: Row) -> Any:
    """The tools of a tool_calling row, which version 1 keeps as JSON in its metadata."""
    metadata = row.get("metadata")
    if isinstance(metadata, str):
        try:
            metadata = json.loads(metadata)
        except ValueError:
            row.bad("'metadata' is not JSON")
    return metadata.get("tools") if isinstance(metadata, Mapping) else None
