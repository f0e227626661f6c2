"""A real scheduler on this one machine, started for a test and stopped after it; nothing of the system is changed.

Slurm needs only a folder. GridEngine's daemons know one cell of their installation, which is made anew.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SLURM = """
ClusterName=here
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={room}/munge.socket
CredType=cred/munge
SlurmUser=root
StateSaveLocation={room}/state
SlurmdSpoolDir={room}/spool
SlurmctldPidFile={room}/slurmctld.pid
SlurmdPidFile={room}/slurmd.pid
SlurmctldLogFile={room}/slurmctld.log
SlurmdLogFile={room}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2,batch_sched_delay=0
MpiDefault=none
ReturnToService=2
KillWait=5
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 Gres=gpu:4 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def lacking(*commands: str) -> str | None:
    """Why these commands cannot be used here; None where they can."""
    if os.geteuid() != 0:
        return "the daemons of a scheduler need root"
    missing = [command for command in commands if shutil.which(command) is None]
    return f"not installed: {', '.join(missing)}" if missing else None


def until(holds: Callable[[], object], seconds: float, what: str) -> None:
    """Waits until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"after {seconds:g} s: {what}"
        time.sleep(0.2)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@contextmanager
def slurm(room: Path) -> Iterator[None]:
    """A Slurm of one node with four cores and four GPUs that are /dev/null by other names."""
    host, key = socket.gethostname(), room / "munge.key"
    for name in ("state", "spool"):
        (room / name).mkdir(parents=True)
    for at in range(4):
        os.mknod(room / f"gpu{at}", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    conf = room / "slurm.conf"
    conf.write_text(SLURM.format(host=host, room=room, ports=free_ports(2)))
    (room / "gres.conf").write_text(f"Name=gpu File={room}/gpu[0-3]\n")
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    os.environ["SLURM_CONF"] = str(conf)
    files = [
        f"--{name}={room}/munge.{name.removesuffix('-file')}"
        for name in ("socket", "pid-file", "log-file", "seed-file")
    ]
    daemons = [
        ["munged", "--foreground", "--force", "--num-threads=1", f"--key-file={key}", *files],
        ["slurmctld", "-D"],
        ["slurmd", "-D", "-N", host],
    ]
    started: list[subprocess.Popen[bytes]] = []
    try:
        for words in daemons:
            with (room / f"{words[0]}.out").open("wb") as out:
                started.append(subprocess.Popen(words, stdout=out, stderr=out))
            if words[0] == "munged":
                until((room / "munge.socket").exists, 20, "munged has no socket")
        until(lambda: "idle" in told("sinfo", "--noheader", "--format=%t"), 60, "the node is not idle")
        yield
    finally:
        for one in reversed(started):
            one.terminate()
            one.wait(20)
        del os.environ["SLURM_CONF"]


def told(*words: str) -> str:
    """What a command prints."""
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout
