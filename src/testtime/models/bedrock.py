"""Models on Amazon Bedrock (Claude, Llama, …) by its Converse API. The extra `bedrock`; keys as AWS finds them.

boto3 blocks, so each call has a thread of its own: as many as the engine has calls in flight. The API gives one
completion a request, takes no seed and does not count thinking; botocore checks requests against AWS's own model,
and leaves out of a reply what that model does not know, which is an error here. Retries are the engine's.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from testtime.core.definitions import arguments_of, object_of
from testtime.core.errors import BadInput, ModelError
from testtime.core.protocols import Cap
from testtime.core.records import Completion, Finish, Generation, Map, Request, canonical
from testtime.core.seeds import digest
from testtime.core.spend import Spend
from testtime.models import form, keys, presets
from testtime.models.anthropic import thinking
from testtime.models.sdk import TIMEOUT, failed, load
from testtime.models.terms import Asked, calls_of, why_not
from testtime.models.warm import Warm

FINISH: Mapping[str, Finish] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "malformed_model_output": "stop",
    "malformed_tool_use": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tools",
    "refusal": "refusal",
    "guardrail_intervened": "filter",
    "content_filtered": "filter",
}
STATUS = {"ThrottlingException": 429, "ModelNotReadyException": 503, "ServiceUnavailableException": 503}
"""Errors by which the service wants to be asked less, whatever their HTTP status."""
SETTINGS = {
    "aws_access_key_id": ("AWS_ACCESS_KEY_ID",),
    "aws_secret_access_key": ("AWS_SECRET_ACCESS_KEY",),
    "aws_session_token": ("AWS_SESSION_TOKEN",),
    "region_name": ("AWS_REGION", "AWS_DEFAULT_REGION"),
    "profile_name": ("AWS_PROFILE",),
}
"""What boto3 is told of the variables that files set."""
THREADS = 1024
"""Threads at most; they are made as calls need them, so the engine's concurrency is what counts."""
BYTES_PER_TOKEN = 4


