"""A run whose output is in object storage loses nothing and reads like any other: sent when it stops, gone on with on
another machine, in parts, by every reader; what a store refuses is one line.

Stores here are fsspec's own (memory, file). `make check-cloud` asks the same of a real S3 server and of Google's wire.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import polars as pl
import pytest
from jobs import untimed
from one_node import free_ports

import fake_model
from testtime.cli import main
from testtime.core.errors import BadInput
from testtime.models import BUILTIN
from testtime.store import cloud
from testtime.store.journal import read_journal

fsspec = pytest.importorskip("fsspec", reason="the extra cloud is not installed")
RUN = ["run", "--model", "fake:m", "--dataset", "gsm8k", "--dataset_path", "sums.jsonl", "--policies", "sc_fixed:n=4"]
REAL = os.environ.get("TESTTIME_REAL") == "cloud"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """S3 as moto serves it, from this process."""
    server = pytest.importorskip("moto.server", reason="make check-cloud installs it")
    for name, value in (
        ("ACCESS_KEY_ID", "a-test-key"),
        ("SECRET_ACCESS_KEY", "a-test-secret"),
        ("REGION", "eu-west-1"),
    ):
        monkeypatch.setenv(f"AWS_{name}", value)
    one = server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    one.start()
    try:
        url = "http://{}:{}".format(*one.get_host_and_port())
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        urlopen(Request(f"{url}/moto-api/reset", method="POST")).close()
        fsspec.filesystem("s3", skip_instance_cache=True).mkdir("bucket")
        yield "s3://bucket"
    finally:
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        one.stop()


@pytest.fixture
def gs(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Google's wire as an emulator of others serves it."""
    emulator = pytest.importorskip("gcp_storage_emulator.server", reason="make check-cloud installs it")
    (port,) = free_ports(1)
    one = emulator.create_server("127.0.0.1", port, in_memory=True, default_bucket="bucket")
    one.start()
    try:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
        yield "gs://bucket"
    finally:
        fsspec.get_filesystem_class("gs").clear_instance_cache()
        one.wipe()
        one.stop()


