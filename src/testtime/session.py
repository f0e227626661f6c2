"""One `run`, from its spec to a pool on disk: which folder, what is there already, what is still to be drawn.

Everything that can be refused is refused before anything is written. A folder grows to the union of what it
was ever asked for; asked again for what it holds, it is finished, and no call is made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import copyfile
from typing import Any, TypeVar

import numpy as np
from pydantic import ValidationError

from testtime.analysis.scope import Asked
from testtime.backends import all_running, servers_of
from testtime.build import part_of, plan_of, resolve
from testtime.core.errors import BadInput
from testtime.core.spend import Spend
from testtime.core.strings import parse
from testtime.engine.finish import write_pool
from testtime.engine.forecast import Forecast, forecast
from testtime.engine.live import floors_of
from testtime.engine.plan import Plan
from testtime.engine.roster import draws_there
from testtime.engine.run import Finished, fill
from testtime.meters import here
from testtime.models import keys
from testtime.models.naming import is_local
from testtime.models.presets import retires
from testtime.places import folder_of, placed, suffix_of
from testtime.runspec import RunSpec, differing, resolved_yaml, together
from testtime.sources import place
from testtime.store import cloud
from testtime.store.atomic import whole
from testtime.store.folder import RunFolder, is_run, runs
from testtime.store.frame import open_pool
from testtime.store.journal import journal_folder
from testtime.store.kept import Kept
from testtime.watching import Progress, Watch, watched

_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Drawn:
    """What a session left behind."""

    folder: RunFolder
    spec: RunSpec
    """What the folder holds: resolved, the union of all that was asked of it."""
    asked: Asked
    progress: Progress
    finished: Finished | None
    """None: interrupted, so the pool is smaller than was asked for."""
    notes: Sequence[str]

    @property
    def stopped(self) -> bool:
        """Whether it was interrupted."""
        return self.finished is None

    @property
    def unchanged(self) -> bool:
        """Whether nothing was left to be drawn."""
        return self.finished is not None and self.finished.unchanged


def carry_out(
    spec: RunSpec, *, fresh: bool = False, watch: Watch | None = None, tell: Callable[[str], None] | None = None
) -> Drawn:
    """Draws what is missing of what is asked, and writes the pool. `fresh` sets the folder's old contents aside first.

    An interrupt (Ctrl-C) stops the drawing, and what is there is written. Raises BadInput, with nothing
    written, for what cannot work.
    """
    asked, folder, plan = planned(spec)
    meter = plan.meter
    _open(plan)
    _refuse_others_files(folder, asked)
    if not fresh:
        _whole(folder, asked)
    elif (aside := folder.set_aside()) is not None:
        cloud.set_aside(folder.path, aside.name)
    with folder.held() as taken_over:
        notes = [f"energy: {meter.source if meter else f'none, {here.WHY_NOT}'}"] if asked.measure_energy else []
        notes += [*([taken_over] if taken_over else []), *_of_models(plan, asked)]
        if tell is not None and not all(map(is_local, plan.models)):
            tell(next(_foreseen(asked, folder, plan).lines()))
        return _draw(folder, _whole(folder, asked), _asked(plan, asked), plan, watch, notes)


def _refuse_others_files(folder: RunFolder, asked: RunSpec) -> None:
    """A file in the place of an output, where no run is that could have written it, is somebody's. Raises BadInput."""
    ours = [folder.outcomes]
    if asked.output is not None:
        ours += [folder.outcomes.with_suffix(suffix) for suffix in (".parquet", ".retries.parquet")]
    if not is_run(folder.path) and (there := [path for path in ours if path.exists()]):
        mend = "give another --output (or --run), or move the file"
        raise BadInput("this file would be written over, and no run of ours wrote it", where=str(there[0]), mend=mend)


def planned(spec: RunSpec) -> tuple[RunSpec, RunFolder, Plan]:
    """The resolved spec, where its run lies, and its plan; nothing is written but the copy of a run in a store.

    Raises BadInput.
    """
    keys.use_file(spec.env_file)
    asked = placed(resolve(spec))
    folder = folder_of(asked)
    if cloud.address_of(folder.path) is not None and not folder.busy:
        cloud.pull(folder.path)
    meter = here.meter() if asked.measure_energy else None
    return asked, folder, plan_of(asked, folder.name, meter, lambda model: Kept(folder.path.parent, model))


def _open(plan: Plan) -> None:
    """Makes sure that every model can be called. Raises BadInput: a package or a key is missing."""
    for model in plan.models.values():
        if (opens := getattr(model, "open", None)) is not None:
            opens()


