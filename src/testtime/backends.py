"""From a resolved spec to its models: each opened with the settings that are its backend's, and a server where one
is to be started for the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from testtime.core.errors import BadInput
from testtime.core.protocols import Model, Opens
from testtime.core.registry import names
from testtime.models.naming import open_model, resolve, settings_of_provider
from testtime.runspec import MODEL_KEYS, MODEL_SETTINGS, RunSpec
from testtime.serve.started import FLAGS, VLLM, Server

HOSTED_HERE = ("vllm", "sglang")
"""Providers whose servers usually run on this machine."""


def open_models(spec: RunSpec, whole: Sequence[str]) -> dict[str, Model]:
    """The models by name. Raises BadInput; also for a setting that no model of the run has."""
    given = {key: value for key in (*MODEL_SETTINGS, *FLAGS) if (value := getattr(spec, key)) is not None}
    addresses = addresses_of(spec)
    fits = {name: settings_of_provider(name.partition(":")[0]) for name in whole}
    used = {key for has in fits.values() for key in has} | (set(FLAGS) if spec.serve else set())
    asked = {**given, **({"base_url": 1} if spec.base_url else {})}
    for key in asked:
        if key not in used:
            raise _no_owner(key, whole)
    opened = {}
    for name, has in fits.items():
        settings = {key: value for key, value in given.items() if key in has}
        if (url := addresses.get(name, addresses.get(""))) and "base_url" in has:
            settings["base_url"] = url
        opened[name] = open_model(name, settings)
    return opened


def open_alone(key: str, name: str | None, base_url: Sequence[str]) -> Model | None:
    """A model beside any run, which `key` names, at its server's address; None where none is named. Raises BadInput."""
    if name is None:
        if base_url:
            raise BadInput("base_url is the address of no model", mend=f"add --{key} PROVIDER:NAME")
        return None
    whole = resolve(name)
    at = addresses(base_url, {key: whole})
    url = at.get(whole, at.get(""))
    if url and "base_url" not in settings_of_provider(whole.partition(":")[0]):
        raise _no_owner("base_url", [whole])
    model = open_model(whole, {"base_url": url} if url else {})
    if isinstance(model, Opens):
        model.open()  # a key that is missing is said before anything is asked
    return model


def addresses_of(spec: RunSpec) -> dict[str, str]:
    """Model → address of its server; "" for all others. Raises BadInput."""
    return addresses(spec.base_url, {key: name for key in MODEL_KEYS if (name := getattr(spec, key)) is not None})


def addresses(texts: Sequence[str], models: Mapping[str, str]) -> dict[str, str]:
    """Model → address of its server; "" for all others, of the models by the keys that name them. Raises BadInput.

    An address alone is for every model; `oracle_model=http://…` for the one of that key.
    """
    found: dict[str, str] = {}
    for text in texts:
        key, equals, url = text.partition("=")
        named = bool(equals) and "/" not in key
        if named and key not in models:
            raise BadInput(f"--base_url {text}: {key} names no model of this run", mend=_form())
        model, address = (models[key], url) if named else ("", text)
        if not address.startswith(("http://", "https://")):
            raise BadInput(f"--base_url {text}: not an address", mend=_form())
        if found.setdefault(model, address) != address:
            raise BadInput(f"two addresses for {model or 'all models'}: {found[model]} and {address}", mend=_form())
    return found


def _form() -> str:
    return f"write http://HOST:PORT/v1, or KEY=http://… with one of {', '.join(MODEL_KEYS)}"


def _no_owner(key: str, whole: Sequence[str]) -> BadInput:
    owners = sorted(provider for provider in names("model") if key in settings_of_provider(provider))
    owners += ["--serve vllm"] if key in FLAGS else []
    return BadInput(
        f"{key} is a setting of no model of this run ({', '.join(whole)})", mend=f"it belongs to {', '.join(owners)}"
    )


def servers_of(spec: RunSpec, models: Mapping[str, Model], folder: Path) -> list[Server]:
    """The servers that `serve` asks for, one for each model of a host on this machine. Raises BadInput.

    Their logs lie in the folder.
    """
    if spec.serve is None:
        return []
    local = {name: model for name, model in models.items() if name.partition(":")[0] in HOSTED_HERE}
    if not local:
        what = f"--serve starts a server for {' or '.join(HOSTED_HERE)}: models, and {', '.join(models)} is none"
        raise BadInput(what, mend="leave it out")
    servers = []
    for name, model in local.items():
        url = str(getattr(model, "url", ""))
        settings = {key: getattr(spec, key) for key in FLAGS}
        log = folder / f"server-{urlsplit(url).port}.log"
        command = VLLM if spec.serve == "vllm" else spec.serve
        servers.append(Server(name.partition(":")[2], url, log, command, settings))
        assert servers[-1].words  # a command that cannot take the settings is refused now
    return servers


@contextmanager
def all_running(servers: Sequence[Server]) -> Iterator[None]:
    """All of them answer while the context is open. Raises BadInput."""
    with ExitStack() as stack:
        for server in servers:
            stack.enter_context(server.running())
        yield
