"""Runs handed to a cluster: each in parts, with their share of every limit, and one command that joins them.

What is submitted lies in one folder beside the runs, NAME.submit: a configuration for each run of the grid, the two
scripts, their logs, and `job`, the numbers under which they are queued. Submitted again, parts that have ended make
no call, others go on from their journals.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from testtime.backends import HOSTED_HERE
from testtime.build import part_of, refuse_split
from testtime.cluster.job import Job, Part, Resources, Scheduler, scripts
from testtime.core.errors import BadInput
from testtime.core.records import Problem
from testtime.core.registry import find
from testtime.places import folder_of
from testtime.runspec import MODEL_KEYS, RunSpec, resolved_yaml, run_spec
from testtime.session import Drawn, carry_out, merge, planned
from testtime.sources import paths_of
from testtime.store.atomic import lock, slug, whole
from testtime.store.cloud import address_of, push
from testtime.watching import Progress

CAPS = ("max_cost", "max_total_tokens")
"""What one output may cost: each part gets its share."""
RATES = ("requests_per_minute", "tokens_per_minute")
"""What one account may be asked: shared by all parts at work."""


@dataclass(frozen=True)
class Submitted:
    """What a scheduler was given."""

    folder: Path
    numbers: Sequence[str]
    """The array job of the parts, and the job that merges."""
    watch: str
    """The command that shows how they get on."""


def prepared(specs: Sequence[RunSpec], shards: int, needs: Resources) -> tuple[Job, list[RunSpec], list[str]]:
    """The job, the specs of its parts, and what the user must know; nothing is written.

    Raises BadInput for whatever `testtime run` would refuse, and for parts without a problem.
    """
    if shards < 1:
        raise BadInput(f"{shards} shards hold nothing", mend="give --shards 1 or more")
    tasks = len(specs) * shards
    at_once = min(needs.at_once or tasks, tasks)
    parts, runs, notes = [], [], []
    for spec in specs:
        if spec.shard is not None:
            raise BadInput("--shard names one part, and submit makes them all", mend="give --shards N")
        part, told = _share(_on_gpus(spec, needs), shards, at_once)
        asked, folder, plan = planned(part)
        part = part.model_copy(update={"output": asked.output})  # a date in its name is that of today, for all parts
        refuse_split(asked.policies, shards)
        _fill(plan.problems, shards)
        each = [folder_of(asked.model_copy(update={"shard": f"{i}/{shards}"})) for i in range(1, shards + 1)]
        serves = [key for key in MODEL_KEYS if part.serve and _is_served(getattr(asked, key))]
        absolute = [address_of(one.path) or Path(os.path.abspath(one.path)) for one in each]
        runs.append(Part(absolute, Path(os.path.abspath(folder.outcomes)), serves))
        parts.append(part)
        notes += told
    name = slug(specs[0].run or (folder.name if len(specs) == 1 else specs[0].dataset.partition(":")[0]))
    beside = Path.cwd() if address_of(folder.path) else folder.path.parent  # scripts and marks: no store runs them
    place = Path(os.path.abspath(beside)) / f"{name}.submit"
    return Job(f"tt.{name}", place, Path.cwd(), runs, shards, needs), parts, list(dict.fromkeys(notes))


def _on_gpus(spec: RunSpec, needs: Resources) -> RunSpec:
    """A served model is spread over the part's GPUs, where nobody says otherwise. Raises BadInput."""
    wanted = spec.tensor_parallel
    if needs.gpus is not None and wanted is not None and wanted > needs.gpu_count:
        raise BadInput(
            f"tensor_parallel is {wanted}, and a part has {needs.gpu_count} GPUs", mend="ask for more --gpus"
        )
    if spec.serve == "vllm" and wanted is None and needs.gpu_count > 1:
        return spec.model_copy(update={"tensor_parallel": needs.gpu_count})
    return spec


def _is_served(model: str | None) -> bool:
    return model is not None and model.partition(":")[0] in HOSTED_HERE


def _share(spec: RunSpec, shards: int, at_once: int) -> tuple[RunSpec, list[str]]:
    """The spec of each part, with its share of what the whole may spend, and what was shared. Raises BadInput."""
    shared = {key: (getattr(spec, key), shards) for key in CAPS} | {key: (getattr(spec, key), at_once) for key in RATES}
    update, notes = {}, []
    for key, (limit, by) in shared.items():
        if limit is None or by == 1:
            continue
        update[key] = limit // by if isinstance(limit, int) else limit / by
        if not update[key]:
            raise BadInput(f"{key} {limit:g} is too little for {by} parts", mend="use fewer --shards, or raise it")
        notes.append(f"{key} {limit:g} is shared: {update[key]:g} for each of {by} parts")
    return spec.model_copy(update=update), notes


def _fill(problems: Sequence[Problem], shards: int) -> None:
    """Raises BadInput where a part would hold no problem."""
    if empty := shards - len({part_of(problem.query_id, shards) for problem in problems}):
        what = f"{empty} of {shards} parts would hold none of {len(problems)} problems"
        raise BadInput(what, mend="use fewer --shards")


