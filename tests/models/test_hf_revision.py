"""The revision of a folder of weights is the same for its copies, and another after any change that a training, a
merge, a conversion or an edit of its tokenizer makes; it needs no torch.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from testtime.models.hf.revision import revision
from testtime.models.pocket.backend import SHIPPED


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED / "pocket-m", tmp_path / "mine"))


def test_copies_have_one_and_what_is_not_read_changes_nothing(folder: Path) -> None:
    first = revision(SHIPPED / "pocket-m")
    assert first.startswith("files-")
    assert len(first) == 18
    (folder / "README.md").write_text("mine")
    (folder / "trainer_state.json").write_text("{}")
    (folder / "checkpoint-1").mkdir()
    assert revision(folder) == first == revision(Path(f"{folder}/../mine"))


def edited(name: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        said = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**said, "edited": 1}))

    return edit


def trained(folder: Path) -> None:
    """Each number a little other, as after one further step."""
    path = folder / "model.safetensors"
    raw = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(raw[:8], "little")
    weights = np.frombuffer(raw, np.uint8, offset=start)
    path.write_bytes(bytes(raw[:start]) + (weights ^ 1).tobytes())


def one_tensor(folder: Path) -> None:
    path = folder / "model.safetensors"
    raw = bytearray(path.read_bytes())
    length = int.from_bytes(raw[:8], "little")
    low, _ = list(json.loads(raw[8 : 8 + length]).values())[-1]["data_offsets"]
    raw[8 + length + low] ^= 1
    path.write_bytes(raw)


CHANGES: dict[str, Callable[[Path], None]] = {
    "config": edited("config.json"),
    "how it writes": edited("generation_config.json"),
    "tokenizer": edited("tokenizer.json"),
    "chat template": lambda folder: (folder / "chat_template.jinja").write_text("{{ messages }}") and None,
    "one more step": trained,
    "one tensor": one_tensor,
    "a further file": lambda folder: shutil.copy(folder / "model.safetensors", folder / "more.safetensors") and None,
    "a cut file": lambda folder: (folder / "more.safetensors").write_bytes(b"\xff" * 20) and None,
}


@pytest.mark.parametrize("name", CHANGES)
def test_each_change_makes_another(folder: Path, name: str) -> None:
    before = revision(folder)
    CHANGES[name](folder)
    assert revision(folder) != before


def test_a_snapshot_of_the_hub_s_cache_has_the_commit_it_is_named_by(folder: Path, tmp_path: Path) -> None:
    snapshots = tmp_path / "models--org--name" / "snapshots"
    shutil.copytree(folder, snapshots / ("0a1b" * 10))
    shutil.copytree(folder, snapshots / "main")
    assert revision(snapshots / ("0a1b" * 10)) == "0a1b" * 10
    assert revision(snapshots / "main") == revision(folder)
