"""`testtime run`: draw a pool from a model, and score every policy on it."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from testtime.cli.flags import part_of, says, settings_of
from testtime.runspec import KINDS, MODEL_SETTINGS, SERVED_BY, RunSpec, notices_of, run_spec

if TYPE_CHECKING:
    from testtime.api import Run

OWN = frozenset(RunSpec.model_fields) | {"config", "fresh", "explain_miss", "debug", "help", "version"}
Settings: Any = settings_of(KINDS, OWN)
NO_SETTINGS = Settings()
Backend: Any = part_of(RunSpec, ("base_url", "serve", *SERVED_BY, *MODEL_SETTINGS), "Where and how models run")
NO_BACKEND = Backend()
Judging: Any = part_of(RunSpec, ("llm_judge_fallback", "judge_threshold", "judge_audit"), "When a model judges")
NO_JUDGING = Judging()


def run(
    *,
    model: Annotated[str | None, says(RunSpec, "model")] = None,
    provider: Annotated[str | None, says(RunSpec, "provider")] = None,
    generator: Annotated[str | None, says(RunSpec, "generator")] = None,
    oracle_model: Annotated[str | None, says(RunSpec, "oracle_model")] = None,
    judge_model: Annotated[str | None, says(RunSpec, "judge_model")] = None,
    mock_model: Annotated[str | None, says(RunSpec, "mock_model")] = None,
    dataset: Annotated[str | None, says(RunSpec, "dataset")] = None,
    splits: Annotated[list[str] | None, says(RunSpec, "splits")] = None,
    streaming: Annotated[bool | None, says(RunSpec, "streaming")] = None,
    dataset_path: Annotated[Path | None, says(RunSpec, "dataset_path")] = None,
    max_queries: Annotated[int | None, says(RunSpec, "max_queries")] = None,
    sample: Annotated[int | None, says(RunSpec, "sample")] = None,
    start_index: Annotated[int | None, says(RunSpec, "start_index")] = None,
    shard: Annotated[str | None, says(RunSpec, "shard")] = None,
    decoding: Annotated[list[str] | None, says(RunSpec, "decoding")] = None,
    policies: Annotated[list[str] | None, says(RunSpec, "policies")] = None,
    num_candidates: Annotated[int | None, says(RunSpec, "num_candidates")] = None,
    prompt: Annotated[str | None, says(RunSpec, "prompt")] = None,
    persona: Annotated[str | None, says(RunSpec, "persona")] = None,
    structured_output: Annotated[bool | None, says(RunSpec, "structured_output")] = None,
    temperature: Annotated[float | None, says(RunSpec, "temperature")] = None,
    top_p: Annotated[float | None, says(RunSpec, "top_p")] = None,
    max_tokens: Annotated[int | None, says(RunSpec, "max_tokens")] = None,
    seed: Annotated[int | None, says(RunSpec, "seed")] = None,
    live: Annotated[bool | None, says(RunSpec, "live")] = None,
    sandbox: Annotated[Literal["auto", "bubblewrap", "docker", "subprocess"] | None, says(RunSpec, "sandbox")] = None,
    measure_energy: Annotated[bool | None, says(RunSpec, "measure_energy")] = None,
    concurrency: Annotated[int | None, says(RunSpec, "concurrency")] = None,
    env_file: Annotated[Path | None, says(RunSpec, "env_file")] = None,
    prices: Annotated[Path | None, says(RunSpec, "prices")] = None,
    out_dir: Annotated[Path | None, says(RunSpec, "out_dir")] = None,
    run: Annotated[str | None, says(RunSpec, "run")] = None,
    notes: Annotated[str | None, says(RunSpec, "notes")] = None,
    config: Annotated[Path | None, Parameter(help="A YAML file with these keys; flags beat it.")] = None,
    fresh: Annotated[
        bool, Parameter(show_default=False, help="Set what the run's folder holds aside, and start anew.")
    ] = False,
    explain_miss: Annotated[
        bool, Parameter(show_default=False, help="Say what keeps stored draws from being reused, and call no model.")
    ] = False,
    backend: Annotated[Backend, Parameter(name="*")] = NO_BACKEND,
    judging: Annotated[Judging, Parameter(name="*")] = NO_JUDGING,
    settings: Annotated[Settings, Parameter(name="*")] = NO_SETTINGS,
) -> None:
    """Draw a pool from a model, and score every policy on it."""
    given = {key: value for key, value in locals().items() if key in RunSpec.model_fields and key != "settings"}
    parts = [dataclasses.asdict(part) for part in (backend, judging, settings)]
    spec = run_spec({**given, **parts[0], **parts[1], **parts[2]}, config)
    if notices := notices_of(config):
        from testtime.cli import show

        show.notes(notices)
    if explain_miss:
        explain(spec)
    else:
        carry_out(spec, fresh=fresh)


def explain(spec: RunSpec) -> None:
    """Prints what keeps each run of the folder from being reused."""
    from testtime.cli import show
    from testtime.session import explain_miss

    for line in explain_miss(spec):
        show.console().print(line, soft_wrap=True)


def carry_out(spec: RunSpec, *, fresh: bool = False) -> Run:
    """Runs, writes, then prints. Raises KeyboardInterrupt, after all that, where it was stopped."""
    from testtime import api
    from testtime.cli import progress

    ran = api.run(spec, fresh=fresh, watch=progress.shown)
    report(ran)
    if ran.drawn.stopped:
        raise KeyboardInterrupt
    return ran


def report(ran: Run) -> None:
    """The table, what a reader must be told, where the files are, and what to do next."""
    from testtime.cli import show
    from testtime.figures import tables

    if ran.table is not None:
        show.tables(tables.summary(ran.table.to_polars()))
    if ran.drawn.unchanged:
        show.notes(["finished: nothing was left to be drawn, and no call was made"])
    if ran.drawn.progress.failed:
        show.notes([f"{ran.drawn.progress.failed} draws failed; they count as wrong"])
    show.notes(ran.notes)
    show.wrote(*ran.files)
    if ran.drawn.stopped:
        show.console().print(f"continue: {_again()}", soft_wrap=True)
    else:
        show.next_step(f"testtime inspect {shlex.quote(str(ran.path))}")


def _again() -> str:
    """The command line that was given: what is there is not drawn again."""
    words = [word for word in sys.argv[1:] if word != "--fresh"]
    return shlex.join(["testtime", *words])
