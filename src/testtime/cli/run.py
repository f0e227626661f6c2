"""`testtime run`: draw a pool from a model, and score every policy on it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from testtime.cli import Json
from testtime.cli.flags import flags_of, part_of, settings_of, typed_of
from testtime.core.errors import StoppedEarly
from testtime.documented import TYPED
from testtime.runspec import HIDDEN, KINDS, MODEL_SETTINGS, SERVED_BY, RunSpec, notices_of, specs_of

if TYPE_CHECKING:
    from testtime.api import Run

OWN = frozenset(RunSpec.model_fields) | {
    "config", "fresh", "explain_miss", "dry_run", "json", "debug", "help", "version",
}  # fmt: skip
HOW = ("base_url", "serve", *SERVED_BY, *MODEL_SETTINGS)
"""Keys that say where and how models run."""
WHERE = "Where and how models run"
Backend: Any = part_of(RunSpec, HOW, WHERE)
"""Their flags, for commands that run one model after another."""
NO_BACKEND = Backend()
JUDGING = dict.fromkeys(("llm_judge_fallback", "judge_threshold", "judge_audit"), "When a model judges")
Flags: Any = flags_of(RunSpec, HIDDEN, {**dict.fromkeys(HOW, WHERE), **JUDGING})
Settings: Any = settings_of(KINDS, OWN)
Documented: Any = typed_of(TYPED, "Keys of the documented experiments on token budgets")
NO_FLAGS, NO_SETTINGS, NO_DOCUMENTED = Flags(), Settings(), Documented()


def run(
    *,
    asked: Annotated[Flags, Parameter(name="*")] = NO_FLAGS,
    config: Annotated[Path | None, Parameter(help="A YAML file with these keys; flags beat it.")] = None,
    fresh: Annotated[
        bool, Parameter(show_default=False, help="Set what the run's folder holds aside, and start anew.")
    ] = False,
    explain_miss: Annotated[
        bool, Parameter(show_default=False, help="Say what keeps stored draws from being reused, and call no model.")
    ] = False,
    dry_run: Annotated[
        bool,
        Parameter(show_default=False, help="Say what would be asked for and what it would cost, and call no model."),
    ] = False,
    json: Json = False,
    settings: Annotated[Settings, Parameter(name="*")] = NO_SETTINGS,
    documented: Annotated[Documented, Parameter(name="*")] = NO_DOCUMENTED,
) -> None:
    """Draw a pool from a model, and score every policy on it; several values of a key are a run each."""
    given = {key: value for flags in (asked, settings, documented) for key, value in vars(flags).items()}
    specs = specs_of(given, config)
    if (notices := notices_of(config)) and not json:
        from testtime.cli import show

        show.notes(notices)
    if explain_miss:
        explain(specs, json=json)
    elif dry_run:
        foretell(specs, json=json)
    else:
        carry_out(specs, fresh=fresh, json=json)


def explain(specs: Sequence[RunSpec], *, json: bool = False) -> None:
    """Prints what keeps each run of the folder from being reused."""
    from testtime.cli import show
    from testtime.session import explain_miss

    said = {spec.variant or spec.run or "": list(explain_miss(spec)) for spec in specs}
    if json:
        show.json([{"variant": name, "says": lines} for name, lines in said.items()])
        return
    for line in dict.fromkeys(line for lines in said.values() for line in lines):
        show.console().print(line, soft_wrap=True)
    show.next_step(without("--explain_miss"))


def foretell(specs: Sequence[RunSpec], *, json: bool = False) -> None:
    """Prints what each run would ask for and cost."""
    from testtime.cli import show
    from testtime.session import forecast_of

    if json:
        show.json([{"variant": spec.variant, **vars(forecast_of(spec))} for spec in specs])
        return
    for spec in specs:
        first, *lines = forecast_of(spec).lines()
        variant = f"{spec.variant}: " if spec.variant else ""
        show.console().print(f"{variant}{first}", soft_wrap=True)
        for line in lines:
            show.console().print(line, soft_wrap=True)
    show.next_step(without("--dry_run", "--json"))


def carry_out(specs: Sequence[RunSpec], *, fresh: bool = False, json: bool = False) -> list[Run]:
    """Runs, writes, then prints, one run after another; none begins where one of them could not.

    Raises KeyboardInterrupt or StoppedEarly, after all that, where one was stopped; a cap stops its own run alone.
    """
    from testtime import api
    from testtime.cli import progress, show
    from testtime.session import planned

    for spec in specs if len(specs) > 1 else ():
        planned(spec)
    ran: list[Run] = []
    stopped: list[str] = []
    for spec in specs:
        ran.append(one := api.run(spec, fresh=fresh, watch=progress.shown, tell=_tell_cost))
        if not json:
            report(one)
        if one.drawn.finished is None:
            break
        stopped += [f"{one.drawn.folder.name}: {why}" for why in [one.drawn.finished.stopped] if why]
    if json:
        show.json([told(one) for one in ran])
    if ran[-1].drawn.finished is None:
        raise KeyboardInterrupt
    if stopped:
        raise StoppedEarly("; ".join(stopped))
    return ran


def _tell_cost(line: str) -> None:
    """Before the first call of a run that is paid for: what it will ask for and cost, in one line."""
    print(f"about to ask for {line}", file=sys.stderr, flush=True)  # noqa: T201


def told(ran: Run) -> dict[str, Any]:
    """A run as JSON values: the table's rows, and what a reader must be told."""
    drawn = ran.drawn
    return {
        "run": drawn.folder.name,
        "path": ran.path,
        "state": "interrupted" if drawn.finished is None else drawn.finished.stopped or "finished",
        "draws": {name: getattr(drawn.progress, name) for name in ("due", "kept", "made", "failed")},
        "rows": [] if ran.table is None else ran.table.to_polars(),
        "notes": list(ran.notes),
        "files": list(ran.files),
    }


