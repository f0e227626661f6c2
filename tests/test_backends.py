"""A run's models get the settings that are theirs, each its own address, and a server where one is asked for; a
setting that would do nothing is refused.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from testtime import api
from testtime.backends import addresses_of, open_models, servers_of
from testtime.core.errors import BadInput
from testtime.models.pocket.backend import PocketModel
from testtime.runspec import RunSpec
from testtime.serve.server import running


def spec(**how: Any) -> RunSpec:
    return RunSpec(**({"model": "vllm:m", "dataset": "pocket-math"} | how))


def test_each_model_gets_its_own_address_and_the_settings_its_backend_has() -> None:
    asked = spec(
        oracle_model="vllm:big", mock_model="echo:1", timeout=5.0,
        base_url=("http://a/v1", "oracle_model=http://b:1/v1?x=y"),
    )  # fmt: skip
    opened: dict[str, Any] = open_models(asked, ["vllm:m", "vllm:big", "echo:1"])
    assert [opened[name].url for name in ("vllm:m", "vllm:big")] == ["http://a/v1", "http://b:1/v1?x=y"]
    assert opened["vllm:big"].timeout == 5
    assert opened["echo:1"].name == "echo:1"


def test_a_core_is_left_free_by_the_pocket_models_of_a_run() -> None:
    asked = spec(model="pocket:pocket-m", oracle_model="echo:1", leave_core_free=True)
    opened: dict[str, Any] = open_models(asked, ["pocket:pocket-m", "pocket:pocket-s", "echo:1"])
    assert [opened[f"pocket:pocket-{size}"].leave_core_free for size in "ms"] == [True, True]


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"leave_core_free": True}, "leave_core_free is a setting of no model of this run .*; it belongs to pocket"),
        ({"dtype": "float16"}, r"dtype is a setting of no model of this run \(vllm:m\); it belongs to .*--serve vllm"),
        ({"max_model_len": 5}, "max_model_len is a setting of no model .*; it belongs to --serve vllm"),
        ({"model": "echo:1", "base_url": ("http://a/v1",)}, "base_url is a setting of no model"),
        ({"base_url": ("localhost:8000",)}, "not an address; write http://HOST:PORT/v1"),
        ({"base_url": ("oracle_model=http://a/v1",)}, "oracle_model names no model of this run"),
        ({"base_url": ("mine=http://a/v1",)}, "mine names no model of this run"),
        ({"base_url": ("http://a/v1", "http://b/v1")}, "two addresses for all models"),
    ],
)
def test_what_would_do_nothing_is_refused(how: dict[str, Any], why: str) -> None:
    asked = spec(**how)
    with pytest.raises(BadInput, match=why):
        open_models(asked, [asked.model])


def test_a_server_is_asked_for_each_local_host_with_what_vllm_takes(tmp_path: Path) -> None:
    asked = spec(model="vllm:x-1B", oracle_model="vllm:x-8B", serve="vllm", dtype="float16", tensor_parallel=2)
    servers = servers_of(asked, open_models(asked, ["vllm:x-1B", "vllm:x-8B"]), tmp_path)
    assert [(one.model, one.url) for one in servers] == [
        ("x-1B", "http://localhost:8001/v1"), ("x-8B", "http://localhost:8008/v1"),
    ]  # fmt: skip
    assert servers[0].words[-4:] == ["--tensor-parallel-size", "2", "--dtype", "float16"]
    assert len({one.log for one in servers}) == 2
    assert servers_of(spec(), {}, tmp_path) == []
    with pytest.raises(BadInput, match="--serve starts a server for vllm or sglang: models, and echo:1 is none"):
        servers_of(spec(model="echo:1", serve="vllm"), open_models(spec(model="echo:1"), ["echo:1"]), tmp_path)


def test_addresses_alone_are_for_all() -> None:
    assert addresses_of(spec(base_url=("http://a/v1",))) == {"": "http://a/v1"}


ASKED = {"dataset": "pocket-math", "max_queries": 2, "policies": ["sc_fixed:n=2"], "max_tokens": 60}


@pytest.fixture
def wire() -> None:
    pytest.importorskip("openai", reason="the openai package is not installed")
    pytest.importorskip("uvicorn", reason="uvicorn is not installed")


@pytest.mark.usefixtures("wire")
def test_a_run_over_a_served_model_is_a_run(tmp_path: Path) -> None:
    with running(PocketModel("pocket-s")) as url:
        ran = api.run(model="vllm:pocket-s", base_url=url, out_dir=tmp_path, **ASKED)
    assert ran.drawn.progress.failed == 0
    assert ran.drawn.progress.made == 4
    again = api.run(model="vllm:pocket-s", base_url="http://127.0.0.1:9/v1", out_dir=tmp_path, **ASKED)
    assert again.drawn.unchanged  # its address is no part of what was asked


@pytest.mark.usefixtures("wire")
def test_a_run_can_start_its_own_server_and_stops_it(tmp_path: Path) -> None:
    serve = f"{sys.executable} -m testtime serve --model pocket-s --host {{host}} --port {{port}}"
    how = {**ASKED, "model": "vllm:pocket-s", "base_url": "http://127.0.0.1:18431/v1", "serve": serve}
    ran = api.run(out_dir=tmp_path, **how)
    assert (ran.drawn.progress.made, ran.drawn.progress.failed) == (4, 0)
    assert "serving pocket:pocket-s" in (ran.path / "server-18431.log").read_text()
    log = (ran.path / "server-18431.log").read_bytes()
    assert api.run(out_dir=tmp_path, **how).drawn.unchanged
    assert (ran.path / "server-18431.log").read_bytes() == log  # nothing was left to draw: none was started
