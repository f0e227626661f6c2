"""What files say is data: no YAML or pickle becomes code, no name leads out of its folder, no pin is without a hash."""

from __future__ import annotations

import ast
import json
import re
import tomllib
import zipfile
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from length import LONG
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from testtime.cli import main

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src/testtime").rglob("*.py"))
WALLED = {"sandbox/guest.py", "sandbox/checker.py"}
"""What runs inside a sandbox, where foreign code is executed."""

# ---- code ----
UNPICKLERS = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
CODE = {"eval", "exec", "compile", "__import__"}
_NAME = r"^([\w.-]+)(?:\[[^\]]*\])?==([^\s;\\]+)[^\n]*\n"
_HASHES = r"((?: +--hash=sha256:[0-9a-f]{64}[ \\]*\n)+)"
PINNED = re.compile(_NAME + _HASHES, re.M)
LOADERS = {"load", "load_all", "full_load", "unsafe_load", "full_load_all", "unsafe_load_all"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src/testtime")))
def test_nothing_is_unpickled_or_evaluated(path: Path) -> None:
    walled = str(path.relative_to(ROOT / "src/testtime")) in WALLED
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            named = {node.module or ""} if isinstance(node, ast.ImportFrom) else {one.name for one in node.names}
            assert not {name.split(".")[0] for name in named} & UNPICKLERS, f"{path}:{node.lineno}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert walled or node.func.id not in CODE, f"{path}:{node.lineno} calls {node.func.id}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
            loads = owner in ("yaml", "torch") and node.func.attr in LOADERS
            assert not loads, f"{path}:{node.lineno} calls {owner}.{node.func.attr}"
        elif isinstance(node, ast.keyword):
            assert node.arg not in ("trust_remote_code", "allow_pickle"), f"{path}:{node.value.lineno}"


HOSTILE = (
    "!!python/object/apply:os.system ['touch {mark}']", "!!python/object/new:os.system ['touch {mark}']",
    "!!python/name:os.system", "!!python/module:os", "!!python/object/apply:subprocess.call [[touch, '{mark}']]",
    "!!python/object/new:type {{args: [x, [], {{}}], state: 1}}",
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE if LONG else HOSTILE[:2])
def test_yaml_is_never_code(work: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    mark = work / "mark"
    said = text.format(mark=mark)
    usual = "model: fake:one\ndataset: gsm8k\ndataset_path: sums.jsonl\n"
    (work / "run.yaml").write_text(f"{usual}notes: {said}\n")
    (work / "prices.yaml").write_text(f"fake:*: {said}\n")
    (work / "results/r").mkdir(parents=True)
    (work / "results/r/spec.yaml").write_text(f"{usual}notes: {said}\n")
    asked = "--model fake:one --dataset gsm8k --dataset_path sums.jsonl"
    for line in ("run --config run.yaml --run x", f"run {asked} --prices prices.yaml --run y", f"run {asked} --run r"):
        capsys.readouterr()
        assert main(line.split()) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert not mark.exists()


# ---- paths ----
OUT = ("../../outside", "/tmp/../outside", "..", "a/../../outside", "~/outside", "C:\\outside", "x\x00y", ".", "....//")


SOME = OUT if LONG else OUT[:3]


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize("name", SOME)
def test_a_name_never_leads_out_of_its_folder(work: Path, name: str) -> None:
    inner = work / "a/b/results"
    before = tree(work)
    line = ["run", "--model", "fake:one", "--dataset", "gsm8k", "--dataset_path", "sums.jsonl", "--max_queries", "1"]
    main([*line, "--policies", "sc_fixed:n=1", "--out_dir", str(inner), "--run", name])
    made = tree(work) - before - {"count", "a", "a/b"}
    assert made
    assert all(path == "a/b/results" or path.startswith("a/b/results/") for path in made), made


@pytest.mark.parametrize("name", SOME)
def test_an_imported_file_never_leads_out_of_its_folder(work: Path, name: str) -> None:
    row = {"id": name, "gold": 1, "answers": [1, 2], "model": name, "run": name, "dataset": name}
    (work / "rows.jsonl").write_text(json.dumps(row) + "\n")
    before = tree(work)
    main(["import", "answers", "rows.jsonl", "--out", "a/b", "--run", name, "--model", name, "--dataset", name])
    made = tree(work) - before - {"a"}
    assert all(path == "a/b" or path.startswith("a/b/") for path in made), made


@pytest.mark.parametrize("name", ["../outside.json", "/tmp/outside.json", "samples/../../outside.json", "run/../../x"])
def test_an_archive_never_writes_outside(work: Path, name: str) -> None:
    with zipfile.ZipFile(work / "log.eval", "w") as log:
        log.writestr("header.json", "{}")
        log.writestr(name, '{"id": 1, "epoch": 1}')
    (work / "run.zip").write_bytes((work / "log.eval").read_bytes())
    before = tree(work)
    assert main(["inspect", "run.zip"]) == 2
    main(["import", "inspect", "log.eval", "--out", "a/b"])
    assert all(path in ("a", "a/b") or path.startswith("a/b/") for path in tree(work) - before)
    assert not (work.parent / "outside.json").exists()
    assert not Path("/tmp/outside.json").exists()


# ---- dependencies ----
def test_every_dependency_is_pinned_as_it_is_asked_for_and_has_a_hash() -> None:
    """Where this fails, `make lock` makes the file anew."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins = PINNED.findall(text)
    lines = [line for line in text.split("\n") if line and line[0] not in " #"]
    assert len(pins) == len(lines), "a line without a hash"
    assert "://" not in text
    versions: dict[str, list[str]] = {}
    for name, version, _ in pins:
        versions.setdefault(canonicalize_name(name), []).append(version)
    said = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    asked = list(said["project"]["dependencies"])
    asked += [one for extra in said["project"]["optional-dependencies"].values() for one in extra]
    asked += [one for group in said["dependency-groups"].values() for one in group if isinstance(one, str)]
    for one in map(Requirement, asked):
        pinned = versions.get(canonicalize_name(one.name), [])
        assert any(one.specifier.contains(version, prereleases=True) for version in pinned), f"{one}: make lock"


def test_an_audit_says_in_a_line_what_it_could_not_look_up_and_fails_only_where_something_is_known() -> None:
    spec = spec_from_file_location("audit", ROOT / ".ci/audit.py")
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(audit := module_from_spec(spec))
    clean = {"name": "numpy", "version": "2.0", "vulns": []}
    known = {"name": "rich", "version": "13.0", "vulns": [{"id": "PYSEC-1"}, {"id": "GHSA-2"}]}
    lost = {"name": "polars", "skip_reason": "not found"}
    assert audit.said({"dependencies": [lost, lost]}) == (
        ["no audit was made: none of 2 pinned versions can be looked up from here"], False
    )  # fmt: skip
    lines, bad = audit.said({"dependencies": [clean, lost]})
    assert (bad, lines[-1]) == (False, "nothing is known against 1 pinned versions")
    assert lines[0] == "1 of 2 pinned versions cannot be looked up from here, polars the first"
    assert audit.said({"dependencies": [clean, known]}) == (["rich 13.0: PYSEC-1, GHSA-2; see `make lock`"], True)
