"""Ray: parts are dealt to actors as they become free; one that dies is started again with the part it had.

A part goes on from its journal wherever it is started, so Ray's retries repeat nothing. How all of them get on is
asked of the actors and said in one place.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from testtime.cluster.job import KILLS, Job
from testtime.core.errors import BadInput

EVERY = 2.0
"""Seconds between two looks at the actors."""


class Work(Protocol):
    """What an actor does; it is sent to other machines by its name."""

    def __call__(self, task: int, begun: Callable[[Any], None]) -> str:
        """Draws a part; `begun` is given an object whose `kept`, `made`, `failed` and `due` tell how far it is.

        Gives why it stopped early, or "". Raises BadInput.
        """


@dataclass(frozen=True)
class Ended:
    """What came of the parts."""

    stopped: dict[int, str]
    """Task → why it stopped early, "" where it did not."""
    failed: dict[int, str]
    """Task → what it could not do."""


class Worker:
    """One actor: it draws one part at a time, and says in between how far that is."""

    def __init__(self, work: Work, folder: str, place: str) -> None:
        self.work, self.place, self.progress = work, place, None
        os.chdir(folder)

    def draw(self, task: int) -> tuple[bool, str]:
        """(Whether it could, why it stopped or what was wrong.)"""
        os.environ["TESTTIME_JOB"] = f"{self.place}:{task}"
        try:
            return True, self.work(task, self._begun)
        except BadInput as error:
            return False, str(error)

    def _begun(self, progress: Any) -> None:
        self.progress = progress

    def far(self) -> tuple[int, int, int]:
        """Draws that are there, that failed, that are due."""
        one: Any = self.progress
        return (0, 0, 0) if one is None else (one.kept + one.made, one.failed, max(one.due, one.kept + one.made))

    def pid(self) -> int:
        """The process."""
        return os.getpid()


def drawn(job: Job, work: Work, tell: Callable[[str], None]) -> Ended:
    """Draws all parts of a job on the Ray of $RAY_ADDRESS, or on one started for it here.

    Raises BadInput where Ray is not installed, or has no room for one part.
    """
    try:
        import ray
    except ModuleNotFoundError:
        raise BadInput("ray is not installed", mend='run: pip install "testtime[ray]"') from None
    started = not ray.is_initialized()
    if started:
        ray.init(log_to_driver=False, include_dashboard=False, configure_logging=False)
    try:
        return _dealt(ray, job, work, tell)
    finally:
        if started:
            ray.shutdown()


def _dealt(ray: Any, job: Job, work: Work, tell: Callable[[str], None]) -> Ended:
    room, needs = ray.cluster_resources(), job.needs
    cpus = 0.5 if needs.cpus is None else needs.cpus
    for what, asked in (("CPU", cpus), ("GPU", needs.gpu_count)):
        if asked > room.get(what, 0):
            raise BadInput(
                f"a part needs {asked:g} {what}s, and this Ray has {room.get(what, 0):g}", mend="ask for less"
            )
    places = [room["CPU"] // cpus, job.tasks, *([needs.at_once] if needs.at_once else [])]
    places += [room["GPU"] // needs.gpu_count] if needs.gpu_count else []
    how = {"num_cpus": cpus, "num_gpus": needs.gpu_count, "max_restarts": -1, "max_task_retries": KILLS}
    kind = ray.remote(Worker).options(**how, max_concurrency=2)
    free = [kind.remote(work, str(job.work), str(job.folder)) for _ in range(int(min(places)))]
    waiting, ended = list(range(1, job.tasks + 1)), Ended({}, {})
    busy: dict[Any, tuple[Any, int]] = {}
    far: dict[int, tuple[int, int, int]] = {}
    while waiting or busy:
        while waiting and free:
            actor, task = free.pop(), waiting.pop(0)
            busy[actor.draw.remote(task)] = (actor, task)
        done, _ = ray.wait(list(busy), num_returns=1, timeout=EVERY)
        for reference in done:
            actor, task = busy.pop(reference)
            _note(ray, reference, task, ended)
            free.append(actor)
        far |= _looked(ray, list(busy.values()))
        tell(_line(job, ended, far))
    return ended


def _note(ray: Any, reference: Any, task: int, ended: Ended) -> None:
    try:
        could, why = ray.get(reference)
    except ray.exceptions.RayActorError as error:
        could, why = False, f"its process died more than {KILLS} times ({type(error).__name__})"
    (ended.stopped if could else ended.failed)[task] = why


def _looked(ray: Any, busy: Sequence[tuple[Any, int]]) -> dict[int, tuple[int, int, int]]:
    """How far the parts at work are, of those that answer; one that is being started again does not."""
    asked = {actor.far.remote(): task for actor, task in busy}
    answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=EVERY / 2) if asked else ([], [])
    found = {}
    for reference in answered:
        try:
            found[asked[reference]] = ray.get(reference)
        except ray.exceptions.RayActorError:
            continue
    return found


def _line(job: Job, ended: Ended, far: dict[int, tuple[int, int, int]]) -> str:
    """All parts in one line."""
    there, failed, due = (sum(column) for column in zip(*far.values(), strict=True)) if far else (0, 0, 0)
    words = [f"{len(ended.stopped)} of {job.tasks} parts ended", f"{there:,} of {due:,} draws of those begun"]
    words += [f"{failed:,} draws failed"] if failed else []
    words += [f"{len(ended.failed)} parts could not go on"] if ended.failed else []
    return " · ".join(words)
