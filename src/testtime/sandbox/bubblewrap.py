"""bubblewrap: Linux namespaces without privileges. The file system is /usr, read-only, and a small /tmp of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

from testtime.core.errors import BadInput
from testtime.sandbox.box import NOBODY, Start
from testtime.sandbox.pool import Boxes

DISK = 64 * 2**20
"""Bytes of its /tmp."""


class Bubblewrap(Boxes):
    """No network, no host files but the interpreter's, no environment, no other process in sight; all dies with it.

    Raises BadInput where bubblewrap is missing, cannot make namespaces here, or finds no Python that it may read.
    """

    name: ClassVar[str] = "bubblewrap"
    trust: ClassVar[Literal["high", "low"]] = "high"

    def __init__(self, slots: int | None = None) -> None:
        if why := missing():
            raise BadInput(
                why, where="sandbox", mend="install bubblewrap (apt-get install bubblewrap), or give --sandbox docker"
            )
        super().__init__(slots)

    def start(self) -> Start:
        """As nobody where we are root, whom no limit on processes binds."""
        return Start(_argv(), as_nobody=os.getuid() == 0, cwd="/", below=1)


@cache
def missing() -> str | None:
    """Why bubblewrap cannot be used here, or None."""
    if sys.platform != "linux" or shutil.which("bwrap") is None:
        return "bubblewrap is not installed"
    if python() is None:
        return "no Python that a sandbox may read is installed (it looks at this one and at /usr/bin/python3)"
    who: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}
    tried = subprocess.run([*_argv(), "-c", "pass"], capture_output=True, cwd="/", env={}, check=False, **who)
    if tried.returncode != 0:
        said = tried.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
        return f"bubblewrap does not work here ({said[:120] or 'it says nothing'})"
    return None


@cache
def python() -> str | None:
    """The interpreter that runs candidates: this one's, or the system's where nobody may read ours."""
    own = str(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")
    return next((path for path in (own, "/usr/bin/python3") if _readable(Path(path))), None)


def _readable(path: Path) -> bool:
    """Whether somebody who is neither root nor in our group may run it."""
    if not path.exists() or not path.resolve().stat().st_mode & 0o001:
        return False
    return os.getuid() != 0 or all(folder.stat().st_mode & 0o001 for folder in path.resolve().parents)


@cache
def _argv() -> list[str]:
    interpreter = str(python())
    binds = ["--ro-bind", "/usr", "/usr"]
    for top in ("lib", "lib64", "lib32", "bin", "sbin"):
        if Path(f"/{top}").is_symlink():
            binds += ["--symlink", f"usr/{top}", f"/{top}"]
        elif Path(f"/{top}").is_dir():
            binds += ["--ro-bind", f"/{top}", f"/{top}"]
    prefix = Path(interpreter).resolve().parents[1]
    if not prefix.is_relative_to("/usr"):
        binds += ["--ro-bind", str(prefix), str(prefix)]
    size = ["--size", str(DISK), "--tmpfs"]
    walls = ["--unshare-all", "--die-with-parent", "--as-pid-1", "--new-session", "--cap-drop", "ALL", "--clearenv"]
    own = [
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        *size,
        "/dev/shm",
        "--remount-ro",
        "/dev",
        *size,
        "/tmp",
        "--chdir",
        "/tmp",
    ]
    who = ["--uid", str(NOBODY), "--gid", str(NOBODY), "--hostname", "sandbox"]
    return ["bwrap", *walls, *who, *binds, *own, "--remount-ro", "/", interpreter, "-I", "-S"]
