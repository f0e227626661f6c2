"""Gemini by Google's API for developers. The extra `gemini`; the key GEMINI_API_KEY or GOOGLE_API_KEY.

Models from Gemini 3 on take no temperature and give one completion a request; 2.5 takes both. The API counts
thinking beside the visible tokens; here a completion holds both. The SDK neither retries nor reads how long the
server wants to be left alone: that stands in the body of the error and is read from there.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from testtime.core.definitions import arguments_of, object_of
from testtime.core.errors import ModelError
from testtime.core.protocols import Cap
from testtime.core.records import Completion, Finish, Generation, Map, Request, canonical
from testtime.core.spend import Spend
from testtime.models import form, keys, presets
from testtime.models.sdk import TIMEOUT, failed, load, server
from testtime.models.terms import Asked, calls_of, why_not

FINISH: Mapping[str, Finish] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    **dict.fromkeys(("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS"), "stop"),
    "MALFORMED_RESPONSE": "stop",
    **dict.fromkeys(("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"), "filter"),
    **dict.fromkeys(("ESCALATION", "MODEL_ARMOR", "OTHER"), "filter"),
}
"""Why it ended → our word. A text that the model broke off malformed is a text; what is not here is an error."""
MOST_STOPS = 5
MOST_INLINE = 18 * 2**20
"""Bytes of a batch that is sent in one request; the API takes 20 MB."""
ENDED = ("JOB_STATE_SUCCEEDED", "JOB_STATE_PARTIALLY_SUCCEEDED")
LEFT = ("JOB_STATE_FAILED", "JOB_STATE_CANCELLED", "JOB_STATE_EXPIRED")
"""States of a batch that ended without a word on its requests, nor why: another may do better."""
PASSING = frozenset({1, 2, 4, 8, 10, 13, 14})
"""Of google.rpc.Code, what another try may not meet: cancelled, unknown, late, exhausted, aborted, internal, away."""
KEY = "key"
"""Under which a request of a batch carries its key."""


class Gemini:
    """One model by its id."""

    poll = 30.0
    """Seconds between looks at a batch."""

    def __init__(self, model: str) -> None:
        self.model, self.name = model, f"gemini:{model}"
        self.family = presets.family_of("gemini", model)
        self.can: frozenset[Cap] = self.family.can | {"batch"}
        self._client: Any = None

    def refuses(self, request: Request) -> str | None:
        """Why this request cannot be honoured exactly, or None."""
        stops = request.params.get("stop") or ()
        if why := why_not(self.model, self.family, request):
            return why
        return None if isinstance(stops, str) or len(stops) <= MOST_STOPS else f"{self.model} takes {MOST_STOPS} stops"

    def open(self) -> None:
        """Raises BadInput: the package or the key is missing, the server's address is none."""
        load("google.genai", "gemini")
        keys.need("gemini")
        server("GOOGLE_GEMINI_BASE_URL")

    async def generate(self, request: Request) -> Generation:
        """`request.n` completions. Raises ModelError."""
        contents, config = self.body(request)
        config = _checked(config)
        reply = await self._call(self._models().generate_content, model=self.model, contents=contents, config=config)
        return told(reply, request.n)

    async def submit(self, requests: Mapping[str, Request]) -> str:
        """Sends a batch at half the price, and gives its id. Raises ModelError: refused, or too large for a request."""
        items: list[Map] = []
        for key, request in requests.items():
            contents, config = self.body(request)
            items.append({"contents": contents, "config": _checked(config), "metadata": {KEY: key}})
        if (size := len(canonical(items).encode("utf-8", "surrogatepass"))) > MOST_INLINE:
            raise ModelError(f"a batch of {size / 2**20:.0f} MB is more than the {MOST_INLINE / 2**20:.0f} MB it takes")
        self._models()
        job = await self._call(self._client.aio.batches.create, model=self.model, src=items)
        if not isinstance(name := job.name, str):
            raise ModelError("the reply names no batch", lost=True)
        return name

    async def collect(self, batch: str) -> AsyncIterator[tuple[str, Generation | Exception]]:
        """Waits until the batch has ended, then gives what came of each request: nothing where the whole was left.

        Raises ModelError.
        """
        self._models()
        while True:
            job = await self._call(self._client.aio.batches.get, name=batch)
            state = job.state.value if job.state else ""
            if state in ENDED:
                break
            if state in LEFT:
                return
            await asyncio.sleep(self.poll)
        for item in (job.dest.inlined_responses if job.dest else None) or ():
            if key := (item.metadata or {}).get(KEY):  # one without a name is nobody's, and its request goes again
                yield key, _of_batch(item)

    async def close(self) -> None:
        """Closes the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aio.aclose()

    def body(self, request: Request) -> tuple[list[Map], dict[str, Any]]:
        """(Contents, config) that are sent of a request. Raises ModelError for what `refuses` names."""
        if why := self.refuses(request):
            raise ModelError(why)
        asked = Asked.of(request, self.family)
        system, contents = _conversation(request)
        config = {
            "system_instruction": system or None,
            "temperature": asked.temperature,
            "top_p": asked.top_p,
            "candidate_count": request.n if request.n > 1 else None,
            "seed": request.seed,
            "max_output_tokens": asked.max_tokens,
            "stop_sequences": list(asked.stop) or None,
            "thinking_config": _thinking(asked),
            "response_mime_type": "application/json" if asked.schema else None,
            "response_json_schema": asked.schema,
            "tools": [{"function_declarations": [_tool(tool) for tool in asked.tools]}] if asked.tools else None,
            "response_logprobs": None if asked.logprobs is None else True,
            "logprobs": asked.logprobs,
        }
        return contents, {name: value for name, value in config.items() if value is not None}

    def _models(self) -> Any:
        """The SDK's client, made in the event loop that uses it."""
        if self._client is None:
            sdk, wire = load("google.genai", "gemini"), load("httpx2", "gemini")
            options: dict[str, Any] = {"timeout": int(TIMEOUT * 1000), "retry_options": {"attempts": 1}}
            # with a transport given, the SDK never takes an installed aiohttp, whose failures are others
            limits = wire.Limits(max_connections=None, max_keepalive_connections=None)
            options["async_client_args"] = {"transport": wire.AsyncHTTPTransport(limits=limits)}
            if base := server("GOOGLE_GEMINI_BASE_URL"):
                options["base_url"] = base
            if version := keys.value("GOOGLE_GENAI_API_VERSION"):
                options["api_version"] = {"beta": "v1beta"}.get(version, version)
            self._client = sdk.Client(api_key=keys.need("gemini"), vertexai=False, http_options=options)
        return self._client.aio.models

    async def _call(self, verb: Any, **named: Any) -> Any:
        """One call of the SDK, its failures told apart. Raises ModelError."""
        errors, wire = load("google.genai.errors", "gemini"), load("httpx2", "gemini")
        try:
            return await verb(**named)
        except errors.APIError as error:
            headers = dict(getattr(error.response, "headers", None) or {})
            if (wait := _delay(error.details)) is not None:
                headers["retry-after"] = wait
            status = getattr(error.response, "status_code", None) or 0
            raise failed(status, error.message or error.status or error.details, headers) from None
        except wire.HTTPError as error:
            raise ModelError(f"no reply: {type(error).__name__}: {error}", lost=True) from None
        except UnicodeEncodeError as error:
            raise form.unsent(error) from None
        except RecursionError:
            raise form.too_deep() from None
        except form.ODD as error:
            raise form.odd(error) from error


