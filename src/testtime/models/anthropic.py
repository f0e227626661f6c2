"""Claude by Anthropic's API. The extra `anthropic`; the key ANTHROPIC_API_KEY.

Current models take no temperature, none takes a seed or gives several completions a request; the SDK has no
parameter for sampling, so where a model still has it, it is put into the body. Thinking counts as completion tokens,
and so against `max_tokens`. Prompts long enough for the cache, that other draws will send too, are marked for it.
"""

from __future__ import annotations

import asyncio
import re
import warnings
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from testtime.core.definitions import arguments_of, object_of
from testtime.core.errors import ModelError, Reason
from testtime.core.protocols import Cap
from testtime.core.records import Completion, Finish, Generation, Map, Request, canonical
from testtime.core.seeds import digest
from testtime.core.spend import Spend
from testtime.models import form, keys, presets
from testtime.models.sdk import TIMEOUT, failed, load, server
from testtime.models.terms import Asked, calls_of, why_not
from testtime.models.warm import Warm

FINISH: Mapping[str, Finish] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tools",
    "refusal": "refusal",
}
BYTES_PER_TOKEN = 4
"""By which a prompt's tokens are guessed, to see whether a cache would keep it."""
ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What the batch endpoint takes as a request's id."""


class Claude:
    """One model by its id."""

    poll = 30.0
    """Seconds between looks at a batch."""

    def __init__(self, model: str) -> None:
        self.model, self.name = model, f"anthropic:{model}"
        self.family = presets.family_of("anthropic", model)
        self.can: frozenset[Cap] = self.family.can | {"batch"}
        self._client: Any = None
        self._warm = Warm()

    def refuses(self, request: Request) -> str | None:
        """Why this request cannot be honoured exactly, or None."""
        return why_not(self.model, self.family, request) or _why_not(self.model, request)

    def open(self) -> None:
        """Raises BadInput: the package or the key is missing, the server's address is none."""
        load("anthropic", "anthropic")
        keys.need("anthropic")
        server("ANTHROPIC_BASE_URL")

    async def generate(self, request: Request) -> Generation:
        """One completion. Raises ModelError."""
        body, extra = self.body(request), self._sampling(request)
        cached = digest(canonical([body.get("system"), body["messages"]])) if "cache_control" in body else None
        async with self._warm.turn(cached):
            return told(await self._call(self._messages().create, **body, extra_body=extra or None))

    async def submit(self, requests: Mapping[str, Request]) -> str:
        """Sends a batch at half the price, and gives its id. Raises ModelError."""
        if bad := next((key for key in requests if not ID.fullmatch(key)), None):
            raise ModelError(f"{bad!r} cannot name a request of a batch: letters, digits, _ and -, at most 64")
        items = [
            {"custom_id": key, "params": self.body(request) | self._sampling(request)}
            for key, request in requests.items()
        ]
        made = await self._call(self._messages().batches.create, requests=items)
        if not isinstance(batch := getattr(made, "id", None), str):
            raise ModelError("the reply names no batch", lost=True)
        return batch

    async def collect(self, batch: str) -> AsyncIterator[tuple[str, Generation | Exception]]:
        """Waits until the batch has ended, then gives what came of each request. Raises ModelError."""
        batches = self._messages().batches
        while getattr(await self._call(batches.retrieve, batch), "processing_status", None) != "ended":
            await asyncio.sleep(self.poll)

        async def results() -> bytes:
            """Read whole, as a connection that breaks on the way is asked again; the SDK ends at the first bad line."""
            said: bytes = await (await batches.results(batch)).http_response.aread()
            return said

        for line in form.records(await self._call(results)):
            yield line["custom_id"], _of_batch(line)

    async def close(self) -> None:
        """Closes the connections."""
        client, self._client, self._warm = self._client, None, Warm()
        if client is not None:
            await client.close()

    def body(self, request: Request) -> dict[str, Any]:
        """What is sent of a request, but for sampling. Raises ModelError for what `refuses` names."""
        if why := self.refuses(request):
            raise ModelError(why)
        asked = Asked.of(request, self.family)
        system, messages = _conversation(request)
        schema = {"type": "json_schema", "schema": asked.schema} if asked.schema else None
        output = {name: value for name, value in (("effort", asked.effort), ("format", schema)) if value}
        body = {
            "model": self.model,
            "max_tokens": asked.max_tokens,
            "messages": messages,
            "system": system,
            "stop_sequences": list(asked.stop),
            "tools": [_tool(tool) for tool in asked.tools],
            "output_config": output,
            "thinking": thinking(asked),
            "cache_control": {"type": "ephemeral"} if self._keeps(request, system, messages) else None,
        }
        return {name: value for name, value in body.items() if value}

    def _sampling(self, request: Request) -> dict[str, Any]:
        asked = Asked.of(request, self.family)
        sampling = {"temperature": asked.temperature, "top_p": asked.top_p}
        return {name: value for name, value in sampling.items() if value is not None}

    def _keeps(self, request: Request, system: str, messages: Sequence[Map]) -> bool:
        """Whether the provider's cache should keep the prompt."""
        size = len(canonical([system, messages]).encode("utf-8", "surrogatepass"))
        least = self.family.cache
        return request.again and least is not None and size >= least * BYTES_PER_TOKEN

    def _messages(self) -> Any:
        """The SDK's client, made in the event loop that uses it."""
        if self._client is None:
            sdk = load("anthropic", "anthropic")
            self._client = sdk.AsyncAnthropic(
                api_key=keys.need("anthropic"),
                base_url=server("ANTHROPIC_BASE_URL"),
                max_retries=0,
                timeout=sdk.Timeout(TIMEOUT, connect=10.0),
            )
        return self._client.messages

    async def _call(self, verb: Any, *given: Any, **named: Any) -> Any:
        """One call of the SDK, its failures told apart. Raises ModelError."""
        sdk, wire = load("anthropic", "anthropic"), load("httpx2", "anthropic")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # the presets tell of retirement, once
                return await verb(*given, **named)
        except sdk.APIStatusError as error:
            raise failed(error.status_code, error.api_message or error.message, error.response.headers) from None
        except sdk.APIConnectionError as error:
            raise ModelError(f"no reply: {error.__cause__ or error}", lost=True) from None
        except wire.HTTPError as error:  # of a reply that is read as it comes, the SDK's own errors are not made
            raise ModelError(f"no reply: {type(error).__name__}: {error}", lost=True) from None
        except sdk.AnthropicError as error:
            raise ModelError(f"{type(error).__name__}: {error}") from None
        except UnicodeEncodeError as error:
            raise form.unsent(error) from None
        except RecursionError:
            raise form.too_deep() from None
        except form.ODD as error:
            raise form.odd(error) from error


