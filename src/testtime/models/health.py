"""Whether a provider's models can be called from here: package, key, server, and one token where that is wanted.

Nothing is paid for but by `call`, and no key is ever shown, only the name of the variable that holds it.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import urlsplit

from testtime.core.closing import closing
from testtime.core.errors import BadInput, ModelError
from testtime.core.protocols import Model
from testtime.core.records import Request
from testtime.core.registry import names
from testtime.models import keys
from testtime.models.bedrock import Bedrock
from testtime.models.openai import hosts

PACKAGES = {
    "anthropic": "anthropic", "bedrock": "boto3", "gemini": "google-genai", "hf": "transformers",
    "hf-reward": "transformers",
}  # fmt: skip
"""Provider → the package it needs; hosts of OpenAI's wire need openai, and the others none."""
SERVERS = {
    "anthropic": ("ANTHROPIC_BASE_URL", "https://api.anthropic.com"),
    "gemini": ("GOOGLE_GEMINI_BASE_URL", "https://generativelanguage.googleapis.com"),
}
"""Provider → (the variable that moves its server, where it is)."""
PATIENCE = 3.0
"""Seconds for a server to answer the door."""


@dataclass(frozen=True)
class Check:
    """One thing looked at."""

    what: str
    """package, key, server or call."""
    well: bool
    said: str


def look(provider: str, addresses: Sequence[str] = ()) -> list[Check]:
    """Package, key and server of a provider, as far as it has them; `addresses`: of its servers, by default its own.

    Raises BadInput: there is no such provider.
    """
    if provider not in names("model"):
        raise BadInput(f"there is no provider {provider!r}", mend=f"known: {', '.join(sorted(names('model')))}")
    checks = [_package(provider), _key(provider)]
    checks += [reach(url) for url in dict.fromkeys(addresses)] or [_server(provider)]
    return [check for check in checks if check is not None]


async def call(model: Model) -> Check:
    """One request of one token, which is paid for."""
    params: dict[str, Any] = {"max_tokens": 1}
    probe = Request([{"role": "user", "content": "Say yes."}], params=params)
    try:
        if (opens := getattr(model, "open", None)) is not None:
            opens()
        async with closing([model]):
            got = await model.generate(probe)
    except (BadInput, ModelError) as error:
        return Check("call", False, str(error))
    read, wrote = ("an unknown number of" if one is None else one for one in (got.spend.prompt, got.spend.completion))
    return Check("call", True, f"{got.model or 'a model without a name'} answered; {read} tokens read, {wrote} written")


def _package(provider: str) -> Check | None:
    package = "openai" if provider in hosts.table() else PACKAGES.get(provider)
    if package is None:
        return None
    try:
        return Check("package", True, f"{package} {version(package)}")
    except PackageNotFoundError:
        return Check("package", False, f'{package} is missing: pip install "testtime[{_extra(provider)}]"')


def _extra(provider: str) -> str:
    return "openai" if provider in hosts.table() else provider


def _key(provider: str) -> Check | None:
    if provider == "bedrock":
        return _aws()
    host: Mapping[str, Any] = hosts.table().get(provider, {})
    variables: Sequence[str] = host.get("keys", keys.READ.get(provider, ()))
    if not variables:
        return None
    holder = next((name for name in variables if keys.value(name)), None)
    if holder is not None:
        return Check("key", True, f"{holder} is set")
    ask_at = host.get("key_at", keys.ASK_AT.get(provider))
    needless = (provider in hosts.table() and ask_at is None) or provider == "hf"
    where = f"; keys: {ask_at}" if ask_at else ""
    return Check("key", needless, f"{' or '.join(variables)} is not set{', nor needed' if needless else ''}{where}")


def _aws() -> Check:
    try:
        Bedrock("any").open()
    except BadInput as error:
        return Check("key", False, str(error))
    return Check("key", True, "AWS credentials and a region are set")


def _server(provider: str) -> Check | None:
    if provider in hosts.table():
        host = hosts.table()[provider]
        url = (keys.value(host["url_variable"]) if "url_variable" in host else None) or str(host["base_url"])
    elif provider in SERVERS:
        variable, usual = SERVERS[provider]
        url = keys.value(variable) or usual
    elif provider == "bedrock":
        return _aws_server()
    else:
        return None
    return reach(url)


def _aws_server() -> Check | None:
    """Of the region that is set; where none is, the line on the key says so."""
    try:
        return reach(Bedrock("any").endpoint())
    except BadInput:
        return None


def reach(url: str) -> Check:
    """Whether a server takes connections at an address."""
    try:
        parts = urlsplit(url)
        place, port = parts.hostname or url, parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((place, port), timeout=PATIENCE).close()
    except ValueError as error:
        return Check("server", False, f"{url} is no address ({error})")
    except OSError as error:
        return Check("server", False, f"{place}:{port} cannot be reached ({error})")
    return Check("server", True, f"{place}:{port} can be reached")
