"""A reply that parses and yet is none of its API's form fails its own call, not the run; one helper for all backends.

What a server says of its tokens is apart: a usage of another form is unknown, and the text that was paid for is kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from itertools import chain
from typing import Any, ParamSpec, get_args

from testtime.core.definitions import DEEPEST_CALL, is_shallow
from testtime.core.errors import ModelError
from testtime.core.records import Completion, Finish, Generation, Map
from testtime.core.spend import Spend, count, credible

P = ParamSpec("P")

ODD = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What code raises that reads a reply and meets another form, of ours and of the SDKs. UnicodeEncodeError, which is
a ValueError, is of a request: no UTF-8 holds it."""
FINISHES = frozenset(get_args(Finish))
AROUND = 8
"""Levels that an API's own form has around a call's arguments."""


def odd(error: Exception) -> ModelError:
    """The failure of a call whose reply could not be read; it may have been billed."""
    return ModelError(f"the reply has not the form of the API: {line(error)}", lost=True)


def of_the_form(read: Callable[P, Generation]) -> Callable[P, Generation]:
    """A reader whose replies are read whole, every part of the type it is due, or raise ModelError."""

    @wraps(read)
    def checked(*given: P.args, **named: P.kwargs) -> Generation:
        try:
            got = read(*given, **named)
            said = [_checked(one) for one in got.completions]
        except RecursionError:
            raise too_deep() from None
        except ODD as error:
            raise odd(error) from error
        name, id = (one if isinstance(one, str) else None for one in (got.model, got.provider_id))
        return replace(got, completions=said, spend=_counted(got.spend, said), model=name or "", provider_id=id)

    return checked


def too_deep() -> ModelError:
    """The failure of a call whose reply is nested without end."""
    return ModelError("the reply is nested too deep to be read", lost=True)


def unsent(error: UnicodeEncodeError) -> ModelError:
    """The failure of a request that no UTF-8 holds: half of a pair that a model's text or a file was cut in."""
    return ModelError(f"the request cannot be sent: it holds {error.object[error.start]!r}, half a character")


def _checked(said: Completion) -> Completion:
    """A completion whose parts are what they should be; its count of tokens, where it is none, is unknown."""
    if not isinstance(said.text, str) or said.finish not in FINISHES:
        raise TypeError("a text or why it ended is none")
    if said.token_ids is not None and any(count(id) is None for id in said.token_ids):
        raise TypeError("the token ids are none")
    if said.logprobs is not None:
        for token, value in chain.from_iterable(law.items() for law in said.logprobs):
            if not isinstance(token, str) or isinstance(value, (str, bool)):
                raise TypeError("the log-probabilities are none")
            float(value)
    for call in said.tool_calls:
        if not isinstance(call["name"], str) or not isinstance(call["id"], (str, type(None))):
            raise TypeError("a call names no tool")
        if not is_shallow(call, DEEPEST_CALL + AROUND):
            raise TypeError("a call is nested too deep")
    return replace(said, tokens=_written(count(said.tokens), said.text))


def _written(tokens: int | None, text: str) -> int | None:
    """A count of a text's tokens; 0, as servers tell that do not count, is that of no text."""
    return None if tokens == 0 and text else tokens


def _counted(told: Spend, said: Sequence[Completion]) -> Spend:
    """What was told of a request that was read and answered; 0 for a prompt is a server that does not count."""
    known = credible(told)
    if known.prompt == 0:
        known = replace(known, prompt=None, cached=None, written=None)
    if _written(known.completion, "".join(one.text for one in said)) is None:
        known = replace(known, completion=None, reasoning=None)
    return known


def told(usage: Any, *way: str, absent: int | None = None) -> int | None:
    """The number of tokens that stands in a usage under these names; None where it is no such number.

    `absent`: where nothing stands there, as APIs leave out what is 0.

    >>> told({"prompt": 5, "details": {"cached": -3}}, "prompt"), told({"details": [5]}, "details", "cached", absent=0)
    (5, None)
    >>> told({"prompt": 5}, "details", "cached", absent=0)
    0
    """
    if usage is None:
        return None
    for name in way:
        if usage is None:
            return absent
        if isinstance(usage, (int, float, Sequence)):
            return None
        usage = usage.get(name) if isinstance(usage, Mapping) else getattr(usage, name, None)
    return absent if usage is None else count(usage)


def total(*counts: int | None) -> int | None:
    """The sum of counts; None where one is unknown."""
    known = [one for one in counts if one is not None]
    return sum(known) if len(known) == len(counts) else None


def records(data: bytes) -> Iterator[Map]:
    """The lines of a batch's results that name a request; what cannot be read leaves its request without a result."""
    for one in data.split(b"\n"):
        try:
            said = json.loads(one) if one.strip() else None
        except (ValueError, RecursionError):
            continue
        if isinstance(said, dict) and isinstance(said.get("custom_id"), str):
            yield said


LONGEST = 300
"""Characters of a provider's message that are kept."""


def line(said: object) -> str:
    """What a provider says, in one line that is not too long."""
    joined = " ".join(str(said)[: LONGEST * 40].split()) or type(said).__name__
    return joined if len(joined) <= LONGEST else f"{joined[: LONGEST - 1]}…"
