"""`testtime submit`: runs in parts, on a cluster."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from testtime.cli import Json, Whole
from testtime.cli.flags import settings_of
from testtime.cli.run import NO_FLAGS, OWN, Flags, without
from testtime.runspec import KINDS, RunSpec, specs_of

if TYPE_CHECKING:
    from testtime.cluster.job import Job

GROUP = "The cluster"
MINE = frozenset(
    {"cluster", "shards", "at_once", "gpus", "cpus", "memory", "time", "partition", "setup", "options", "print"}
)
Settings: Any = settings_of(KINDS, OWN | MINE)
NO_SETTINGS = Settings()


def submit(
    *,
    cluster: Annotated[
        Literal["slurm", "gridengine", "ray"],
        Parameter(group=GROUP, help="Where to: slurm, gridengine, or ray, which is waited for."),
    ],
    config: Annotated[Path | None, Parameter(help="A YAML file with the keys of a run; flags beat it.")] = None,
    shards: Annotated[Whole, Parameter(group=GROUP, help="Parts of each run; by default 4.")] = 4,
    at_once: Annotated[
        Whole | None, Parameter(group=GROUP, help="Parts that run at the same time, at most; by default all.")
    ] = None,
    gpus: Annotated[str | None, Parameter(group=GROUP, help="GPUs of a part: a number, or KIND:NUMBER.")] = None,
    cpus: Annotated[Whole | None, Parameter(group=GROUP, help="Cores of a part.")] = None,
    memory: Annotated[str | None, Parameter(group=GROUP, help="Memory of a part, as the scheduler writes it.")] = None,
    time: Annotated[
        str | None,
        Parameter(group=GROUP, help="H:MM:SS or D-HH:MM:SS; a part that needs longer is queued again and goes on."),
    ] = None,
    partition: Annotated[
        str | None, Parameter(name=["--partition", "--queue"], group=GROUP, help="Partition or queue.")
    ] = None,
    setup: Annotated[
        list[str] | None, Parameter(group=GROUP, help="Shell lines that each job runs first (module load …).")
    ] = None,
    options: Annotated[
        list[str] | None, Parameter(group=GROUP, help="Further options of the scheduler, as --options=--account=x.")
    ] = None,
    print_: Annotated[
        bool, Parameter(name="--print", group=GROUP, show_default=False, help="Print the scripts, and submit nothing.")
    ] = False,
    json: Json = False,
    asked: Annotated[Flags, Parameter(name="*")] = NO_FLAGS,
    settings: Annotated[Settings, Parameter(name="*")] = NO_SETTINGS,
) -> None:
    """Draw pools on a cluster, in parts that are started again where they die, and merged at the end."""
    from testtime import submit as submitting
    from testtime.cli import show
    from testtime.cluster.job import Resources

    given = {key: value for flags in (asked, settings) for key, value in vars(flags).items()}
    needs = Resources(gpus, cpus, memory, time, partition, at_once, tuple(setup or ()), tuple(options or ()))
    job, parts, notes = submitting.prepared(specs_of(given, config), shards, needs)
    out = show.console()
    if cluster == "ray":
        _on_ray(job, parts, notes, only_say=print_, json=json)
        return
    if print_:
        _print(job, cluster, notes, json=json)
        return
    done = submitting.submit(job, parts, cluster)
    if json:
        show.json({**vars(done), "parts": job.tasks, "runs": [str(one.outcomes) for one in job.runs], "notes": notes})
        return
    show.notes(notes)
    parts_said = f"{job.tasks} parts of {len(job.runs)} run{'s' if len(job.runs) > 1 else ''}"
    out.print(f"submitted: job {done.numbers[0]}, {parts_said}; job {done.numbers[1]} merges them", soft_wrap=True)
    out.print(f"logs: {done.folder / 'log'}; the same command again goes on from what is there", soft_wrap=True)
    show.next_step(done.watch)


def _print(job: Job, cluster: str, notes: Sequence[str], *, json: bool) -> None:
    """Prints the scripts."""
    from testtime import submit as submitting
    from testtime.cli import show

    scripts = {str(job.folder / name): text for name, text in submitting.shown(job, cluster).items()}
    if json:
        show.json({"parts": job.tasks, "scripts": scripts, "notes": notes})
        return
    for name, text in scripts.items():
        show.console().print(f"# ---- {name}\n{text}", soft_wrap=True)
    show.next_step(without("--print"))


def _on_ray(job: Job, parts: Sequence[RunSpec], notes: Sequence[str], *, only_say: bool, json: bool) -> None:
    """Draws on Ray and waits, one line of progress at a time on standard error; or says what would be drawn."""
    from testtime import submit as submitting
    from testtime.cli import show

    if only_say:
        notes = [*notes, *([f"{why}, and refuses it: leave it out"] if (why := submitting.not_for_ray(job)) else [])]
        where = [job.runs[task // job.shards].shards[task % job.shards] for task in range(job.tasks)]
        if json:
            show.json({"parts": job.tasks, "folders": where, "notes": notes})
            return
        for task, folder in enumerate(where):
            show.console().print(f"part {task + 1}: {folder}", soft_wrap=True)
        show.notes(notes)
        show.next_step(without("--print"))
        return
    if not json:
        show.notes(notes)
    said = [""]

    def tell(line: str) -> None:
        if line != said[-1]:
            said.append(line)
            print(line, file=sys.stderr, flush=True)  # noqa: T201

    merged, told = submitting.on_ray(job, parts, tell)
    if json:
        ended = [{"run": drawn.folder.name, "candidates": drawn.folder.candidates} for drawn in merged]
        show.json({"parts": job.tasks, "runs": ended, "notes": [*notes, *told]})
        return
    show.notes([*told, *(note for drawn in merged for note in drawn.notes)])
    show.wrote(*(drawn.folder.candidates for drawn in merged))
    show.next_step(shlex.join(["testtime", "inspect", *(str(drawn.folder.path) for drawn in merged)]))