def _of_models(plan: Plan, asked: RunSpec) -> list[str]:
    """What a user must know of the models: which are to be retired soon, have no known price, or have nothing to do."""
    told = [retires(provider, rest) for provider, _, rest in (name.partition(":") for name in plan.models)]
    unpriced = [name for name in plan.models if plan.price and plan.price(name, Spend(1, 0, 1)) is None]
    idle = asked.judge_model not in (None, *plan.models)
    told += [f"judge_model: nothing in this run asks {asked.judge_model}; see --llm_judge_fallback"] if idle else []
    return [note for note in told if note] + [
        f"the price of {name} is not known: its dollars are left empty (give --prices FILE)" for name in unpriced
    ]


def merge(paths: Sequence[Path]) -> Drawn:
    """One run of its shards, in the folder beside them that is named like them without the shard.

    Their journals become its own; what a missing shard lacks, the same command without --shard draws.
    Raises BadInput for what is no shard, one that is there twice, or shards of different runs.
    """
    shards = [(folder, _shard(folder)) for folder in map(RunFolder.open, paths)]
    _divided(shards)
    (first, spec), *others = shards
    for folder, other in others:
        spec = together(spec, other, where=str(folder.path))
    name = first.name.removesuffix(suffix_of(shards[0][1]))
    spec = spec.model_copy(update={"shard": None, "run": None if spec.output else name})
    here = first.path.parent
    target = RunFolder.beside(here / f"{name}.parquet") if spec.output else RunFolder.at(here, name)
    if target.path in [folder.path for folder, _ in shards]:
        raise BadInput(
            "a shard lies where the whole would be", where=str(first.path), mend="end its name in .1of2 or so"
        )
    _whole(target, spec)
    with target.held():
        plan = plan_of(spec := _whole(target, spec), target.name)
        for folder, shard in shards:
            _take_journal(folder, target, suffix_of(shard))
        target.write_spec(resolved_yaml(spec))
        _write(target, spec, plan)
    kept, due = draws_there(plan, target.path), sum(lane.due for lane in plan.lanes) * len(plan.problems)
    progress = Progress(kept, open_end=False, kept=kept)
    lacks = [*_absent(shards, target, plan), *([f"{due - kept:,} of {due:,} draws"] if kept < due else [])]
    stopped = f"what is not here: {'; '.join(lacks)}" if lacks else None
    return Drawn(target, spec, _asked(plan, spec), progress, Finished(0, kept, 0, 0, (), stopped=stopped), ())


def _shard(folder: RunFolder) -> RunSpec:
    """The spec of a shard. Raises BadInput."""
    spec = _stored(folder)
    if spec is None or spec.shard is None:
        raise BadInput("is no shard", where=str(folder.path), mend="shards are what run --shard i/N makes")
    return spec


def _take_journal(shard: RunFolder, target: RunFolder, suffix: str) -> None:
    """Copies what a shard wrote, under its place among them, whatever its folder is called now; none may be at work."""
    with shard.held():
        for path in sorted(journal_folder(shard.path).glob("*.jsonl")):
            with whole(journal_folder(target.path) / f"{target.name}{suffix}.{path.name}") as part:
                copyfile(path, part)


def _divided(shards: Sequence[tuple[RunFolder, RunSpec]]) -> None:
    """Raises BadInput where shards overlap: one is there twice, or they divide by different numbers."""
    seen: dict[str, Path] = {}
    for folder, shard in ((folder.path, str(spec.shard)) for folder, spec in shards):
        if shard in seen:
            raise BadInput(f"shard {shard} is there twice, also as {seen[shard]}", where=str(folder))
        seen[shard] = folder
        if len({one.partition("/")[2] for one in seen}) > 1:
            raise BadInput(f"shards {next(iter(seen))} and {shard} divide their run otherwise", where=str(folder))


def _absent(shards: Sequence[tuple[RunFolder, RunSpec]], target: RunFolder, plan: Plan) -> list[str]:
    """The shards that are neither given nor merged before; one that holds no problem is not missed."""
    (parts,) = {int(str(spec.shard).partition("/")[2]) for _, spec in shards}
    journals = [path.name for path in journal_folder(target.path).iterdir()]
    needed = sorted({part_of(problem.query_id, parts) for problem in plan.problems})
    absent = [i for i in needed if not any(name.startswith(f"{target.name}.{i}of{parts}.") for name in journals)]
    return [f"shards {', '.join(f'{i}/{parts}' for i in absent)}"] if absent else []


def forecast_of(spec: RunSpec) -> Forecast:
    """What a run will ask for and cost: no key is needed, and nothing is asked or written. Raises BadInput."""
    asked, folder, plan = planned(spec)
    return _foreseen(asked, folder, plan)