def thinking(asked: Asked) -> Map | None:
    """How Claude is told to think."""
    if asked.effort is not None:
        return {"type": "adaptive"}
    if asked.thinking is None:
        return None
    return {"type": "enabled", "budget_tokens": asked.thinking} if asked.thinking else {"type": "disabled"}


@form.of_the_form
def told(message: Any) -> Generation:
    """What a message of the API says. Raises ModelError where it is none, or does not say why it ended."""
    if not isinstance(getattr(message, "content", None), list):
        raise ModelError("the reply is no message", lost=True)  # the SDK takes what comes
    if message.stop_reason not in FINISH:
        why = form.line(repr(message.stop_reason))
        raise ModelError(f"the reply ended with {why}", retry=message.stop_reason is None, lost=True)
    text = "".join(block.text for block in message.content if block.type == "text")
    calls = [
        {"id": block.id, "name": block.name, "arguments": arguments_of(block.input)}
        for block in message.content
        if block.type == "tool_use"
    ]
    if calls:  # thinking has to come back as it was, signed, beside the calls
        calls[0]["kept"] = [_kept(block) for block in message.content]
    spend = _spend(message)
    said = Completion(text, FINISH[message.stop_reason], spend.completion, tool_calls=calls)
    return Generation([said], spend, message.model, message.id)


