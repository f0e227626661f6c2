"""Proves that the real `datasets` library gives our tasks their rows, from repositories in the hub's layout that lie on
this machine, and that whatever it cannot give is one line. `make check-hub` installs it; without it, nothing is proved.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from testtime.core.errors import BadInput
from testtime.core.registry import find

ROWS = [{"question": f"{at} + 1?", "answer": f"so #### {at + 1}"} for at in range(30)]
Files = Mapping[str, Sequence[Mapping[str, Any]]]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose owner/name the library takes for that repository of the hub; nothing leaves the machine."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    library = pytest.importorskip("datasets", reason="the hub's library is not installed: make check-hub")
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)  # where it was imported before
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    real = library.load_dataset

    def load_dataset(name: str, *rest: Any, **how: Any) -> Any:
        return real(str(tmp_path / "hub" / name) if (tmp_path / "hub" / name).exists() else name, *rest, **how)

    monkeypatch.setattr(library, "load_dataset", load_dataset)
    return tmp_path / "hub"


def repository(place: Path, config: str, splits: Files, ending: str) -> Path:
    """A dataset repository: a file a split, named by the configuration in its card."""
    (place / config).mkdir(parents=True)
    paths = {split: f"{config}/{split}-00000-of-00001.{ending}" for split in splits}
    listed = "".join(f"  - split: {split}\n    path: {path}\n" for split, path in paths.items())
    (place / "README.md").write_text(f"---\nconfigs:\n- config_name: {config}\n  data_files:\n{listed}---\n")
    for split, rows in splits.items():
        if ending == "parquet":
            pl.DataFrame(rows).write_parquet(place / paths[split])
        else:
            (place / paths[split]).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return place


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
def test_rows_come_in_order_and_as_from_a_file_of_ones_own(hub: Path, tmp_path: Path, ending: str) -> None:
    repository(hub / "openai/gsm8k", "main", {"train": ROWS[:3], "test": ROWS}, ending)
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    task = find("task", "gsm8k")
    assert list(task("openai/gsm8k").problems("test")) == list(task(tmp_path / "own.jsonl").problems("test"))
    assert len(list(task("openai/gsm8k").problems("train"))) == 3
    first = list(islice(task("openai/gsm8k").problems("test"), 4))
    assert [problem.reference for problem in first] == ["1", "2", "3", "4"]


def test_nested_columns_come_as_they_are_in_files(hub: Path) -> None:
    messages = [{"role": "user", "content": "What is 2 + 3?"}, {"role": "assistant", "content": "\\boxed{5}"}]
    rows = [{"uuid": "a", "messages": messages, "metadata": '{"expected_answer": "5"}'}]
    repository(hub / "nvidia/Nemotron-Post-Training-Dataset-v2", "default", {"math": rows}, "parquet")
    (one,) = find("task", "nemotron")("auto").problems("math")
    assert one.question == "What is 2 + 3?"


@pytest.mark.parametrize(
    ("name", "split"), [("openai/gsm8k", "dev"), ("openai/gsm9k", "test"), ("openai/gsm8k", "broken")]
)
@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
def test_what_the_library_cannot_give_is_one_line(hub: Path, name: str, split: str, ending: str) -> None:
    place = repository(hub / "openai/gsm8k", "main", {"test": ROWS, "broken": ROWS}, ending)
    (broken,) = place.glob("main/broken-*")
    broken.write_bytes(broken.read_bytes()[:-40])
    with pytest.raises(BadInput, match=f"^{name}:{split}: the hub did not give it") as told:
        list(find("task", "gsm8k")(name).problems(split))
    assert "\n" not in str(told.value)


def test_a_configuration_that_is_not_there_is_one_line(hub: Path) -> None:
    repository(hub / "openai/gsm8k", "socratic", {"test": ROWS}, "jsonl")
    with pytest.raises(BadInput, match=r"the hub did not give it .*main") as told:
        list(find("task", "gsm8k")("openai/gsm8k").problems("test"))
    assert "\n" not in str(told.value)
