"""`testtime merge`: one run of its shards."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter


def merge(
    *shards: Annotated[str, Parameter(help="Folders that run --shard i/N made, or globs of them.")],
) -> None:
    """Make one run of its shards."""
    from testtime import api
    from testtime.cli.run import report

    report(api.merge(shards))
