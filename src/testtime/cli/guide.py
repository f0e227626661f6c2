"""`testtime guide`: a small model that may ask a large one, on one prompt or on a data set."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from testtime.cli import Json
from testtime.cli.flags import part_of, says, settings_of
from testtime.cli.run import NO_BACKEND, Backend
from testtime.core.errors import BadInput, StoppedEarly
from testtime.figures.save import require
from testtime.runspec import RunSpec, noted, run_spec
from testtime.spec import read_yaml
from testtime.store.atomic import writable

if TYPE_CHECKING:
    import polars as pl

    from testtime.guide import Evaluation
    from testtime.session import Drawn

OWN = frozenset(RunSpec.model_fields) | {"config", "fresh", "json", "debug", "help", "version", "verbose"}
PART = (
    "dataset", "splits", "dataset_path", "max_queries", "start_index", "num_candidates", "max_tokens", "seed",
    "concurrency", "env_file", "out_dir", "run",
)  # fmt: skip
Part: Any = part_of(RunSpec, PART, "What is run")
NO_PART = Part()
Settings: Any = settings_of(("decoding",), OWN)
NO_SETTINGS = Settings()
USUAL: Mapping[str, Any] = {"decoding": ("guided",), "policies": ("sc_fixed:n=1",), "temperature": 0.0, "top_p": 1.0}
"""What a guided run is where nothing else is said: greedy, one draw a problem."""


def guide(
    *,
    model: Annotated[str | None, Parameter(help="The base, which writes (also --base_model).")] = None,
    oracle_model: Annotated[str | None, says(RunSpec, "oracle_model")] = None,
    prompt: Annotated[str | None, Parameter(help="A question of your own; without it, a data set's.")] = None,
    temperature: Annotated[float | None, Parameter(help="Sampling temperature; by default 0.")] = None,
    top_p: Annotated[float | None, Parameter(help="Nucleus of the sampling; by default 1.")] = None,
    part: Annotated[Part, Parameter(name="*")] = NO_PART,
    output: Annotated[
        Path | None, Parameter(help="Rows as JSON Lines go here; the run lies beside it, in NAME.run.")
    ] = None,
    out_png: Annotated[
        Path | None, Parameter(help="Draw accuracy against --x here (.png, .svg, .html, .json).")
    ] = None,
    x: Annotated[
        Literal["oracle_tokens", "flops", "usd", "seconds"], Parameter(help="What accuracy is drawn against.")
    ] = "oracle_tokens",
    surface_png: Annotated[Path | None, Parameter(help="Draw the surface over c and k here.")] = None,
    oracle_budget: Annotated[
        float | None, Parameter(help="Recommend a setting of at most so many oracle tokens a problem.")
    ] = None,
    oracle_tokens: Annotated[
        list[float] | None, Parameter(help="Set each trigger so that it takes so many oracle tokens a problem.")
    ] = None,
    calibrate_on: Annotated[
        str, Parameter(help="The split on which --oracle_tokens sets the triggers.")
    ] = "validation-medium",
    config: Annotated[Path | None, Parameter(help="A YAML file with these keys; flags beat it.")] = None,
    fresh: Annotated[bool, Parameter(show_default=False, help="Set what is there aside, and start anew.")] = False,
    verbose: Annotated[
        bool, Parameter(show_default=False, help="Print the texts: base and oracle in two colours.")
    ] = False,
    json: Json = False,
    backend: Annotated[Backend, Parameter(name="*")] = NO_BACKEND,
    settings: Annotated[Settings, Parameter(name="*")] = NO_SETTINGS,
) -> None:
    """Let a small model write, and ask a large one now and then."""
    if out_png or surface_png:
        require()  # before anything is paid for
    given = {"model": model, "oracle_model": oracle_model, "temperature": temperature, "top_p": top_p}
    for flags in (part, backend, settings):
        given |= dataclasses.asdict(flags)
    if prompt is not None:
        if given["dataset"] is not None:
            raise BadInput("both a prompt and a dataset are given", mend="give one of them")
        given["dataset"] = "pocket-math"  # a run has one; none of its problems is drawn
    spec = run_spec({**_with_usual(given, config, output), **noted(config)}, config)
    if prompt is not None:
        _answer(spec, prompt, json)
        return
    files = {"rows": output, "accuracy": out_png, "surface": surface_png}
    writable(path for path in files.values() if path)
    if oracle_tokens:
        from testtime.cli import progress
        from testtime.guide import calibrated

        texts = calibrated(spec, oracle_tokens, calibrate_on, watch=progress.shown)
        spec = spec.model_copy(update={"decoding": tuple(texts), "settings": {}})
    _evaluate(spec, fresh, None if json else verbose, files, x, oracle_budget)


def _with_usual(given: Mapping[str, Any], config: Path | None, output: Path | None) -> dict[str, Any]:
    """The flags with what is usual where neither they nor the file say it; the run of an output file lies beside it."""
    file = () if config is None else read_yaml(config).values
    usual = {key: value for key, value in USUAL.items() if key not in file}
    usual |= {} if output is None else {"out_dir": output.parent, "run": f"{output.stem}.run"}
    return {**given, **{key: value for key, value in usual.items() if given.get(key) is None}}


def _answer(spec: RunSpec, prompt: str, json: bool) -> None:
    """Prints what each setting makes of one prompt."""
    from testtime.cli import show
    from testtime.figures.guidance_tables import interleaved
    from testtime.guide import answer

    out, several = show.console(), answer(spec, prompt)
    if json:
        show.json([{"decoding": label, "parts": made.parts, **made.facts} for label, made in several])
        return
    for label, made in several:
        if len(several) > 1:
            out.print(label, style="bold", soft_wrap=True)
        out.print(interleaved(made.parts), soft_wrap=True)
        positions = ", ".join(map(str, made.facts["cheat_positions"])) or "none"
        base, oracle = made.facts["base_tokens"], made.facts["oracle_tokens"]
        out.print(f"{base} tokens by the base, {oracle} by the oracle; consulted at: {positions}", soft_wrap=True)
    models = f"--base_model {spec.model} --oracle_model {spec.oracle_model}"
    show.next_step(f"testtime guide {models} --dataset pocket-math --split medium --num_samples 100 --c 5 --k 3")


def _evaluate(
    spec: RunSpec, fresh: bool, verbose: bool | None, files: Mapping[str, Path | None], x: str, budget: float | None
) -> None:
    """Runs, writes, then prints: with the texts, without, or (None) as JSON.

    Raises KeyboardInterrupt, after all that, where it was stopped.
    """
    from testtime.analysis.guidance import grid_table
    from testtime.cli import progress, show
    from testtime.figures.guidance_tables import grid_rows
    from testtime.guide import evaluate, write_rows

    found = evaluate(spec, fresh=fresh, watch=progress.shown)
    if found.rows.is_empty():
        raise BadInput("nothing was drawn", where=str(found.drawn.folder.path))
    if rows := files["rows"]:
        write_rows(found, rows)
    table = grid_table(found.rows)
    drawn = _draw(table, found, files, x)
    if verbose is None:
        show.json({"grid": table, "conclusions": _conclusions(found, budget), "notes": found.drawn.notes})
    else:
        if verbose:
            _texts(found.rows)
        show.tables([grid_rows(table)])
        _say(found, budget)
        show.wrote(files["rows"], found.drawn.folder.candidates, *drawn)
        show.next_step(_next(files["rows"], found.drawn.folder.path))
    _stopped(found.drawn)


def _next(rows: Path | None, folder: Path) -> str:
    if rows is None:
        return f"testtime show {shlex.quote(str(folder))}"
    return f"testtime stats --stats_file {shlex.quote(str(rows))} --output_file {rows.stem}_stats.jsonl"


def _stopped(drawn: Drawn) -> None:
    """Raises KeyboardInterrupt or StoppedEarly where the drawing was stopped."""
    if drawn.finished is None:
        raise KeyboardInterrupt
    if drawn.finished.stopped:
        raise StoppedEarly(f"{drawn.finished.stopped}; what was drawn is kept, and the same command goes on from there")


def _say(found: Evaluation, budget: float | None) -> None:
    """What a reader must be told of a grid."""
    from testtime.cli import show

    for line in _conclusions(found, budget):
        show.console().print(line, soft_wrap=True)
    if found.drawn.unchanged:
        show.notes(["finished: nothing was left to be drawn, and no call was made"])
    if found.drawn.progress.failed:
        show.notes([f"{found.drawn.progress.failed} draws failed; they count as wrong"])
    show.notes(found.drawn.notes)


def _draw(table: pl.DataFrame, found: Evaluation, files: Mapping[str, Path | None], x: str) -> list[Path]:
    if not (files["accuracy"] or files["surface"]):
        return []
    from testtime.figures.guidance import accuracy_against_oracle, surface
    from testtime.figures.save import form_of, render
    from testtime.store.atomic import whole

    first = found.rows.row(0, named=True)
    names = [str(first[key]).partition(":")[2] for key in ("base_model_id", "oracle_model_id")]
    title = f"{names[0]} asks {names[1]}: {found.drawn.spec.dataset} {', '.join(found.drawn.spec.splits)}"
    written = []
    charts = (("accuracy", partial(accuracy_against_oracle, x=x)), ("surface", surface))
    for key, chart in charts:
        if path := files[key]:
            picture = render(chart(table, title=title), form_of(path))
            with whole(path) as part:
                part.write_bytes(picture)
            written.append(path)
    return written


def _texts(rows: pl.DataFrame) -> None:
    """Prints every text, with whether it is right, and the accuracy so far."""
    import json

    from testtime.cli import show
    from testtime.core import records
    from testtime.figures.guidance_tables import interleaved
    from testtime.store.codec import decode

    out, right, known = show.console(), 0.0, 0
    for row in rows.iter_rows(named=True):
        right, known = right + (row["correct"] or 0.0), known + (row["correct"] is not None)
        verdict = {1.0: "right", 0.0: "wrong"}.get(row["correct"], "unknown")
        so_far = f", {100 * right / known:.1f} % of {known} so far" if known else ""
        out.print(f"{row['query_id']} {row['decoding']}: {verdict}{so_far}", style="bold", soft_wrap=True)
        out.print(interleaved([decode(records.Part, part) for part in json.loads(row["parts"])]), soft_wrap=True)


def _conclusions(found: Evaluation, budget: float | None) -> list[str]:
    """What triggers give at equal oracle tokens, and which setting to take under the budget."""
    from testtime.analysis.guidance import Settings, at_equal_cost, recommend

    if budget is None:
        return []
    settings = Settings.of(found.rows)
    lines = []
    for row in at_equal_cost(settings, "oracle_tokens", budget).iter_rows(named=True):
        gain = ""
        if row["gain"] is not None:
            gain = f"; {_points(row['gain'])} [{_points(row['gain_low'])}, {_points(row['gain_high'])}] against random"
        value = f"{100 * row['accuracy']:.1f} % [{100 * row['low']:.1f}, {100 * row['high']:.1f}]"
        lines.append(f"at {budget:g} oracle tokens a problem, {row['trigger']}: {value}{gain}")
    choice = recommend(settings, budget)
    c, k, trigger = choice.name
    promise = f"{100 * choice.accuracy:.1f} % [{100 * choice.low:.1f}, {100 * choice.high:.1f}]"
    lines.append(
        f"recommended under {budget:g} oracle tokens a problem: c = {c}, k = {k}, trigger {trigger}; "
        f"{promise} at {choice.tokens:.1f} tokens by cross-validation, {choice.agreed} of {choice.folds} folds agree"
    )
    return lines


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"
