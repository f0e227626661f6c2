"""Keys come from the file that is named, the environment, `.env`, `env_vars/.env.main`, in this order; a missing one
is a line that says what to set and where it is to be had, and none of them is ever in a message.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from testtime.core import secret
from testtime.core.errors import BadInput
from testtime.core.secret import struck
from testtime.models import keys

NAME = "OPENAI_API_KEY"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, and an environment without keys."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(secret, "_KEPT", set())
    monkeypatch.setattr(keys, "_named", {})
    for name in [*(name for names in keys.READ.values() for name in names), *os.environ]:
        if name.startswith("AWS_") or name in {one for names in keys.READ.values() for one in names}:
            monkeypatch.delenv(name, raising=False)
    (tmp_path / "env_vars").mkdir()
    return tmp_path


def test_the_nearest_source_wins(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert keys.value(NAME) is None
    places = ["env_vars/.env.main", ".env"]
    for place in places:
        (folder / place).write_text(f"{NAME}=from-{place}\n")
        assert keys.value(NAME) == f"from-{place}"
    monkeypatch.setenv(NAME, "from-environment")
    assert keys.value(NAME) == "from-environment"
    (folder / "mine").write_text(f"export {NAME}='from-${{HOME}} mine'  # not filled in\n")
    keys.use_file(folder / "mine")
    assert keys.value(NAME) == "from-${HOME} mine"
    keys.use_file(None)
    assert keys.value(NAME) == "from-environment"
    monkeypatch.setenv(NAME, "")
    assert keys.value(NAME) == "from-.env"


def test_of_several_names_the_first_that_is_set_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", "google-key")
    assert keys.need("gemini") == "google-key"
    monkeypatch.setenv("GEMINI_API_KEY", "gemini-key")
    assert keys.need("gemini") == "gemini-key"


@pytest.mark.parametrize("provider", keys.READ)
def test_a_missing_key_is_one_line_with_what_to_set_and_where_to_get_it(provider: str) -> None:
    with pytest.raises(BadInput) as caught:
        keys.need(provider)
    assert all(part in str(caught.value) for part in (*keys.READ[provider], "--env_file", keys.ASK_AT[provider]))
    assert "\n" not in str(caught.value)


def test_a_gated_repository_without_a_token_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(keys.gated("org/m")).endswith("huggingface.co/org/m, then set HF_TOKEN")
    monkeypatch.setenv("HF_TOKEN", "hf_0123456789")
    assert str(keys.gated("org/m")) == (
        "org/m is gated and the account of HF_TOKEN has no access; ask for access at huggingface.co/org/m"
    )


def test_a_file_that_cannot_be_read_is_named_with_its_line_and_never_quoted(folder: Path) -> None:
    with pytest.raises(BadInput, match="no such file"):
        keys.use_file(folder / "none")
    (folder / "torn").write_text("A=1\nsk-0123456789 is my key\n")
    with pytest.raises(BadInput, match="torn:2: the line cannot be read") as caught:
        keys.use_file(folder / "torn")
    assert "0123" not in str(caught.value)
    (folder / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="not UTF-8"):
        keys.use_file(folder / "binary")


def test_whatever_looks_like_a_secret_is_kept_from_messages(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = folder / "a-file-with-a-key"
    file.write_text("")
    hidden = {
        "TOGETHER_API_KEY": "together-0123",
        "AWS_SECRET_ACCESS_KEY": "/aws+0123/45",
        "AWS_ACCESS_KEY_ID": "AKIA01234567",
        "HF_TOKEN": "hf_01234567",
        "DB_PASSWORD": "pass0123word",
    }
    shown = {"SSH_KEY": str(file), "MAX_TOKENS": "123456789", "TOKENIZERS_PARALLELISM": "falsehood"}
    for name, text in {**hidden, **shown, "OPENAI_BASE_URL": "https://me:pass%2Fword0@host/v1"}.items():
        monkeypatch.setenv(name, text)
    (folder / ".env").write_text("OTHER_API_KEY=other-012345\n")
    keys.hide()
    for text in (*hidden.values(), "other-012345", "pass%2Fword0", "pass/word0"):
        assert struck(f"<{text}>") == "<[secret]>"
    assert all(struck(text) == text for text in shown.values())


def test_aws_variables_of_files_are_found_unless_the_environment_has_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert keys.of_aws() == {}
    (folder / ".env").write_text("AWS_REGION=eu-west-1\nAWS_PROFILE=lab\nOTHER=1\n")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    assert keys.of_aws() == {"AWS_PROFILE": "lab", "AWS_REGION": "us-east-1"}
    (folder / "mine").write_text("AWS_REGION=eu-north-1\n")
    keys.use_file(folder / "mine")
    assert keys.of_aws()["AWS_REGION"] == "eu-north-1"