class Bedrock:
    """One model by its id, its inference profile or its ARN."""

    def __init__(self, model: str, client: Any = None) -> None:
        """`client`: a boto3 client, where it is not to be made of the keys."""
        self.model, self.name = model, f"bedrock:{model}"
        self.family = presets.family_of("bedrock", model)
        self.can: frozenset[Cap] = self.family.can
        self._client, self._given = client, client is not None
        self._threads: ThreadPoolExecutor | None = None
        self._warm = Warm()

    def refuses(self, request: Request) -> str | None:
        """Why this request cannot be honoured exactly, or None."""
        if why := why_not(self.model, self.family, request):
            return why
        wanted, most = (request.params.get("thinking") or {}).get("tokens"), request.params.get("max_tokens")
        if wanted and (most is None or wanted >= most):
            return f"{self.model} counts thinking among max_tokens: give more than {wanted}"
        return None

    def open(self) -> None:
        """Raises BadInput: the package, the credentials or the region are missing."""
        if not self._given and self._session().get_credentials() is None:
            mend = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, in the environment or --env_file"
            raise BadInput("bedrock: models need AWS credentials, which are not set", mend=mend)
        self._converse()

    def endpoint(self) -> str:
        """The service's address in the region that is set. Raises BadInput: the package or the region is missing."""
        self._converse()
        return str(self._client.meta.endpoint_url)

    async def generate(self, request: Request) -> Generation:
        """One completion. Raises ModelError."""
        body = self.body(request)
        cached = digest(canonical(body["messages"])) if self._keeps(request) else None
        async with self._warm.turn(cached):
            converse = self._converse()
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, lambda: self._call(converse, body))

    async def close(self) -> None:
        """Closes the connections; a call that is on its way ends by itself."""
        threads, self._threads, self._warm = self._threads, None, Warm()
        if threads is not None:
            threads.shutdown(wait=False, cancel_futures=True)
        if not self._given and self._client is not None:
            client, self._client = self._client, None
            client.close()

    def body(self, request: Request) -> dict[str, Any]:
        """The parameters of `converse`. Raises ModelError for what `refuses` names."""
        if why := self.refuses(request):
            raise ModelError(why)
        asked = Asked.of(request, self.family)
        sampling = {
            "maxTokens": asked.max_tokens,
            "temperature": asked.temperature,
            "topP": asked.top_p,
            "stopSequences": list(asked.stop) or None,
        }
        messages = _conversation(request)
        if self._keeps(request):
            messages[-1]["content"].append({"cachePoint": {"type": "default"}})
        body = {
            "modelId": self.model,
            "messages": messages,
            "system": [{"text": one["content"]} for one in request.messages if one["role"] == "system"],
            "inferenceConfig": {name: value for name, value in sampling.items() if value is not None},
            "toolConfig": {"tools": [_tool(tool) for tool in asked.tools]} if asked.tools else None,
            "outputConfig": _output(asked),
            "additionalModelRequestFields": _thinking(asked),
        }
        return {name: value for name, value in body.items() if value}

    def _keeps(self, request: Request) -> bool:
        """Whether the provider's cache should keep the prompt."""
        size = len(canonical(request.messages).encode("utf-8", "surrogatepass"))
        least = self.family.cache
        return request.again and least is not None and size >= least * BYTES_PER_TOKEN

    def _session(self) -> Any:
        boto3, said = load("boto3", "bedrock"), keys.of_aws()
        found = {name: next((said[one] for one in names if one in said), None) for name, names in SETTINGS.items()}
        found["region_name"] = found["region_name"] or keys.value("AWS_REGION")  # boto3 reads AWS_DEFAULT_REGION alone
        try:
            return boto3.Session(**found)
        except load("botocore.exceptions", "bedrock").ProfileNotFound as error:
            raise BadInput(f"bedrock: {error}", mend="name one of ~/.aws/config in AWS_PROFILE") from None

    def _converse(self) -> Any:
        """The client's verb. Raises BadInput where no region is set."""
        self._threads = self._threads or ThreadPoolExecutor(THREADS, thread_name_prefix="bedrock")
        if self._client is None:
            config = load("botocore.config", "bedrock").Config(
                retries={"total_max_attempts": 1, "mode": "standard"},
                read_timeout=TIMEOUT,
                connect_timeout=10,
                max_pool_connections=THREADS,
            )
            try:
                self._client = self._session().client("bedrock-runtime", config=config)
            except load("botocore.exceptions", "bedrock").NoRegionError:
                raise BadInput(
                    "bedrock: models need a region", mend="set AWS_REGION, as AWS_REGION=us-east-1"
                ) from None
        return self._client.converse

    def _call(self, converse: Any, body: Map) -> Generation:
        """One call, in a thread; its failures told apart. Raises ModelError."""
        errors = load("botocore.exceptions", "bedrock")
        try:
            return told(converse(**body), self.model)
        except errors.ClientError as error:
            meta, said = error.response.get("ResponseMetadata", {}), error.response.get("Error", {})
            code = str(said.get("Code", ""))
            status = STATUS.get(code, meta.get("HTTPStatusCode", 400))
            raise failed(status, f"{code}: {said.get('Message', '')}", meta.get("HTTPHeaders")) from None
        except load("botocore.parsers", "bedrock").ResponseParserError as error:
            raise ModelError(f"the reply cannot be read: {form.line(error)}", lost=True) from None
        except errors.ParamValidationError as error:
            raise ModelError(f"AWS's own model refuses the request: {' '.join(str(error).split())}") from None
        except (errors.HTTPClientError, errors.ConnectionError) as error:
            raise ModelError(f"no reply: {error}", lost=True) from None
        except errors.BotoCoreError as error:
            raise ModelError(f"{type(error).__name__}: {error}") from None
        except UnicodeEncodeError as error:
            raise form.unsent(error) from None
        except RecursionError:
            raise form.too_deep() from None
        except form.ODD as error:
            raise form.odd(error) from error


