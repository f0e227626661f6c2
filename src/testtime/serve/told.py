"""What the server answers on the OpenAI wire: completions, their pieces for a stream, usage, errors."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from testtime.core.records import Completion, Finish, Generation

FINISH: Mapping[Finish, str] = {
    "stop": "stop",
    "length": "length",
    "tools": "tool_calls",
    "refusal": "stop",
    "filter": "content_filter",
    "cut": "stop",
}
LOWEST = -9999.0
"""Stands for a log-probability of minus infinity, which JSON cannot say."""


@dataclass(frozen=True)
class Piece:
    """A token's text with its alternatives, or a stretch of text without."""

    text: str
    logprobs: Mapping[str, float] | None = None
    """The drawn token first."""


def pieces(said: Completion, tokens: Sequence[str] | None) -> list[Piece]:
    """A text in the order it was written; one piece where its tokens are not known, or do not make up the text."""
    if said.logprobs is not None:
        listed = [Piece(next(iter(law)), law) for law in said.logprobs]
    else:
        listed = [Piece(token) for token in tokens or ()]
    written = "".join(piece.text for piece in listed)
    if not said.text.startswith(written):
        return [Piece(said.text)] if said.logprobs is None else listed
    rest = said.text[len(written) :]
    return [*listed, Piece(rest)] if rest else listed


def usage(parts: Sequence[Generation]) -> dict[str, Any]:
    """Tokens of one request, each prompt counted once."""
    prompt, cached, completion, reasoning = (
        sum(getattr(part.spend, name) or 0 for part in parts)
        for name in ("prompt", "cached", "completion", "reasoning")
    )
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }


def chat_choice(index: int, said: Completion, wants_ids: bool, most: int | None) -> dict[str, Any]:
    """One choice of a chat completion; `most` alternatives of each token, None: no log-probabilities."""
    refused = said.finish == "refusal"
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if refused or said.tool_calls else said.text,
        "refusal": said.text if refused else None,
    }
    if said.tool_calls:
        message["tool_calls"] = [_tool_call(call) for call in said.tool_calls]
    choice: dict[str, Any] = {
        "index": index,
        "message": message,
        "finish_reason": FINISH[said.finish],
        "logprobs": None if most is None else chat_logprobs(pieces(said, None), most),
    }
    return choice | (_counted(said) if wants_ids else {})


def chat_chunks(
    index: int, said: Completion, tokens: Sequence[str] | None, most: int | None
) -> Iterator[dict[str, Any]]:
    """The choices of a chat stream: the role, each piece, the end."""
    opening: dict[str, Any] = {"role": "assistant", "content": ""}
    if said.finish == "refusal":
        opening = {"role": "assistant", "refusal": said.text}
    elif said.tool_calls:
        calls = [_tool_call(call) | {"index": at} for at, call in enumerate(said.tool_calls)]
        opening = {"role": "assistant", "tool_calls": calls}
    yield {"index": index, "delta": opening, "finish_reason": None, "logprobs": None}
    for piece in pieces(said, tokens) if "content" in opening else ():
        logprobs = None if most is None or piece.logprobs is None else chat_logprobs([piece], most)
        yield {"index": index, "delta": {"content": piece.text}, "finish_reason": None, "logprobs": logprobs}
    yield {"index": index, "delta": {}, "finish_reason": FINISH[said.finish], "logprobs": None}


def chat_logprobs(written: Sequence[Piece], most: int) -> dict[str, Any]:
    """The logprobs object of a chat choice; a piece without them has none."""
    return {"content": [_token(piece.logprobs, most) for piece in written if piece.logprobs], "refusal": None}


def _token(law: Mapping[str, float], most: int) -> dict[str, Any]:
    drawn = next(iter(law))
    best = sorted(law.items(), key=lambda item: -item[1])[:most]
    return {**_named(drawn, law[drawn]), "top_logprobs": [_named(token, value) for token, value in best]}


def _named(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": finite(logprob), "bytes": list(token.encode("utf-8", "surrogatepass"))}


def finite(logprob: float) -> float:
    """A log-probability as JSON can say it."""
    return logprob if math.isfinite(logprob) else LOWEST


def text_logprobs(tokens: Sequence[str], laws: Sequence[Mapping[str, float] | None]) -> dict[str, Any]:
    """The logprobs object of a text completion; the first token of an echoed prompt has none."""
    offsets, at = [], 0
    for token in tokens:
        offsets.append(at)
        at += len(token)
    tops = [None if law is None else {name: finite(value) for name, value in law.items()} for law in laws]
    chosen = [None if law is None else law[token] for token, law in zip(tokens, tops, strict=True)]
    return {"tokens": list(tokens), "token_logprobs": chosen, "top_logprobs": tops, "text_offset": offsets}


def text_choice(index: int, said: Completion, wants_ids: bool) -> dict[str, Any]:
    """One choice of a text completion, without its log-probabilities."""
    choice = {"index": index, "text": said.text, "finish_reason": FINISH[said.finish], "logprobs": None}
    return choice | (_counted(said) if wants_ids else {})


def event(value: Mapping[str, Any] | str) -> bytes:
    """One event of a stream."""
    return f"data: {value if isinstance(value, str) else dumps(value)}\n\n".encode()


def dumps(value: Mapping[str, Any]) -> str:
    """JSON as the wire has it."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def error(message: str, kind: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """An error as OpenAI's API words it."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _counted(said: Completion) -> dict[str, Any]:
    """Token ids that lie wholly in the text, and how many tokens were written in all, the end token among them."""
    ids = None if said.token_ids is None else list(said.token_ids)
    return {"token_ids": ids, "completion_tokens": said.tokens}


def _tool_call(call: Mapping[str, Any]) -> dict[str, Any]:
    arguments = call["arguments"] if isinstance(call["arguments"], str) else dumps(call["arguments"])
    return {"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": arguments}}
