"""The tutorial as a notebook, made of the Markdown, so that the two cannot disagree.

python docs/notebook.py          writes docs/tutorial.ipynb
python docs/notebook.py --run    executes it, offline, in a folder of its own
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE, NOTEBOOK = HERE / "tutorial.md", HERE / "tutorial.ipynb"
BLOCK = re.compile(r"^```(console|python)[^\n]*\n(.*?)^```\n", re.S | re.M)


def notebook(page: str) -> str:
    """The notebook of a page, as the text of its file: prose, shell blocks and Python blocks as cells, in order."""
    cells = [_cell(at, kind, text) for at, (kind, text) in enumerate(_parts(page))]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    whole = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _parts(page: str) -> Iterator[tuple[str, str]]:
    at = 0
    for block in BLOCK.finditer(page):
        if said := page[at : block.start()].strip():
            yield "markdown", said
        yield block[1], block[2].rstrip("\n")
        at = block.end()
    if said := page[at:].strip():
        yield "markdown", said


def _cell(at: int, kind: str, text: str) -> dict[str, Any]:
    about: dict[str, Any] = {"id": f"cell-{at}", "metadata": {}}
    if kind == "markdown":
        return {"cell_type": "markdown", **about, "source": text}
    if kind == "console":
        text = "%%bash\n" + re.sub(r"^\$ ", "", text, flags=re.M)
    return {"cell_type": "code", **about, "execution_count": None, "outputs": [], "source": text}


def run() -> None:
    """Executes the notebook; the first cell that fails ends it with its error."""
    import nbformat
    from nbclient import NotebookClient

    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as folder:
        made = nbformat.read(NOTEBOOK, as_version=4)
        NotebookClient(made, timeout=300, resources={"metadata": {"path": folder}}).execute()


if __name__ == "__main__":
    if "--run" in sys.argv[1:]:
        run()
    else:
        NOTEBOOK.write_text(notebook(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
