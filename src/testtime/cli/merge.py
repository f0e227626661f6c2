"""`testtime merge`: one run of its shards."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from testtime.cli import Json
from testtime.core.errors import StoppedEarly


def merge(
    *shards: Annotated[str, Parameter(help="Folders that run --shard i/N made, or globs of them.")],
    json: Json = False,
) -> None:
    """Make one run of its shards; exit code 3 where some of them, or draws of them, are not here."""
    from testtime import api
    from testtime.cli import show
    from testtime.cli.run import report, told

    merged = api.merge(shards)
    if json:
        show.json(told(merged))
    else:
        report(merged)
    if merged.drawn.finished is not None and merged.drawn.finished.stopped:
        raise StoppedEarly(merged.drawn.finished.stopped)
