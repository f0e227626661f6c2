"""What came back, as messages: one for each structured step, each piece of a tool conversation, thinking and answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from testtime.answers import structured
from testtime.core.records import Candidate, Part


def output_messages(candidate: Candidate) -> list[dict[str, Any]]:
    """A list of {role, channel, content}. Content of steps and tool traffic is JSON, as earlier data sets have it."""
    if not candidate.parts:
        return []
    if (found := structured.parts(candidate.text)) is not None:
        steps = [_step(at, step) for at, step in enumerate(found[0], 1)]
        before = [_of(part) for part in candidate.parts if part.kind in ("tools", "call", "result")]
        return [*before, *steps, _message("assistant", "final", found[1])]
    messages = [_of(part) for part in candidate.parts]
    return _merged(messages)


def _step(at: int, step: Mapping[str, str]) -> dict[str, Any]:
    return _message("assistant", "reasoning", json.dumps({"step": at, **step}, ensure_ascii=False))


def _of(part: Part) -> dict[str, Any]:
    if part.kind == "tools":
        return _message("system", "tools", part.text)
    if part.kind == "call":
        return _message("assistant", "tool_call", part.text)
    if part.kind == "result":
        return _message("tool", "tool_result", part.text)
    return _message("assistant", "reasoning" if part.kind == "thinking" else "final", part.text)


def _message(role: str, channel: str, content: str) -> dict[str, Any]:
    return {"role": role, "channel": channel, "content": content}


def _merged(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Pieces of one text that follow each other are one message: base and oracle write one answer."""
    joined: list[dict[str, Any]] = []
    for one in messages:
        last = joined[-1] if joined else None
        if last and (last["role"], last["channel"]) == (one["role"], one["channel"]) and last["role"] == "assistant":
            last["content"] += one["content"]
        else:
            joined.append(one)
    return joined
