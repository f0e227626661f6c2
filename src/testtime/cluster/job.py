"""What is asked of a scheduler, and the two scripts that it is given: one for every part, one that joins them.

A part is `testtime run --shard i/N`, so a part that is started again goes on from its own journal. The script

    gives the model servers of its run free ports and its GPUs, and lets `run` start them, wait for them and stop them
    passes TERM, USR1 and USR2 on as TERM, which `run` takes as Ctrl-C: what is there is written
    asks to be queued again where its time was nearly up (USR1), or the run was killed (no more than `KILLS` times)
    leaves a mark where the run came to its end, or to a cap

The second script starts once no part is left in the queue; it merges the runs all of whose parts have left a mark.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from testtime.core.errors import BadInput

KILLS = 3
"""How often a part that was killed is queued again."""
NOTICE = 120
"""Seconds before its time is up at which a part is told."""
_TIME = re.compile(r"(?:(\d+)-)?(\d+):([0-5]\d):([0-5]\d)")
_GPUS = re.compile(r"(?:[A-Za-z][\w.-]*:)?([1-9]\d*)")


@dataclass(frozen=True)
class Resources:
    """What each part needs, in the words of `testtime submit`. Raises BadInput for what no scheduler understands."""

    gpus: str | None = None
    """How many, or KIND:COUNT."""
    cpus: int | None = None
    memory: str | None = None
    time: str | None = None
    """H:MM:SS or D-HH:MM:SS."""
    queue: str | None = None
    """Partition (Slurm) or queue (GridEngine)."""
    at_once: int | None = None
    """Parts that run at the same time, at most."""
    setup: Sequence[str] = ()
    """Shell lines that come first."""
    options: Sequence[str] = ()
    """Further options of the scheduler, as they are."""

    def __post_init__(self) -> None:
        if self.time is not None and not _TIME.fullmatch(self.time):
            raise BadInput(f"--time {self.time} is no time", mend="write H:MM:SS or D-HH:MM:SS")
        if self.gpus is not None and not _GPUS.fullmatch(self.gpus):
            raise BadInput(f"--gpus {self.gpus} is no number of GPUs", mend="write 2 or a100:2")
        for name in ("cpus", "at_once"):
            if (number := getattr(self, name)) is not None and number < 1:
                raise BadInput(f"--{name} {number} is too few", mend="give 1 or more")
        for name, word in (("partition", self.queue), ("memory", self.memory)):
            if word is not None and not re.fullmatch(r"\S+", word):
                raise BadInput(f"--{name} {word!r} is not one word")
        for line in self.options:
            if re.search(r"[\r\n]", line):
                raise BadInput(f"an option of the scheduler is one line, not {line!r}")

    @property
    def gpu_count(self) -> int:
        """GPUs of a part."""
        found = _GPUS.fullmatch(self.gpus or "")
        return int(found[1]) if found else 0

    @property
    def seconds(self) -> int | None:
        """Seconds of a part."""
        found = _TIME.fullmatch(self.time or "")
        if found is None:
            return None
        days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
        return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


@dataclass(frozen=True)
class Part:
    """One run of the job: where its shards lie, and what comes of them."""

    shards: Sequence[Path | str]
    """Folders of the shards, in order, or their addresses in a store."""
    outcomes: Path
    """What merging writes for reading, where there is a reference."""
    serves: Sequence[str] = ()
    """Keys of its models that a server is started for."""


@dataclass(frozen=True)
class Job:
    """A grid of runs, each in as many parts: task t (from 1) is part (t-1) mod shards of run (t-1) div shards."""

    name: str
    folder: Path
    """Absolute: scripts, configurations `1.yaml`, …, logs and marks."""
    work: Path
    """Absolute: where the commands run."""
    runs: Sequence[Part]
    shards: int
    needs: Resources = field(default_factory=Resources)
    python: str = sys.executable

    @property
    def tasks(self) -> int:
        """How many parts there are in all."""
        return len(self.runs) * self.shards


class Scheduler(Protocol):
    """One kind of cluster that takes scripts."""

    task: str
    """The shell's name of the number of a task."""
    job: str
    """The shell's name of the number of the job."""
    again: str
    """The shell line that queues this task again, and ends it."""
    gpus: str
    """What the scheduler says of the GPUs it gave, where CUDA_VISIBLE_DEVICES does not."""
    unsaid: str
    """Characters that no path in its comments can have."""

    def header(self, job: Job, *, merging: bool) -> Iterator[str]:
        """What the scheduler is told, as comments."""

    def submit(self, script: Path, after: str | None = None) -> str:
        """Hands a script over and gives the job's number. Raises BadInput."""

    def alive(self, number: str) -> bool:
        """Whether a job is queued or runs. Raises BadInput where that cannot be told."""

    def watch(self, numbers: Sequence[str]) -> str:
        """The command that shows how these jobs get on."""


