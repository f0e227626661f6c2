"""Every model has one whole name, provider:name; a shorter one is certain, or refused with what it could mean."""

from __future__ import annotations

import pytest

from testtime.core.errors import BadInput
from testtime.models import BUILTIN
from testtime.models.echo import Echo
from testtime.models.naming import PROVIDERS, open_model, resolve


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("pocket-m", "pocket:pocket-m"), ("pocket:pocket-m", "pocket:pocket-m"), ("gpt-5-mini", "openai:gpt-5-mini"),
        ("claude-sonnet-4-5", "anthropic:claude-sonnet-4-5"), ("gemini-2.5-pro", "gemini:gemini-2.5-pro"),
        ("org/name", "hf:org/name"), ("org/name:free", "hf:org/name:free"), ("vllm:org/name", "vllm:org/name"),
        ("bedrock:us.meta.x-v1:0", "bedrock:us.meta.x-v1:0"), ("echo:1", "echo:1"),
        ("1B", "vllm:meta-llama/Llama-3.2-1B-Instruct"), ("70B", "vllm:meta-llama/Llama-3.1-70B-Instruct"),
    ],
)  # fmt: skip
def test_a_name_means_one_model(name: str, whole: str) -> None:
    assert resolve(name) == whole
    assert resolve(whole) == whole
    assert resolve(name, provider=whole.partition(":")[0]) == whole


@pytest.mark.parametrize(("generator", "provider"), [("claude", "anthropic"), ("openai", "openai")])
def test_a_generator_is_a_provider(generator: str, provider: str) -> None:
    assert resolve("m", generator=generator) == resolve("m", provider=provider) == f"{provider}:m"


@pytest.mark.parametrize(
    ("name", "how", "says"),
    [
        ("llama-8b", {}, r"not certain who serves .*'llama-8b'; write hf:llama-8b or vllm:llama-8b or bedrock:"),
        ("gpt-oss-20b", {}, r"write vllm:gpt-oss-20b or hf:gpt-oss-20b"),
        ("opnai:gpt-5", {}, r"unknown provider 'opnai'; did you mean openai"),
        ("gpt-5", {"provider": "opnai"}, r"unknown provider 'opnai'; did you mean openai"),
        ("openai:gpt-5", {"provider": "vllm"}, r"names the provider openai, and vllm is asked for"),
        ("m", {"provider": "vllm", "generator": "claude"}, r"claude is served by anthropic, not vllm"),
        ("m", {"generator": "clod"}, r"unknown generator 'clod'; did you mean claude"),
        ("pocket:", {}, r"no model is named in 'pocket:'; write pocket:NAME"),
    ],
)
def test_what_is_not_certain_is_refused_with_what_it_could_be(name: str, how: dict[str, str], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        resolve(name, **how)


def test_a_backend_gives_a_model_of_its_whole_name() -> None:
    assert open_model("echo:7") == Echo("7")
    assert open_model("echo:7").name == "echo:7"


def test_a_provider_without_a_backend_says_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for provider in set(PROVIDERS) - BUILTIN.keys():
        with pytest.raises(BadInput, match=f"no backend for {provider}: models; it has .*pocket:"):
            open_model(f"{provider}:m")
    monkeypatch.setitem(BUILTIN, "far", "testtime_no_such_package:Far")
    with pytest.raises(BadInput, match=r'far: models need the package testtime_no.*pip install "testtime\[far\]"'):
        open_model("far:m")


def test_an_unknown_pocket_model_names_those_there_are() -> None:
    with pytest.raises(BadInput, match="unknown pocket model 'pocket-x'"):
        open_model("pocket:pocket-x")
