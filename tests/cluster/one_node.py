"""A real scheduler on this one machine, started for a test and stopped after it; nothing of the system is changed.

Slurm needs only a folder. GridEngine's daemons know one cell of their installation, which is made anew.
"""

from __future__ import annotations

import os
import re
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
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmdTimeout=10
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=9
"""


def lacking(*commands: str) -> str | None:
    """Why these commands cannot be used here; None where they can."""
    if os.geteuid() != 0:
        return "the daemons of a scheduler need root"
    missing = [command for command in commands if shutil.which(command) is None]
    return f"not installed: {', '.join(missing)}" if missing else None


PATIENCE = 1800
"""Seconds after which what should come will not, on a machine however busy: no test passes or fails by its speed."""


def until(holds: Callable[[], object], what: Callable[[], str]) -> None:
    """Waits until something holds; `what` says what does not."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, what()
        time.sleep(0.2)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@contextmanager
def slurm(room: Path) -> Iterator[Callable[[], None]]:
    """A Slurm of one node with four cores and four GPUs that are /dev/null by other names; what restarts the node.

    Who calls it has killed whatever of a job ran there: its daemon is killed, Slurm sees it down, and it comes back.
    """
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
                until((room / "munge.socket").exists, lambda: "munged has no socket")
        until(lambda: "idle" in told("sinfo", "--noheader", "--format=%t"), lambda: "the node is not idle")

        def crash() -> None:
            started[-1].kill()
            started[-1].wait(PATIENCE)
            until(
                lambda: "down" in told("sinfo", "--noheader", "--format=%t"), lambda: "the node is not seen to be down"
            )
            with (room / "slurmd.again").open("wb") as out:
                started.append(subprocess.Popen(daemons[-1], stdout=out, stderr=out))
            until(lambda: "idle" in told("sinfo", "--noheader", "--format=%t"), lambda: "the node does not come back")
            time.sleep(30)  # it is still told to end what it ran, and would end what starts now

        yield crash
    finally:
        for one in reversed(started):
            one.terminate()
            one.wait(PATIENCE)
        del os.environ["SLURM_CONF"]


def told(*words: str) -> str:
    """What a command prints."""
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout


BOOTSTRAP = """
admin_user none
default_domain none
ignore_fqdn true
spooling_method berkeleydb
spooling_lib libspoolb
spooling_params {room}/spooldb
binary_path /usr/sbin
qmaster_spool_dir {room}/qmaster
security_mode none
listener_threads 2
worker_threads 2
scheduler_threads 1
"""
HOST = ("load_scaling", "user_lists", "xuser_lists", "projects", "xprojects", "usage_scaling", "report_variables")
LIMITS = [f"{kind}_{what}" for kind in "sh" for what in ["rt", "cpu", "fsize", "data", "stack", "core", "rss", "vmem"]]
THRESHOLDS = ("load_thresholds", "suspend_thresholds", "ckpt_list", "pe_list", "prolog", "epilog", "starter_method")
METHODS = ("suspend_method", "resume_method", "terminate_method", "owner_list", "user_lists", "xuser_lists")
LISTS = ("subordinate_list", "complex_values", "projects", "xprojects", "calendar")
NONE = (*THRESHOLDS, *METHODS, *LISTS)
QUEUE = {
    "qname": "main.q", "hostlist": "@allhosts", "seq_no": "0", "nsuspend": "1", "suspend_interval": "00:05:00",
    "priority": "0", "min_cpu_interval": "00:00:05", "processors": "UNDEFINED", "qtype": "BATCH", "rerun": "TRUE",
    "slots": "4", "tmpdir": "/tmp", "shell": "/bin/bash", "shell_start_mode": "posix_compliant",
    "notify": "00:20:00", "initial_state": "default",
    **dict.fromkeys(NONE, "NONE"), **dict.fromkeys(LIMITS, "INFINITY"),
}  # fmt: skip


@contextmanager
def gridengine(room: Path) -> Iterator[None]:
    """A GridEngine of one node with four slots, in a root of its own beside the installed one."""
    host, common = socket.gethostname(), room / "root/here/common"
    for place in (common, room / "qmaster/job_scripts", room / "spooldb", room / "exec"):
        place.mkdir(parents=True)
    for part in Path("/var/lib/gridengine").iterdir():
        if part.name != "default":
            (room / "root" / part.name).symlink_to(part)
    (common / "act_qmaster").write_text(f"{host}\n")
    (common / "host_aliases").write_text(f"{host} localhost\n")
    (common / "bootstrap").write_text(BOOTSTRAP.format(room=room))
    usual = Path("/usr/share/gridengine/default-configuration").read_text()
    ours = {"execd_spool_dir": f"{room}/exec", "min_uid": "0", "min_gid": "0"}
    (room / "conf").write_text(changed(usual, ours))
    ports = free_ports(2)
    variables = {"SGE_ROOT": f"{room}/root", "SGE_CELL": "here", "SGE_QMASTER_PORT": str(ports[0])}
    variables |= {"SGE_EXECD_PORT": str(ports[1]), "SGE_CLUSTER_NAME": "here"}
    os.environ.update(variables)
    started: list[subprocess.Popen[bytes]] = []

    def daemon(name: str) -> None:
        with (room / f"{name}.out").open("wb") as out:
            started.append(subprocess.Popen([name], stdout=out, stderr=out, env={**os.environ, "SGE_ND": "1"}))

    try:
        _spool(room)
        daemon("sge_qmaster")
        until(lambda: host in told("qconf", "-sh"), lambda: "the master does not answer")
        _configure(room, host)
        daemon("sge_execd")
        until(lambda: "lx-" in told("qstat", "-f"), lambda: "the node does not report")
        yield
    finally:
        for one in reversed(started):
            one.terminate()
            one.wait(PATIENCE)
        for name in variables:
            del os.environ[name]


def changed(text: str, values: dict[str, str]) -> str:
    """A configuration with other values for some of its names."""
    for name, value in values.items():
        text = re.sub(rf"^{name}\s.*$", f"{name} {value}", text, flags=re.MULTILINE)
    return text


def _spool(room: Path) -> None:
    tools, resources = Path("/usr/lib/gridengine"), Path("/usr/share/gridengine/util/resources")
    for words in (
        ["spoolinit", "berkeleydb", "libspoolb", f"{room}/spooldb", "init"],
        ["spooldefaults", "configuration", f"{room}/conf"],
        ["spooldefaults", "complexes", resources / "centry"],
        ["spooldefaults", "usersets", resources / "usersets"],
        ["spooldefaults", "managers", "root"],
    ):
        subprocess.run([tools / words[0], *words[1:]], check=True, capture_output=True)


def _configure(room: Path, host: str) -> None:
    """One host, one group, one queue; the scheduler looks every two seconds, and at once where something comes."""
    texts = {
        "-Ae": f"hostname {host}\ncomplex_values slots=4\n" + "".join(f"{name} NONE\n" for name in HOST),
        "-Ahgrp": f"group_name @allhosts\nhostlist {host}\n",
        "-Aq": "".join(f"{name} {value}\n" for name, value in QUEUE.items()),
    }
    told("qconf", "-as", host)
    for flag, text in texts.items():
        (room / "told").write_text(text)
        subprocess.run(["qconf", flag, room / "told"], check=True, capture_output=True)
    hurry = {"schedule_interval": "0:0:2", "flush_submit_sec": "1", "flush_finish_sec": "1"}
    (room / "told").write_text(changed(told("qconf", "-ssconf"), hurry))
    subprocess.run(["qconf", "-Msconf", room / "told"], check=True, capture_output=True)
