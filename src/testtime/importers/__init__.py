"""Recorded samples of others as pools, one foreign format a file.

Each module has `read(path) -> Imported`, and `KEYS`, the keys of a row, or `knows(path)`, where the format is none
of rows: by these `sniff` knows it.
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
    "best-of-n": "testtime.importers.best_of_n:read",
}


def sniff(path: Path | str) -> str | None:
    """The name of the importer that knows a file or folder; None where none does.

    A plug-in takes part where its module declares `KEYS` or `knows`. Raises BadInput, naming file and line, for a file
    that is missing, empty, or, where it is one of rows, whose first row is not JSON.
    """
    path = Path(path)
    modules = {name: importlib.import_module(place.partition(":")[0]) for name, place in names("importer").items()}
    for name, module in modules.items():
        if (knows := getattr(module, "knows", None)) and knows(path):
            return name
    if path.is_dir() or path.suffix == ".parquet":
        return None
    first = rows.first(path)
    for name, module in modules.items():
        if (keys := getattr(module, "KEYS", None)) and keys <= first.keys():
            return name
    return None
