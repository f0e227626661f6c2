"""`testtime replay`: score policies on answers already drawn. No model is called."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from testtime.cli import Json, Whole
from testtime.cli.flags import says, settings_of
from testtime.spec import ReplaySpec, replay_spec

OWN = frozenset(ReplaySpec.model_fields) | {"config", "json", "debug", "help", "version"}
Settings: Any = settings_of(("policy",), OWN)
NO_SETTINGS = Settings()


def replay(
    *pools: Annotated[str, says(ReplaySpec, "pools")],
    policies: Annotated[list[str] | None, says(ReplaySpec, "policies")] = None,
    orders: Annotated[Whole | None, says(ReplaySpec, "orders")] = None,
    seed: Annotated[Whole | None, says(ReplaySpec, "seed")] = None,
    realised: Annotated[bool | None, Parameter(negative="--no_realised"), says(ReplaySpec, "realised")] = None,
    out_csv: Annotated[Path | None, says(ReplaySpec, "out_csv")] = None,
    out_jsonl: Annotated[Path | None, says(ReplaySpec, "out_jsonl")] = None,
    config: Annotated[Path | None, Parameter(help="A YAML file with these keys; flags beat it.")] = None,
    with_: Annotated[
        str | None,
        Parameter(help="A second pool of the same problems, by a larger model: arms small and large."),
    ] = None,
    json: Json = False,
    settings: Annotated[Settings, Parameter(name="*")] = NO_SETTINGS,
) -> None:
    """Score policies on answers already drawn."""
    own = {
        "pools": pools,
        "policies": policies,
        "orders": orders,
        "seed": seed,
        "realised": realised,
        "out_csv": out_csv,
        "out_jsonl": out_jsonl,
    }
    play(replay_spec({**own, **dataclasses.asdict(settings)}, config), with_, json=json)


def play(spec: ReplaySpec, with_: str | None = None, *, json: bool = False) -> None:
    """Replays, writes, then prints."""
    from testtime import advice, api, sources
    from testtime.cli import show
    from testtime.figures import tables
    from testtime.store.atomic import writable

    outputs = [path for path in (spec.out_csv, spec.out_jsonl) if path]
    writable(outputs, sources.paths_of(spec.pools))
    loaded = api.LoadedPool((advice.together(spec.pools, with_),)) if with_ else api.load(spec.pools)
    table = loaded.replay(
        spec.policies, orders=spec.orders, seed=spec.seed, realised=spec.realised, **dict(spec.settings)
    )
    summary, notes = table.to_polars(), [*loaded.notes, *table.notes]
    if spec.out_csv:
        table.to_csv(spec.out_csv)
    if spec.out_jsonl:
        table.to_jsonl(spec.out_jsonl)
    if json:
        show.json({"rows": summary, "notes": notes})
        return
    show.tables(tables.summary(summary))
    show.notes(notes)
    show.wrote(spec.out_csv, spec.out_jsonl)
    show.next_step(_next(spec, with_))


def _next(spec: ReplaySpec, with_: str | None) -> str:
    if spec.out_csv:
        return shlex.join(
            ["testtime", "plot", "--csv", f"{spec.out_csv}", "--out_png", f"{spec.out_csv.with_suffix('.png')}"]
        )
    if spec.out_jsonl:
        return f"testtime analyze --glob {shlex.quote(str(spec.out_jsonl))} --out_csv summary.csv --against sc_fixed"
    again = ["testtime", "replay", *spec.pools, *(["--with", with_] if with_ else [])]
    if "policies" in spec.model_fields_set:
        again += ["--policies", *spec.policies]
    for key, values in spec.settings.items():
        again += [f"--{key}", *map(str, values)]
    return shlex.join([*again, "--out_csv", "summary.csv"])
