"""What hosts.toml says of a host, and of a model there."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from testtime.core.errors import BadInput, unknown_name
from testtime.core.protocols import Cap
from testtime.core.records import Map

TABLE = Path(__file__).with_name("hosts.toml")
Api = Literal["chat", "responses", "completions"]
USUAL: Mapping[Api, frozenset[str]] = {
    "chat": frozenset({"max_tokens", "temperature", "top_p", "stop", "tools", "schema", "thinking", "logprobs"}),
    "responses": frozenset({"max_tokens", "temperature", "top_p", "tools", "schema", "thinking"}),
    "completions": frozenset({"max_tokens", "temperature", "top_p", "stop", "logprobs", "schema"}),
}
"""Parameters of a request that each API has a word for."""


@dataclass(frozen=True)
class Host:
    """One host, as it treats one model: see hosts.toml for what the fields mean."""

    base_url: str
    can: frozenset[Cap]
    url_variable: str | None = None
    ports: Mapping[str, int] = field(default_factory=dict)
    keys: Sequence[str] = ()
    key_at: str | None = None
    params: Sequence[str] = ()
    send: Map = field(default_factory=dict)
    limit: str = "max_tokens"
    most_n: int = 128
    most_logprobs: int = 5
    continues: Literal["ids", "chat"] | None = None
    api: Api = "chat"
    usual: Api = "chat"
    """The API that the model is made for."""
    fixed: Mapping[str, float] = field(default_factory=dict)

    def url(self, model: str) -> str:
        """Where the model is by default: a size in its name may have a port of its own.

        >>> host("vllm", "meta-llama/Llama-3.2-1B-Instruct").url("meta-llama/Llama-3.2-1B-Instruct")
        'http://localhost:8001/v1'
        """
        for size, port in self.ports.items():
            if re.search(rf"(?<![\w.]){size}(?![\w])", model, re.IGNORECASE):
                return re.sub(r":\d+/", f":{port}/", self.base_url)
        return self.base_url


def address(said: str) -> str:
    """A server's address, as it was said. Raises BadInput where it is none.

    >>> address("http://localhost:8000/v1")
    'http://localhost:8000/v1'
    """
    try:
        parts = urlsplit(said)
        fine = parts.scheme in ("http", "https") and (parts.port is None or parts.port > 0)
    except ValueError:
        fine = False
    if not fine or not re.fullmatch(r"[\w.:-]+", parts.hostname or "", re.ASCII):
        raise BadInput(f"{said} is no address of a server", mend="write http://HOST:PORT/v1")
    return said


@cache
def table() -> Mapping[str, Mapping[str, Any]]:
    """The hosts by name, as the file says them."""
    return tomllib.loads(TABLE.read_text(encoding="utf-8"))


def host(name: str, model: str, api: Api | None = None) -> Host:
    """The host for a model, its rules applied. Raises BadInput for an unknown host.

    `api` chosen otherwise than the rule's takes the host's own capabilities.
    """
    if name not in table():
        raise unknown_name("host", name, table())
    said = dict(table()[name])
    rules = said.pop("models", [])
    rule: Map = next((one for one in rules if any(fnmatchcase(model, pattern) for pattern in one["names"])), {})
    if api is None or api == rule.get("api", "chat"):
        said |= {key: value for key, value in rule.items() if key != "names"}
    said["usual"] = rule.get("api", "chat")
    if api is not None:
        said["api"] = api
    said["can"] = frozenset(said["can"]) | ({"continuation"} if api == "completions" else frozenset())
    return Host(**{f.name: said[f.name] for f in fields(Host) if f.name in said})
