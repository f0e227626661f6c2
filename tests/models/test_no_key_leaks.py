"""A planted key is in no file of a run and in nothing it prints, whatever fails on the way: a server that quotes the
key in errors, in its reply, or answers nonsense, a bug in a backend that quotes it, and the traceback of --debug.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from fake_http import Answer, Seen, serving

import fake_model
from testtime.cli import main
from testtime.core import secret
from testtime.models import keys

KEY = "sk-planted-0123456789-abcdefghij"
RUN = "--dataset gsm8k --dataset_path sums.jsonl --policies sc_fixed:n=3 --max_queries 2 --run r --env_file mine"
BUG = """
import sys
from testtime.cli import main
from testtime.models.anthropic import Claude

async def generate(self, request):
    key = self._messages()._client.api_key
    raise RuntimeError({"headers": key})

Claude.generate = generate
sys.exit(main(sys.argv[1:]))
"""


@dataclass(frozen=True)
class Backend:
    """One hosted backend: what of it the test needs."""

    package: str
    line: str
    """Of the command, with {url}."""
    file: str
    """Of the keys, with {url} and {key}."""
    reply: Callable[[str], dict[str, Any]]
    """What it answers where it says this."""


def of_anthropic(said: str) -> dict[str, Any]:
    return {
        "id": "m", "type": "message", "role": "assistant", "model": "claude-haiku-4-5", "stop_reason": "end_turn",
        "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1},
        "content": [{"type": "text", "text": said}],
    }  # fmt: skip


def of_openai(said: str) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": said}}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return {"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}


def of_gemini(said: str) -> dict[str, Any]:
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
    one = {"content": {"role": "model", "parts": [{"text": said}]}, "finishReason": "STOP"}
    return {"candidates": [one], "usageMetadata": usage, "modelVersion": "m", "responseId": "r"}


def of_bedrock(said: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": [{"text": said}]}
    usage = {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}
    return {"output": {"message": message}, "stopReason": "end_turn", "usage": usage, "metrics": {"latencyMs": 1}}


AWS = "AWS_ACCESS_KEY_ID=AKIA{key}\nAWS_SECRET_ACCESS_KEY={key}\nAWS_SESSION_TOKEN=token-{key}\nAWS_REGION=us-east-1\n"
BACKENDS = {
    "anthropic": Backend(
        "anthropic", "--model anthropic:claude-haiku-4-5", "ANTHROPIC_API_KEY={key}\nANTHROPIC_BASE_URL={url}\n",
        of_anthropic,
    ),
    "openai": Backend(
        "openai", "--model openai:gpt-4o-mini", "OPENAI_API_KEY={key}\nOPENAI_BASE_URL={url}/v1\n", of_openai
    ),
    "hyperbolic": Backend(
        "openai", "--model hyperbolic:org/m --base_url {url}/v1", "HYPERBOLIC_API_KEY={key}\n", of_openai
    ),
    "gemini": Backend(
        "google.genai", "--model gemini:gemini-2.5-flash-lite",
        "GEMINI_API_KEY={key}\nGOOGLE_GEMINI_BASE_URL={url}\n", of_gemini,
    ),
    "bedrock": Backend("boto3", "--model bedrock:us.meta.llama3-2-3b-instruct-v1:0", AWS, of_bedrock),
}  # fmt: skip


def there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # of a package within a package
        return False


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Backend:
    one = BACKENDS[request.param]
    if not there(one.package):
        pytest.skip(f"needs the package {one.package}")
    return one


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL", "GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(secret, "_KEPT", set())
    monkeypatch.setattr(keys, "_named", {})
    fake_model.sums(tmp_path / "sums.jsonl", 4)
    yield tmp_path
    keys.use_file(None)


def planted(folder: Path, backend: Backend, url: str) -> None:
    (folder / "mine").write_text(backend.file.format(key=KEY, url=url))


def searched(folder: Path, *printed: str) -> None:
    (folder / "mine").unlink()
    assert not [path for path in folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert not [text for text in printed if KEY in text]


def quoting(seen: Seen) -> str:
    return f"the headers\n{dict(seen.headers)} are no good"


def error(seen: Seen) -> dict[str, Any]:
    """In every provider's form."""
    said = {"message": quoting(seen), "type": "x", "code": 401, "status": "UNAUTHENTICATED"}
    return {"error": said, "message": quoting(seen)}


def nested(seen: Seen) -> str:
    """JSON that no reader follows to its end."""
    return '{"a":' * 60_000 + json.dumps(quoting(seen)) + "}" * 60_000


SERVERS: dict[str, Callable[[Backend, Seen], Answer]] = {
    "quotes it in an error": lambda backend, seen: Answer(error(seen), 401),
    "quotes it in an error that is no JSON": lambda backend, seen: Answer(quoting(seen), 400),
    "quotes it in a header": lambda backend, seen: Answer(
        {"error": {}}, 400, {"x-key": quoting(seen).replace("\n", " ")}
    ),
    "quotes it in its reply": lambda backend, seen: Answer(backend.reply(f"{quoting(seen)}\nFinal Answer: 3")),
    "answers nonsense": lambda backend, seen: Answer({"id": quoting(seen), "choices": quoting(seen)}),
    "nests it without end": lambda backend, seen: Answer(nested(seen)),
    "answers no JSON": lambda backend, seen: Answer(quoting(seen), headers={"content-type": "text/plain"}),
}


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_that_quotes_the_key(
    folder: Path, backend: Backend, server: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(lambda seen: SERVERS[server](backend, seen)) as there:
        monkeypatch.setenv("AWS_ENDPOINT_URL", there.url)
        for line in (f"run {backend.line.format(url=there.url)} {RUN}", "inspect results/r"):
            planted(folder, backend, there.url)
            main(line.split())
            searched(folder, *capsys.readouterr())
        assert there.seen
        assert all(KEY in str(dict(one.headers)) for one in there.seen)
        assert (folder / "results" / "r").is_dir()


def test_a_reply_nested_without_end_fails_its_draw_and_not_the_run(
    folder: Path, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(lambda seen: Answer(nested(seen))) as there:
        monkeypatch.setenv("AWS_ENDPOINT_URL", there.url)
        planted(folder, backend, there.url)
        assert main(f"run {backend.line.format(url=there.url)} {RUN}".split()) == 3
    errors = pl.read_parquet(folder / "results/r/candidates.parquet")["error"]
    assert errors.null_count() == 0
    assert errors.str.contains("too deep").all()


def test_a_bug_that_quotes_the_key_in_a_traceback(folder: Path) -> None:
    pytest.importorskip("anthropic", reason="needs the extra anthropic")
    planted(folder, BACKENDS["anthropic"], "http://127.0.0.1:9")
    line = [sys.executable, "-c", BUG, "run", *BACKENDS["anthropic"].line.split(), *RUN.split(), "--debug"]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=300)
    searched(folder, done.stdout, done.stderr)
    assert "Traceback" in done.stderr
    assert "[secret]" in done.stderr