def _checked(config: Map) -> Any:
    """The config as the SDK's own record: it sends a plain mapping on without a look at its names."""
    return load("google.genai.types", "gemini").GenerateContentConfig(**config)


@form.of_the_form
def told(reply: Any, n: int) -> Generation:
    """What a reply of the API says of n completions. Raises ModelError where it does not say why one ended."""
    spend = _spend(reply.usage_metadata)
    if not reply.candidates:
        blocked = reply.prompt_feedback.block_reason if reply.prompt_feedback else None
        if blocked is None:
            raise ModelError("the reply holds no candidate and no reason", lost=True)
        return Generation([Completion("", "filter", 0)] * n, spend, reply.model_version or "", reply.response_id)
    said = [_completion(candidate, spend if len(reply.candidates) == 1 else None) for candidate in reply.candidates]
    return Generation(said, spend, reply.model_version or "", reply.response_id)


def _spend(usage: Any) -> Spend:
    """The API leaves out what is 0, and counts thinking beside the visible tokens.

    No visible tokens are 0 only where the sum of all says so, too; without a count of the prompt nothing is known.
    """
    if (read := form.told(usage, "prompt_token_count")) is None:
        return Spend()
    prompt = form.total(read, form.told(usage, "tool_use_prompt_token_count", absent=0))
    cached = form.told(usage, "cached_content_token_count", absent=0)
    thought = form.told(usage, "thoughts_token_count", absent=0)
    before, whole = form.total(prompt, thought), form.told(usage, "total_token_count")
    silent = 0 if whole is not None and whole == before else None
    wrote = form.total(form.told(usage, "candidates_token_count", absent=silent), thought)
    return Spend(prompt, cached, wrote, thought, written=0)


