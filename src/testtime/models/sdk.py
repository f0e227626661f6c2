"""What all hosted backends share: their SDK, found only when it is used, and what a failed call means."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from testtime.core.errors import BadInput, ModelError
from testtime.models.openai.failing import retry_after

BUSY = frozenset({429, 503, 529})
"""Statuses by which a provider wants to be asked less."""
PASSING = frozenset({408, 409, 424, 500, 502, 504})
"""Statuses of failures that may pass."""
TIMEOUT = 3600.0
"""Seconds after which a call is given up here; the engine gives up before, where it is told to."""


def load(module: str, provider: str) -> Any:
    """A module of a provider's SDK. Raises BadInput with the line that installs it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        mend = f'run: pip install "testtime[{provider}]"'
        raise BadInput(f"{provider}: models need the package {error.name}", mend=mend) from None


def failed(status: int, why: str, headers: Mapping[str, str] | None = None) -> ModelError:
    """The error of a reply with this HTTP status, by what the server says of asking again."""
    headers = {name.lower(): value for name, value in (headers or {}).items()}
    said = f"{status} {' '.join(why.split())}"[:500]
    if headers.get("x-should-retry") == "false":
        return ModelError(said)
    amazon = headers.get("x-amz-retry-after", "")
    wait = float(amazon) / 1e3 if amazon.isdecimal() else retry_after(headers)
    if status in BUSY or (wait is not None and status in PASSING):
        return ModelError(said, busy=True, retry_after=wait)
    return ModelError(said, retry=status in PASSING or headers.get("x-should-retry") == "true")
