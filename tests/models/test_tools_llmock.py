"""Tools over OpenAI's and Anthropic's SDKs against a provider built by others, which calls the tools it is offered,
answers once a result is back, and can call wrongly: the conversation ends in a row, and its verdict on how it was
treated is clean.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from testtime import api
from testtime.models import keys

pytest.importorskip("llmock", reason="llmock is not installed: make check-llmock runs these")
pytest.importorskip("openai", reason="the openai package is not installed")

MODELS = ["openai:gpt-4o-mini", "claude-sonnet-4-6"]
TOOL = {"name": "get_weather", "description": "The weather in a city.", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}  # fmt: skip


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # no .env of the developer's
    monkeypatch.setattr(keys, "_named", {})
    messages = [{"role": "user", "content": "What is the weather in Graz?"}, {"role": "assistant", "content": "x"}]
    row = {"uuid": "q", "messages": messages, "metadata": json.dumps({"tools": [TOOL]})}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row))


def run(model: str) -> list[dict[str, Any]]:
    if model.startswith("claude"):
        pytest.importorskip("anthropic", reason="needs the extra anthropic")
    made = api.run(
        model=model, dataset="nemotron", dataset_path="rows.jsonl", splits="tool_calling", num_candidates=2, top_p=1.0,
        policies="sc_fixed:n=2", temperature=1.0, max_tokens=99, out_dir="results", concurrency=1,
    )  # fmt: skip
    return pl.read_parquet(made.path / "candidates.parquet").to_dicts()


@pytest.mark.parametrize("model", MODELS)
def test_what_it_calls_is_answered_and_it_ends(llmock: Any, model: str) -> None:
    for row in run(model):
        assert (row["error"], row["tool_iterations"], row["tool_calls_total"]) == (None, 1, 1)
        assert json.loads(row["mock_sources"]) == {"get_weather": "dynamic_mock"}
        assert row["candidate_text"]
    llmock.assert_resilient(strict=True)


@pytest.mark.parametrize("model", MODELS)
def test_a_busy_provider_in_the_middle_of_a_conversation_is_waited_for(llmock: Any, model: str) -> None:
    llmock.rate_limit(times=2, retry_after=0.2)
    assert all(row["error"] is None for row in run(model))
    llmock.assert_resilient(strict=True)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("fault", ["unknown_tool", "malformed_arguments"])
def test_a_wrong_call_is_told_to_the_model_and_it_goes_on(llmock: Any, model: str, fault: str) -> None:
    from llmock.scenarios import ToolFault

    llmock.add(ToolFault(fault, times=1))
    rows = run(model)
    assert all(row["error"] is None for row in rows)
    assert sum(json.loads(row["facts"])["tool_errors"] for row in rows) >= 1
