"""`testtime audit`: a sample of verdicts, labelled by hand in the terminal or a CSV: how often are they wrong?"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from testtime.cli import Json, Whole

if TYPE_CHECKING:
    import polars as pl

    from testtime.analysis.audit import Audited, Rate

KEYS = {"r": "right", "w": "wrong", "s": "skip"}


def audit(
    file: Annotated[Path, Parameter(help="A run folder, a candidates.parquet, or verdicts that verify wrote.")],
    /,
    *,
    n: Annotated[Whole, Parameter(help="Verdicts to label; by default 100.")] = 100,
    seed: Annotated[Whole, Parameter(help="Seed of the sample; by default 0.")] = 0,
    out_csv: Annotated[
        Path | None, Parameter(help="Write the sample here, to be labelled in its last column: right, wrong or skip.")
    ] = None,
    labels: Annotated[Path | None, Parameter(help="The CSV with its labels filled in.")] = None,
    json: Json = False,
) -> None:
    """Label a sample of verdicts by hand: how often are they wrong?"""
    from testtime import verifying
    from testtime.analysis.audit import audited, sample
    from testtime.cli import show
    from testtime.core.errors import BadInput

    if n < 1:
        raise BadInput(f"n={n} cannot be", mend="label at least one verdict")
    frame = verifying.verdicts(file)
    if labels is not None:
        _report(audited(frame, verifying.read_labels(labels), seed), file, json)
        return
    chosen = sample(frame, n, seed)
    if out_csv is not None:
        verifying.write_labels(out_csv, chosen)
        show.wrote(out_csv)
        show.notes(["fill in its last column, label: right, wrong or skip"])
        show.next_step(shlex.join(["testtime", "audit", str(file), "--labels", str(out_csv)]))
        return
    _report(audited(frame, _asked(chosen), seed), file, json)


def _asked(chosen: pl.DataFrame) -> dict[tuple[str, str, int], str]:
    """Labels typed in the terminal, until the sample or the input ends."""
    from testtime.cli import show
    from testtime.figures.tables import printable

    out = show.console()
    found: dict[tuple[str, str, int], str] = {}
    for at, row in enumerate(chosen.iter_rows(named=True), start=1):
        out.print(f"\n{at} of {chosen.height}: {printable(str(row['query_id']))} #{row['candidate_idx']}")
        for name in ("question", "ground_truth_answer", "answer"):
            out.print(printable(f"{name}: {str(row.get(name) or '—')[:1500]}"))
        if (label := _typed()) is None:
            break
        found[row["arm"], row["query_id"], row["candidate_idx"]] = label
    return found


def _typed() -> str | None:
    """A label that is typed; None to stop. Whatever is none is asked for again."""
    while True:
        try:
            typed = input("right (r), wrong (w), skip (s), stop (q)? ").strip().lower()[:1]
        except EOFError:
            return None
        if typed == "q":
            return None
        if typed in KEYS:
            return KEYS[typed]


def _report(found: Audited, file: Path, json: bool) -> None:
    from testtime.cli import show

    if json:
        show.json(found)
        return
    out = show.console()
    out.print(f"called wrong but right (false negatives)  {_said(found.false_negative)}")
    out.print(f"called right but wrong (false positives)  {_said(found.false_positive)}")
    out.print(f"accuracy as the verifier says             {100 * found.said:.1f} %")
    out.print(f"accuracy, corrected                       {_said(found.accuracy)}")
    show.next_step(f"testtime show {shlex.quote(str(file))}")


def _said(rate: Rate) -> str:
    if rate.value is None or rate.low is None or rate.high is None:
        return "unknown: no label"
    return (
        f"{100 * rate.value:.1f} % [{100 * rate.low:.1f}, {100 * rate.high:.1f}], {rate.n} label{'s' * (rate.n != 1)}"
    )