def _kept(block: Any) -> Map:
    """A block as it goes back; a call whose input is nested deeper than can be written down goes back without it."""
    if block.type == "tool_use":
        block = block.model_copy(update={"input": object_of(block.input)})
    said: Map = block.to_dict(mode="json")
    return said


def _spend(message: Any) -> Spend:
    """The API counts cached tokens beside the others, and thinking among the output."""
    usage, thought = message.usage, any(block.type in ("thinking", "redacted_thinking") for block in message.content)
    rest, wrote = form.told(usage, "input_tokens"), form.told(usage, "output_tokens")
    none = None if rest is None else 0
    read = form.told(usage, "cache_read_input_tokens", absent=none)
    written = form.told(usage, "cache_creation_input_tokens", absent=none)
    silent = None if thought or wrote is None else 0
    reasoning = form.told(usage, "output_tokens_details", "thinking_tokens", absent=silent)
    return Spend(form.total(rest, read, written), read, wrote, reasoning, written=written)


def _of_batch(line: Map) -> Generation | Exception:
    """What came of one request of a batch; one that expired was never begun."""
    record = load("anthropic.types.messages", "anthropic").MessageBatchIndividualResponse
    try:
        result = record.construct(**line).result
        if result.type == "succeeded":
            return told(result.message)
        if result.type == "errored":
            said = result.error.error
            passing = said.type in ("api_error", "overloaded_error", "rate_limit_error", "timeout_error")
            return ModelError(form.line(f"{said.type}: {said.message}"), retry=passing)
        return ModelError(f"the batch left it {form.line(result.type)}", retry=True)
    except ModelError as error:
        return error
    except RecursionError:
        return form.too_deep()
    except form.ODD as error:
        return form.odd(error)


def _why_not(name: str, request: Request) -> str | None:
    """What depends on more than one part of a request."""
    given = request.params
    wanted, most = (given.get("thinking") or {}).get("tokens"), given.get("max_tokens")
    if most is None:
        return f"{name} needs max_tokens"
    if isinstance(request.prefix, str) and request.prefix != request.prefix.rstrip():
        return f"{name} cannot continue a text that ends in white space"
    if not wanted:
        return None
    if wanted >= most:
        return f"{name} counts thinking among max_tokens: {wanted} of {most} leaves nothing for the answer"
    if given.get("temperature", 1.0) != 1.0 or request.prefix:
        mend = None if request.prefix else "add --temperature 1"
        return Reason(f"{name} thinks only at its own temperature and without a text to continue", mend)
    return None


def _conversation(request: Request) -> tuple[str, list[Map]]:
    """(System prompt, messages) in the API's form."""
    system = "\n\n".join(str(one["content"]) for one in request.messages if one["role"] == "system")
    messages: list[Map] = []
    for one in request.messages:
        if one["role"] == "tool":
            result = {"type": "tool_result", "tool_use_id": one["tool_call_id"], "content": one["content"]}
            if messages and messages[-1]["role"] == "user" and isinstance(messages[-1]["content"], list):
                messages[-1]["content"].append(result)
            else:
                messages.append({"role": "user", "content": [result]})
        elif one.get("tool_calls"):
            messages.append({"role": "assistant", "content": _blocks(one)})
        elif one["role"] != "system":
            messages.append({"role": one["role"], "content": one["content"]})
    if request.prefix:
        messages.append({"role": "assistant", "content": request.prefix})
    return system, messages


def _blocks(message: Map) -> Sequence[Map]:
    """What an assistant said when it called tools: as it came, or made anew of its text and calls."""
    calls = calls_of(message)
    if kept := calls[0].get("kept"):
        return list(kept)
    said = [{"type": "text", "text": message["content"]}] if message["content"] else []
    used = [{"type": "tool_use", "id": call["id"], "name": call["name"], "input": call["arguments"]} for call in calls]
    return said + used


def _tool(tool: Map) -> Map:
    return {
        "name": tool["name"],
        "description": tool.get("description", ""),
        "input_schema": tool["parameters"],
    }
