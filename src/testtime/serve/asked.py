"""What a client may ask on the OpenAI wire, as typed bodies. What this server cannot do is refused, never dropped.

The fields are those of OpenAI's API and, where it has no word, of vLLM's: `top_k`, `return_token_ids`,
`continue_final_message`, …
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from testtime.core.records import Request

MOST_CHOICES = 16_384
Tokens = Annotated[list[Annotated[int, Field(strict=True, ge=0)]], Field(min_length=1)]
Whole = Annotated[int, Field(strict=True)]
Count = Annotated[int, Field(strict=True, ge=1)]
Nothing = Literal[None, 0]
"""A penalty that is off."""


class Refusal(Exception):
    """A request that gets an error: what stands in its `error` object, and the HTTP status."""

    def __init__(self, message: str, *, status: int = 400, param: str | None = None, code: str | None = None) -> None:
        self.message, self.status, self.param, self.code = message, status, param, code
        super().__init__(message)


class Body(BaseModel):
    """A body that names a model; an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = None


class StreamOptions(BaseModel):
    """How a stream ends."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    include_usage: bool = False
    include_obfuscation: bool = False


class Plain(BaseModel):
    """A reply in any form."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["text"]


class Shape(BaseModel):
    """A JSON Schema, and what else OpenAI's API says beside it."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    name: str | None = None
    description: str | None = None
    of: Annotated[dict[str, Any], Field(alias="schema")]
    strict: bool | None = None


class Structured(BaseModel):
    """A reply that is a JSON object of a schema."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["json_schema"]
    json_schema: Shape


class Drawing(Body):
    """What chat and text completions share."""

    n: Annotated[Count, Field(le=MOST_CHOICES)] | None = None
    seed: Whole | None = None
    temperature: Annotated[float, Field(ge=0)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[Whole, Field(ge=-1)] | None = None
    """0 or −1: all tokens."""
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    return_token_ids: bool | None = None
    response_format: Plain | Structured | None = None
    # in effect only at their neutral values
    frequency_penalty: Nothing = None
    presence_penalty: Nothing = None
    logit_bias: Annotated[dict[str, float], Field(max_length=0)] | None = None
    skip_special_tokens: Literal[False] | None = None
    spaces_between_special_tokens: bool | None = None
    # said about the request, of no effect on its reply
    user: str | None = None
    metadata: Mapping[str, str] | None = None
    store: bool | None = None
    service_tier: str | None = None

    def params(self, **more: Any) -> dict[str, Any]:
        """Parameters of our request: those that were given."""
        form = self.response_format
        schema = form.json_schema.of if isinstance(form, Structured) else None
        given = {"temperature": self.temperature, "top_p": self.top_p, "top_k": self.top_k, "stop": self.stop, **more}
        given["schema"] = schema
        given["top_k"] = None if given["top_k"] in (0, -1) else given["top_k"]
        return {name: value for name, value in given.items() if value is not None}


class Chat(Drawing):
    """A body of /v1/chat/completions."""

    messages: Annotated[list[dict[str, Any]], Field(min_length=1)]
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[Whole, Field(ge=0, le=20)] | None = None
    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Literal["auto", "none"] | None = None
    parallel_tool_calls: bool | None = None

    @model_validator(mode="after")
    def _agrees(self) -> Chat:
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs")
        return self

    def request(self) -> Request:
        """As one of ours. Raises Refusal."""
        messages, prefix = conversation(self.messages, self.add_generation_prompt, self.continue_final_message)
        most = self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens
        logprobs = (self.top_logprobs or 0) if self.logprobs else None
        tools = None if self.tool_choice == "none" else self.tools or None
        return Request(
            messages, prefix, self.n or 1, self.seed, self.params(max_tokens=most, logprobs=logprobs, tools=tools)
        )


class Text(Drawing):
    """A body of /v1/completions: raw prompts, without a chat template."""

    prompt: Annotated[str, Field(min_length=1)] | Tokens | Annotated[list[str] | list[Tokens], Field(min_length=1)]
    max_tokens: Annotated[Whole, Field(ge=0)] | None = None
    """None: 16, as at OpenAI. 0, with echo: the prompt alone."""
    logprobs: Annotated[Whole, Field(ge=0, le=20)] | None = None
    echo: bool | None = None
    best_of: Nothing = None
    suffix: None = None
    add_special_tokens: bool | None = None

    @model_validator(mode="after")
    def _agrees(self) -> Text:
        if self.max_tokens == 0 and not self.echo:
            raise ValueError("max_tokens 0 needs echo")
        return self

    def prompts(self) -> list[str | tuple[int, ...]]:
        """The prompts, one or several."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        if isinstance(self.prompt[0], int):
            return [tuple(self.prompt)]
        return [one if isinstance(one, str) else tuple(one) for one in self.prompt]

    def request(self, prompt: str | tuple[int, ...]) -> Request:
        """One prompt as one of our requests: no message, a text to go on from."""
        most = 16 if self.max_tokens is None else self.max_tokens
        return Request((), prompt, self.n or 1, self.seed, self.params(max_tokens=most or 1, logprobs=self.logprobs))


class Tokenize(Body):
    """A body of /tokenize, as vLLM has it: a raw prompt, or a conversation."""

    prompt: str | None = None
    messages: list[dict[str, Any]] | None = None
    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None
    add_special_tokens: bool | None = None
    return_token_strs: bool | None = None

    def request(self) -> Request:
        """As one of ours. Raises Refusal."""
        if (self.prompt is None) == (self.messages is None):
            raise Refusal("give prompt or messages", param="prompt")
        if self.messages is None:
            return Request((), self.prompt or "")
        return Request(*conversation(self.messages, self.add_generation_prompt, self.continue_final_message))


class Detokenize(Body):
    """A body of /detokenize."""

    tokens: list[Annotated[int, Field(strict=True, ge=0)]]


def conversation(
    messages: Sequence[Mapping[str, Any]], add_generation_prompt: bool | None, go_on: bool | None
) -> tuple[list[dict[str, Any]], str]:
    """(Messages, text to go on from). Raises Refusal."""
    flat = [{**message, "content": _text(message.get("content"))} for message in messages]
    if go_on and add_generation_prompt:
        raise Refusal(
            "continue_final_message and add_generation_prompt exclude each other", param="add_generation_prompt"
        )
    if not go_on:
        if add_generation_prompt is False:
            raise Refusal("without a generation prompt only the final message can be continued; set"
                          " continue_final_message", param="add_generation_prompt")  # fmt: skip
        return flat, ""
    if flat[-1].get("role") != "assistant" or len(flat) < 2:
        raise Refusal("the final message to continue must be the assistant's, after another", param="messages")
    return flat[:-1], flat[-1]["content"]


def _text(content: Any) -> str:
    """A message's text, from text or from text parts. Raises Refusal."""
    if content is None or isinstance(content, str):
        return content or ""
    parts = content if isinstance(content, list) else [content]
    if not all(isinstance(part, dict) and part.get("type") == "text" and "text" in part for part in parts):
        raise Refusal("only text content can be read", param="messages")
    return "".join(str(part["text"]) for part in parts)
