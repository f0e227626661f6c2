"""`testtime list`: what there is of a kind, built in or plugged in."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Annotated

from cyclopts import Parameter

from testtime.cli import Json
from testtime.core.errors import BadInput, unknown_name

KINDS = {
    "policies": "policy",
    "rules": "stopping rule",
    "votes": "vote",
    "tasks": "task",
    "decodings": "decoding",
    "triggers": "trigger",
    "tools": "tool",
    "verifiers": "verifier",
    "importers": "importer",
    "providers": "model",
}
"""What may be listed → the kind of the registry. `models` is the table of presets."""
NEXT = {
    "models": "testtime doctor",
    "policies": "testtime policies table adaptive_margin:max_n=16",
    "rules": "testtime boundary adaptive_margin:stop_rule=beta,max_n=16",
    "importers": "testtime import --help",
    "verifiers": "testtime verify --help",
    "triggers": "testtime guide --help",
}
"""What to try with what was listed; with the others, a run."""


def list_(
    what: Annotated[str | None, Parameter(help=f"models, {', '.join(KINDS)}.")] = None, /, *, json: Json = False
) -> None:
    """Print what there is of a kind, a line each."""
    from testtime.cli import show

    if what is None:
        raise BadInput("list of what", mend=f"testtime list models, or {', '.join(KINDS)}")
    if what not in ("models", *KINDS):
        raise unknown_name("kind", what, ("models", *KINDS))
    if json:
        show.json(_table() if what == "models" else _said(KINDS[what]))
        return
    lines = _models() if what == "models" else _components(KINDS[what])
    for line in lines:
        show.console().print(line, soft_wrap=True)
    show.next_step(NEXT.get(what, "testtime run --help"))


def _components(kind: str) -> Iterator[str]:
    known = _said(kind)
    width = max(map(len, known))
    for name, said in known.items():
        yield f"{name:{width}}  {said}".rstrip()


def _said(kind: str) -> dict[str, str]:
    """Name → its sentence, or why it cannot be used here."""
    from testtime.core.registry import find, names

    found = {}
    for name in sorted(names(kind)):
        try:
            made = find(kind, name)  # an importer's format is what its file is about
            said = sys.modules[made.__module__].__doc__ if kind == "importer" else made.__doc__
            found[name] = (said or "").strip().split("\n")[0]
        except (BadInput, ModuleNotFoundError) as error:
            found[name] = f"cannot be used here: {error}"
    return found


def _table() -> object:
    """The table of presets as records."""
    from testtime.models.presets import table

    return table()


def _models() -> Iterator[str]:
    """The table of presets: a block a family, then what is retired."""
    from testtime.models.presets import table

    known = table()
    yield f"Models as their makers stated them on {known.day}; prices: {known.prices}, $ per million tokens in / out."
    for row in known.families:
        yield ""
        yield f"{row.provider}: {', '.join(row.models)}"
        yield f"    {row.use}"
        yield f"    takes {_takes(row)}"
        yield from _ends(row.provider, row.models)
        yield from _prices(row.provider, row.models)
    for one in known.advice:
        yield ""
        yield f"{one.provider}: {', '.join(one.models)}"
        yield f"    {one.use}"
        yield from _ends(one.provider, one.models)
        yield from _prices(one.provider, one.models)
    yield ""
    yield "Retired, or about to be:"
    for gone in sorted(known.retired, key=lambda row: row.day):
        yield f"    {gone.day}  {gone.provider}: {', '.join(gone.models)}; instead {gone.successor}"


def _takes(row: object) -> str:
    """What a family takes, in words."""
    from testtime.models.presets import Family

    assert isinstance(row, Family)
    thinking = [f"effort {'/'.join(row.efforts)}"] if row.efforts else []
    thinking += [f"{row.budgets[0]} to {row.budgets[1]} thinking tokens"] if row.budgets else []
    thinking += ["no thinking"] if row.off else []
    sampling = "temperature or top_p" if row.either else "temperature and top_p"
    parts = [
        sampling if row.sampling else f"no temperature but {row.temperature:g}",
        f"n up to {row.n}" if row.n > 1 else "n = 1",
        "a seed" if row.seed else "no seed",
        "a text to continue" if row.continuation else "",
        *(name for name, there in (("tools", row.tools), ("schema", row.schema)) if there),
        *thinking,
    ]
    return ", ".join(part for part in parts if part)


def _ends(provider: str, models: tuple[str, ...]) -> Iterator[str]:
    """A line for each day on which some of what is recommended ends: for new work there is something else."""
    from testtime.models.presets import Retired, retirement

    ending: dict[Retired, list[str]] = {}
    for name in _named(models):
        if (row := retirement(provider, name)) is not None:
            ending.setdefault(row, []).append(name)
    for row, those in ending.items():
        yield f"    only until {row.day}: {', '.join(those)}; then {row.successor}"


def _named(models: tuple[str, ...]) -> Iterator[str]:
    """The names that patterns hold: those in full, and those of a name and a star."""
    return (pattern.removesuffix("*").removeprefix("*").rstrip("-") for pattern in models)


def _prices(provider: str, models: tuple[str, ...]) -> Iterator[str]:
    """A line for each model that is named."""
    from testtime.core.spend import Spend
    from testtime.meters.price import catalogue

    prices = catalogue()
    for name in _named(models):
        read, written = (prices(f"{provider}:{name}", spend) for spend in (Spend(1000, 0, 0), Spend(0, 0, 1000)))
        if name and read and written:  # of a short prompt: long ones may cost more
            yield f"    {name}: ${read * 1000:g} / ${written * 1000:g}"
