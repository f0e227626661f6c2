"""One `run`, from its spec to a pool on disk: which folder, what is there already, what is still to be drawn.

Everything that can be refused is refused before anything is written. A folder grows to the union of what it
was ever asked for; asked again for the same, it is finished, and no call is made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import ValidationError

from testtime.build import open_task, plan_of, resolve
from testtime.core.errors import BadInput, BoundaryError
from testtime.core.protocols import Ask, Cap, Decoding, Task
from testtime.core.records import Candidate, Map, Problem
from testtime.engine.finish import write_pool
from testtime.engine.plan import Plan
from testtime.engine.run import fill
from testtime.meters import rapl
from testtime.runspec import RunSpec, differing, digest_of, resolved_yaml, same_extent, together
from testtime.store.codec import loads
from testtime.store.folder import RunFolder, default_name, is_run, runs
from testtime.store.journal import journal_folder
from testtime.store.parquet import read_meta


@dataclass
class Progress:
    """How far a run is; it changes while the run goes on, and may be looked at from another thread."""

    due: int
    """Draws that will be made whatever comes out; adaptive policies may add to them."""
    open_end: bool
    """Whether a policy may ask for more."""
    kept: int = 0
    """Draws found in the journal."""
    made: int = 0
    failed: int = 0
    judged: int = 0
    """Of those made: with a reference to be compared with."""
    right: int = 0
    tokens: int = 0


Watch: TypeAlias = Callable[[Progress], AbstractContextManager[Any]]
"""Shows the progress of a run while its context is open."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """What a session left behind."""

    folder: RunFolder
    spec: RunSpec
    """What the folder holds: resolved, the union of all that was asked of it."""
    progress: Progress
    finished: bool = False
    """Nothing was left to be drawn."""
    stopped: bool = False
    """Interrupted: the pool is smaller than was asked for."""
    notes: Sequence[str] = field(default=())


def carry_out(spec: RunSpec, *, fresh: bool = False, watch: Watch | None = None) -> Drawn:
    """Draws what is missing and writes the pool. `fresh` sets the folder's old contents aside first.

    An interrupt (Ctrl-C) stops the drawing, and what is there is written. Raises BadInput, with nothing
    written, for what cannot work.
    """
    asked = resolve(spec)
    folder = folder_of(asked)
    meter = rapl.Rapl.here() if asked.measure_energy else None
    whole = asked if fresh else _whole(folder, asked)
    plan = plan_of(whole, folder.name, meter)
    if fresh and folder.path.exists():
        with folder.held():
            pass  # nobody else is at work in it
        folder.set_aside()
    with folder.held() as taken_over:
        again = _whole(folder, asked)
        if again != whole:
            plan = plan_of(again, folder.name, meter)
        notes = [f"energy: {meter.source if meter else f'none, {rapl.WHY_NOT}'}"] if asked.measure_energy else []
        notes += [taken_over] if taken_over else []
        return replace(_draw(folder, again, plan, watch), notes=notes)


def folder_of(spec: RunSpec) -> RunFolder:
    """Where a resolved spec's run lies."""
    provider, _, model = spec.model.partition(":")
    name = spec.run or default_name(spec.dataset, provider, model, digest_of(spec))
    return RunFolder.at(spec.out_dir, name)


def explain_miss(spec: RunSpec) -> list[str]:
    """What keeps the draws of each run in `out_dir` from being reused for this spec, a line a run. No call is made."""
    asked = resolve(spec)
    mine = folder_of(asked)
    lines = []
    for run in runs(asked.out_dir) if asked.out_dir.is_dir() else []:
        try:
            stored = _stored(run)
        except BadInput as error:
            lines.append(str(error))
            continue
        if stored is None:
            continue
        if reasons := differing(stored, asked):
            lines.append(f"{run.name}: {'; '.join(reasons)}")
        elif run.path != mine.path:
            lines.append(f"{run.name}: only its name differs; give --run {run.name}")
        else:
            lines.append(f"{run.name}: its draws are reused")
    return lines or [f"no run in {asked.out_dir}"]


def _draw(folder: RunFolder, spec: RunSpec, plan: Plan, watch: Watch | None) -> Drawn:
    """Fills the pool and writes it, unless both are done."""
    kept = draws_in(folder.path)
    due = sum(lane.due for lane in plan.lanes) * len(plan.problems)
    progress = Progress(due, bool(plan.policies), kept)
    if _is_complete(folder, spec):
        return Drawn(folder, spec, progress, finished=True)
    folder.write_spec(resolved_yaml(spec))
    stopped = False
    try:
        with watch(progress) if watch else nullcontext():
            _complete(lambda: fill(_watched(plan, open_task(spec), progress), folder.path))
    except KeyboardInterrupt:
        stopped = True
    if draws_in(folder.path):
        write_pool(plan, folder.path)
    return Drawn(folder, spec, progress, stopped=stopped)


