"""OpenAI's batches: a file of requests goes up, and within a day a file of replies can be fetched, at half the price.

A batch is for one API. Its replies and its failures come in two files; a batch that the host did not take at all has
neither, and then each request of the file that went up has failed.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

from testtime.core.errors import ModelError
from testtime.core.records import Generation, Map
from testtime.models.openai import failing

WINDOW = "24h"
ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
AGAIN = frozenset({"batch_expired", "batch_cancelled", "token_limit_exceeded"})
"""Codes of failures that another batch may not meet."""
BODY = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "completions": "/v1/completions"}
"""API → what a batch calls it."""


async def sent(client: Any, api: str, bodies: Mapping[str, Map]) -> str:
    """Sends bodies by key as one batch, and gives its id."""
    lines = [{"custom_id": key, "method": "POST", "url": BODY[api], "body": body} for key, body in bodies.items()]
    data = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
    file = await client.files.create(file=("requests.jsonl", data, "application/jsonl"), purpose="batch")
    made = await client.batches.create(input_file_id=file.id, endpoint=BODY[api], completion_window=WINDOW)
    return str(made.id)


async def results(client: Any, batch: Any, read: Callable[[Map], Generation]) -> AsyncIterator[tuple[str, Any]]:
    """What came of each request of a batch that has ended; `read` makes a generation of a reply's JSON."""
    if batch.status == "failed":
        why = _refused(batch)
        async for line in _lines(client, batch.input_file_id):
            yield line["custom_id"], why
        return
    for file in (batch.output_file_id, batch.error_file_id):
        if file is not None:
            async for line in _lines(client, file):
                yield line["custom_id"], _result(line, read)


async def _lines(client: Any, file: str) -> AsyncIterator[Map]:
    text = (await client.files.content(file)).content
    for line in _records(text):
        yield line


def _records(data: bytes) -> Iterator[Map]:
    """The lines of a file that name a request; what cannot be read leaves its request without a result."""
    for line in data.split(b"\n"):
        try:
            said = json.loads(line) if line.strip() else None
        except (ValueError, RecursionError):
            continue
        if isinstance(said, dict) and isinstance(said.get("custom_id"), str):
            yield said


def _result(line: Map, read: Callable[[Map], Generation]) -> Generation | ModelError:
    """Of one line: a reply, or why there is none."""
    if error := line.get("error"):
        said = error if isinstance(error, dict) else {"message": str(error)}
        return ModelError(f"the batch left it: {_line(said)}", retry=said.get("code") in AGAIN)
    reply = line.get("response") or {}
    body, status = reply.get("body") or {}, reply.get("status_code")
    if status != 200:
        told = body.get("error") if isinstance(body, dict) else None
        again = status in failing.TRANSIENT or (isinstance(status, int) and status >= 500)
        return ModelError(f"{status}: {_line(told if isinstance(told, dict) else {})}", retry=again)
    try:
        return read(body)
    except ModelError as unread:
        return unread


def _refused(batch: Any) -> ModelError:
    """Of a batch that the host did not take."""
    told = list(batch.errors.data or ()) if batch.errors else []
    codes = {one.code for one in told}
    said = "; ".join(dict.fromkeys(failing.line(one.message or one.code) for one in told)) or "no reason is given"
    return ModelError(f"the batch {batch.id} was not taken: {said}", retry=bool(codes) and codes <= AGAIN)


def _line(error: Map) -> str:
    return failing.line(error.get("message") or error.get("code") or "no reason is given")
