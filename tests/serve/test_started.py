"""A server for a run is started with the words it was asked for, waited for, and gone afterwards, whatever happens;
what stands in the way is one line.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from testtime.core.errors import BadInput
from testtime.serve.started import VLLM, Server

FAKE = """#!{python}
# stands in for the vllm command: notes its words, and serves {{"data": []}} to whoever asks, from a child of its own
import json, os, subprocess, sys
open({notes!r}, "w").write(json.dumps(sys.argv[1:]))
print("loading weights", flush=True)
if "fails" in sys.argv:
    sys.exit("no GPU here")
port = sys.argv[sys.argv.index("--port") + 1]
child = '''
import http.server, sys
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"[]")
    def log_message(self, *a): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), H).serve_forever()
'''
worker = subprocess.Popen([sys.executable, "-c", child, port])
open({notes!r} + ".pid", "w").write(str(worker.pid))
worker.wait()
"""


def free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the fake `vllm`, first on the path, writes what it was called with."""
    (tmp_path / "bin").mkdir()
    fake, notes = tmp_path / "bin" / "vllm", tmp_path / "called.json"
    fake.write_text(FAKE.format(python=sys.executable, notes=str(notes)))
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return notes


def server(tmp_path: Path, model: str = "org/m", **how: Any) -> Server:
    url = f"http://127.0.0.1:{free()}/v1"
    return Server(**({"model": model, "url": url, "log": tmp_path / "logs" / "vllm.log", "patience": 60} | how))


def gone(pid: int) -> bool:
    """Killed processes take a moment."""
    for _ in range(200):
        if not alive(pid):
            return True
        time.sleep(0.02)
    return False


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_vllm_is_called_with_its_own_flags_answers_and_is_gone_with_its_workers(tmp_path: Path, notes: Path) -> None:
    settings = {"tensor_parallel": 2, "gpu_memory_utilization": 0.8, "max_model_len": 4096, "dtype": "bfloat16"}
    one = server(tmp_path, settings={**settings, "quantization": None})
    with one.running():
        with urllib.request.urlopen(f"{one.url}/models") as reply:
            assert reply.status == 200
        worker = int(Path(f"{notes}.pid").read_text())
        assert alive(worker)
    assert gone(worker)
    port = one.url.split(":")[2].partition("/")[0]
    assert json.loads(notes.read_text()) == [
        "serve", "org/m", "--host", "127.0.0.1", "--port", port, "--served-model-name", "org/m",
        "--tensor-parallel-size", "2", "--gpu-memory-utilization", "0.8", "--max-model-len", "4096",
        "--dtype", "bfloat16",
    ]  # fmt: skip
    assert one.log.read_text() == "loading weights\n"


def test_it_is_gone_also_where_the_run_fails(tmp_path: Path, notes: Path) -> None:
    with pytest.raises(KeyboardInterrupt), server(tmp_path).running():
        raise KeyboardInterrupt
    assert gone(int(Path(f"{notes}.pid").read_text()))


def test_a_server_that_ends_or_never_answers_is_one_line_with_its_last_words(tmp_path: Path, notes: Path) -> None:
    ended = pytest.raises(BadInput, match=r"vllm\.log: the server of fails ended with code 1: no GPU here")
    with ended, server(tmp_path, model="fails").running():
        pass
    mute = server(tmp_path, command=f"{sys.executable} -c 'import time; time.sleep(60)'", patience=0.5)
    with pytest.raises(BadInput, match=r"does not answer after 0\.5 s"), mute.running():
        pass


def test_what_stands_in_the_way_is_one_line_and_starts_nothing(tmp_path: Path, notes: Path) -> None:
    ways = {
        "no command 'no-such-thing'": server(tmp_path, command="no-such-thing {model}"),
        "on this machine, not at http://far": server(tmp_path, url="http://far:8000/v1"),
        "max_model_len cannot be given to": server(tmp_path, command="mine {model}", settings={"max_model_len": 5}),
    }
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ways["something answers at"] = server(tmp_path, url=f"http://127.0.0.1:{taken.getsockname()[1]}/v1")
        for why, one in ways.items():
            with pytest.raises(BadInput, match=why), one.running():
                pass
    assert not notes.exists()


def test_a_command_of_ones_own_gets_model_host_and_port(tmp_path: Path) -> None:
    one = server(tmp_path, command="mine --of '{model}' {host}:{port} {other}")
    assert one.words[:3] == ["mine", "--of", "org/m"]
    assert one.words[3] == one.url.removeprefix("http://").removesuffix("/v1")
    assert one.words[4] == "{other}"
    assert VLLM.startswith("vllm serve {model} ")


def test_a_run_that_is_killed_takes_its_server_and_the_server_s_workers_with_it(tmp_path: Path, notes: Path) -> None:
    one = server(tmp_path)
    code = f"""
import sys, time
from pathlib import Path
from testtime.serve.started import Server

with Server({one.model!r}, {one.url!r}, Path({str(one.log)!r}), patience=60).running():
    print("up", flush=True)
    time.sleep(600)
"""
    run = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    assert run.stdout.readline() == "up\n"
    worker = int(Path(f"{notes}.pid").read_text())
    assert alive(worker)
    run.send_signal(signal.SIGKILL)
    run.communicate(timeout=60)
    assert gone(worker)


def test_what_answers_without_http_does_not_answer_yet(tmp_path: Path) -> None:
    for said in (b"SSH-2.0\r\n", b"", b"HTTP/9.9 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n" * 9):
        with socket.create_server(("127.0.0.1", 0)) as one:
            thread = threading.Thread(target=_says, args=(one, said))
            thread.start()
            answered = Server("m", f"http://127.0.0.1:{one.getsockname()[1]}/v1", tmp_path / "log")._answers()
            thread.join()
        assert answered is said.startswith(b"HTTP/1.1 200")


def _says(listening: socket.socket, said: bytes) -> None:
    taken, _ = listening.accept()
    with taken:
        taken.recv(9999)
        taken.sendall(said)