# ---- what a folder holds ----
def _whole(folder: RunFolder, asked: RunSpec) -> RunSpec:
    """The union of what the folder holds and what is asked. Raises BadInput where they cannot be one pool."""
    stored = _stored(folder)
    return asked if stored is None else together(stored, asked, where=str(folder.path))


def _stored(folder: RunFolder) -> RunSpec | None:
    """The spec of a run that is there. Raises BadInput for a folder that is no run's."""
    if not folder.path.exists() or (folder.path.is_dir() and {one.name for one in folder.path.iterdir()} <= {"lock"}):
        return None
    if not folder.path.is_dir() or not is_run(folder.path):
        raise BadInput("is there, and is no run", where=str(folder.path), mend="give another --run or --out_dir")
    if not folder.spec.exists():
        raise BadInput("holds a pool that no run made", where=str(folder.path), mend="give another --run")
    try:
        return RunSpec.model_validate(folder.read_spec())
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise BadInput(f"{key}: {first['msg']}", where=str(folder.spec), mend="start with --fresh") from None


def _is_complete(folder: RunFolder, spec: RunSpec) -> bool:
    """Whether the pool on disk is all that the spec asks for: drawn to its end for it, and written since."""
    journals = sorted(journal_folder(folder.path).glob("*.jsonl"))
    files = (folder.candidates, folder.calls)
    if not journals or not all(file.exists() for file in files) or not _has_ended(folder.path):
        return False
    written = min(file.stat().st_mtime_ns for file in files)
    if written < max(journal.stat().st_mtime_ns for journal in journals):
        return False
    try:
        config: Mapping[str, Any] = read_meta(folder.candidates).get("config") or {}
        return same_extent(RunSpec.model_validate(config), spec)
    except (BadInput, ValidationError):
        return False


def _has_ended(folder: Path) -> bool:
    """Whether the last line of the main journal says that its session came to an end."""
    path = journal_folder(folder) / "main.jsonl"
    if not path.exists():
        return False
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - 4096, 0))
        last = file.read().rstrip(b"\n").rpartition(b"\n")[2]
    try:
        return bool(loads(last)["kind"] == "end")
    except (ValueError, KeyError, TypeError):
        return False


def draws_in(folder: Path) -> int:
    """How many draws a journal holds."""
    count = 0
    for path in journal_folder(folder).glob("*.jsonl"):
        with path.open("rb") as file:
            count += sum(b',"kind":"draw",' in line[:400] for line in file)
    return count


# ---- while it runs ----
@dataclass(frozen=True)
class _Watched:
    """A decoding whose draws are counted."""

    decoding: Decoding
    task: Task
    progress: Progress

    @property
    def roles(self) -> Mapping[str, frozenset[Cap]]:
        return self.decoding.roles

    @property
    def settings(self) -> Sequence[Map]:
        return self.decoding.settings

    @property
    def calls(self) -> int | None:
        return self.decoding.calls

    async def draw(self, problem: Problem, messages: Sequence[Map], idx: int, ask: Ask) -> Sequence[Candidate]:
        try:
            made = await self.decoding.draw(problem, messages, idx, ask)
        except BoundaryError:
            self.progress.made += 1
            self.progress.failed += 1
            raise
        self.progress.made += 1
        for one in made:
            right = self.task.right(problem, self.task.answer(problem, one.text)[1])
            self.progress.judged += right is not None
            self.progress.right += bool(right)
            self.progress.tokens += sum(spend.completion or 0 for spend in one.alone.values())
        return made


def _watched(plan: Plan, task: Task, progress: Progress) -> Plan:
    lanes = [replace(lane, decoding=_Watched(lane.decoding, task, progress)) for lane in plan.lanes]
    return replace(plan, lanes=lanes)


def _complete(work: Callable[[], Any]) -> None:
    """Runs a coroutine to its end, also where this thread already runs an event loop (a notebook).

    Raises KeyboardInterrupt once the coroutine has been cancelled and is done.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(work())
        return
    begun: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = []

    async def main() -> None:
        task = asyncio.current_task()
        assert task is not None
        begun.append((asyncio.get_running_loop(), task))
        await work()

    with ThreadPoolExecutor(1, "testtime-run") as beside:
        done = beside.submit(lambda: asyncio.run(main()))
        try:
            done.result()
        except KeyboardInterrupt:
            for loop, task in begun:
                loop.call_soon_threadsafe(task.cancel)
            wait([done])
            raise
