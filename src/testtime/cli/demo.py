"""`testtime demo`: the main job on the embedded model, with no key, no network and no GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from testtime.cli import Json, Whole

MODEL, DATASET, SPLIT, PROBLEMS = "pocket-m", "pocket-math", "medium", 200
SAMPLING = {"temperature": 0.8, "top_p": 1.0}
"""The whole law of the model: a narrower one leaves out the slips that votes mend."""


def demo(
    *,
    max_queries: Annotated[
        Whole, Parameter(help="Problems; 200 by default: under two minutes on two cores.", show_default=False)
    ] = PROBLEMS,
    out_dir: Annotated[Path, Parameter(help="The folder of runs; by default results.", show_default=False)] = Path(
        "results"
    ),
    json: Json = False,
) -> None:
    """Draw a pool from the embedded model, score every policy on it, and draw the frontier."""
    from testtime.cli import show
    from testtime.cli.run import carry_out
    from testtime.runspec import run_spec

    sampling = " ".join(f"--{name} {value:g}" for name, value in SAMPLING.items())
    drawn = f"--dataset {DATASET} --split {SPLIT} --max_examples {max_queries} {sampling}"
    said = f"testtime run --model {MODEL} {drawn}"
    if not json:
        show.console().print(f"{said} --out_dir {out_dir} --measure_energy", soft_wrap=True)
    asked = {
        "model": MODEL,
        "dataset": DATASET,
        "splits": [SPLIT],
        "max_queries": max_queries,
        "out_dir": out_dir,
        **SAMPLING,
    }
    (ran,) = carry_out([run_spec({**asked, "measure_energy": True})], json=json)
    if json:
        return
    show.next_step(f'testtime replay {ran.path} --policies "adaptive_margin:stop_rule=beta,max_n=16"')
    show.next_step(f"testtime run --model pocket-s {drawn}")
    show.next_step(f'testtime analyze --glob "{out_dir}/*.jsonl" --out_csv summary.csv --against sc_fixed')
