"""`testtime verify`: verdicts given anew, on a pool or on pairs; nothing is drawn."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from testtime.cli import Json, Whole

if TYPE_CHECKING:
    from testtime.verifying import Reverified

SHOWN = 20
"""Flips that are printed."""


def verify(
    pool: Annotated[Path | None, Parameter(help="A run folder, a packed run, or a candidates.parquet.")] = None,
    *,
    verifier: Annotated[
        str, Parameter(help="The stage that judges: math, choice, tools, code, judge, each, refusal, persona.")
    ],
    pairs: Annotated[
        Path | None, Parameter(help="In place of a pool: a file of rows {gold, prediction, options?}.")
    ] = None,
    output: Annotated[Path | None, Parameter(help="Where the judged pairs are written, a JSON line each.")] = None,
    dataset: Annotated[str | None, Parameter(help="The benchmark, where the pool does not say.")] = None,
    dataset_path: Annotated[Path | None, Parameter(help="Its file or folder, where the pool does not say.")] = None,
    judge_model: Annotated[
        str | None,
        Parameter(help="The judge's model, as provider:name; by default the pool's own judge, or who made it."),
    ] = None,
    base_url: Annotated[
        list[str] | None, Parameter(help="Address of the judge's server, http://HOST:PORT/v1, as run takes it.")
    ] = None,
    env_file: Annotated[Path | None, Parameter(help="A file of keys, as run takes it.")] = None,
    persona: Annotated[
        Path | None, Parameter(help="persona: its file, its marks beside it, where the pool does not say.")
    ] = None,
    sandbox: Annotated[
        str | None,
        Parameter(help="code: auto, bubblewrap, docker or subprocess; by default as the pool says, or auto."),
    ] = None,
    concurrency: Annotated[Whole, Parameter(help="Calls of a judge in flight at once; by default 16.")] = 16,
    prices: Annotated[Path | None, Parameter(help="A YAML file of your own prices, as run takes it.")] = None,
    json: Json = False,
) -> None:
    """Judge candidates again, without drawing anything."""
    from testtime import verifying
    from testtime.core.errors import BadInput
    from testtime.models import keys
    from testtime.sources import brought
    from testtime.store.cloud import push

    if pairs is not None:
        if pool is not None or output is None:
            raise BadInput("pairs are judged by themselves", mend="give --pairs FILE --verifier math --output F")
        _pairs(pairs, verifier, output, json=json)
        return
    if pool is None:
        raise BadInput("no pool given", mend="name a run folder, or --pairs FILE")
    pool = brought(pool)
    keys.use_file(env_file)
    done = verifying.reverify(
        pool,
        verifier,
        dataset=dataset,
        dataset_path=dataset_path,
        judge_model=judge_model,
        base_url=base_url or (),
        persona=str(persona) if persona else None,
        sandbox=sandbox,
        concurrency=concurrency,
        prices=prices,
    )
    _told(done, pool, verifier, push(pool) or push(done.path), json=json)


def _told(done: Reverified, pool: Path, verifier: str, sent: list[str], *, json: bool) -> None:
    from testtime.cli import show

    if json:
        model, usd = done.judge.model, done.judge.dollars.value
        show.json({"verdicts": done.frame[done.word].value_counts(sort=True), "flips": done.flips, "path": done.path,
                   "judge": model.name if model else None, "calls": done.judge.calls, "usd": usd})  # fmt: skip
        return
    _report(done, verifier)
    show.wrote(done.path, *([pool] if done.first else []))
    show.notes([*([done.unasked] if done.unasked else []), *sent])
    if done.word == "is_verified":
        show.next_step(f"testtime audit {shlex.quote(str(done.path))} --n 100 --out_csv labels.csv")
    else:
        show.next_step(f"testtime inspect {shlex.quote(str(pool))}")


def _pairs(pairs: Path, verifier: str, output: Path, *, json: bool) -> None:
    from testtime import verifying
    from testtime.cli import show

    counts = verifying.verify_pairs(pairs, verifier, output)
    if json:
        show.json(counts)
        return
    show.console().print(f"{counts['right']:,} of {counts['rows']:,} are right")
    show.wrote(output)
    show.next_step(f"head -n 1 {shlex.quote(str(output))}")


WORDS: Mapping[str, Mapping[object, str]] = {
    "is_verified": {True: "right", False: "wrong", None: "null"},
    "refusal_is_refusal": {True: "declined", False: "answered", None: "null"},
}
"""A stage's word → how its values are told."""


def _report(done: Reverified, verifier: str) -> None:
    from testtime.analysis.judging import asked_anew
    from testtime.cli import show
    from testtime.figures.tables import printable
    from testtime.verifying import was

    out, values = show.console(), done.frame[done.word].to_list()
    words = WORDS.get(done.word)
    if words is None:
        known = [value for value in values if value is not None]
        mean = f"{sum(known) / len(known):.2f} on average, " if known else ""
        out.print(f"{done.word}: {mean}{len(known):,} known of {len(values):,}")
        return
    out.print(", ".join(f"{values.count(value):,} {word}" for value, word in words.items()) + f" of {len(values):,}")
    flips = done.flips
    out.print(f"{flips.height:,} verdicts are others than before")
    for row in flips.head(SHOWN).iter_rows(named=True):
        change = f"{words[row[was(done.word)]]} → {words[row[done.word]]}"
        why = (
            f" by {row['verification_method']}; {row['verification_explanation']}" if done.word == "is_verified" else ""
        )
        out.print(printable(f"  {row['query_id']} #{row['candidate_idx']}: {change}{why}"), soft_wrap=True)
    if flips.height > SHOWN:
        out.print(f"  … {flips.height - SHOWN:,} more: rows of the file whose {was(done.word)} is not {done.word}")
    if spent := done.judge.spent():
        assert done.judge.model is not None
        out.print(f"the judge {done.judge.model.name}: {', '.join(spent)}", soft_wrap=True)
    if verifier == "judge" and (told := asked_anew(done.frame)) is not None:
        out.print(told, soft_wrap=True)
