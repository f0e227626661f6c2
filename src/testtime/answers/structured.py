"""Structured output: steps, each explained, and a final answer, as one JSON object that the model is held to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "steps": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {"explanation": {"type": "string"}, "output": {"type": "string"}},
                "required": ["explanation", "output"],
                "additionalProperties": False,
            },
        },
        "final_answer": {"type": "string"},
    },
    "required": ["steps", "final_answer"],
    "additionalProperties": False,
}
"""What a request asks for under the parameter `schema`."""


def parts(text: str) -> tuple[list[Mapping[str, str]], str] | None:
    """(Steps, final answer) of a structured text; None for any other.

    >>> parts('{"steps": [{"explanation": "add", "output": "2"}], "final_answer": "2"}')
    ([{'explanation': 'add', 'output': '2'}], '2')
    """
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or not isinstance(said.get("final_answer"), str):
        return None
    listed = said.get("steps")
    steps = [step for step in listed if isinstance(step, dict)] if isinstance(listed, list) else []
    return [{key: str(step.get(key, "")) for key in ("explanation", "output")} for step in steps], said["final_answer"]


def final_answer(text: str) -> str:
    """What the task reads its answer from: the final answer of a structured text, or the text as it is."""
    found = parts(text)
    return text if found is None else found[1]
