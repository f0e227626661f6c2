"""In a real Docker, whose daemon is started here in a folder of its own: programs that mean harm do none, programs that
are right pass, and an image without Python's library is nobody's wrong answer. `make check-docker` installs what it
needs.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from attacks import HARMFUL, RIGHT, TEST, program
from test_programs import DATA, humaneval, judged, mutants, solution

from testtime.core.records import Limits
from testtime.sandbox.docker import IMAGE, Docker
from testtime.verifiers import code
from testtime.verifiers.code import Code

LIMITS = Limits(seconds=6.0, memory_mb=256)
SOME = int(os.environ.get("TESTTIME_PROBLEMS", "12"))
"""Problems of HumanEval whose references and mutants run; 164 are all."""

pytestmark = pytest.mark.skipif(
    os.environ.get("TESTTIME_REAL") != "docker", reason="only in `make check-docker`, which starts a daemon"
)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a daemon with the image `testtime-sandbox`; skips, saying why, where none can be had."""
    if lacks := [name for name in ("dockerd", "docker", "debootstrap") if shutil.which(name) is None]:
        pytest.skip(f"not installed: {', '.join(lacks)}")
    if os.getuid() != 0:
        pytest.skip("a daemon of one's own needs root")
    room = tmp_path_factory.mktemp("docker")
    address = f"unix://{room}/socket"
    for driver in ("overlay2", "vfs"):
        line = ["dockerd", f"--storage-driver={driver}", "--iptables=false", "--ip6tables=false", "--bridge=none"]
        line += [f"--data-root={room}/{driver}", f"--exec-root={room}/exec", f"--pidfile={room}/pid", f"-H{address}"]
        with (room / f"{driver}.log").open("wb") as log:
            started = subprocess.Popen(line, stdout=log, stderr=subprocess.STDOUT)
        try:
            if _answers(address, started):
                _image(address, room)
                yield address
                return
        finally:
            started.terminate()
            started.wait()
    last = (room / "vfs.log").read_text(errors="replace").strip().split("\n")[-1]
    pytest.skip(f"no daemon starts here: {last[:200]}")


def _answers(address: str, started: subprocess.Popen[bytes]) -> bool:
    until = time.monotonic() + 60
    while started.poll() is None and time.monotonic() < until:
        if subprocess.run(["docker", f"-H{address}", "version"], capture_output=True, check=False).returncode == 0:
            return True
        time.sleep(0.5)
    return False


def _image(address: str, room: Path) -> None:
    """A Debian with Python and its library, as no image can be pulled; TESTTIME_ROOTFS may name one that is made."""
    made = Path(os.environ.get("TESTTIME_ROOTFS", room / "rootfs"))
    if not made.is_dir():
        line = ["debootstrap", "--variant=minbase", "--include=python3", "bookworm", str(made)]
        if subprocess.run(line, capture_output=True, check=False).returncode != 0:
            pytest.skip("debootstrap cannot make an image here: no package mirror")
    with subprocess.Popen(["tar", "-C", str(made), "-c", "."], stdout=subprocess.PIPE) as packed:
        into = ["docker", f"-H{address}", "import", "-", "testtime-sandbox"]
        subprocess.run(into, stdin=packed.stdout, stdout=subprocess.DEVNULL, check=True)


@pytest.fixture(scope="module")
def sandbox(daemon: str) -> Iterator[Docker]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", daemon)
        patch.setenv(IMAGE, "testtime-sandbox")
        opened = Docker(2)
        yield opened
        opened.close()


@pytest.mark.parametrize("name", HARMFUL)
def test_an_attack_fails_and_leaves_nothing(
    sandbox: Docker, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (planted := tmp_path / "planted").write_text("a secret of this machine")
    monkeypatch.setenv("PLANTED", "a secret")
    text = program(name).replace("/etc/passwd", str(planted))  # a container has a file of that name, its own
    ran = asyncio.run(sandbox.check(text, "", TEST, LIMITS))
    assert ran.verdict is False, f"{name}: {ran}"
    after = asyncio.run(sandbox.check(RIGHT, "", TEST, LIMITS))
    assert after.verdict is True, f"after {name} the next candidate gets {after}"


def test_inputs_come_in_outputs_go_out_and_nothing_stays(sandbox: Docker) -> None:
    assert asyncio.run(sandbox.run("print(int(input()) * 2)", "21\n", LIMITS)).stdout == "42\n"
    loud = asyncio.run(sandbox.run("while True:\n    print('x' * 1000)\n", "", LIMITS))
    assert (loud.ended, len(loud.stdout)) == ("output", LIMITS.output)
    assert asyncio.run(sandbox.run("open('/tmp/left', 'w').write('x')\nprint('left')", "", LIMITS)).stdout == "left\n"
    assert asyncio.run(sandbox.run("import os\nprint(os.listdir('/tmp'))", "", LIMITS)).stdout == "[]\n"


def test_reference_solutions_pass_and_mutants_fail(sandbox: Docker, monkeypatch: pytest.MonkeyPatch) -> None:
    if not DATA.is_dir():
        pytest.skip("the benchmarks are not here")
    task, every = humaneval()
    chosen = every[:: max(1, len(every) // SOME)]
    monkeypatch.setattr(code, "opened", lambda name: sandbox)
    verifier = Code(task, "docker", Limits(seconds=60.0))
    began = time.monotonic()
    right = asyncio.run(judged(verifier, [(one, solution(one)) for one in chosen]))
    print(f"\n{len(chosen)} reference solutions, {len(chosen) / (time.monotonic() - began):.1f} programs/s")
    assert [(v.method, v.explanation) for v in right if v.value is not True] == []
    changed = [(one, text) for one in chosen[:6] for kind, text in mutants(solution(one)) if kind != "loops"]
    assert {said.value for said in asyncio.run(judged(verifier, changed))} == {False}


def test_an_image_whose_python_does_not_start_fails_nobody(daemon: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox is at fault: the verdict is null, not false."""
    empty = ["docker", f"-H{daemon}", "import", "-", "testtime-empty"]
    subprocess.run(empty, input=b"\0" * 10240, stdout=subprocess.DEVNULL, check=True)
    monkeypatch.setenv("DOCKER_HOST", daemon)
    monkeypatch.setenv(IMAGE, "testtime-empty")
    opened = Docker(1)
    ran = asyncio.run(opened.check(RIGHT, "", TEST, LIMITS))
    opened.close()
    assert (ran.verdict, ran.ended) == (None, "lost")
    assert "does not start" in ran.why


def test_no_container_is_left(daemon: str, sandbox: Docker) -> None:
    asyncio.run(sandbox.check(program("fork bomb"), "", TEST, LIMITS))
    sandbox.close()
    until = time.monotonic() + 30
    listed = ["docker", f"-H{daemon}", "ps", "--quiet"]
    while (left := subprocess.run(listed, capture_output=True, check=True).stdout) and time.monotonic() < until:
        time.sleep(0.5)
    assert left == b""