def shown(job: Job, kind: str) -> Mapping[str, str]:
    """The scripts by name, for reading; nothing is written. Raises BadInput."""
    return scripts(job, find("cluster", kind)())


def write(job: Job, parts: Sequence[RunSpec]) -> None:
    """Writes the configurations of a job, and makes its folders; marks of an earlier submission are gone."""
    for name in ("log", "ended"):
        (job.folder / name).mkdir(parents=True, exist_ok=True)
    for mark in (job.folder / "ended").iterdir():
        mark.unlink()
    for at, part in enumerate(parts, 1):
        with whole(job.folder / f"{at}.yaml") as file:
            file.write_text(yaml.safe_dump(resolved_yaml(part), sort_keys=False, allow_unicode=True), encoding="utf-8")


@dataclass(frozen=True)
class Draws:
    """What a worker of Ray does: a part of one run, by the job's folder."""

    job: Job

    def __call__(self, task: int, begun: Callable[[Any], None]) -> str:
        """Draws a part, and gives why it stopped early, or "". Raises BadInput."""
        at, shard = divmod(task - 1, self.job.shards)
        given: dict[str, Any] = {"shard": f"{shard + 1}/{self.job.shards}"}
        if serves := self.job.runs[at].serves:
            given["base_url"] = [f"{key}=http://127.0.0.1:{_free_port()}/v1" for key in serves]

        @contextmanager
        def watch(progress: Progress) -> Iterator[None]:
            begun(progress)
            yield

        done = carry_out(run_spec(given, self.job.folder / f"{at + 1}.yaml"), watch=watch)
        push(done.folder.path)
        if done.finished is None:
            raise BadInput("interrupted", where=str(done.folder.path))
        return done.finished.stopped or ""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def not_for_ray(job: Job) -> str:
    """What a job asks for that only a scheduler understands; "" where nothing."""
    words = {"memory": "memory", "time": "time", "queue": "partition", "setup": "setup", "options": "options"}
    untold = [f"--{word}" for name, word in words.items() if getattr(job.needs, name)]
    return f"Ray is not told {', '.join(untold)}" if untold else ""


def on_ray(job: Job, parts: Sequence[RunSpec], tell: Callable[[str], None]) -> tuple[list[Drawn], list[str]]:
    """Draws and merges here and now, on Ray: the merged runs, and what a reader must be told.

    Raises BadInput where a part could not go on; the runs all of whose parts have ended are merged before.
    """
    from testtime.cluster.workers import drawn

    if why := not_for_ray(job):
        raise BadInput(why, mend="leave it out")
    write(job, parts)
    ended = drawn(job, Draws(job), tell)
    merged = []
    for at, run in enumerate(job.runs):
        tasks = range(at * job.shards + 1, (at + 1) * job.shards + 1)
        if not ended.failed.keys() & tasks:
            merged.append(merge(paths_of(run.shards)))
            push(merged[-1].folder.path)
    if ended.failed:
        task, why = next(iter(sorted(ended.failed.items())))
        what = f"{len(ended.failed)} of {job.tasks} parts could not go on, the first of them {task}: {why}"
        raise BadInput(what, mend="the same command goes on from what is there")
    return merged, [f"part {task}: {why}" for task, why in sorted(ended.stopped.items()) if why]


def submit(job: Job, parts: Sequence[RunSpec], kind: str) -> Submitted:
    """Writes the job's folder and hands the scripts to a scheduler.

    Raises BadInput where the scheduler is not here, refuses, or still has an earlier submission of the same folder.
    """
    scheduler: Scheduler = find("cluster", kind)()
    texts, numbers = scripts(job, scheduler), job.folder / "job"
    with _alone(job.folder):
        _refuse_again(job, scheduler, numbers)
        write(job, parts)
        for name, text in texts.items():
            with whole(job.folder / name) as file:
                file.write_text(text, encoding="utf-8")
                file.chmod(0o755)
        given: list[str] = []
        for script in ("part.sh", "merge.sh"):
            given.append(scheduler.submit(job.folder / script, after=given[0] if given else None))
            with whole(numbers) as file:  # at once: what is queued is known, also where the second is not taken
                file.write_text("\n".join(given) + "\n", encoding="utf-8")
    return Submitted(job.folder, given, scheduler.watch(given))


def _refuse_again(job: Job, scheduler: Scheduler, numbers: Path) -> None:
    """Raises BadInput where a job of an earlier submission is still queued or runs."""
    for number in numbers.read_text(encoding="utf-8").split() if numbers.exists() else ():
        if scheduler.alive(number):
            mend = f"wait for it (see {scheduler.watch([number])}), or cancel it"
            raise BadInput(
                f"job {number} of an earlier submission is still queued or runs", where=str(job.folder), mend=mend
            )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keeps a second submission of the same folder out for as long as this one is made. Raises BadInput."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if lock(handle) is False:
            raise BadInput("another submission is being made here", where=str(folder), mend="wait for it")
        yield
    finally:
        os.close(handle)
