"""A planted key is in no file of a run and in nothing it prints, whatever fails on the way: a server that quotes the
key in errors, in its reply, or answers nonsense, a bug in a backend that quotes it, and the traceback of --debug.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_http import Answer, Seen, serving

import fake_model
from testtime.cli import main
from testtime.core import secret
from testtime.models import keys

pytest.importorskip("anthropic", reason="needs the extra anthropic")

KEY = "sk-ant-planted-0123456789-abcdefghij"
RUN = (
    "run --model anthropic:claude-haiku-4-5 --dataset gsm8k --dataset_path sums.jsonl --policies sc_fixed:n=3 "
    "--top_p 1 --max_queries 2 --run r --env_file mine"
)
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


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.setattr(secret, "_KEPT", set())
    monkeypatch.setattr(keys, "_named", {})
    fake_model.sums(tmp_path / "sums.jsonl", 4)
    return tmp_path


@pytest.fixture
def ran(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[str, str], None]:
    """Runs a command line whose keys are in a file; nothing that it prints or leaves behind holds the key."""

    def run(url: str, line: str) -> None:
        planted(folder, url)
        main(line.split())
        searched(folder, *capsys.readouterr())

    return run


def planted(folder: Path, url: str) -> None:
    (folder / "mine").write_text(f"ANTHROPIC_API_KEY={KEY}\nANTHROPIC_BASE_URL={url}\n")


def searched(folder: Path, *printed: str) -> None:
    (folder / "mine").unlink()
    assert not [path for path in folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert not [text for text in printed if KEY in text]


def quoting(seen: Seen) -> str:
    return f"the key\n{seen.headers['authorization']} is no good"


def said(seen: Seen) -> dict[str, Any]:
    return {
        "id": "m", "type": "message", "role": "assistant", "model": "claude-haiku-4-5", "stop_reason": "end_turn",
        "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1},
        "content": [{"type": "text", "text": f"{quoting(seen)}\nFinal Answer: 3"}],
    }  # fmt: skip


SERVERS: dict[str, Callable[[Seen], Answer]] = {
    "quotes it in an error": lambda seen: Answer({"error": {"message": quoting(seen), "type": "x"}}, 401),
    "quotes it in an error that is no JSON": lambda seen: Answer(quoting(seen), 400),
    "quotes it in a header": lambda seen: Answer({"error": {}}, 400, {"x-key": seen.headers["authorization"]}),
    "quotes it in its reply": lambda seen: Answer(said(seen)),
    "answers nonsense": lambda seen: Answer({**said(seen), "stop_reason": quoting(seen)}),
    "answers no JSON": lambda seen: Answer(quoting(seen), headers={"content-type": "text/plain"}),
}


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_that_quotes_the_key(folder: Path, ran: Callable[[str, str], None], server: str) -> None:
    with serving(SERVERS[server]) as there:
        ran(there.url, RUN)
        assert there.seen
        assert all(KEY in one.headers["authorization"] for one in there.seen)
        assert (folder / "results" / "r").is_dir()
        ran(there.url, "inspect results/r")


def test_a_bug_that_quotes_the_key_in_a_traceback(folder: Path) -> None:
    planted(folder, "http://127.0.0.1:9")
    line = [sys.executable, "-c", BUG, *RUN.split(), "--debug"]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=300)
    searched(folder, done.stdout, done.stderr)
    assert "Traceback" in done.stderr
    assert "[secret]" in done.stderr
