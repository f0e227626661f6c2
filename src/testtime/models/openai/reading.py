"""A reply of each of OpenAI's three APIs as a generation. What a reply lacks is an error or unknown, never guessed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from testtime.core.definitions import arguments_of
from testtime.core.errors import ModelError
from testtime.core.history import Floats
from testtime.core.records import Completion, Finish, Generation, Map
from testtime.core.spend import Spend, count
from testtime.models.form import ODD, line, odd, of_the_form, told

FINISH: Mapping[str, Finish] = {
    "stop": "stop",
    "eos": "stop",
    "length": "length",
    "tool_calls": "tools",
    "function_call": "tools",
    "content_filter": "filter",
}
INCOMPLETE: Mapping[str, Finish] = {"max_output_tokens": "length", "content_filter": "filter"}


@of_the_form
def chat(reply: Any) -> Generation:
    """Of a chat completion. Raises ModelError where it is not whole."""
    counts = _shares(reply, [_chat_logprobs(choice) for choice in reply.choices])
    said = [_chat_choice(choice, count) for choice, count in zip(reply.choices, counts, strict=True)]
    return Generation(said, spend(reply.usage), reply.model, reply.id)


def _chat_choice(choice: Any, counted: int | None) -> Completion:
    message, finish = choice.message, _finish(choice)
    listed = _chat_logprobs(choice)
    named = None if listed is None else [_law(token.token, token.logprob, token.top_logprobs) for token in listed]
    if message.refusal:
        return Completion(message.refusal, "refusal", counted)
    calls = tuple(_called(call.id, call.function) for call in message.tool_calls or () if call.type == "function")
    text = _with_thought(_thought(choice), message.content, finish)
    return _completion(choice, Completion(text, finish, counted, None, named, calls))


def _with_thought(thought: str | None, said: str | None, finish: Finish) -> str:
    """Thinking that a server took out of the text is put back, between the marks that answers are read without."""
    if not thought:
        return said or ""
    return f"<think>{thought}" if said is None and finish == "length" else f"<think>{thought}</think>{said or ''}"


@of_the_form
def completions(reply: Any) -> Generation:
    """Of a text completion. Raises ModelError where it is not whole."""
    tokens = [None if choice.logprobs is None else choice.logprobs.tokens for choice in reply.choices]
    counts = _shares(reply, tokens)
    said = [_text_choice(choice, count) for choice, count in zip(reply.choices, counts, strict=True)]
    return Generation(said, spend(reply.usage), reply.model, reply.id)


def _text_choice(choice: Any, counted: int | None) -> Completion:
    laws = choice.logprobs
    named: list[Mapping[str, float]] | None = None
    if laws is not None:
        tops = laws.top_logprobs or [None] * len(laws.tokens)
        named = [
            {token: value, **(top or {})}
            for token, value, top in zip(laws.tokens, laws.token_logprobs, tops, strict=True)
        ]
    return _completion(choice, Completion(choice.text, _finish(choice), counted, None, named))


def _completion(choice: Any, said: Completion) -> Completion:
    """With its own count of tokens and its token ids, where a server tells them; both lists without what is no text."""
    ids, own = _extra(choice, "token_ids"), _extra(choice, "completion_tokens")
    if ids is None:
        return said
    beyond = 0 if own is not None else _beyond(said, _extra(choice, "stop_reason"))
    count = next((one for one in (said.tokens, own) if one is not None), len(ids))
    laws = said.logprobs if said.logprobs is None or not beyond else said.logprobs[:-beyond]
    apart = said.finish == "tools" or _thought(choice) is not None  # then the text is not what was written
    kept = None if apart or beyond is None else tuple(ids[: len(ids) - beyond])
    return replace(said, tokens=count, token_ids=kept, logprobs=laws)


def _beyond(said: Completion, stopped_by: Any) -> int | None:
    """How many of the tokens that vLLM lists are no part of the text: the end token, or those that a stop string cut.

    None: not known, for want of the tokens' texts.
    """
    if said.finish != "stop":
        return 0
    if not isinstance(stopped_by, str):
        return 1
    if said.logprobs is None:
        return None
    at = 0
    for kept, law in enumerate(said.logprobs):
        at += len(next(iter(law)))
        if at > len(said.text):
            return len(said.logprobs) - kept
    return 0


def _thought(choice: Any) -> str | None:
    """Thinking that a server took out of the text."""
    message = getattr(choice, "message", None)
    return message and (_extra(message, "reasoning") or _extra(message, "reasoning_content"))


@of_the_form
def responses(reply: Any) -> Generation:
    """Of a response. Raises ModelError where it failed or is not whole."""
    finish = _status(reply)
    said: list[str] = []
    refused: list[str] = []
    calls: list[Map] = []
    for item in reply.output:
        if item.type == "function_call":
            calls.append(_called(item.call_id, item))
        for part in item.content if item.type == "message" else ():
            (refused if part.type == "refusal" else said).append(part.refusal if part.type == "refusal" else part.text)
    if refused:
        finish = "refusal"
    elif calls:
        finish = "tools"
    usage = reply.usage
    paid = Spend(
        told(usage, "input_tokens"),
        told(usage, "input_tokens_details", "cached_tokens"),
        told(usage, "output_tokens"),
        told(usage, "output_tokens_details", "reasoning_tokens"),
    )
    one = Completion("".join(refused or said), finish, paid.completion, tool_calls=tuple(calls))
    return Generation([one], paid, reply.model, reply.id)


def _status(reply: Any) -> Finish:
    """How a response ended. Raises ModelError."""
    if reply.status == "completed":
        return "stop"
    why = str(reply.incomplete_details.reason) if reply.incomplete_details is not None else ""
    if reply.status == "incomplete" and why in INCOMPLETE:
        return INCOMPLETE[why]
    if reply.status == "failed" and reply.error is not None:
        again = reply.error.code in ("server_error", "rate_limit_exceeded", "vector_store_timeout")
        raise ModelError(line(f"{reply.error.code}: {reply.error.message}"), retry=again, lost=reply.usage is not None)
    raise ModelError(f"the response has the status {line(reply.status)} and no reason to end", lost=True)


def _finish(choice: Any) -> Finish:
    """Raises ModelError for a choice that was cut off on its way, or an end that is not known."""
    said = choice.finish_reason
    if said is None:
        raise ModelError("a choice came without a finish reason: the reply is cut off", lost=True)
    if said not in FINISH:
        again = said in ("error", "abort")
        raise ModelError(f"a choice ended by {line(repr(said))}, which is not known", retry=again, lost=True)
    return FINISH[said]


def _shares(reply: Any, tokens: Sequence[Sequence[Any] | None]) -> list[int | None]:
    """Tokens of each choice, where they are certain: all of a single one; of several, their listed tokens where
    these add up to what was billed, the unlisted end tokens counted or not.
    """
    billed = told(reply.usage, "completion_tokens")
    if len(reply.choices) == 1:
        return [billed]
    if billed is None or any(one is None for one in tokens):
        return [None] * len(reply.choices)
    counts = [len(one or ()) for one in tokens]
    ends = [int(choice.finish_reason == "stop") for choice in reply.choices]
    for extra in ([0] * len(counts), ends):
        if sum(counts) + sum(extra) == billed:
            return [count + more for count, more in zip(counts, extra, strict=True)]
    return [None] * len(reply.choices)


def scores(reply: Any, start: int, lengths: Sequence[int]) -> list[Floats]:
    """Of an echo of texts that are so many tokens long: each text's log-probabilities from `start` on [token].

    The first token of all has none, as nothing stands before it. Raises ModelError.
    """
    try:
        laws = [np.asarray(one.logprobs.token_logprobs, dtype=float) for one in reply.choices]
        if [law.shape for law in laws] != [(length,) for length in lengths]:
            raise ValueError(f"{len(laws)} texts are scored of {len(lengths)}, or others than were sent")
        if any(np.isnan(law[1:]).any() for law in laws):
            raise ValueError("a token has no log-probability")
    except ODD as error:
        raise odd(error) from error
    return [law[start:] for law in laws]


def tokens(reply: Any) -> tuple[int, ...]:
    """The token ids that /tokenize says. Raises ModelError."""
    ids = reply.get("tokens") if isinstance(reply, dict) else None
    if not isinstance(ids, list) or any(count(id) is None for id in ids):
        raise ModelError("/tokenize names no tokens", lost=True)
    return tuple(ids)


def spend(usage: Any) -> Spend:
    """Of one request: its prompt counted once, however many choices it has."""
    return Spend(
        told(usage, "prompt_tokens"),
        told(usage, "prompt_tokens_details", "cached_tokens"),
        told(usage, "completion_tokens"),
        told(usage, "completion_tokens_details", "reasoning_tokens"),
    )


def _chat_logprobs(choice: Any) -> Sequence[Any] | None:
    if choice.logprobs is None or (choice.logprobs.content is None and choice.logprobs.refusal is None):
        return None
    listed: Sequence[Any] = choice.logprobs.content or choice.logprobs.refusal or ()
    return listed


def _law(token: str, logprob: float, tops: Sequence[Any]) -> dict[str, float]:
    law = {token: logprob}
    for top in tops or ():
        law.setdefault(top.token, top.logprob)
    return law


def _called(id: str, call: Any) -> Map:
    """A call of a tool: its arguments as a mapping where they are one, else the text the model wrote."""
    arguments = arguments_of(call.arguments)
    return {"id": id, "name": call.name, "arguments": arguments if isinstance(arguments, dict) else call.arguments}


def _extra(record: Any, name: str) -> Any:
    """A field beyond OpenAI's own."""
    return (record.model_extra or {}).get(name)
