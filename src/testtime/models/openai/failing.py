"""What the SDK raises, as model errors: whether asking again may help, how long to wait, whether a reply was lost."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from testtime.core.errors import ModelError
from testtime.models.form import line

TRANSIENT = frozenset({408, 409, 425, 429})
BUSY = frozenset({429, 503, 529})
FOR_GOOD = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
"""Codes of a 429 that no waiting mends."""
NO_CONNECTION = frozenset(
    {"ConnectError", "ConnectTimeout", "PoolTimeout", "ClientConnectorError", "ConnectionTimeoutError"}
)
"""Of httpx2 and aiohttp: nothing was sent."""


def model_error(error: Any, url: str, timeout: float) -> ModelError:
    """Of an `openai.APIError`."""
    import openai

    if isinstance(error, openai.APITimeoutError) and not _broke(error):
        if _never_left(error):
            return ModelError(f"{url} does not answer the call", retry=True)
        return ModelError(f"no reply within {timeout:g} s", lost=True)
    if isinstance(error, openai.APIStatusError):
        return _of_status(error)
    if isinstance(error, openai.APIConnectionError):
        if _never_left(error):
            return ModelError(f"{url} cannot be reached ({_cause(error)})", retry=True)
        return ModelError(f"the connection broke ({_cause(error)})", lost=True)
    return ModelError(f"the reply cannot be read: {line(error)}", lost=True)


def _of_status(error: Any) -> ModelError:
    status, headers = error.status_code, error.response.headers
    said = f"{status}: {line(error.body if isinstance(error.body, str) else error.message)}"
    told = headers.get("x-should-retry")
    again = told == "true" or (told != "false" and (status in TRANSIENT or status >= 500))
    if not again or any(isinstance(one, str) and one in FOR_GOOD for one in (error.code, error.type)):
        return ModelError(said)
    return ModelError(said, retry=True, busy=status in BUSY, retry_after=retry_after(headers))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to be left alone: retry-after-ms, or retry-after in seconds or as a date."""
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * unit
        except (KeyError, ValueError):
            continue
        return max(0.0, seconds) if math.isfinite(seconds) else None
    try:
        return max(0.0, parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time())
    except (KeyError, OverflowError, TypeError, ValueError):
        return None


def _kinds(error: Any) -> frozenset[str]:
    """What went wrong below the SDK, by the names of its classes: of its transport, and of aiohttp below that."""
    below = error.__cause__
    own = getattr(below, "__cause__", None)
    deepest = own if type(own).__module__.startswith("aiohttp") else below
    return frozenset(kind.__name__ for kind in type(deepest).__mro__)


def _broke(error: Any) -> bool:
    """Whether a connection failed where the transport says that time was up: it says so of aiohttp's failures, too."""
    kinds = _kinds(error)
    return "ClientConnectionError" in kinds and "TimeoutError" not in kinds


def _never_left(error: Any) -> bool:
    """Whether there was no connection to send it by."""
    return bool(_kinds(error) & NO_CONNECTION)


def _cause(error: Any) -> str:
    return line(error.__cause__ or error)