def report(ran: Run) -> None:
    """The table, what a reader must be told, where the files are, and what to do next."""
    from testtime.cli import show
    from testtime.figures import tables
    from testtime.figures.ledger import books
    from testtime.store.cloud import address_of

    where = shlex.quote(address_of(ran.path) or str(ran.path))
    if ran.table is not None:
        show.tables(tables.summary(ran.table.to_polars()))
    show.tables(books(ran.ledger))
    if ran.drawn.unchanged:
        show.notes(["finished: nothing was left to be drawn, and no call was made"])
    if ran.drawn.progress.failed:
        again = "the same command makes those again that failed for a while, and with --retry_failed all the others too"
        show.notes([f"{ran.drawn.progress.failed} draws failed; they count as wrong; {again}"])
    show.notes(ran.notes)
    if ran.drawn.progress.made and not ran.drawn.progress.kept and not ran.drawn.spec.notes:
        show.notes([f'this run has no notes; say what it is for: testtime note {where} "…"'])
    show.wrote(*ran.files)
    if ran.drawn.unchanged and ran.drawn.finished and ran.drawn.finished.stopped:
        show.notes(["what is left failed for good: --retry_failed all makes it again"])
        show.next_step(f"testtime inspect {where}")
    elif ran.drawn.finished is None or ran.drawn.finished.stopped:
        cap = ran.drawn.finished and ran.drawn.finished.met
        higher = f" with a higher --{cap}" if cap else ""
        show.notes([f"what is there is whole; the same command{higher} goes on from it"])
        show.next_step(_again())
    else:
        show.next_step(f"testtime inspect {where}")


def _again() -> str:
    """The command line that was given: what is there is not drawn again."""
    return without("--fresh")


def without(*flags: str) -> str:
    """The command line that was given, without some flags that take no value."""
    unwanted = {spelling for flag in flags for spelling in (flag, flag.replace("_", "-"))}
    return shlex.join(["testtime", *(word for word in sys.argv[1:] if word not in unwanted)])