def scripts(job: Job, scheduler: Scheduler) -> Mapping[str, str]:
    """File name → text of the two scripts. Raises BadInput for a folder that the scheduler cannot be told of."""
    if found := sorted(set(scheduler.unsaid) & set(str(job.folder))):
        what = f"{type(scheduler).__name__} cannot be told of a folder with {found[0]!r} in its name"
        raise BadInput(what, where=str(job.folder), mend="give another --out_dir, or submit from another folder")
    part = [*scheduler.header(job, merging=False), *_opening(job), *_gpus(job, scheduler), *_part(job, scheduler)]
    merge = [*scheduler.header(job, merging=True), *_opening(job), *_merge(job)]
    return {"part.sh": "\n".join(part) + "\n", "merge.sh": "\n".join(merge) + "\n"}


def _opening(job: Job) -> Iterator[str]:
    yield f"cd {quoted(job.work)} || exit 2"
    yield from job.needs.setup
    yield "set -uo pipefail"
    yield f"here={quoted(job.folder)}"
    yield f"testtime=({quoted(job.python)} -m testtime)"


def _gpus(job: Job, scheduler: Scheduler) -> Iterator[str]:
    """Says which GPUs are the part's own; refuses to begin with fewer than were asked for."""
    if not (count := job.needs.gpu_count):
        return
    yield "# the GPUs that were given to this part, and no others"
    yield f"given=${{CUDA_VISIBLE_DEVICES:-{scheduler.gpus}}}"
    yield "export CUDA_VISIBLE_DEVICES=${given// /,}"
    yield 'IFS=, read -ra each <<<"$CUDA_VISIBLE_DEVICES"'
    yield f"if [ ${{#each[@]}} -lt {count} ]; then"
    yield f'  echo "testtime: {count} GPUs were asked for, and given were: ${{CUDA_VISIBLE_DEVICES:-none}}" >&2'
    yield "  exit 2"
    yield "fi"


def _part(job: Job, scheduler: Scheduler) -> Iterator[str]:
    yield f"task=${scheduler.task}"
    yield f"run=$(((task - 1) / {job.shards} + 1)) shard=$(((task - 1) % {job.shards} + 1))/{job.shards}"
    yield 'rm -f "$here/ended/$task"'
    yield 'export TESTTIME_JOB="$here:$task"  # whoever holds the folder under this name has ended'
    more = ""
    if any(run.serves for run in job.runs):
        yield from _ports(job)
        more = ' "${served[@]}"'
    yield "why='' child=''"
    yield "# shellcheck disable=SC2317  # traps call it"
    yield 'stop() { why=$1; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null; }'
    yield "trap 'stop \"its time was nearly up\"' USR1"
    yield "trap 'stop ended' TERM USR2"
    yield f'"${{testtime[@]}}" run --config "$here/$run.yaml" --shard "$shard"{more} &'
    yield "child=$!"
    yield "while :; do  # a signal ends the waiting, not the run"
    yield '  wait "$child"'
    yield "  code=$?"
    yield '  kill -0 "$child" 2>/dev/null || break'
    yield "done"
    yield from _ending(scheduler)


