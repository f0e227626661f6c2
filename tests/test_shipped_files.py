"""What comes with the package is complete and can be used: every experiment is a run that the spec takes, every persona
is found, `testtime init` copies them and overwrites nothing, and the schema for editors knows every key they use.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from testtime import shipped
from testtime.cli import main
from testtime.cli.reference import schema
from testtime.core.errors import BadInput
from testtime.core.registry import names
from testtime.documented import is_documented
from testtime.runspec import run_spec
from testtime.spec import canonical
from testtime.tasks import HUB

ROOT = Path(__file__).parent.parent
EXPERIMENTS = sorted((ROOT / "experiments").rglob("*.yaml"))


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_experiment_is_a_run(path: Path) -> None:
    spec = run_spec({}, path)
    assert spec.model
    assert spec.dataset.partition(":")[0] in {*names("task"), *HUB}
    if path.parent.name not in ("emergent", "guided"):
        assert spec.notes is not None
        assert all(word in spec.notes for word in ("What:", "Why:", "Hypothesis:", "Expected outcome:"))
    assert f"--config {path.relative_to(ROOT)}" in path.read_text() or "guide" in path.read_text()
    if spec.persona:
        assert (ROOT / spec.persona).is_file()
    keys = yaml.safe_load(path.read_text())
    if is_documented(keys):
        return  # the keys of another tool, which a run translates
    assert {canonical(key) for key in keys} <= {canonical(key) for key in json.loads(schema())["properties"]}


def test_the_schema_beside_them_is_what_the_code_says() -> None:
    assert (ROOT / "experiments" / "schema.json").read_text() == schema()


def test_init_copies_everything_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", str(tmp_path / "mine")]) == 0
    assert "next: testtime run --config" in capsys.readouterr().out
    assert (tmp_path / "mine" / "experiments" / "pocket" / "results").is_dir()
    for source, place in shipped.files():
        assert (tmp_path / "mine" / place).read_bytes() == source.read_bytes()
    assert main(["init", str(tmp_path / "mine")]) == 2
    assert "is there already" in capsys.readouterr().err


def test_an_installation_without_them_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shipped, "HERE", tmp_path / "a" / "b")
    with pytest.raises(BadInput, match="this installation lacks its personas"):
        shipped.folder("personas")
