"""`testtime list` names all there is of a kind, built in or plugged in; `testtime doctor` says what is missing in lines
that never show a key, pays for nothing unless it is told to, and ends with 2 only for what was asked about.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from testtime.cli.lists import KINDS
from testtime.core import secret
from testtime.core.registry import names
from testtime.models import BUILTIN, keys
from testtime.models.memory import estimate
from testtime.models.scripted import Scripted

Run = Callable[[str], Any]
POCKET = Path(__file__).parent.parent.parent / "src/testtime/models/pocket_weights/pocket-m"
ASKED: list[int] = []


def Counted(name: str) -> Scripted:
    """Counts how often it is opened."""
    ASKED.append(1)
    return Scripted(["yes"], name=f"counted:{name}")


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret, "_KEPT", set())
    monkeypatch.setattr(keys, "_named", {})
    monkeypatch.setitem(BUILTIN, "counted", "test_list_and_doctor:Counted")
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    ASKED.clear()


@pytest.fixture
def port() -> Iterator[int]:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen()
        yield door.getsockname()[1]


@pytest.mark.parametrize("what", KINDS)
def test_all_there_is_of_a_kind_is_listed_with_a_sentence(testtime: Run, what: str) -> None:
    ran = testtime(f"list {what}")
    assert ran.code == 0
    *listed, last = ran.out.splitlines()
    assert dict(line.split(maxsplit=1) for line in listed).keys() == set(names(KINDS[what]))
    assert last.startswith("next: testtime ")


def test_the_table_of_models_has_its_day_prices_and_what_is_retired(testtime: Run) -> None:
    out = testtime("list models").out
    assert "on 2026-11-25; prices: genai-prices" in out
    assert "gpt-4o-mini: $0.15 / $0.6" in out
    assert "claude-sonnet-4-5: $3 / $15" in out
    assert "2026-11-30  anthropic: claude-sonnet-4-5*; instead claude-sonnet-5-5" in out
    recommended = out.split("openai: gpt-4o-mini, gpt-4.1-mini")[1].split("\n\n")[0]
    assert "    only until 2027-01-14: gpt-4o-mini, gpt-4.1-mini; then gpt-6-luna" in recommended


def test_what_cannot_be_listed_is_one_line(testtime: Run) -> None:
    assert "unknown kind 'polices'; did you mean policies" in testtime("list polices").err


def test_what_is_missing_is_said_and_no_key_is_shown(
    testtime: Run, monkeypatch: pytest.MonkeyPatch, port: int, folder: Path
) -> None:
    (folder / "mine").write_text(f"ANTHROPIC_BASE_URL=http://127.0.0.1:{port}\n")
    ran = testtime("doctor anthropic --env_file mine")
    assert ran.code == 2
    assert "no  key: ANTHROPIC_API_KEY is not set; keys: platform.claude.com" in ran.out
    assert f"ok  server: 127.0.0.1:{port} can be reached" in ran.out
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-0123456789")
    ran = testtime("doctor anthropic --env_file mine")
    assert "ok  key: ANTHROPIC_API_KEY is set" in ran.out
    assert "0123456789" not in ran.out + ran.err


def test_a_server_that_is_not_there_is_said(testtime: Run, folder: Path, port: int) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        (folder / "mine").write_text(f"ANTHROPIC_BASE_URL=http://127.0.0.1:{closed.getsockname()[1]}\n")
        assert "no  server: 127.0.0.1:" in testtime("doctor anthropic --env_file mine").out


def test_bedrock_is_looked_for_in_the_region_that_is_set(
    testtime: Run, monkeypatch: pytest.MonkeyPatch, port: int, folder: Path
) -> None:
    pytest.importorskip("boto3", reason="needs the extra bedrock")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    out = testtime("doctor bedrock").out
    assert "no  key: bedrock: models need AWS credentials" in out
    assert "server" not in out, "nobody knows which"
    (folder / "mine").write_text(
        "AWS_ACCESS_KEY_ID=AKIA0123456789\nAWS_SECRET_ACCESS_KEY=secret012345\nAWS_REGION=eu-west-1\n"
    )
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", f"http://127.0.0.1:{port}")
    out = testtime("doctor bedrock --env_file mine").out
    assert "ok  key: AWS credentials and a region are set" in out
    assert f"ok  server: 127.0.0.1:{port} can be reached" in out
    assert "secret012345" not in out


def test_the_server_of_a_model_is_looked_for_where_the_model_is(testtime: Run, port: int) -> None:
    """By its size, as a run would; or where it is said to be."""
    assert "vllm: no  server: localhost:8003 cannot" in testtime("doctor --model vllm:org/Llama-3.2-3B-Instruct").out
    ran = testtime(f"doctor --model vllm:org/Llama-3.2-3B-Instruct --base_url http://127.0.0.1:{port}/v1")
    assert f"vllm: ok  server: 127.0.0.1:{port} can be reached" in ran.out
    assert "--base_url needs a model; add --model" in testtime("doctor --base_url http://127.0.0.1:1/v1").err
    assert "models have no base_url" in testtime("doctor --model pocket-m --base_url http://127.0.0.1:1/v1").err


def test_a_model_is_called_only_when_that_is_asked_for(testtime: Run) -> None:
    ran = testtime("doctor --model counted:a")
    assert (ran.code, ASKED) == (0, [])
    assert "counted: needs nothing" in ran.out
    ran = testtime("doctor --model counted:a --call")
    assert (ran.code, ASKED) == (0, [1])
    assert "ok  call: counted:a answered; 2 tokens read, 1 written" in ran.out
    assert "--call needs a model" in testtime("doctor --call").err
    assert "there is no provider 'nope'" in testtime("doctor nope").err


def test_memory_is_estimated_by_files_or_by_name(testtime: Run) -> None:
    out = testtime(f"doctor --gpu --model org/Llama-3.1-8B-Instruct --model {POCKET} --model org/unsized").out
    assert "org/Llama-3.1-8B-Instruct: about 17.9 GiB in bfloat16 (14.9 GiB weights)" in out
    assert "by the files in" in out
    assert "org/unsized: neither its files nor its name tell its size" in out


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("m/Qwen2.5-0.5B", 1e9), ("m/SmolLM2-360M-Instruct", 0.72e9), ("m/Llama-3.3-70b", 140e9),
        ("m/gpt2", None), ("m/Mixtral-8x7B", None),
    ],
)  # fmt: skip
def test_the_size_in_a_name_is_read_or_left(name: str, weights: float | None) -> None:
    found = estimate(name)
    assert (found.weights if found else None) == (pytest.approx(weights) if weights else None)
    if found is not None:
        halved = estimate(name, "8bit")
        assert halved is not None
        assert halved.weights == pytest.approx(found.weights / 2)


def test_the_files_of_a_folder_are_weighed_exactly() -> None:
    found, single = estimate(str(POCKET), "float32"), estimate(str(POCKET), "bfloat16")
    stored = (POCKET / "model.safetensors").stat().st_size
    assert found is not None
    assert single is not None
    assert found.weights in (pytest.approx(stored), pytest.approx(stored * 2))
    assert single.weights == pytest.approx(found.weights / 2)
    assert found.cache is not None
    assert found.cache > 0


BAD = ["http://127.0.0.1:99999/v1", "http://[bad/v1", "127.0.0.1:80", "http://h:abc/v1", "ftp://x/v1", "http:///v1"]


@pytest.mark.parametrize("url", BAD)
def test_an_address_that_is_none_is_one_line_before_anything_is_asked(testtime: Run, url: str) -> None:
    for more in ("", " --call"):
        ran = testtime(f"doctor --model vllm:m --base_url {url}{more}")
        assert ran.code == 2
        assert ran.err == f"testtime: {url} is no address of a server; write http://HOST:PORT/v1\n"


@pytest.mark.parametrize("url", BAD[:2])
def test_a_provider_s_address_that_is_none_is_a_line_that_says_no(
    testtime: Run, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
    ran = testtime("doctor anthropic")
    assert ran.code == 2
    assert f"server: {url} is no address" in ran.out