def _ports(job: Job) -> Iterator[str]:
    """A free port for each model server of the run; `run` starts it there and waits until it answers."""
    yield f"serves=({' '.join(quoted(' '.join(run.serves)) for run in job.runs)})"
    yield "served=()"
    yield "for key in ${serves[run - 1]}; do"
    yield "  port=$(" + quoted(job.python) + " -c '"
    yield "import socket"
    yield "with socket.socket() as one:"
    yield '    one.bind(("127.0.0.1", 0))'
    yield "    print(one.getsockname()[1])')"
    yield '  served+=("$key=http://127.0.0.1:$port/v1")'
    yield "done"
    yield '[ ${#served[@]} -eq 0 ] || served=(--base_url "${served[@]}")'


def _ending(scheduler: Scheduler) -> Iterator[str]:
    yield 'if [ "$why" = ended ]; then exit "$code"; fi'
    yield 'if [ -z "$why" ] && { [ "$code" = 0 ] || [ "$code" = 3 ]; }; then  # whole, or whole to a cap'
    yield '  touch "$here/ended/$task"'
    yield "  exit 0"
    yield "fi"
    yield 'if [ -z "$why" ]; then'
    yield '  if [ "$code" -lt 129 ] || [ "$code" = 130 ]; then exit "$code"; fi  # it said why'
    yield f'  count="$here/log/${scheduler.job}.$task.killed"'
    yield '  kills=$(($(cat "$count" 2>/dev/null || echo 0) + 1))'
    yield '  echo "$kills" >"$count"'
    yield '  why="killed by signal $((code - 128)), for the $kills. time"'
    yield f'  if [ "$kills" -gt {KILLS} ]; then echo "testtime: part $task was $why: given up" >&2; exit "$code"; fi'
    yield "fi"
    yield 'echo "testtime: part $task is queued again: $why" >&2'
    yield scheduler.again


def _merge(job: Job) -> Iterator[str]:
    yield "code=0 outcomes=()"
    yield "merge() {  # FIRST TASK, OUTCOMES, SHARDS…"
    yield "  local task lacks=() outcome=$2"
    yield f"  for ((task = $1; task < $1 + {job.shards}; task++)); do"
    yield '    [ -e "$here/ended/$task" ] || lacks+=("$task")'
    yield "  done"
    yield "  if [ ${#lacks[@]} -gt 0 ]; then"
    yield '    echo "testtime: these parts have not ended, so their run is not merged: ${lacks[*]}" >&2'
    yield "    code=1"
    yield "    return"
    yield "  fi"
    yield "  shift 2"
    yield '  "${testtime[@]}" merge "$@"'
    yield "  local said=$?"
    yield '  [ "$said" = 0 ] || [ "$said" = 3 ] || code=$said  # 3: a cap was met, and it is whole as far as that'
    yield '  if [ -e "$outcome" ]; then outcomes+=("$outcome"); fi'
    yield "}"
    for at, run in enumerate(job.runs):
        words = [str(1 + at * job.shards), quoted(run.outcomes), *map(quoted, run.shards)]
        yield f"merge {' '.join(words)}"
    if len(job.runs) > 1:
        yield 'if [ "$code" = 0 ] && [ ${#outcomes[@]} -gt 0 ]; then'
        yield '  "${testtime[@]}" analyze --glob "${outcomes[@]}" --out_csv "$here/summary.csv" || code=$?'
        yield "fi"
    yield 'exit "$code"'


def quoted(word: str | Path) -> str:
    """A word as the shell reads it back."""
    return shlex.quote(str(word))


def said(words: Sequence[str], what: str) -> str:
    """What a scheduler's command prints. Raises BadInput where it is not there, or refuses."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise BadInput(f"no command {words[0]!r} here", mend="submit where the scheduler's commands are") from None
    if done.returncode:
        raise BadInput(f"{words[0]} did not {what}: {' '.join(done.stderr.split()) or f'code {done.returncode}'}")
    return done.stdout
