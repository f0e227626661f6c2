"""Replies as no provider should send them, and what must be true of whatever a backend makes of one."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from fake_http import Answer, Seen, Server, serving
from hypothesis import strategies as st

from testtime.core.errors import ModelError
from testtime.core.records import Completion, Generation, Request
from testtime.core.spend import count, credible
from testtime.models.form import FINISHES
from testtime.store.codec import decode, dumps, encode, loads

DIGITS, DEEP = "@digits@", "@deep@"
"""Stand in a reply for what json.dumps does not write: a number of 5,000 digits, 100,000 lists in one another."""
PLANES = "".join(chr(plane * 0x10000 + at) for plane in range(17) for at in (0x1, 0x85, 0x202E, 0xFEFF, 0xFFFE, 0xFFFF))
VALUES: Sequence[Any] = (
    None, True, 0, -1, 5, 1.5, -0.25, float("nan"), float("inf"), 10**30, -(10**30), 10**400, DIGITS, DEEP, "", "many",
    "5", "\ud800", PLANES, "x" * 5000, "a\nb", [], [None], [[]], ["a"], {}, {"a": 1}, {"type": None}, {"text": 5},
)  # fmt: skip
values = st.sampled_from(VALUES).map(copy.deepcopy)
ASK = Request([{"role": "user", "content": "hi"}], params={"max_tokens": 100})
HTML = {"content-type": "text/html"}
BODIES: Mapping[str, Answer] = {
    "HTML": Answer("<html>busy</html>", headers=HTML),
    "HTML that says it is JSON": Answer("<html>busy</html>"),
    "nothing": Answer(""),
    "blank": Answer(" \n"),
    "null": Answer("null"),
    "a list": Answer("[1]"),
    "a text": Answer('"yes"'),
    "a number": Answer("5"),
    "an empty object": Answer("{}"),
    "half of it": Answer('{"id": "x", "choices": [{"mess'),
    "more than one": Answer('{"a": 1}{"b": 2}'),
    "no UTF-8": Answer(b'{"a": "\xff\xfe"}'),
    "UTF-16": Answer('{"a": 1}'.encode("utf-16")),
    "nested without end": Answer("[" * 100_000 + "]" * 100_000),
    "objects without end": Answer('{"a":' * 100_000 + "1" + "}" * 100_000),
    "a number without end": Answer('{"a": ' + "9" * 5000 + "}"),
    "no gzip": Answer("yes", headers={"content-encoding": "gzip"}),
    "an encoding that nobody knows": Answer("{}", headers={"content-type": "application/json; charset=nonsense"}),
    "204": Answer("", 204),
    "a redirection to nowhere": Answer("", 302, {"location": "http://[bad"}),
    "a redirection without end": Answer("", 307, {"location": "/"}),
    "dropped": Answer(drop=True),
    "half of a long one": Answer("{}", headers={"content-length": "99999"}),
}
ERRORS: Sequence[str] = (
    "", "null", "[1]", "[[]]", '"no"', "5", "{}", "<html>no</html>", '{"error": 5}', '{"error": null}', '{"error": []}',
    '{"error": "no"}', '{"error": {"message": [1], "type": {}, "code": [], "details": 5, "status": {}}}',
    '{"message": {"a": 1}, "__type": 5, "Code": []}', '{"error": {"message": "' + "so \\n" * 5000 + '"}}',
    '{"error": {"message": "\\ud800"}}', "[" * 100_000, '{"error": {"details": [{"retryDelay": "9e99s"}]}}',
)  # fmt: skip
WAITS: Sequence[str] = (
    "soon", "-5", "1e999", "nan", "-inf", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT", "Fri, 31 Dec 0000 00:00:00 GMT",
    "Mon, 99 Foo 2026 25:61:61 GMT", "5, 6", "", "0x10", "1_0", "Fri, 31 Dec 9999 23:59:59 -2359",
)  # fmt: skip


class Told:
    """A model that hears what it is told to, over its SDK's transport."""

    def __init__(self, model: Any, server: Server, runner: asyncio.Runner) -> None:
        self.model, self.server, self.runner = model, server, runner
        self.answer: Answer | Callable[[Seen], Answer] = Answer()

    def hear(self, answer: Answer | Callable[[Seen], Answer], request: Request = ASK) -> Generation | ModelError:
        """What comes of a request that is answered so; anything but the two is raised."""
        got = self.run(answer, lambda: self.model.generate(request))
        assert isinstance(got, (Generation, ModelError))
        return lawful(got)

    def run(self, answer: Answer | Callable[[Seen], Answer], work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """What comes of any work, or the ModelError that it raises."""
        self.answer = answer
        self.server.seen.clear()
        try:
            return self.runner.run(work())
        except ModelError as error:
            return lawful(error)

    def collect(self, answer: Callable[[Seen], Answer]) -> dict[str, Generation | ModelError] | ModelError:
        """What comes of a batch that another process sent; one result for each key."""

        async def whole() -> dict[str, Any]:
            came: AsyncIterator[tuple[str, Any]] = self.model.collect("b-1")
            return {key: lawful(one) async for key, one in came}

        got: dict[str, Generation | ModelError] | ModelError = self.run(answer, whole)
        return got


@contextmanager
def telling(make: Callable[[Server], Any]) -> Iterator[Told]:
    """A model made for a server that says what the test has in hand."""
    told: list[Told] = []

    def say(seen: Seen) -> Answer:
        return told[0].answer if isinstance(told[0].answer, Answer) else told[0].answer(seen)

    with serving(say) as server, asyncio.Runner() as runner:
        told.append(Told(make(server), server, runner))
        yield told[0]
        runner.run(told[0].model.close())


def lawful(got: Any) -> Any:
    """The same, once seen to be what the engine can keep: written and read back alike, its counts counts or unknown."""
    if isinstance(got, ModelError):
        assert "\n" not in str(got)
        assert len(str(got)) <= 500
        return got
    assert got.completions
    assert isinstance(got.model, str)
    assert got.provider_id is None or isinstance(got.provider_id, str)
    assert got.spend == credible(got.spend)
    for one in got.completions:
        line = dumps(encode(replace(one, tool_calls=tuple(one.tool_calls))))
        assert dumps(encode(decode(Completion, loads(line)))) == line
        assert isinstance(one.text, str)
        assert one.finish in FINISHES
        assert one.tokens is None or count(one.tokens) == one.tokens
    return got


def written(reply: Any) -> bytes:
    """As JSON, with what json.dumps does not write."""
    text = json.dumps(reply).replace(f'"{DIGITS}"', "9" * 5000)
    return text.replace(f'"{DEEP}"', "[" * 100_000 + "]" * 100_000).encode()


def places(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every path into a JSON value."""
    yield here
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*here, key))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from places(inner, (*here, at))


@st.composite
def mutated(draw: st.DrawFn, good: Any) -> Any:
    """A good reply with one to three of its parts replaced, left out, doubled or renamed."""
    reply = copy.deepcopy(good)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(reply))))
        reply = _changed(reply, path, draw(st.sampled_from(("replace", "replace", "leave", "double", "rename"))), draw)
    return reply


def _changed(reply: Any, path: tuple[Any, ...], how: str, draw: st.DrawFn) -> Any:
    if not path:
        return draw(values) if draw(st.integers(0, 9)) == 0 else reply
    at = reply
    for key in path[:-1]:
        at = at[key]
    last = path[-1]
    if how == "leave":
        del at[last]
    elif how == "double" and isinstance(at, list):
        at.insert(last, copy.deepcopy(at[last]))
    elif how == "rename" and isinstance(at, dict):
        at["strange"] = at.pop(last)
    else:
        at[last] = draw(values)
    return reply