def _foreseen(spec: RunSpec, folder: RunFolder, plan: Plan) -> Forecast:
    """The same of a plan; what its own pool says of the length of texts counts where nobody else does."""
    if plan.price is None:
        plan = replace(plan, price=lambda model, spend: 0.0)  # nobody is paid for models of this machine
    tokens = spec.expect_tokens
    if tokens is None and (pilot := spec.pilot or (folder.candidates if folder.candidates.exists() else None)):
        known = np.concatenate([arm.column("completion").ravel() for arm in open_pool(place(pilot)).arms.values()])
        known = known[~np.isnan(known)]
        tokens = float(known.mean()) if known.size else None
    return forecast(plan, draws_there(plan, folder.path), tokens)


def explain_miss(spec: RunSpec) -> list[str]:
    """What keeps the draws of each run in `out_dir` from being reused for this spec, a line a run. No call is made."""
    asked = placed(resolve(spec))
    mine = folder_of(asked)
    lines = []
    for run in runs(mine.path.parent) if mine.path.parent.is_dir() else []:
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


def _draw(
    folder: RunFolder, spec: RunSpec, asked: Asked, plan: Plan, watch: Watch | None, notes: Sequence[str]
) -> Drawn:
    """Fills the pool as far as the plan asks, and writes it; `spec` is all that the folder is to hold."""
    due = sum(lane.due for lane in plan.lanes) * len(plan.problems)
    progress = Progress(due, bool(plan.policies), kept=draws_there(plan, folder.path))
    plan = replace(plan, about={**plan.about, "config": resolved_yaml(spec), "policies": list(spec.policies)})
    folder.write_spec(resolved_yaml(spec))
    finished: Finished | None = None
    needed = progress.kept < progress.due or progress.open_end
    servers = servers_of(spec, plan.models, folder.path) if needed else []
    with suppress(KeyboardInterrupt), all_running(servers), watch(progress) if watch else nullcontext():
        finished = complete(lambda: fill(watched(plan, progress), folder.path))
    if progress.kept or progress.made:
        _write(folder, spec, plan)
    return Drawn(folder, spec, asked, progress, finished, [*notes, *(_told(finished) if finished else ())])


def _asked(plan: Plan, spec: RunSpec) -> Asked:
    policies = [parse("policy", text) for text in spec.policies]
    return Asked(frozenset(plan.at), policies, floors_of(plan), spec.live)


def _write(folder: RunFolder, spec: RunSpec, plan: Plan) -> None:
    """The pool's files, and the one that was asked for by name."""
    write_pool(plan, folder.path)
    if spec.output is None or spec.output.suffix != ".parquet":
        return
    for file, suffix in ((folder.candidates, ".parquet"), (folder.retries, ".retries.parquet")):
        named = folder.outcomes.with_suffix(suffix)
        if file.exists():
            with whole(named) as part:
                copyfile(file, part)
        else:
            named.unlink(missing_ok=True)


def _told(finished: Finished) -> list[str]:
    """What a reader must be told of a session."""
    told = []
    if finished.lost:
        dollars = "unknown" if finished.lost_usd is None else f"${finished.lost_usd:.4f} at most"
        told += [f"{finished.lost} requests of earlier sessions left of which nothing came back; their cost: {dollars}"]
    if finished.reread:
        told += [f"the answers of {finished.reread} draws were read again: what reads them has changed"]
    if finished.rejudged:
        told += [f"{finished.rejudged} draws were judged anew: a verifier, an answer or a reference has changed"]
    return told


# ---- what a folder holds ----
def _whole(folder: RunFolder, asked: RunSpec) -> RunSpec:
    """The union of what the folder holds and what is asked. Raises BadInput where they cannot be one pool."""
    stored = _stored(folder)
    return asked if stored is None else together(stored, asked, where=str(folder.path))


def _stored(folder: RunFolder) -> RunSpec | None:
    """The spec of a run that is there. Raises BadInput for a folder that is no run's."""
    if folder.blank:
        return None
    folder.refuse_foreign()
    if not folder.spec.exists():
        raise BadInput("holds a pool that no run made", where=str(folder.path), mend="give another --run")
    try:
        return RunSpec.model_validate(folder.read_spec())
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise BadInput(f"{key}: {first['msg']}", where=str(folder.spec), mend="start with --fresh") from None


def complete(work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """Runs a coroutine to its end, also where this thread already runs an event loop (a notebook).

    Raises KeyboardInterrupt once the coroutine has been cancelled and is done.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work())
    begun: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = []

    async def main() -> _T:
        task = asyncio.current_task()
        assert task is not None
        begun.append((asyncio.get_running_loop(), task))
        return await work()

    with ThreadPoolExecutor(1, "testtime-run") as beside:
        done = beside.submit(lambda: asyncio.run(main()))
        try:
            return done.result()
        except KeyboardInterrupt:
            for loop, task in begun:
                loop.call_soon_threadsafe(task.cancel)
            wait([done])
            raise
