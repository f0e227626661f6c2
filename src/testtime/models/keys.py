"""Keys of providers: from a file that is named, the environment, `.env`, or `env_vars/.env.main`, in this order.

A key is read when a model that needs it is opened, handed to the provider's SDK, and kept nowhere else; its value
is struck out of every message (core/secret.py). Nothing is put into the environment.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from dotenv.parser import parse_stream

from testtime.core import errors
from testtime.core.errors import BadInput
from testtime.core.rows import read_bytes
from testtime.core.secret import keep, lend

USUAL = (Path(".env"), Path("env_vars/.env.main"))
"""Files that are read where they are, the first before the second."""
READ: Mapping[str, tuple[str, ...]] = {
    "openai": ("OPENAI_API_KEY",),
    "anthropic": ("ANTHROPIC_API_KEY",),
    "gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "hyperbolic": ("HYPERBOLIC_API_KEY",),
    "hf": ("HF_TOKEN",),
}
"""Provider → variables that may hold its key; the first that is set is used. AWS finds its own: see `of_aws`."""
ASK_AT = {
    "openai": "platform.openai.com/api-keys",
    "anthropic": "platform.claude.com/settings/keys",
    "gemini": "aistudio.google.com/apikey",
    "hyperbolic": "app.hyperbolic.ai",
    "hf": "huggingface.co/settings/tokens",
}
"""Provider → the page that gives a key."""
_SECRET = re.compile(r"(^|_)(KEY|KEY_ID|TOKEN|SECRET|PASSWORD)$")
_named: dict[str, str] = {}


def use_file(path: Path | None) -> None:
    """Reads keys from this file first, before the environment; None: from no such file. Raises BadInput."""
    _named.clear()
    if path is not None:
        _named.update(read_file(path))
    hide()
    lend("HF_TOKEN", value("HF_TOKEN"))


def value(*names: str) -> str | None:
    """The first of these variables that is set and not empty, or None; a secret is kept out of every message."""
    sources = _sources()
    return next((source[name] for source in sources for name in names if source.get(name)), None)


def need(provider: str) -> str:
    """The key of a provider. Raises BadInput: a line with the variable to set, and where a key is to be had."""
    key = value(*READ[provider])
    if key is None:
        raise missing(provider, READ[provider], ASK_AT[provider])
    return key


def missing(provider: str, variables: Sequence[str], ask_at: str) -> BadInput:
    """The error for a key that is not set: a line with the variables that may hold it, and where one is to be had."""
    mend = f"set it in the environment, in .env or in --env_file FILE (keys: {ask_at})"
    return BadInput(f"{provider}: models need the key {' or '.join(variables)}, which is not set", mend=mend)


def of_aws() -> dict[str, str]:
    """The AWS_* variables that files set, unless the environment comes before them; the rest boto3 finds by itself."""
    said = {name for source in _files() for name in source if name.startswith("AWS_")}
    return {name: text for name in sorted(said) if (text := value(name)) is not None}


def gated(what: str) -> BadInput:
    """The error for a model of the hub that is given only to those who asked for it."""
    return errors.gated(what, token=value("HF_TOKEN") is not None)


def hide() -> None:
    """Keeps the value of every variable that looks like a secret out of all messages from now on."""
    _sources()


def read_file(path: Path) -> dict[str, str]:
    """The variables of a file in the form of `.env`; nothing is filled in. Raises BadInput with file and line."""
    try:
        text = read_bytes(path).decode()
    except UnicodeDecodeError:
        raise BadInput("not UTF-8 text", where=str(path)) from None
    found: dict[str, str] = {}
    for binding in parse_stream(io.StringIO(text)):
        if binding.error:
            where = f"{path}:{binding.original.line}"  # the line itself may hold a key: it is not printed
            raise BadInput("the line cannot be read", where=where, mend="write NAME=value, a line each")
        if binding.key is not None and binding.value is not None:
            found[binding.key] = binding.value
    return found


def _files() -> list[Mapping[str, str]]:
    return [_named, *(read_file(path) for path in USUAL if path.is_file())]


def _sources() -> list[Mapping[str, str]]:
    """Every source of variables, the first before the others, with its secrets kept."""
    named, *usual = _files()
    sources = [named, os.environ, *usual]
    for source in sources:
        for name, text in source.items():
            for secret in _secrets(name, text):
                keep(secret)
    return sources


def _secrets(name: str, text: str) -> Iterator[str]:
    """What of a variable must not be printed: all of it by its name, or the password of an address."""
    if _SECRET.search(name.upper()):
        if not text.startswith(("/", "~", ".")) or not Path(text).expanduser().exists():  # a file that holds one
            yield text
    elif name.endswith("_URL") and "@" in text and (password := urlsplit(text).password):
        yield from (password, unquote(password))


__all__ = ["ASK_AT", "READ", "USUAL", "gated", "hide", "missing", "need", "of_aws", "read_file", "use_file", "value"]
