"""Against a provider that fails as OpenAI does, built by others: the run gets through, and the provider's own verdict
on how it was treated is clean: Retry-After is waited for, what is final is not asked again, no broken stream is taken.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from testtime import api

pytest.importorskip("llmock", reason="llmock is not installed: make check-llmock runs these")
pytest.importorskip("openai", reason="the openai package is not installed")

ASKED: dict[str, Any] = {
    "model": "openai:gpt-4o-mini", "dataset": "pocket-math", "max_queries": 3, "policies": ["sc_fixed:n=2"],
    "max_tokens": 50, "concurrency": 2,
}  # fmt: skip


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # no .env of the developer's


def run(tmp_path: Path, **how: Any) -> Any:
    return api.run(out_dir=tmp_path / "results", **{**ASKED, **how}).drawn.progress


@pytest.mark.parametrize("stream", [False, True])
def test_a_busy_provider_is_left_alone_as_long_as_it_asks(llmock: Any, tmp_path: Path, stream: bool) -> None:
    llmock.rate_limit(times=3, retry_after=0.5)
    progress = run(tmp_path, stream=stream)
    assert (progress.made, progress.failed) == (6, 0)
    llmock.assert_resilient(strict=True)


@pytest.mark.parametrize("status", [500, 502, 503, 529])
def test_a_provider_that_is_down_for_a_moment_is_asked_again(llmock: Any, tmp_path: Path, status: int) -> None:
    llmock.fail(status, times=2)
    assert run(tmp_path).failed == 0
    llmock.assert_resilient(strict=True)


def test_what_is_final_is_not_asked_again(llmock: Any, tmp_path: Path) -> None:
    llmock.fail(400, times=None)
    assert run(tmp_path, max_queries=1).failed == 2
    llmock.assert_resilient()


@pytest.mark.parametrize("fault", ["truncate", "disconnect", "corrupt"])
def test_a_broken_stream_is_never_a_candidate(llmock: Any, tmp_path: Path, fault: str) -> None:
    # long, as a stream that is through before its reader has looked counts as one that was read
    llmock.reply("The answer is 42, and it took a good while to get there." + " So it did." * 500, times=None)
    getattr(llmock, fault)(after_chunks=2, times=2)
    progress = run(tmp_path, stream=True)
    assert (progress.made, progress.failed) == (6, 0)
    llmock.assert_resilient(strict=True)
