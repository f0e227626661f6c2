"""Recorded samples of others as pools, one foreign format a file.

Each module has `read(path) -> Imported` and `KEYS`, the keys of a row by which `sniff` knows the format.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from testtime.core import rows
from testtime.core.registry import names

BUILTIN: dict[str, str] = {
    "answers": "testtime.importers.answers:read",
    "esc": "testtime.importers.esc:read",
    "qwen-rm": "testtime.importers.qwen_rm:read",
    "tot24": "testtime.importers.tot24:read",
    "inspect": "testtime.importers.inspect_log:read",
    "lm-eval": "testtime.importers.lm_eval:read",
    "nemo-skills": "testtime.importers.nemo:read",
    "lighteval": "testtime.importers.lighteval:read",
}


def sniff(path: Path | str) -> str | None:
    """The name of the importer whose keys the file's first row has; None where no importer knows such rows.

    A plug-in takes part where its module declares `KEYS`. Raises BadInput, naming file and line, for a file
    that is missing, empty, or whose first row is not JSON.
    """
    first = rows.first(path)
    for name, place in names("importer").items():
        keys = getattr(importlib.import_module(place.partition(":")[0]), "KEYS", None)
        if keys and keys <= first.keys():
            return name
    return None
