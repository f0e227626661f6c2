"""An imported file as a run folder, which replays like a run that this program drew."""

from __future__ import annotations

from pathlib import Path

from testtime.core.errors import BadInput
from testtime.importers.imported import Imported
from testtime.store.folder import RunFolder
from testtime.store.parquet import write_frame

_SAID = ("run", "dataset", "splits", "provider", "model", "temperature", "vote")


def import_to(imported: Imported, out_dir: Path | str) -> Path:
    """Writes the run folder `out_dir/run` (candidates.parquet and spec.yaml) and gives its path.

    Raises BadInput where that folder holds anything already, is in use, or cannot be written.
    """
    folder = RunFolder.at(out_dir, imported.meta["run"])
    _refuse_full(folder)
    with folder.held():
        _refuse_full(folder)  # another may have been written since
        write_frame(folder.candidates, imported.frame, imported.meta)
        said = {name: imported.meta[name] for name in _SAID if name in imported.meta}
        folder.write_spec({**said, **imported.meta["config"]})
    return folder.path


def _refuse_full(folder: RunFolder) -> None:
    if not folder.blank:
        what = "there is a pool already" if folder.candidates.exists() else "there is something already"
        raise BadInput(what, where=str(folder.path), mend="choose another folder, or delete it")
