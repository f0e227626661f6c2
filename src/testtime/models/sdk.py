"""What all hosted backends share: their SDK, found only when it is used, and what a failed call means."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from testtime.core.errors import BadInput, ModelError
from testtime.models import keys
from testtime.models.form import line
from testtime.models.openai.failing import retry_after
from testtime.models.openai.hosts import address

BUSY = frozenset({429, 503, 529})
"""Statuses by which a provider wants to be asked less."""
PASSING = frozenset({408, 409, 424, 425})
"""Statuses of failures that may pass, besides those of 500 and more."""
TIMEOUT = 3600.0
"""Seconds after which a call is given up here; the engine gives up before, where it is told to."""


def load(module: str, provider: str) -> Any:
    """A module of a provider's SDK. Raises BadInput with the line that installs it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        mend = f'run: pip install "testtime[{provider}]"'
        raise BadInput(f"{provider}: models need the package {error.name}", mend=mend) from None


def server(variable: str) -> str | None:
    """The address that a variable moves a provider's server to. Raises BadInput where it is none."""
    said = keys.value(variable)
    return None if said is None else address(said)


def failed(status: int, why: object, headers: Mapping[str, str] | None = None) -> ModelError:
    """The error of a reply with this HTTP status, by what the server says of asking again."""
    headers = {name.lower(): value for name, value in (headers or {}).items()}
    said = f"{status} {line(why)}"
    if status < 300:  # no refusal, and no reply either
        return ModelError(said, lost=True)
    passing = status in PASSING or status >= 500
    if headers.get("x-should-retry") == "false":
        return ModelError(said)
    amazon = headers.get("x-amz-retry-after", "")
    milliseconds = {"retry-after-ms": amazon} if amazon.isdecimal() else {}
    wait = retry_after(headers | milliseconds)
    if status in BUSY or (wait is not None and passing):
        return ModelError(said, busy=True, retry_after=wait)
    return ModelError(said, retry=passing or headers.get("x-should-retry") == "true")
