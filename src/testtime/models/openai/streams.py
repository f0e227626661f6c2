"""A chat reply that comes as a stream, put together to what it would have been in one piece.

No SDK says anything of a stream that ends early: its finish reason is missing, and reading.py refuses the reply.
"""

from __future__ import annotations

from collections.abc import AsyncIterable
from typing import Any

JOINED = ("content", "refusal", "reasoning", "reasoning_content")
"""Texts that come in pieces."""


async def whole(chunks: AsyncIterable[Any]) -> dict[str, Any]:
    """The chat completion of its chunks, as JSON has it; without choices where none came."""
    reply: dict[str, Any] = {"id": "", "created": 0, "model": "", "object": "chat.completion", "usage": None}
    choices: dict[int, dict[str, Any]] = {}
    async for chunk in chunks:
        reply |= {key: getattr(chunk, key) for key in ("id", "created", "model") if getattr(chunk, key)}
        reply["usage"] = _plain(chunk.usage) if chunk.usage else reply["usage"]
        for piece in chunk.choices:
            _add(choices.setdefault(piece.index, _empty(piece.index)), piece)
    for choice in choices.values():
        calls = choice["message"]["tool_calls"]
        choice["message"]["tool_calls"] = [calls[at] for at in sorted(calls)] or None
    return {**reply, "choices": [choices[at] for at in sorted(choices)]}


def _plain(record: Any) -> Any:
    """A record of the SDK's as JSON; what is none, as a server of another form sends it, is left as it is."""
    return record.model_dump(warnings=False) if hasattr(record, "model_dump") else record


def _empty(index: int) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None, "tool_calls": {}}
    return {"index": index, "message": message, "finish_reason": None, "logprobs": None}


def _add(choice: dict[str, Any], piece: Any) -> None:
    delta, message = _plain(piece.delta), choice["message"]
    for name in JOINED:
        if delta.get(name) is not None:
            message[name] = (message.get(name) or "") + delta[name]
    for call in delta.get("tool_calls") or ():
        _add_call(message["tool_calls"], call)
    choice["finish_reason"] = piece.finish_reason or choice["finish_reason"]
    if piece.logprobs is not None:
        listed = choice["logprobs"] = choice["logprobs"] or {"content": [], "refusal": []}
        for name in listed:
            listed[name] += [_plain(token) for token in getattr(piece.logprobs, name) or ()]
    for name, value in (piece.model_extra or {}).items():
        choice[name] = [*choice.get(name, ()), *value] if isinstance(value, list) else value


def _add_call(calls: dict[int, dict[str, Any]], piece: dict[str, Any]) -> None:
    call = calls.setdefault(piece["index"], {"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
    call["id"] = piece.get("id") or call["id"]
    for name, text in (piece.get("function") or {}).items():
        call["function"][name] += text or ""
