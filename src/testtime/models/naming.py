"""Names of models: `provider:name`, and what a name without a provider means.

    pocket-m            → pocket:pocket-m       by the preset table
    org/name            → hf:org/name           a repository of the hub
    llama-3.1-8b        → refused, with the providers that could be meant

A provider is a registered backend: it is called with what follows the colon, and gives a model that is
named `provider:name`. The providers of PROVIDERS that no backend is registered for are known by name only.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from testtime.core.errors import BadInput, unknown_name
from testtime.core.protocols import Model
from testtime.core.registry import find, names

PROVIDERS = ("pocket", "hf", "vllm", "openai", "anthropic", "gemini", "bedrock", "hyperbolic")
PRESETS = {
    "gpt-oss*": ("vllm", "hf", "hyperbolic"),
    "gpt-*": ("openai",),
    "claude-*": ("anthropic",),
    "gemini-*": ("gemini",),
    "pocket-*": ("pocket",),
    "*/*": ("hf",),
}
"""Pattern → providers that serve such names; the first that fits decides, several are ambiguous."""
GENERATORS = {"claude": "anthropic", "openai": "openai"}
"""What `generator:` says → provider."""


def resolve(name: str, provider: str | None = None, generator: str | None = None) -> str:
    """The whole name, `provider:name`. Raises BadInput with the candidates where that is not certain.

    >>> resolve("pocket-m"), resolve("org/model:free"), resolve("m", "vllm")
    ('pocket:pocket-m', 'hf:org/model:free', 'vllm:m')
    """
    said, rest = _split(name)
    wanted = _wanted(provider, generator)
    if said and wanted and said != wanted:
        raise BadInput(f"the model {name!r} names the provider {said}, and {wanted} is asked for", mend="name one")
    chosen = wanted or said or _preset(name)
    if not rest:
        raise BadInput(f"no model is named in {name!r}", mend=f"write {chosen}:NAME")
    return f"{chosen}:{rest}"


def open_model(whole: str) -> Model:
    """The model of a whole name. Raises BadInput: no such provider here, no such model, a library is missing."""
    provider, _, name = whole.partition(":")
    if provider not in names("model"):
        here = ", ".join(f"{known}:" for known in names("model"))
        raise BadInput(f"this installation has no backend for {provider}: models", mend=f"it has {here}")
    try:
        model: Model = find("model", provider)(name)
    except ModuleNotFoundError as error:
        raise BadInput(
            f"{provider}: models need the package {error.name}", mend=f'run: pip install "testtime[{provider}]"'
        ) from None
    return model


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
