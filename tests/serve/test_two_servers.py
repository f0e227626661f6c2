"""Proves that a guided run through two real servers, a process and a port each, writes the very texts that it writes
in process, greedy; and that a run whose oracle's server dies on the way keeps its rows and goes on to the same texts.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from testtime import guide
from testtime.runspec import run_spec

pytest.importorskip("openai", reason="the openai package is not installed")
pytest.importorskip("uvicorn", reason="uvicorn is not installed")

ASKED: dict[str, Any] = {
    "dataset": "pocket-math", "splits": ["medium"], "max_queries": 5, "temperature": 0.0, "top_p": 1.0,
    "max_tokens": 300, "policies": ["sc_fixed:n=1"],
    "decoding": ["guided:trigger=periodic,every=12,c=4,k=3", "guided:trigger=entropy,threshold=0.5,k=3"],
}  # fmt: skip


@contextmanager
def served(model: str, port: str = "0") -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """(Address, process) of `testtime serve`, ended at the end where it still lives."""
    command = [sys.executable, "-m", "testtime", "serve", "--model", model, "--port", port]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().split(" at ")[1].split()[0], server
        finally:
            server.kill()


def evaluated(out: Path, base: str = "", oracle: str = "", **how: Any) -> guide.Evaluation:
    """The run in process, or over two servers."""
    names = {"model": "pocket-s", "oracle_model": "pocket-m"}
    if base:
        names = {"model": "vllm:pocket-s", "oracle_model": "vllm:pocket-m"}
        how["base_url"] = [base, f"oracle_model={oracle}"]
    return guide.evaluate(run_spec({**ASKED, **names, "out_dir": out, "run": "r", **how}))


def texts(evaluation: guide.Evaluation) -> dict[tuple[str, str], str]:
    rows = evaluation.rows.filter(pl.col("error").is_null())
    return {(row["decoding"], row["query_id"]): row["result"] for row in rows.iter_rows(named=True)}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], str]:
    """What is written in process: both settings and both ends of the scale."""
    found = texts(evaluated(tmp_path_factory.mktemp("alone")))
    assert len(found) == 4 * ASKED["max_queries"]
    return found


def test_two_servers_write_what_is_written_in_process(alone: dict[tuple[str, str], str], tmp_path: Path) -> None:
    with served("pocket-s") as (base, _), served("pocket-m") as (oracle, _):
        assert base != oracle
        over = evaluated(tmp_path, base, oracle)
    assert over.rows["consultations"].max() > 1
    assert texts(over) == alone


def test_a_server_that_dies_on_the_way_leaves_rows_to_go_on_from(
    alone: dict[tuple[str, str], str], tmp_path: Path
) -> None:
    with served("pocket-s") as (base, _):
        with served("pocket-m") as (oracle, process):
            port = oracle.rpartition(":")[2].partition("/")[0]
            kill = threading.Thread(target=_kill_after, args=(process, tmp_path / "r" / "journal", 3))
            kill.start()
            first = evaluated(tmp_path, base, oracle, concurrency=2)
            kill.join()
        kept = texts(first)
        assert process.returncode not in (None, 0)
        assert 0 < len(kept) < len(alone)
        assert kept == {key: alone[key] for key in kept}
        with served("pocket-m", port) as (again, _):
            assert again == oracle
            whole = evaluated(tmp_path, base, oracle)
    assert texts(whole) == alone
    assert whole.drawn.progress.made == len(alone) - len(kept)


def _kill_after(process: subprocess.Popen[str], journal: Path, draws: int) -> None:
    """Kills a process once the journal holds so many draws."""
    while sum(file.read_bytes().count(b'"draw"') for file in journal.glob("*.jsonl")) < draws:
        time.sleep(0.005)
    process.kill()
    process.wait()
