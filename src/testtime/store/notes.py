"""What people wrote down about a run: the notes of its configuration, and lines added since, each with its day.

Added lines are kept in `notes.md` in the run's folder, so that neither the configuration nor the pool is rewritten.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from testtime.core.errors import BadInput
from testtime.store.folder import RunFolder

FILE = "notes.md"


def add_note(run: Path, text: str) -> Path:
    """Adds a line to a run's notes, and gives their file. Raises BadInput: no run, nothing said."""
    said = " ".join(text.split())
    if not said:
        raise BadInput("the note says nothing", mend='as in: testtime note RUN "what was learned"')
    folder = RunFolder.beside(run) if run.suffix in (".parquet", ".jsonl") else RunFolder.open(run)
    file = RunFolder.open(folder.path).path / FILE
    try:
        with file.open("a", encoding="utf-8", newline="\n") as out:
            out.write(f"- {datetime.now(UTC).date().isoformat()} {said}\n")
    except OSError as error:
        raise BadInput(f"cannot be written: {error.strerror}", where=str(file)) from error
    return file


def notes_of(run: Path, configured: object = None) -> str:
    """All notes of a run's folder, those of its configuration first; empty where there are none."""
    file = run / FILE
    added = file.read_text(encoding="utf-8", errors="replace").strip() if file.is_file() else ""
    return "\n".join(filter(None, (str(configured or "").strip(), added)))
