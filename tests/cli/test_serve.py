"""`testtime serve` says where it serves what, answers there, and ends without a word when it is told to."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request

import pytest

from testtime.cli import main

pytest.importorskip("uvicorn", reason="uvicorn is not installed")


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_end(end: signal.Signals) -> None:
    command = [sys.executable, "-m", "testtime", "serve", "--model", "pocket-s", "--port", "0", "--served-name", "tiny"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        said = server.stdout.readline()
        assert said.startswith("serving pocket:pocket-s as tiny at http://127.0.0.1:")
        url = said.split(" at ")[1].split()[0]
        assert (
            server.stdout.readline() == f"next: testtime run --model vllm:tiny --base_url {url} --dataset pocket-math\n"
        )
        with urllib.request.urlopen(f"{url}/models") as reply:
            assert json.load(reply)["data"][0]["id"] == "tiny"
        server.send_signal(end)
        out, err = server.communicate(timeout=30)
    assert (out, err) == ("", "")
    assert server.returncode in (0, -end)


def test_a_setting_that_the_model_has_not_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--model", "pocket-s", "--dtype", "float16"]) == 2
    assert "pocket: models have no dtype; they have leave_core_free" in capsys.readouterr().err
