"""OpenAI's batches: a file of requests goes up, and within a day a file of replies can be fetched, at half the price.

A batch is for one API. Its replies and its failures come in two files; a batch that the host did not take at all has
neither, and then each request of the file that went up has failed.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from testtime.core.errors import ModelError
from testtime.core.records import Generation, Map
from testtime.models import form
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
    if not isinstance(made.id, str):
        raise ModelError("the host names no batch", lost=True)
    return made.id


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
    for line in form.records((await client.files.content(file)).content):
        yield line


def _result(line: Map, read: Callable[[Map], Generation]) -> Generation | ModelError:
    """Of one line: a reply, or why there is none."""
    if error := line.get("error"):
        said = error if isinstance(error, dict) else {"message": str(error)}
        return ModelError(f"the batch left it: {_line(said)}", retry=str(said.get("code")) in AGAIN)
    try:
        reply = line.get("response") or {}
        body, status = reply.get("body") or {}, reply.get("status_code")
        if status == 200:
            return read(body)
        told = body.get("error") if isinstance(body, dict) else None
        again = isinstance(status, int) and (status in failing.TRANSIENT or status >= 500)
        return ModelError(f"{form.line(status)}: {_line(told if isinstance(told, dict) else {})}", retry=again)
    except ModelError as unread:
        return unread
    except form.ODD as error:
        return form.odd(error)


def _refused(batch: Any) -> ModelError:
    """Of a batch that the host did not take."""
    told = list(batch.errors.data or ()) if batch.errors else []
    codes = {str(one.code) for one in told}
    said = "; ".join(dict.fromkeys(form.line(one.message or one.code) for one in told)) or "no reason is given"
    return ModelError(f"the batch {form.line(batch.id)} was not taken: {said}", retry=bool(codes) and codes <= AGAIN)


def _line(error: Map) -> str:
    return form.line(error.get("message") or error.get("code") or "no reason is given")