@form.of_the_form
def told(reply: Map, model: str) -> Generation:
    """What a reply of Converse says. Raises ModelError for one that is not understood whole."""
    if not {"stopReason", "output"} <= reply.keys():
        raise ModelError("the reply is no message", lost=True)
    reason, blocks = reply["stopReason"], reply["output"]["message"]["content"]
    if reason not in FINISH:
        raise ModelError(f"the reply ended with {form.line(repr(reason))}", retry=False, lost=True)
    for block in blocks:
        if not block.keys() <= {"text", "toolUse", "reasoningContent"}:
            strange = form.line(", ".join(sorted(block)))
            raise ModelError(f"the reply holds {strange}, which nobody asked for", retry=False, lost=True)
    text = "".join(block["text"] for block in blocks if "text" in block)
    calls = [
        {"id": used["toolUseId"], "name": used["name"], "arguments": arguments_of(used["input"])}
        for block in blocks
        if (used := block.get("toolUse"))
    ]
    if calls and all(_plain(block) for block in blocks):  # thinking has to come back as it was, signed
        calls[0]["kept"] = [_kept(block) for block in blocks]
    spend = _spend(reply.get("usage"), thought=any("reasoningContent" in block for block in blocks))
    request_id = reply.get("ResponseMetadata", {}).get("RequestId")
    said = Completion(text, FINISH[reason], spend.completion, tool_calls=calls)
    return Generation([said], spend, model, request_id)


def _kept(block: Map) -> Map:
    """A block as it goes back; a call whose input is nested deeper than can be written down goes back without it."""
    used = block.get("toolUse")
    return {**block, "toolUse": {**used, "input": object_of(used["input"])}} if used else block


def _spend(usage: Map | None, thought: bool) -> Spend:
    """The API counts cached tokens beside the others, and does not say how many were thinking."""
    rest, wrote = form.told(usage, "inputTokens"), form.told(usage, "outputTokens")
    none = None if rest is None else 0
    read, written = (form.told(usage, f"cache{how}InputTokens", absent=none) for how in ("Read", "Write"))
    reasoning = None if thought or wrote is None else 0
    return Spend(form.total(rest, read, written), read, wrote, reasoning, written=written)


def _plain(block: Map) -> bool:
    """Whether a block can be written down: hidden thinking is bytes."""
    return "redactedContent" not in block.get("reasoningContent", {})


def _output(asked: Asked) -> Map | None:
    config: dict[str, Any] = {"effort": asked.effort} if asked.effort else {}
    if asked.schema:
        schema = {"schema": json.dumps(asked.schema), "name": "answer"}
        config["textFormat"] = {"type": "json_schema", "structure": {"jsonSchema": schema}}
    return config or None


def _thinking(asked: Asked) -> Map | None:
    """Only Claude's families let it be asked for."""
    said = thinking(asked)
    return None if said is None else {"thinking": said}


def _conversation(request: Request) -> list[dict[str, Any]]:
    """The messages in the API's form; several of one role in a row are one."""
    messages: list[dict[str, Any]] = []
    for one in request.messages:
        if one["role"] == "system":
            continue
        role = "assistant" if one["role"] == "assistant" else "user"
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += _blocks(one)
        else:
            messages.append({"role": role, "content": _blocks(one)})
    if request.prefix:
        messages.append({"role": "assistant", "content": [{"text": request.prefix}]})
    return messages


def _blocks(message: Map) -> list[Map]:
    """What was said: as it came, or made anew of its text and calls."""
    if message["role"] == "tool":
        result = {"toolUseId": message["tool_call_id"], "content": [{"text": message["content"]}]}
        return [{"toolResult": result}]
    calls = calls_of(message)
    if calls and (kept := calls[0].get("kept")):
        return list(kept)
    said: list[Map] = [{"text": message["content"]}] if message["content"] or not calls else []
    return said + [
        {"toolUse": {"toolUseId": call["id"], "name": call["name"], "input": call["arguments"]}} for call in calls
    ]


def _tool(tool: Map) -> Map:
    spec = {"name": tool["name"], "description": tool.get("description"), "inputSchema": {"json": tool["parameters"]}}
    return {"toolSpec": {name: value for name, value in spec.items() if value}}
