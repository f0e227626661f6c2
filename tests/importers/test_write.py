"""Proves that an imported file, written as a run folder, opens as the same pool and is never written over."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from testtime.core.errors import BadInput
from testtime.importers.answers import read
from testtime.importers.imported import Imported
from testtime.importers.write import import_to
from testtime.store.folder import RunFolder
from testtime.store.frame import open_pool, pool_of

ROWS = [
    {"id": 10, "gold": 18, "answers": [18, None, "17"], "tokens": [9, 8, None], "scores": {"rm": [0.5, 1, None]}},
    {"id": 9, "gold": None, "answers": ["Monday\u2028", "monday"], "tokens": [1, 2], "scores": {"rm": [1, 2]}},
]


@pytest.fixture
def imported(tmp_path: Path) -> Imported:
    path = tmp_path / "rows.jsonl"
    common = {"run": "a run/of: mine", "model": "org/m:1", "provider": "p", "dataset": "d", "temperature": 0.7}
    path.write_text("".join(json.dumps({**row, **common}) + "\n" for row in ROWS))
    return read(path)


def test_the_folder_opens_as_the_pool_that_was_imported(imported: Imported, tmp_path: Path) -> None:
    written, meant = open_pool(import_to(imported, tmp_path / "runs")), pool_of(imported.frame, imported.meta)
    assert (written.run, written.dataset, written.vote) == (meant.run, meant.dataset, meant.vote)
    assert (written.problems, written.keys, written.notes) == (meant.problems, meant.keys, meant.notes)
    (there,), (here,) = written.arms.values(), meant.arms.values()
    assert there.arm == here.arm
    np.testing.assert_array_equal(there.codes, here.codes)
    np.testing.assert_array_equal(there.right, here.right)
    assert there.size.tolist() == here.size.tolist() == [3, 2]
    for name in here.columns:
        np.testing.assert_array_equal(there.column(name), here.column(name))
    assert there.column("rm")[0, :2].tolist() == [0.5, 1]


def test_metadata_and_spec_say_where_it_came_from(imported: Imported, tmp_path: Path) -> None:
    folder = RunFolder.open(import_to(imported, tmp_path / "runs"))
    assert pq.read_table(folder.candidates).schema.metadata[b"model"] == b"org/m:1"
    spec = folder.read_spec()
    assert (spec["imported"], spec["model"], spec["temperature"]) == ("rows.jsonl", "org/m:1", 0.7)
    assert folder.path.parent == tmp_path / "runs"


def test_a_pool_that_is_there_is_not_written_over(imported: Imported, tmp_path: Path) -> None:
    folder = import_to(imported, tmp_path)
    before = (folder / "candidates.parquet").read_bytes()
    with pytest.raises(BadInput, match="there is a pool already"):
        import_to(imported, tmp_path)
    assert (folder / "candidates.parquet").read_bytes() == before


def test_a_pool_that_comes_between_is_not_written_over(
    imported: Imported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two imports at the same moment: the second finds what the first wrote once it has the folder for itself."""
    held = RunFolder.held

    def late(folder: RunFolder) -> AbstractContextManager[str | None]:
        monkeypatch.setattr(RunFolder, "held", held)
        import_to(imported, tmp_path)
        return held(folder)

    monkeypatch.setattr(RunFolder, "held", late)
    with pytest.raises(BadInput, match="there is a pool already"):
        import_to(imported, tmp_path)


def test_a_run_that_was_stopped_before_it_wrote_its_pool_is_not_written_over(
    imported: Imported, tmp_path: Path
) -> None:
    folder = RunFolder.at(tmp_path, imported.meta["run"]).create()
    folder.write_spec({"model": "paid:one"})
    with pytest.raises(BadInput, match="there is something already"):
        import_to(imported, tmp_path)
    assert folder.read_spec() == {"model": "paid:one"}
