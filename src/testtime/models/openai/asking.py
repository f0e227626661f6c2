"""A request in the words of each of OpenAI's three APIs, and why a host would not honour it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from testtime.core.errors import Reason
from testtime.core.protocols import Cap
from testtime.core.records import Map, Request
from testtime.models.openai.hosts import USUAL, Host

Tokens = tuple[int, ...]


def why_not(name: str, host: Host, request: Request) -> str | None:
    """Why a request cannot be honoured exactly, or None."""
    return next(_objections(name, host, given(request), request), None)


def given(request: Request) -> dict[str, Any]:
    """The parameters that say something."""
    return {key: value for key, value in request.params.items() if value is not None}


def _objections(name: str, host: Host, params: Map, request: Request) -> Iterator[str]:
    needed: dict[Cap, Any] = {
        "n": request.n > 1,
        "seed": request.seed is not None,
        "continuation": request.prefix,
        "token_ids": isinstance(request.prefix, tuple),
        "logprobs": "logprobs" in params,
        "tools": params.get("tools"),
        "schema": params.get("schema"),
        "thinking": params.get("thinking"),
    }
    if lacks := [cap for cap, used in needed.items() if used and cap not in host.can]:
        yield f"{name} cannot do {', '.join(lacks)}"
    if not 1 <= request.n <= host.most_n:
        yield f"{name} gives 1 to {host.most_n} completions a request, not {request.n}"
    yield from _form_objections(name, host, request)
    known = {*USUAL[host.api], *host.params}
    if strange := sorted(params.keys() - known):
        yield f"{name} has no {', '.join(strange)}; it knows {', '.join(sorted(known))}"
    if other := {key: only for key, only in host.fixed.items() if params.get(key, only) != only}:
        only_one = " and ".join(f"no {key} but {only:g}" for key, only in other.items())
        mend = " ".join(f"--{key} {only:g}" for key, only in other.items())
        yield f"{name} has {only_one}: give {mend} (which is not sent), or another model"
    if params.get("logprobs", 0) > host.most_logprobs:
        yield f"{name} names {host.most_logprobs} alternatives of a token at most, not {params['logprobs']}"
    yield from _thinking_objections(name, host, params.get("thinking"))


def _form_objections(name: str, host: Host, request: Request) -> Iterator[str]:
    """Whether there is a form for what is said: a conversation, or a raw text."""
    if not request.messages and not request.prefix:
        yield "there is nothing to go on from: no message and no prefix"
    if not request.messages and host.api != "completions" and host.continues != "ids":
        yield f"{name} takes conversations, no raw text"
    if request.messages and host.api == "completions" and host.continues != "ids":
        if host.usual != "completions":
            yield f"{name} takes conversations: in a raw text its chat template would be missing (a vllm: host adds it)"
        elif len(request.messages) > 1:
            yield f"{name} goes on from a raw text; it has no form for {len(request.messages)} messages"


def _thinking_objections(name: str, host: Host, thinking: Any) -> Iterator[str]:
    if thinking is None:
        return
    known = {"effort", "tokens"} if host.continues == "ids" else {"effort"}
    if not isinstance(thinking, Mapping) or len(thinking) != 1 or not thinking.keys() <= known:
        mend = "use --decoding native_budget --effort low, medium or high"
        yield Reason(f"{name} takes thinking as {' or '.join(sorted(known))}, not {thinking!r}", mend)


# ---- bodies ----
def chat(host: Host, request: Request) -> dict[str, Any]:
    """The body of a chat completion."""
    messages = list(request.messages)
    body = _common(host, request)
    if request.prefix:
        messages.append({"role": "assistant", "content": request.prefix})
        body |= {"continue_final_message": True, "add_generation_prompt": False}
    params = given(request)
    most = params.get("logprobs", 0 if _counts_by_logprobs(host, request) else None)
    if most is not None:
        body |= {"logprobs": True} | ({"top_logprobs": most} if most else {})
    if tools := params.get("tools"):
        body["tools"] = list(tools)
    if thinking := params.get("thinking"):
        effort = {"reasoning_effort": thinking["effort"]} if "effort" in thinking else {}
        body |= effort or {"thinking_token_budget": thinking["tokens"]}
    return {**body, "messages": [message_of(one) for one in messages]}


def completions(host: Host, request: Request, prompt: str | Tokens | None = None) -> dict[str, Any]:
    """The body of a text completion; the prompt is the message and the prefix, unless it is given."""
    if prompt is None:
        said = "".join(str(message["content"]) for message in request.messages)
        prompt = request.prefix if isinstance(request.prefix, tuple) else said + request.prefix
    body = {**_common(host, request), "prompt": list(prompt) if isinstance(prompt, tuple) else prompt}
    most = given(request).get("logprobs", 0 if _counts_by_logprobs(host, request) else None)
    return body if most is None else {**body, "logprobs": most}


def responses(host: Host, request: Request) -> dict[str, Any]:
    """The body of a response: one answer, nothing stored."""
    params = given(request)
    body: dict[str, Any] = {"store": False, "input": [item for one in request.messages for item in _items(one)]}
    if "max_tokens" in params:
        body["max_output_tokens"] = params["max_tokens"]
    if thinking := params.get("thinking"):
        body["reasoning"] = {"effort": thinking["effort"]}
    if tools := params.get("tools"):
        body["tools"] = [{"type": "function", **tool["function"]} for tool in tools]
    if schema := params.get("schema"):
        body["text"] = {"format": {"type": "json_schema", **_schema(schema)}}
    return body | {key: params[key] for key in ("temperature", "top_p") if key in params and key not in host.fixed}


def _common(host: Host, request: Request) -> dict[str, Any]:
    """What chat and text completions say alike."""
    params = given(request)
    body: dict[str, Any] = {**host.send}
    if request.n > 1:
        body["n"] = request.n
    if request.seed is not None:
        body["seed"] = request.seed
    if "max_tokens" in params:
        body[host.limit] = params["max_tokens"]
    if schema := params.get("schema"):
        body["response_format"] = {"type": "json_schema", "json_schema": _schema(schema)}
    plain = ("temperature", "top_p", "stop", *host.params)
    return body | {key: params[key] for key in plain if key in params and key not in host.fixed}


def _counts_by_logprobs(host: Host, request: Request) -> bool:
    """Whether the tokens of each choice are counted by their log-probabilities, for want of another way."""
    return request.n > 1 and "token_ids" not in host.can


def _schema(schema: Map) -> dict[str, Any]:
    return {"name": str(schema.get("title", "answer")), "schema": dict(schema), "strict": True}


def message_of(message: Map) -> dict[str, Any]:
    """A message as chat has it; calls of tools in our form are written in its own."""
    calls = message.get("tool_calls")
    if not calls:
        return dict(message)
    return {**message, "tool_calls": [call if "function" in call else _call(call) for call in calls]}


def _call(call: Map) -> dict[str, Any]:
    return {"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": _arguments(call)}}


def _arguments(call: Map) -> str:
    arguments = call["arguments"]
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)


def _items(message: Map) -> list[dict[str, Any]]:
    """A message as the input items of a response."""
    if message["role"] == "tool":
        return [{"type": "function_call_output", "call_id": message["tool_call_id"], "output": str(message["content"])}]
    said = [{"role": message["role"], "content": message["content"]}] if message.get("content") else []
    calls: Sequence[Map] = message.get("tool_calls") or ()
    asked = [
        {"type": "function_call", "call_id": call["id"], "name": call["name"], "arguments": _arguments(call)}
        for call in (flat(call) for call in calls)
    ]
    return [*said, *asked]


def flat(call: Map) -> Map:
    """A call of a tool in our form: id, name, arguments."""
    return {"id": call["id"], **call["function"]} if "function" in call else call


BODIES: Mapping[str, Callable[[Host, Request], dict[str, Any]]] = {
    "chat": chat,
    "responses": responses,
    "completions": completions,
}
