"""`testtime import`: make a pool of a recorded file."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def import_(
    kind: Annotated[
        str,
        Parameter(
            help="What it is: answers (rows of id, gold, answers, tokens), candidates (rows of query_id, texts, for a "
            "dataset), inspect, lm-eval, nemo-skills (a folder), lighteval, best-of-n, qwen-rm, esc or tot24."
        ),
    ],
    file: Annotated[Path, Parameter(help="The file; gzip is fine.")],
    /,
    *,
    out: Annotated[Path, Parameter(help="The folder of runs; the pool is a run folder in it.")],
    run: Annotated[
        str | None, Parameter(help="What to call the run; by default what the file says, or its name.")
    ] = None,
    model: Annotated[
        str | None, Parameter(help="The model that gave the answers, where the file does not say.")
    ] = None,
    provider: Annotated[str | None, Parameter(help="Who served the model.")] = None,
    dataset: Annotated[str | None, Parameter(help="The benchmark.")] = None,
    dataset_path: Annotated[Path | None, Parameter(help="candidates: the benchmark's file or folder.")] = None,
    splits: Annotated[list[str] | None, Parameter(help="candidates: the benchmark's splits; by default test.")] = None,
) -> None:
    """Make a pool of a recorded file."""
    from testtime import api, verifying
    from testtime.cli import show

    told = {"run": run, "model": model, "provider": provider, "dataset": dataset}
    known = {key: value for key, value in told.items() if value}
    if kind == "candidates":
        path = verifying.import_candidates(file, out, known, dataset_path, splits or ["test"])
        show.wrote(path)
        show.next_step(f"testtime verify {shlex.quote(str(path))} --verifier {verifying.stage_of(path)}")
        return
    path = api.import_file(kind, file, out, known)
    show.wrote(path)
    show.next_step(f"testtime inspect {shlex.quote(str(path))}")
