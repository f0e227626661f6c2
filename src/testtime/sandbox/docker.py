"""Docker: containers without network, rights, or anything to write to but a small /tmp. One container a candidate."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from typing import ClassVar, Literal

from testtime.core.errors import BadInput
from testtime.sandbox.box import Start
from testtime.sandbox.pool import Boxes

IMAGE = "TESTTIME_SANDBOX_IMAGE"
"""Variable that names the image; it needs nothing but python3 with its standard library."""
USUAL = "python:3.11-slim"
WALLS = (
    "--network=none", "--read-only", "--user=65534:65534", "--memory=512m", "--memory-swap=512m", "--cpus=1",
    "--pids-limit=32", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--ipc=none", "--workdir=/tmp",
    "--tmpfs=/tmp:rw,noexec,nosuid,size=64m",
)  # fmt: skip


class Docker(Boxes):
    """Containers are started ahead, since one takes most of a second. Raises BadInput where Docker does not answer."""

    name: ClassVar[str] = "docker"
    trust: ClassVar[Literal["high", "low"]] = "high"
    counts_processes: ClassVar[bool] = False  # the system counts those of all containers' one user; --pids-limit holds

    def __init__(self, slots: int | None = None) -> None:
        self._docker = shutil.which("docker") or ""
        self._image = os.environ.get(IMAGE, USUAL)
        if not self._docker or _fails([self._docker, "image", "inspect", self._image]):
            what = "docker does not answer, or lacks the image" if self._docker else "docker is not installed"
            raise BadInput(f"{what} {self._image}", where="sandbox", mend=f"run: docker pull {USUAL}, or set {IMAGE}")
        super().__init__(slots)

    def start(self) -> Start:
        """One container, which is removed when it ends; killing the client alone would leave it running."""
        name = f"testtime-{uuid.uuid4().hex[:12]}"
        argv = [self._docker, "run", "--rm", "--interactive", f"--name={name}", *WALLS, self._image]
        env = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME") or key.startswith("DOCKER_")}
        return Start([*argv, "python3", "-I", "-S"], env=env, after=lambda: _remove(self._docker, name))


def _remove(docker: str, name: str) -> None:
    _fails([docker, "kill", name])


def _fails(argv: list[str]) -> bool:
    try:
        return subprocess.run(argv, capture_output=True, timeout=30, check=False).returncode != 0
    except (OSError, subprocess.TimeoutExpired):
        return True
