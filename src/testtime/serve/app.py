"""The OpenAI wire over a model: chat and text completions, models, and vLLM's /tokenize, as an ASGI application.

A request's choices are children of one seed, as vLLM numbers them. A reply is streamed once it is whole: our models
write whole completions, so a stream has its form, not its early first token. A client that goes away cancels its
request.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ValidationError

from testtime.core.errors import ModelError
from testtime.core.protocols import Model, Tokens
from testtime.core.records import Completion, Generation, Request
from testtime.core.spend import Spend
from testtime.serve import told
from testtime.serve.asked import Body, Chat, Detokenize, Drawing, Refusal, Text, Tokenize
from testtime.serve.echo import echoed, logprobs_of

B = TypeVar("B", bound=Body)
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Served:
    """A model and the name that clients use for it."""

    model: Model
    name: str
    since: int = field(default_factory=lambda: int(time.time()))

    def app(self) -> Any:
        """The ASGI application."""
        from starlette.applications import Starlette
        from starlette.exceptions import HTTPException
        from starlette.routing import Route

        posts = {
            "/v1/chat/completions": self.chat,
            "/v1/completions": self.text,
            "/tokenize": self.tokenize,
            "/detokenize": self.detokenize,
        }
        gets = {"/v1/models": self.models, "/v1/models/{name:path}": self.named, "/health": self.health}
        routes = [Route(path, work, methods=["POST"]) for path, work in posts.items()]
        routes += [Route(path, work, methods=["GET"]) for path, work in gets.items()]
        handlers = {Refusal: _refused, HTTPException: _not_here, Exception: _broken}
        return Starlette(routes=routes, exception_handlers=handlers, lifespan=self._lifespan)

    @asynccontextmanager
    async def _lifespan(self, _: Any) -> AsyncIterator[None]:
        yield
        if close := getattr(self.model, "close", None):
            await close()

    # ---- what is served ----
    async def health(self, _: Any) -> Any:
        """Says that it is up."""
        return _json({})

    async def models(self, _: Any) -> Any:
        """The one model."""
        return _json({"object": "list", "data": [self._card()]})

    async def named(self, asked: Any) -> Any:
        """The model by its name. Raises Refusal."""
        self._check(asked.path_params["name"])
        return _json(self._card())

    def _card(self) -> dict[str, Any]:
        card = {"id": self.name, "object": "model", "created": self.since, "owned_by": "testtime"}
        return card | ({"max_model_len": self.model.context} if isinstance(self.model, Tokens) else {})

    def _check(self, name: str | None) -> None:
        if name not in (None, self.name, self.model.name):
            raise Refusal(
                f"The model {name!r} does not exist; {self.name!r} is served", status=404, param="model",
                code="model_not_found",
            )  # fmt: skip

    # ---- completions ----
    async def chat(self, asked: Any) -> Any:
        """/v1/chat/completions."""
        body = await self._body(asked, Chat)
        request = body.request()
        self._fits([request])
        got = await _unless_gone(asked, self._generate(request))
        most = request.params.get("logprobs")
        head = self._head("chatcmpl", "chat.completion")
        if body.stream:
            choices = self._chunks(got.completions, most)
            return _stream(body, {**head, "object": "chat.completion.chunk"}, choices, told.usage([got]))
        said = [told.chat_choice(at, one, bool(body.return_token_ids), most) for at, one in enumerate(got.completions)]
        prompt = {"prompt_token_ids": self._ids(request)} if body.return_token_ids else {}
        return _json({**head, "choices": said, "usage": told.usage([got]), **prompt})

    def _chunks(self, said: Sequence[Completion], most: int | None) -> Iterator[dict[str, Any]]:
        for at, one in enumerate(said):
            yield from told.chat_chunks(at, one, self._pieces(one), most)

    async def text(self, asked: Any) -> Any:
        """/v1/completions."""
        body = await self._body(asked, Text)
        requests = [body.request(prompt) for prompt in body.prompts()]
        self._fits(requests)
        if body.echo:
            self._tokens()
        parts = await _unless_gone(asked, self._texts(body, requests))
        choices = [choice for _, made in parts for choice in made]
        for at, choice in enumerate(choices):
            choice["index"] = at
        head = self._head("cmpl", "text_completion")
        usage = told.usage([got for got, _ in parts])
        if body.stream:
            return _stream(body, head, iter(choices), usage)
        return _json({**head, "choices": choices, "usage": usage})

    async def _texts(self, body: Text, requests: Sequence[Request]) -> list[tuple[Generation, list[dict[str, Any]]]]:
        return await asyncio.gather(*[self._text(body, request) for request in requests])

    async def _text(self, body: Text, request: Request) -> tuple[Generation, list[dict[str, Any]]]:
        """One prompt: what was generated, and its choices."""
        if body.max_tokens == 0:
            nothing = Completion("", "length", 0, (), [] if body.logprobs is not None else None)
            spend = Spend(len(self._ids(request) or ()), 0, 0, 0)
            got = Generation([nothing] * request.n, spend, self.model.name)
        else:
            got = await self._generate(request)
        wants = bool(body.return_token_ids)
        choices = [told.text_choice(0, one, wants) for one in got.completions]
        before = await echoed(self._tokens(), request, body.logprobs) if body.echo else None
        for choice, one in zip(choices, got.completions, strict=True):
            if before is not None:
                choice["text"] = before.text + one.text
            if body.logprobs is not None:
                choice["logprobs"] = logprobs_of(before, one)
            if wants:
                choice["prompt_token_ids"] = self._ids(request)
        return got, choices

    async def _generate(self, request: Request) -> Generation:
        """Raises Refusal where the model fails."""
        try:
            return await self.model.generate(request)
        except ModelError as error:
            raise Refusal(str(error), status=503 if error.retry else 500) from None

    # ---- tokens ----
    async def tokenize(self, asked: Any) -> Any:
        """/tokenize, as vLLM has it."""
        body = await self._body(asked, Tokenize)
        tokens = self._tokens()
        try:
            ids = list(tokens.ids(body.request()))
        except ModelError as error:
            raise Refusal(str(error)) from None
        strings = tokens.pieces(ids) if body.return_token_strs else None
        return _json({"count": len(ids), "max_model_len": tokens.context, "tokens": ids, "token_strs": strings})

    async def detokenize(self, asked: Any) -> Any:
        """/detokenize, as vLLM has it."""
        body = await self._body(asked, Detokenize)
        try:
            return _json({"prompt": "".join(self._tokens().pieces(body.tokens))})
        except ModelError as error:
            raise Refusal(str(error)) from None

    def _tokens(self) -> Any:
        if not isinstance(self.model, Tokens):
            raise Refusal(f"{self.model.name} does not show its tokens")
        return self.model

    def _ids(self, request: Request) -> list[int] | None:
        return list(self.model.ids(request)) if isinstance(self.model, Tokens) else None

    def _pieces(self, said: Completion) -> list[str] | None:
        known = isinstance(self.model, Tokens) and said.token_ids is not None
        return self._tokens().pieces(said.token_ids) if known else None

    # ---- bodies and replies ----
    async def _body(self, asked: Any, kind: type[B]) -> B:
        """The body, typed. Raises Refusal."""
        try:
            body = kind.model_validate_json(await asked.body())
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"] if isinstance(part, int) or part.islower())
            said = f"{where}: {first['msg']}" if where else first["msg"]
            raise Refusal(said, param=where or None) from None
        self._check(body.model)
        return body

    def _fits(self, requests: Sequence[Request]) -> None:
        """Raises Refusal where the model would not honour a request."""
        for request in requests:
            if why := self.model.refuses(request):
                raise Refusal(why)

    def _head(self, prefix: str, kind: str) -> dict[str, Any]:
        return {
            "id": f"{prefix}-{uuid.uuid4().hex}",
            "object": kind,
            "created": int(time.time()),
            "model": self.name,
            "system_fingerprint": None,
        }


async def _unless_gone(asked: Any, work: Coroutine[Any, Any, T]) -> T:
    """What the work gives; it is cancelled where the client goes away first. Raises Refusal then: nobody reads it."""
    doing, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(asked))
    try:
        await asyncio.wait([doing, gone], return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            return doing.result()
        raise Refusal("the client went away", status=499)
    finally:
        for task in (doing, gone):
            task.cancel()
        await asyncio.gather(doing, gone, return_exceptions=True)


async def _gone(asked: Any) -> None:
    while (await asked.receive())["type"] != "http.disconnect":
        pass


def _stream(body: Drawing, head: dict[str, Any], choices: Iterator[dict[str, Any]], usage: dict[str, Any]) -> Any:
    """A reply as events: each choice's chunks, the usage where it is wanted, the end."""
    from starlette.responses import StreamingResponse

    counts = body.stream_options is not None and body.stream_options.include_usage

    async def events() -> AsyncIterator[bytes]:
        for choice in choices:
            yield told.event({**head, "choices": [choice], **({"usage": None} if counts else {})})
        if counts:
            yield told.event({**head, "choices": [], "usage": usage})
        yield told.event("[DONE]")

    return StreamingResponse(events(), media_type="text/event-stream")


def _json(value: dict[str, Any], status: int = 200) -> Any:
    from starlette.responses import Response

    return Response(told.dumps(value), status, media_type="application/json")


async def _refused(_: Any, why: Any) -> Any:
    kind = "invalid_request_error" if why.status < 500 else "server_error"
    return _json(told.error(why.message, kind, why.param, why.code), why.status)


async def _not_here(asked: Any, why: Any) -> Any:
    said = f"{asked.method} {asked.url.path}: {why.detail}"
    return _json(told.error(said, "invalid_request_error"), why.status_code)


async def _broken(_: Any, why: Any) -> Any:
    return _json(told.error(f"{type(why).__name__} in the server", "server_error"), 500)
