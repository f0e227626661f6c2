"""OpenAI, and with another host every server that speaks its wire: vLLM, Hyperbolic, Together, `testtime serve`.

`vllm:NAME` is this backend with the host "vllm" of hosts.toml. A request is sent once: waiting and trying again is
the engine's work, so the SDK's own retries are off.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from testtime.core.errors import BadInput, ModelError
from testtime.core.history import Floats
from testtime.core.protocols import Cap, Scored
from testtime.core.records import Generation, Map, Request, canonical
from testtime.core.settings import check, setting
from testtime.core.spend import Spend, add
from testtime.models import form, keys
from testtime.models.openai import asking, batches, failing, reading, streams
from testtime.models.openai.hosts import Host, address, host

Tokens = tuple[int, ...]

NO_KEY = "none"
"""Sent where a server needs no key. Never left out: the SDK would send OpenAI's own to whatever server this is."""
CONNECT_SECONDS = 10.0
CONNECTIONS = 1000
"""Open at once, and kept open between requests, at most."""
REMEMBERED = 1024
"""Conversations whose token ids are remembered."""
SCORED_AT_ONCE = 32
"""Texts of one scoring request."""


@dataclass(eq=False)
class OpenAI:
    """One model at one host."""

    model: str
    host: str = field(default="openai", metadata={"by": "provider"})
    """A row of hosts.toml."""
    base_url: str | None = setting("address of the server, …/v1; by default the host's", None)
    api: Literal["chat", "responses", "completions"] | None = setting(
        "which of OpenAI's APIs is spoken; by default what the model needs", None
    )
    timeout: float = setting("seconds that a reply may take", 600.0, above=0)
    stream: bool = setting("receive chat replies as streams: for proxies that cut silent connections", False)
    send_seed: bool = setting("send each draw's seed, where the host takes one", True)
    poll: ClassVar[float] = 30.0
    """Seconds between looks at a batch."""
    _clients: WeakKeyDictionary[Any, Any] = field(default_factory=WeakKeyDictionary, init=False, repr=False)
    _known_ids: OrderedDict[str, Tokens] = field(default_factory=OrderedDict, init=False, repr=False)

    def __post_init__(self) -> None:
        check(self)
        self.row: Host = host(self.host, self.model, self.api)
        self.can: frozenset[Cap] = self.row.can if self.send_seed else self.row.can - {"seed"}

    @property
    def name(self) -> str:
        """The whole name."""
        return f"{self.host}:{self.model}"

    @cached_property
    def url(self) -> str:
        """The server's address, without a slash at the end. Raises BadInput where it is none."""
        variable = self.row.url_variable
        said = self.base_url or (keys.value(variable) if variable else None) or self.row.url(self.model)
        return address(said).rstrip("/")

    @property
    def elsewhere(self) -> bool:
        """Whether another than the host serves it, at prices of its own."""
        mine, theirs = (urlsplit(url).hostname or "" for url in (self.row.url(self.model), self.url))
        return theirs != mine and not theirs.endswith(f".{mine}")

    def open(self) -> None:
        """Makes sure that it can be called. Raises BadInput: no package, no key."""
        try:
            import openai  # noqa: F401
        except ModuleNotFoundError as error:
            what = f"{self.host}: models need the package {error.name}"
            raise BadInput(what, mend='run: pip install "testtime[openai]"') from None
        self._key()

    def _key(self) -> str:
        """Raises BadInput where the host needs a key and none is set."""
        found = keys.value(*self.row.keys) if self.row.keys else None
        if found is None and self.row.key_at is not None and self.base_url is None:
            raise keys.missing(self.host, self.row.keys, self.row.key_at)
        return found or NO_KEY

    def refuses(self, request: Request) -> str | None:
        """Why this request cannot be honoured exactly, or None."""
        if request.seed is not None and "seed" not in self.can:
            return f"{self.name} takes no seed"
        return asking.why_not(self.name, self.row, request)

    async def generate(self, request: Request) -> Generation:
        """`request.n` completions of one request; fewer where the host gives fewer.

        A completion's tokens are None where the host bills several in one sum and does not tell them apart. Thinking
        that a server took out of the text is put back between <think> marks. Raises ModelError.
        """
        if why := self.refuses(request):
            raise ModelError(why)
        raw = request.prefix or self.row.api == "completions"
        if raw and request.messages and self.row.continues == "ids":
            body = asking.completions(self.row, request, await self._prompt(request))
            return reading.completions(await self._sent("completions", body))
        api = self._api(request)
        return _READ[api](await self._sent(api, asking.BODIES[api](self.row, request)))

    def _api(self, request: Request) -> str:
        return "completions" if not request.messages else self.row.api

    async def submit(self, requests: Mapping[str, Request]) -> str:
        """Sends a batch at half the price, and gives its id. Raises ModelError."""
        for request in requests.values():
            if why := self.refuses(request):
                raise ModelError(why)
        apis = {self._api(request) for request in requests.values()}
        if len(apis) != 1:
            raise ModelError(f"a batch is for one of OpenAI's APIs, and these requests need {' and '.join(apis)}")
        (api,) = apis
        bodies = {
            key: {"model": self.model, **asking.BODIES[api](self.row, request)} for key, request in requests.items()
        }
        return str(await self._called(lambda client: batches.sent(client, api, bodies)))

    async def collect(self, batch: str) -> AsyncIterator[tuple[str, Generation | Exception]]:
        """Waits until the batch has ended, then gives what came of each request. Raises ModelError."""
        ended: Any = None

        async def has_ended(client: Any) -> bool:
            nonlocal ended
            ended = await client.batches.retrieve(batch)
            return ended.status in batches.ENDED

        async def results(client: Any) -> list[tuple[str, Any]]:
            api = next((api for api, place in batches.BODY.items() if place == ended.endpoint), None)
            if api is None:
                raise ModelError(f"the batch {batch} is of no API that is known", lost=True)
            return [one async for one in batches.results(client, ended, lambda body: _read(api, body))]

        while not await self._called(has_ended):
            await asyncio.sleep(self.poll)
        for key, got in await self._called(results):
            yield key, got

    async def score(self, request: Request, texts: Sequence[str | Tokens], full: bool = False) -> Sequence[Floats]:
        """Natural log-probabilities of each text's tokens after prompt and prefix [token], by teacher forcing.

        Raises ModelError; also for whole laws, of which the wire names a few tokens only.
        """
        if "score" not in self.can or full:
            raise ModelError(f"{self.name} cannot score {'whole laws' if full else 'texts'}")
        prefix = await self._prefix_ids(request.prefix) if request.prefix else ()
        start = (*(await self._ids(request) if request.messages else ()), *prefix)
        ids = [await self._prefix_ids(text) if text else () for text in texts]
        scores, spends = list[Floats](), list[Spend]()
        for low in range(0, len(ids), SCORED_AT_ONCE):
            part = [[*start, *one] for one in ids[low : low + SCORED_AT_ONCE]]
            body = {"prompt": part, "max_tokens": 0, "echo": True, "logprobs": 1}
            reply = await self._sent("completions", body)
            scores += reading.scores(reply, len(start), [len(one) for one in part])
            spends.append(reading.spend(reply.usage))
        return Scored(scores, add(spends))

    async def close(self) -> None:
        """Closes the connections of this event loop."""
        if client := self._clients.pop(asyncio.get_running_loop(), None):
            await client.close()

    # ---- tokens, where the server shows them ----
    async def _ids(self, request: Request) -> Tokens:
        """The token ids of a conversation, up to where the assistant speaks."""
        tools = {"tools": request.params["tools"]} if request.params.get("tools") else {}
        messages = [asking.message_of(one) for one in request.messages]
        return await self._tokenized({"messages": messages, "add_generation_prompt": True, **tools})

    async def _prompt(self, request: Request) -> Tokens | None:
        """The conversation in the model's template and the prefix, as ids; None for one message to a model without one.

        Raises ModelError.
        """
        try:
            ids = await self._ids(request)
        except ModelError as error:
            if "template" not in str(error) or len(request.messages) > 1 or isinstance(request.prefix, tuple):
                raise
            return None
        return (*ids, *(await self._prefix_ids(request.prefix) if request.prefix else ()))

    async def _prefix_ids(self, text: str | Tokens) -> Tokens:
        if isinstance(text, tuple):
            return text
        return await self._tokenized({"prompt": text, "add_special_tokens": False})

    async def _tokenized(self, asked: Map) -> Tokens:
        """What /tokenize says, remembered."""
        key = canonical(asked)
        if key not in self._known_ids:
            root = self.url.removesuffix("/v1")

            async def ids(client: Any) -> Tokens:
                body = {"model": self.model, **asked}
                return reading.tokens(await client.post(f"{root}/tokenize", cast_to=object, body=body))

            self._known_ids[key] = await self._called(ids)
            while len(self._known_ids) > REMEMBERED:
                self._known_ids.popitem(last=False)
        self._known_ids.move_to_end(key)
        return self._known_ids[key]

    # ---- the wire ----
    async def _sent(self, api: str, body: Mapping[str, Any]) -> Any:
        """The reply to one request. Raises ModelError."""
        place = {"chat": "/chat/completions"}.get(api, f"/{api}")

        async def work(client: Any) -> Any:
            asked = {"model": self.model, **body}
            if self.stream and api == "chat":
                return await _streamed(client, place, asked)
            return await client.post(place, cast_to=_kind(api), body=asked)

        reply = await self._called(work)
        if not isinstance(reply, _kind(api)) or not getattr(reply, "choices", reply):
            raise ModelError(f"{self.url}{place} gave no {api} reply", lost=True)
        return reply

    async def _called(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        import openai

        try:
            return await work(self._client())
        except openai.APIError as error:
            raise failing.model_error(error, self.url, self.timeout) from None
        except UnicodeEncodeError as error:
            raise form.unsent(error) from None
        except json.JSONDecodeError as error:
            raise ModelError(f"the reply is no JSON ({form.line(error)})", lost=True) from None
        except RecursionError:
            raise form.too_deep() from None
        except form.ODD as error:
            raise form.odd(error) from error

    def _client(self) -> Any:
        """The client of this event loop."""
        import httpx2
        import openai

        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            timeout = httpx2.Timeout(self.timeout, connect=min(CONNECT_SECONDS, self.timeout))
            limits = httpx2.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
            quick = find_spec("aiohttp") is not None  # half the processor time of a request
            transport = openai.DefaultAioHttpClient if quick else openai.DefaultAsyncHttpxClient
            self._clients[loop] = openai.AsyncOpenAI(
                api_key=self._key(),
                base_url=self.url,
                max_retries=0,
                timeout=timeout,
                http_client=transport(timeout=timeout, limits=limits),
            )
        return self._clients[loop]


async def _streamed(client: Any, place: str, body: Map) -> Any:
    """The reply to a chat request, received as a stream."""
    import openai
    from openai.types.chat import ChatCompletion, ChatCompletionChunk

    asked = {**body, "stream": True, "stream_options": {"include_usage": True}}
    kind = openai.AsyncStream[ChatCompletionChunk]
    async with await client.post(place, cast_to=ChatCompletionChunk, body=asked, stream=True, stream_cls=kind) as got:
        return ChatCompletion.construct(**await streams.whole(got))


def _kind(api: str) -> Any:
    """The SDK's record of a reply."""
    from openai.types import Completion
    from openai.types.chat import ChatCompletion
    from openai.types.responses import Response

    return {"chat": ChatCompletion, "responses": Response, "completions": Completion}[api]


def _read(api: str, body: Map) -> Generation:
    """The generation of a reply's JSON. Raises ModelError where it is none."""
    reply = _kind(api).construct(**body)
    if not getattr(reply, "choices", reply):
        raise ModelError(f"a batch gave no {api} reply", lost=True)
    return _READ[api](reply)


_READ: Mapping[str, Callable[[Any], Generation]] = {
    "chat": reading.chat,
    "responses": reading.responses,
    "completions": reading.completions,
}
