"""Names of models: `provider:name`, and what a name without a provider means.

    pocket-m            → pocket:pocket-m       by the preset table
    8B                  → vllm:meta-llama/…     by the table of short names
    org/name            → hf:org/name           a repository of the hub
    llama-3.1-8b        → refused, with the providers that could be meant

A provider is a registered backend: it is called with what follows the colon, and gives a model that is
named `provider:name`. The providers of PROVIDERS that no backend is registered for are known by name only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any

from testtime.core.errors import BadInput, unknown_name
from testtime.core.protocols import Model
from testtime.core.registry import find, names
from testtime.models.presets import refuse_retired

PROVIDERS = ("pocket", "hf", "vllm", "openai", "anthropic", "gemini", "bedrock", "hyperbolic", "together")
PRESETS = {
    "gpt-oss*": ("vllm", "hf", "hyperbolic"),
    "gpt-*": ("openai",),
    "claude-*": ("anthropic",),
    "gemini-*": ("gemini",),
    "*meta.llama*": ("bedrock",),
    "*anthropic.claude-*": ("bedrock",),
    "pocket-*": ("pocket",),
    "*/*": ("hf",),
}
"""Pattern → providers that serve such names; the first that fits decides, several are ambiguous."""
SHORT = {
    "1B": "meta-llama/Llama-3.2-1B-Instruct",
    "3B": "meta-llama/Llama-3.2-3B-Instruct",
    "8B": "meta-llama/Llama-3.1-8B-Instruct",
    "70B": "meta-llama/Llama-3.1-70B-Instruct",
}
"""Short name → model, which a vLLM on this machine serves unless said otherwise, at its port of openai/hosts.toml."""
GENERATORS = {"claude": "anthropic", "openai": "openai"}
"""What `generator:` says → provider."""


def resolve(name: str, provider: str | None = None, generator: str | None = None) -> str:
    """The whole name, `provider:name`. Raises BadInput with the candidates where that is not certain.

    >>> resolve("pocket-m"), resolve("org/model:free"), resolve("m", "vllm"), resolve("1B")
    ('pocket:pocket-m', 'hf:org/model:free', 'vllm:m', 'vllm:meta-llama/Llama-3.2-1B-Instruct')
    """
    said, rest = _split(name)
    wanted = _wanted(provider, generator)
    if said and wanted and said != wanted:
        raise BadInput(f"the model {name!r} names the provider {said}, and {wanted} is asked for", mend="name one")
    if not said and name in SHORT:
        return f"{wanted or 'vllm'}:{SHORT[name]}"
    chosen = wanted or said or _preset(name)
    if not rest:
        raise BadInput(f"no model is named in {name!r}", mend=f"write {chosen}:NAME")
    return f"{chosen}:{rest}"


def open_model(whole: str, settings: Mapping[str, Any] = MappingProxyType({})) -> Model:
    """The model of a whole name, with settings of its backend: base_url, dtype, … (see `settings_of_provider`).

    A backend whose field `host` is marked as set by the provider serves several, and is told which. Raises BadInput:
    no such provider here, no such model or one that is retired, no such setting, a library is missing.
    """
    provider, _, name = whole.partition(":")
    if "base_url" not in settings:
        refuse_retired(provider, name)
    known = settings_of_provider(provider)
    if strange := sorted(settings.keys() - known):
        has = f"they have {', '.join(known)}" if known else "they have no settings"
        raise BadInput(f"{provider}: models have no {', '.join(strange)}", mend=has)
    with _installed(provider):
        kind = find("model", provider)
        hosts = is_dataclass(kind) and any(f.metadata.get("by") == "provider" for f in fields(kind))
        model: Model = kind(name, **({"host": provider} if hosts else {}), **settings)
    return model


def settings_of_provider(provider: str) -> tuple[str, ...]:
    """The settings that models of a provider have: the fields of its backend that are declared with a sentence.

    Raises BadInput for a provider that no backend is registered for, or whose library is missing.

    >>> settings_of_provider("vllm")
    ('base_url', 'api', 'timeout', 'stream', 'send_seed')
    """
    if provider not in names("model"):
        here = ", ".join(f"{known}:" for known in names("model"))
        raise BadInput(f"this installation has no backend for {provider}: models", mend=f"it has {here}")
    with _installed(provider):
        kind = find("model", provider)
    return tuple(f.name for f in fields(kind) if "sentence" in f.metadata) if is_dataclass(kind) else ()


@contextmanager
def _installed(provider: str) -> Iterator[None]:
    """Raises BadInput for a package that is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise BadInput(
            f"{provider}: models need the package {error.name}", mend=f'run: pip install "testtime[{provider}]"'
        ) from None


LOCAL = ("pocket", "hf", "hf-reward")
"""Providers that run in this very process."""


def is_local(whole: str) -> bool:
    """Whether a model runs in this very process: its calls take as long as they take."""
    return whole.partition(":")[0] in LOCAL


def digest_of_files(whole: str) -> str | None:
    """Digest of a local model's files, where its backend says one. Raises BadInput: no such model."""
    provider, _, name = whole.partition(":")
    if provider not in names("model"):
        return None
    found = getattr(find("model", provider), "digest_of_files", None)
    return None if found is None else str(found(name))


def _split(name: str) -> tuple[str, str]:
    """(Provider, rest) where a known provider leads; ("", name) for any other name, colons and all."""
    head, colon, rest = name.partition(":")
    return (head, rest) if colon and head in _known() else ("", name)


def _known() -> list[str]:
    return list(dict.fromkeys((*PROVIDERS, *names("model"))))


def _wanted(provider: str | None, generator: str | None) -> str | None:
    if generator is not None and generator not in GENERATORS:
        raise unknown_name("generator", generator, GENERATORS)
    meant = GENERATORS[generator] if generator else None
    if provider is not None and provider not in _known():
        raise unknown_name("provider", provider, _known())
    if provider and meant and provider != meant:
        raise BadInput(f"generator {generator} is served by {meant}, not {provider}", mend="name one of them")
    return provider or meant


def _preset(name: str) -> str:
    served = next((providers for pattern, providers in PRESETS.items() if fnmatchcase(name, pattern)), None)
    if served is not None and len(served) == 1:
        return served[0]
    head, colon, _ = name.partition(":")
    if colon and "/" not in head:
        raise unknown_name("provider", head, _known())
    could = served or tuple(one for one in PROVIDERS if one not in ("pocket", "openai", "anthropic", "gemini"))
    mend = f"write {' or '.join(f'{one}:{name}' for one in could)}"
    raise BadInput(f"it is not certain who serves the model {name!r}", mend=mend)
