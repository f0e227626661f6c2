"""A whole run on a model that takes no temperature: what was not sent is recorded null beside what was asked, dollars
are those of the table with their source, retirement is told of, and the run goes on without a call. The same wishes
with another temperature are refused before anything is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
import yaml
from fake_http import Answer, Seen, Server, serving

import fake_model
from testtime.cli import main
from testtime.core import secret
from testtime.models import keys, presets

pytest.importorskip("anthropic", reason="needs the extra anthropic")

RUN = "run --model claude-opus-5-5 --dataset gsm8k --dataset_path sums.jsonl --policies sc_fixed:n=3 --run r"


def said(seen: Seen) -> Answer:
    usage = {"input_tokens": 1000, "output_tokens": 500}
    return Answer({
        "id": "m", "type": "message", "role": "assistant", "model": "claude-opus-5-5", "stop_reason": "end_turn",
        "stop_sequence": None, "usage": usage, "content": [{"type": "text", "text": "Final Answer: 3"}],
    })  # fmt: skip


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(secret, "_KEPT", set())
    monkeypatch.setattr(keys, "_named", {})
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-0123456789")
    fake_model.sums(tmp_path / "sums.jsonl", 2)
    with serving(said) as there:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", there.url)
        yield there


def test_what_is_not_sent_is_recorded_as_asked_and_dollars_have_a_source(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(f"{RUN} --temperature 1 --top_p 1".split()) == 0
    assert len(server.seen) == 6
    assert not any("temperature" in one.body for one in server.seen)
    folder = tmp_path / "results" / "r"
    rows, calls = pl.read_parquet(folder / "candidates.parquet"), pl.read_parquet(folder / "calls.parquet")
    assert rows["temperature"].null_count() == len(rows) == 6
    assert rows["temperature_requested"].to_list() == [1.0] * 6
    assert calls["usd"].to_list() == [pytest.approx(1000 * 4 / 1e6 + 500 * 20 / 1e6)] * 6
    meta: dict[bytes, Any] = pq.read_table(folder / "candidates.parquet").schema.metadata
    assert meta[b"prices"].startswith(b"genai-prices ")
    (arm,) = json.loads(meta[b"arms"])
    assert arm["sampling"] == {
        "temperature": None, "top_p": None, "max_tokens": 512, "temperature_requested": 1.0, "top_p_requested": 1.0,
    }  # fmt: skip
    assert main(f"{RUN} --temperature 1 --top_p 1".split()) == 0
    assert len(server.seen) == 6
    assert "no call was made" in capsys.readouterr().out


def test_where_nobody_says_it_samples_as_its_maker_does_and_that_is_what_is_recorded(
    server: Server, tmp_path: Path
) -> None:
    assert main(RUN.split()) == 0
    assert not any({"temperature", "top_p"} & one.body.keys() for one in server.seen)
    folder = tmp_path / "results" / "r"
    rows = pl.read_parquet(folder / "candidates.parquet")
    assert rows["temperature"].null_count() == rows["temperature_requested"].null_count() == 6
    spec = yaml.safe_load((folder / "spec.yaml").read_text())
    assert (spec["temperature"], spec["top_p"]) == (None, None)


def test_another_temperature_is_refused_before_anything_is_written(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(f"{RUN} --temperature 0.7".split()) == 2
    said = capsys.readouterr().err
    assert "takes no temperature but its own: --temperature 1 --top_p 1" in said
    assert said.count("\n") == 1
    assert not server.seen
    assert not (tmp_path / "results").exists()


def test_a_model_that_is_about_to_be_retired_is_told_of(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    soon = presets.Retired("anthropic", ("claude-opus-5-5",), presets.date(9999, 1, 2), "claude-opus-6")
    monkeypatch.setattr(presets, "retirement", lambda *_: soon)
    assert main(f"{RUN} --temperature 1 --top_p 1".split()) == 0
    assert "retires on 9999-01-02; its successor is anthropic:claude-opus-6" in " ".join(
        capsys.readouterr().out.split()
    )
