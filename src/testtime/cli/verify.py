"""`testtime verify`: verdicts given anew, on a pool or on pairs; nothing is drawn."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from testtime.cli import Json

SHOWN = 20
"""Flips that are printed."""


def verify(
    pool: Annotated[Path | None, Parameter(help="A run folder, or a candidates.parquet.")] = None,
    *,
    verifier: Annotated[str, Parameter(help="The stage that judges: math, choice, tools, code, judge, each.")],
    pairs: Annotated[
        Path | None, Parameter(help="In place of a pool: a file of rows {gold, prediction, options?}.")
    ] = None,
    output: Annotated[Path | None, Parameter(help="Where the judged pairs are written, a JSON line each.")] = None,
    dataset: Annotated[str | None, Parameter(help="The benchmark, where the pool does not say.")] = None,
    dataset_path: Annotated[Path | None, Parameter(help="Its file or folder, where the pool does not say.")] = None,
    judge_model: Annotated[str | None, Parameter(help="The judge's model, as provider:name.")] = None,
    concurrency: Annotated[int, Parameter(help="Calls of a judge in flight at once; by default 16.")] = 16,
    json: Json = False,
) -> None:
    """Judge candidates again, without drawing anything."""
    from testtime import verifying
    from testtime.cli import show
    from testtime.core.errors import BadInput

    if pairs is not None:
        if pool is not None or output is None:
            raise BadInput("pairs are judged by themselves", mend="give --pairs FILE --verifier math --output F")
        counts = verifying.verify_pairs(pairs, verifier, output)
        if json:
            show.json(counts)
            return
        show.console().print(f"{counts['right']:,} of {counts['rows']:,} are right")
        show.wrote(output)
        show.next_step(f"head -n 1 {shlex.quote(str(output))}")
        return
    if pool is None:
        raise BadInput("no pool given", mend="name a run folder, or --pairs FILE")
    done = verifying.reverify(
        pool,
        verifier,
        dataset=dataset,
        dataset_path=dataset_path,
        judge_model=judge_model,
        concurrency=concurrency,
    )
    if json:
        show.json({"verdicts": done.frame["is_verified"].value_counts(sort=True), "flips": done.flips,
                   "calls": done.calls, "path": done.path})  # fmt: skip
        return
    _report(done)
    show.wrote(done.path)
    show.next_step(f"testtime audit {shlex.quote(str(done.path))} --n 100 --out_csv labels.csv")


def _report(done: object) -> None:
    from testtime.cli import show
    from testtime.figures.tables import printable
    from testtime.verifying import Reverified

    assert isinstance(done, Reverified)
    words = {True: "right", False: "wrong", None: "null"}
    values = done.frame["is_verified"].to_list()
    out = show.console()
    out.print(", ".join(f"{values.count(value):,} {word}" for value, word in words.items()) + f" of {len(values):,}")
    flips = done.flips
    out.print(f"{flips.height:,} verdicts are others than before")
    for row in flips.head(SHOWN).iter_rows(named=True):
        change = f"{words[row['was_verified']]} → {words[row['is_verified']]}"
        told = f"{row['query_id']} #{row['candidate_idx']}: {change} by {row['verification_method']}"
        out.print(printable(f"  {told}; {row['verification_explanation']}"), soft_wrap=True)
    if done.calls:
        out.print(f"{done.calls:,} calls of the judge")
