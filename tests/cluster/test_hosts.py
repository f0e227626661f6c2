"""A server on one host and a run on another, each in a network of its own: the wire between them is all they share.

Unplugged in the middle, the run ends saying so, and goes on when it is plugged in again; the pool is that of a
run that nobody disturbed. `make check-hosts` runs this: it needs root and `ip`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from one_node import PATIENCE, lacking, told, until
from real import draws

HERE, THERE, ADDRESS = "testtime-a", "testtime-b", "10.213.77.1"
COMMAND = (sys.executable, "-m", "testtime")
REAL = os.environ.get("TESTTIME_REAL") == "hosts"
WHY = lacking("ip", "curl") if REAL else "make check-hosts runs it"
pytestmark = pytest.mark.skipif(WHY is not None, reason=str(WHY))


def ip(line: str) -> None:
    done = subprocess.run(["ip", *line.split()], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"ip {line}: {done.stderr.strip()}")


@pytest.fixture
def server() -> Iterator[str]:
    """pocket-s, served on one host; its address as the other sees it."""
    try:
        for name in (HERE, THERE):
            ip(f"netns add {name}")
        ip(f"link add tt0 netns {HERE} type veth peer name tt1 netns {THERE}")
        for name, device, address in ((HERE, "tt0", ADDRESS), (THERE, "tt1", "10.213.77.2")):
            ip(f"-n {name} addr add {address}/24 dev {device}")
            ip(f"-n {name} link set {device} up")
        words = ["ip", "netns", "exec", HERE, *COMMAND]
        words += f"serve --model pocket-s --host {ADDRESS} --port 8000".split()
        with subprocess.Popen(words, stdout=subprocess.DEVNULL) as serving:
            try:
                look = ("ip", "netns", "exec", THERE, "curl", "-s", "-m", "2", f"http://{ADDRESS}:8000/v1/models")
                until(lambda: "pocket-s" in told(*look), lambda: "the server is not seen from the other host")
                yield f"http://{ADDRESS}:8000/v1"
            finally:
                serving.terminate()
    finally:
        for name in (HERE, THERE):
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


def test_a_run_on_one_host_draws_from_a_server_on_another_and_outlives_the_wire(server: str, tmp_path: Path) -> None:
    line = "--dataset pocket-math --splits easy --max_queries 40 --policies sc_fixed:n=8 --max_tokens 96 --run"
    run = ["ip", "netns", "exec", THERE, *COMMAND, "run", "--model", "vllm:pocket-s", "--base_url", server]
    run += ["--concurrency", "3"]
    first = subprocess.Popen(
        [*run, *line.split(), "r", "--timeout", "8"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    until(lambda: draws(tmp_path / "results/r") or first.poll() is not None, lambda: "nothing is drawn")
    ip(f"-n {THERE} link set tt1 down")
    _, said = first.communicate(timeout=PATIENCE)
    ip(f"-n {THERE} link set tt1 up")
    assert first.returncode == 3, said
    assert "draws failed, more than 20%" in said
    kept = draws(tmp_path / "results/r")
    assert kept > 0
    time.sleep(1)
    assert subprocess.run([*run, *line.split(), "r"], cwd=tmp_path, timeout=PATIENCE).returncode == 0
    frame = pl.read_parquet(tmp_path / "results/r/candidates.parquet")
    assert frame["error"].count() == 0
    assert subprocess.run([*run, *line.split(), "whole"], cwd=tmp_path, timeout=PATIENCE).returncode == 0
    other = pl.read_parquet(tmp_path / "results/whole/candidates.parquet")
    for name in ("query_id", "candidate_idx", "candidate_text", "answer_key", "is_verified", "generation_seed"):
        assert frame[name].to_list() == other[name].to_list(), name