@pytest.fixture(params=["memory", "file", *([] if not REAL else ["s3", "gs"])])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a bucket that is empty."""
    if request.param in ("s3", "gs"):
        yield request.getfixturevalue(request.param)
        return
    yield {"memory": "memory://bucket", "file": f"file://{tmp_path}/bucket"}[request.param]
    fsspec.filesystem("memory").store.clear()
    fsspec.filesystem("memory").pseudo_dirs[:] = [""]


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(BUILTIN, "fake", fake_model.PLACE)
    monkeypatch.setenv("FAKE_COUNT", str(tmp_path / "count"))
    monkeypatch.setenv(cloud.HOME, str(tmp_path / "copies"))
    monkeypatch.chdir(tmp_path)
    fake_model.sums(tmp_path / "sums.jsonl", 6)
    (tmp_path / "answers.jsonl").write_text('{"id": 0, "gold": 1, "answers": [1, 2], "tokens": [3, 4]}\n')
    return tmp_path


def calls(work: Path) -> int:
    return (work / "count").stat().st_size


def another_machine(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cloud.HOME, str(work / f"copies{len(list(work.glob('copies*')))}"))


def names(store: str) -> set[str]:
    fs = fsspec.filesystem(store.partition(":")[0], skip_instance_cache=True)
    fs.invalidate_cache()
    return {name.partition("bucket/")[2] for name in fs.find(store)}


def test_a_run_is_sent_and_read_on_another_machine(
    store: str, work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at = f"{store}/a b/P.parquet"
    assert main([*RUN, "--output", at]) == 0
    assert f"sent to {store}/a b/P.run" in capsys.readouterr().out.replace("\n", " ")
    inside = {"spec.yaml", "candidates.parquet", "calls.parquet", "summary.csv", "journal/main.jsonl"}
    assert {f"a b/P.run/{name}" for name in inside} | {"a b/P.jsonl", "a b/P.parquet"} <= names(store)
    assert not any(name.endswith(("lock", ".part")) for name in names(store))
    assert main([*RUN, "--run", "whole"]) == 0
    made = calls(work)
    another_machine(work, monkeypatch)
    assert main(["inspect", f"{store}/a b/P.run", "--json"]) == 0
    assert main(["replay", f"{store}/a b/P.run"]) == 0
    assert main(["compare", f"{store}/a b/P.parquet", "results/whole"]) == 0
    assert main(["report", f"{store}/a b/P.run"]) == 0
    assert main(["note", f"{store}/a b/P.run", "seen elsewhere"]) == 0
    assert main(["verify", f"{store}/a b/P.run", "--verifier", "math"]) == 0
    assert main(["runs", f"{store}/a b"]) == 0
    assert main(["analyze", "--glob", f"{store}/a b/*.jsonl", "--out_csv", "t.csv"]) == 0
    assert main(["pack", f"{store}/a b/P.run", "--out", "P.zip"]) == 0
    assert {"a b/P.run/report.html", "a b/P.run/notes.md"} <= names(store)
    assert any("verdicts/" in name for name in names(store))
    (copy,) = cloud.fetched(at)
    assert untimed(copy).equals(untimed(work / "results/whole/candidates.parquet"))
    assert main([*RUN, "--output", at]) == 0
    assert calls(work) == made, "the run went on from the store, and there was nothing to ask for"
    assert not (work / f"{store.partition(':')[0]}:").exists(), "no folder was made of the address"


def test_what_was_drawn_before_a_stop_is_not_asked_for_again(
    store: str, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = [*RUN, "--out_dir", store, "--run", "r"]
    assert main([*line, "--max_total_tokens", "2500", "--concurrency", "1"]) == 3
    before = calls(work)
    assert before > 0
    another_machine(work, monkeypatch)
    assert main(line) == 0
    records = read_journal(cloud.here(Path(f"{store}/r"))).records
    keys = [key for one in records if one["kind"] == "call" and one["status"] == "ok" for key in one["children"]]
    assert len(keys) == len(set(keys)), "a received reply was asked for again"
    assert calls(work) > before


def test_parts_on_several_machines_are_merged_from_the_store(
    store: str, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = ["--output", f"{store}/P.parquet"]
    for shard in ("1/2", "2/2"):
        another_machine(work, monkeypatch)
        assert main([*RUN, *at, "--shard", shard]) == 0
    another_machine(work, monkeypatch)
    assert main(["merge", f"{store}/P.1of2.run", f"{store}/P.2of2.run"]) == 0
    assert main([*RUN, "--run", "whole"]) == 0
    another_machine(work, monkeypatch)
    (copy,) = cloud.fetched(f"{store}/P.parquet")
    assert untimed(copy).equals(untimed(work / "results/whole/candidates.parquet"))
    assert main(["merge", f"{store}/P.*.run"]) == 0


def test_of_a_run_that_went_on_in_two_places_both_journals_are_kept(
    store: str, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = [*RUN, "--out_dir", store, "--run", "r", "--max_queries"]
    assert main([*line, "2"]) == 0
    homes = [os.environ[cloud.HOME]]
    another_machine(work, monkeypatch)
    homes.append(os.environ[cloud.HOME])
    assert main([*line, "4"]) == 0
    monkeypatch.setenv(cloud.HOME, homes[0])
    mine = cloud.here(Path(f"{store}/r/journal/main.jsonl"))
    with mine.open("ab") as file:
        file.write(b"a line that only this machine has\n")
    cloud.push(cloud.here(Path(f"{store}/r")))
    journals = [name for name in names(store) if name.startswith("r/journal/")]
    assert len(journals) == 2
    another_machine(work, monkeypatch)
    made = calls(work)
    assert main([*line, "4"]) == 0
    assert calls(work) == made, "what the other machine drew is known"


def test_fresh_sets_what_the_store_holds_aside(store: str, work: Path) -> None:
    line = [*RUN, "--out_dir", store, "--run", "r"]
    assert main(line) == 0
    made = calls(work)
    assert main([*line, "--fresh"]) == 0
    assert calls(work) == 2 * made
    assert ".r.1/journal/main.jsonl" in names(store)
    assert main(line) == 0
    assert calls(work) == 2 * made


def test_a_name_in_a_store_never_leads_out(work: Path) -> None:
    fs = fsspec.filesystem("memory")
    try:
        fs.store["/bucket/r/../../../../out.txt"] = fs.store.setdefault("/bucket/r/spec.yaml", None)
        fs.store.pop("/bucket/r/spec.yaml")
        with fs.open("/bucket/r/candidates.parquet", "wb") as file:
            file.write(b"")
        fs.store["/bucket/r/../../../../out.txt"] = fs.store["/bucket/r/candidates.parquet"]
        with pytest.raises(BadInput, match="no file's"):
            cloud.fetched("memory://bucket/r")
    finally:
        fs.store.clear()
    for wrong in ("s3://bucket/../x", "s3://bucket//x", "memory://a/./b"):
        with pytest.raises(BadInput, match="no name"):
            cloud.address(wrong)
    assert [path for path in work.rglob("out.txt")] == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["inspect", "memory://bucket/none"], "memory://bucket/none: nothing is there"),
        (["inspect", "memory://bucket/*.parquet"], "nothing is there"),
        ([*RUN, "--output", "ftp://host/P.parquet"], "no store of kind ftp; there are s3, gs"),
        ([*RUN, "--output", "memory://bucket/P"], "this output can be neither"),
        (["replay", "answers.jsonl", "--out_csv", "s3://bucket/t.csv"], "is an address, and this is written to a file"),
    ],
)
def test_what_is_not_there_or_not_known_is_one_line(
    words: list[str], says: str, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert says in capsys.readouterr().err.replace("(", "; ")
    assert not (work / "count").exists()


def test_a_package_that_is_not_installed_is_one_line(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    assert main([*RUN, "--output", "s3://bucket/P.parquet"]) == 2
    assert 'pip install "testtime[cloud]"' in capsys.readouterr().err
    assert not (work / "count").exists(), "nothing was asked for"


@pytest.mark.skipif(not REAL, reason="make check-cloud")
def test_a_bucket_that_is_not_there_and_keys_that_are_not_are_one_line(
    s3: str, work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*RUN, "--output", "s3://nowhere/P.parquet"]) == 2
    assert "s3://nowhere" in capsys.readouterr().err
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.delenv(f"AWS_{name}")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    assert main([*RUN, "--output", "s3://bucket/P.parquet"]) == 2
    said = capsys.readouterr().err
    assert "credentials" in said
    assert "Traceback" not in said


def test_the_configuration_says_the_address(work: Path) -> None:
    assert main([*RUN, "--output", "memory://bucket/P.parquet"]) == 0
    text = (work / "copies/memory/bucket/P.run/spec.yaml").read_text()
    assert "output: memory://bucket/P.parquet" in text
    made = json.loads(pl.read_parquet_metadata(work / "copies/memory/bucket/P.parquet")["config"])
    assert made["output"] == "memory://bucket/P.parquet"
    fsspec.filesystem("memory").store.clear()


def test_a_submission_names_its_parts_by_their_addresses(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "submit",
        "--cluster",
        "slurm",
        *RUN[1:],
        "--output",
        "memory://bucket/P.parquet",
        "--shards",
        "2",
        "--print",
    ]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "memory://bucket/P.1of2.run memory://bucket/P.2of2.run" in said
    assert f"here={work}/P.submit" in said