def _completion(candidate: Any, alone: Spend | None) -> Completion:
    """One candidate; `alone` is the spend of the request, where it is the only one."""
    reason: str = candidate.finish_reason.value if candidate.finish_reason else "no reason"
    if reason not in FINISH:
        again = reason in ("no reason", "FINISH_REASON_UNSPECIFIED")
        raise ModelError(f"the reply ended with {form.line(reason)}", retry=again, lost=True)
    parts = (candidate.content.parts if candidate.content else None) or []
    text = "".join(part.text for part in parts if part.text and not part.thought)
    calls = [_call_of(part.function_call, at) for at, part in enumerate(parts) if part.function_call]
    if calls:  # parts are signed, and have to come back as they were
        calls[0]["kept"] = [_kept(part) for part in parts]
    finish: Finish = "tools" if calls and FINISH[reason] == "stop" else FINISH[reason]
    ids, logprobs = _laws(candidate.logprobs_result)
    tokens = candidate.token_count if alone is None else alone.completion
    return Completion(text, finish, tokens, ids, logprobs, calls)


def _kept(part: Any) -> Map:
    """A part as it goes back; a call whose arguments are nested deeper than can be written down goes back without."""
    if part.function_call:
        called = part.function_call.model_copy(update={"args": object_of(part.function_call.args or {})})
        part = part.model_copy(update={"function_call": called})
    said: Map = part.model_dump(mode="json", exclude_none=True)
    return said


def _call_of(call: Any, at: int) -> dict[str, Any]:
    return {"id": call.id or f"call-{at}", "name": call.name, "arguments": arguments_of(call.args or {})}


def _laws(result: Any) -> tuple[tuple[int, ...] | None, Sequence[Mapping[str, float]] | None]:
    """(Token ids, log-probabilities: the drawn token first, then the most probable ones)."""
    if result is None or not result.chosen_candidates:
        return None, None
    drawn = result.chosen_candidates
    others = result.top_candidates or [None] * len(drawn)
    laws = [
        {one.token: one.log_probability}
        | {other.token: other.log_probability for other in (top.candidates if top else None) or ()}
        for one, top in zip(drawn, others, strict=False)
    ]
    known = all(one.token_id is not None for one in drawn)
    return tuple(one.token_id for one in drawn) if known else None, laws


def _of_batch(item: Any) -> Generation | Exception:
    """What came of one request of a batch."""
    if item.response is None:
        why, code = (item.error.message, item.error.code) if item.error else ("no reason", None)
        again = code is None or code in PASSING
        return ModelError(f"the batch left it without a reply: {form.line(why)}", retry=again)
    try:
        return told(item.response, 1)
    except ModelError as error:
        return error


def _thinking(asked: Asked) -> Map | None:
    if asked.effort is not None:
        return {"thinking_level": asked.effort.upper()}
    return None if asked.thinking is None else {"thinking_budget": asked.thinking}


def _conversation(request: Request) -> tuple[str, list[Map]]:
    """(System instruction, contents) in the API's form."""
    system = "\n\n".join(str(one["content"]) for one in request.messages if one["role"] == "system")
    names: dict[str, str] = {}
    contents: list[Map] = []
    for one in request.messages:
        names |= {call["id"]: call["name"] for call in calls_of(one)}  # ids may come again in a later message
        if one["role"] == "tool":
            id = one["tool_call_id"]
            part = {"function_response": {"name": names.get(id, id), "response": {"result": one["content"]}}}
            if contents and "function_response" in contents[-1]["parts"][0]:
                contents[-1]["parts"].append(part)
            else:
                contents.append({"role": "user", "parts": [part]})
        elif one["role"] == "assistant":
            contents.append({"role": "model", "parts": _parts(one)})
        elif one["role"] == "user":
            contents.append({"role": "user", "parts": [{"text": one["content"]}]})
    return system, contents


def _parts(message: Map) -> list[Map]:
    """What the model said: as it came, or made anew of its text and calls."""
    calls = calls_of(message)
    if calls and (kept := calls[0].get("kept")):
        return [_signed(part) for part in kept]
    said: list[Map] = [{"text": message["content"]}] if message["content"] or not calls else []
    return said + [{"function_call": {"name": call["name"], "args": call["arguments"]}} for call in calls]


def _signed(part: Map) -> Map:
    """A kept part with its signature as bytes, which JSON holds as text."""
    signature = part.get("thought_signature")
    return {**part, "thought_signature": base64.urlsafe_b64decode(signature)} if isinstance(signature, str) else part


def _tool(tool: Map) -> Map:
    return {
        "name": tool["name"],
        "description": tool.get("description", ""),
        "parameters_json_schema": tool["parameters"],
    }


def _delay(details: Any) -> str | None:
    """Seconds that the server wants to be left alone, as the body of its error says: `"retryDelay": "3.2s"`."""
    found = re.search(r'"retryDelay":"(\d+(?:\.\d+)?)s"', canonical(details)) if isinstance(details, dict) else None
    return found[1] if found else None
