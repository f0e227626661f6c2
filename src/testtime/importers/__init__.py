"""Recorded samples of others as pools, one foreign format a file.

Each module has `read(path) -> Imported` and `KEYS`, the keys of a row by which `sniff` knows the format.
"""

from __future__ import annotations

import importlib
from pathlib import Path

BUILTIN: dict[str, str] = {
    "answers": "testtime.importers.answers:read",
    "esc": "testtime.importers.esc:read",
    "qwen-rm": "testtime.importers.qwen_rm:read",
    "tot24": "testtime.importers.tot24:read",
}


def sniff(path: Path | str) -> str | None:
    """The name of the importer whose keys the file's first row has; None where no importer fits, or no row can be read.

    A plug-in takes part where its module declares `KEYS`.
    """
    from testtime.core.errors import BadInput
    from testtime.core.registry import names
    from testtime.tasks.rows import read

    try:
        first = next(read(path))
    except BadInput:
        return None
    for name, place in names("importer").items():
        keys = getattr(importlib.import_module(place.partition(":")[0]), "KEYS", None)
        if keys and keys <= first.keys():
            return name
    return None
