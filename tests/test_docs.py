"""The documents are true: the tree is the disk's, the reference is what the code says, code blocks run, every
command line that is shown can be parsed, and the README's table is what its command prints.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

from test_architecture import MAY, SHELLS
from testtime.cli import COMMANDS, GROUPS, app
from testtime.cli.reference import page
from testtime.spec import canonical_flags

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")} | {"README.md": README}
CONSOL = ROOT.parent / "shared/data/consol/gsm_samples40_first_half.jsonl.gz"


def blocks(page: str, language: str) -> list[tuple[str, str]]:
    """(what follows the language, the text) of each code block."""
    return re.findall(rf"^```{language}([^\n]*)\n(.*?)^```", PAGES[page], re.S | re.M)


def test_the_readme_tree_is_the_disk() -> None:
    (_, tree) = next(block for block in blocks("README.md", "text") if "src/testtime/" in block[1])
    listed = {line.split()[0] for line in tree.split("\n")[1:] if line.strip()}
    source = ROOT / "src/testtime"
    rooms = {f"{path.parent.name}/" for path in source.glob("*/__init__.py")}
    assert listed == rooms | {path.name for path in source.glob("*.py") if not path.name.startswith("__")}
    assert all(len(line.split()) > 2 for line in tree.split("\n")[1:] if line.strip()), "a line without a duty"


def test_the_page_on_the_architecture_is_what_its_tests_enforce() -> None:
    def named(text: str) -> list[str]:
        return re.findall(r"`([^`]+)`", text)

    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", PAGES["architecture.md"], re.M)
    rooms = {room: set(named(may)) for names, may in rows for room in named(names) if room in MAY}
    levels = {file: int(level) for level, names in rows if level.isdigit() for file in named(names)}
    assert rooms == MAY
    assert levels == SHELLS


def test_the_reference_is_what_the_code_says() -> None:
    assert PAGES["reference.md"] == page(), "run: python -m testtime.cli.reference > docs/reference.md"


@pytest.mark.parametrize("name", sorted(PAGES))
def test_links_between_documents_lead_somewhere(name: str) -> None:
    base = ROOT if name == "README.md" else ROOT / "docs"
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", PAGES[name]):
        assert (base / target).exists(), f"{name} links to {target}"


def commands() -> list[tuple[str, str]]:
    """(document, command line) of every `testtime …` that a document shows."""
    found = []
    for name, text in PAGES.items():
        joined = text.replace("\\\n", " ")
        shown = re.findall(r"^\$ (testtime .*)$", joined, re.M) + re.findall(r"`(testtime [a-z]+ [^`…]*)`", joined)
        found += [(name, line) for line in shown if "|" not in line and "FILE" not in line]
    return found


@pytest.mark.parametrize(("name", "line"), commands())
def test_every_command_shown_can_be_parsed(name: str, line: str) -> None:
    argv = canonical_flags(shlex.split(line)[1:])
    assert argv[0] in COMMANDS
    if len(argv) > 1:
        app().parse_args(argv, exit_on_error=False, print_error=False)


def test_readme_and_howto_name_every_command() -> None:
    for command in COMMANDS:
        assert f"testtime {command}" in README
        assert f"testtime {command}" in PAGES["reference.md"]


def test_every_command_stands_under_one_heading_of_the_help() -> None:
    listed = [name for names in GROUPS.values() for name in names]
    assert sorted(listed) == sorted(COMMANDS), "add the command to GROUPS of cli/__init__.py"
    assert len(GROUPS) == 5


NEEDS_A_SERVER = pytest.mark.skipif(
    not (find_spec("openai") and find_spec("uvicorn")), reason="the openai or the uvicorn package is not installed"
)


@pytest.mark.parametrize(
    "name",
    [
        "write-a-policy.md",
        "write-a-component.md",
        "howto-replay.md",
        "howto-tools.md",
        "README.md",
        pytest.param("howto-models.md", marks=NEEDS_A_SERVER),
    ],
)
def test_the_code_of_a_document_runs(name: str, tmp_path: Path) -> None:
    """Its Python blocks in order, as one script, beside the answers file that the how-to shows.

    The entry points of its TOML blocks are installed, as a package's metadata beside the script; the shell lines of
    write-a-policy.md need them, and run then (those of other pages: tests/test_pages.py).
    """
    (_, answers) = blocks("howto-replay.md", "json")[0]
    (tmp_path / "answers.jsonl").write_text(answers)
    script = []
    for info, text in blocks(name, "python"):
        if "file=" in info:
            (tmp_path / info.partition("file=")[2].strip()).write_text(text)
        else:
            script.append(text)
    assert script
    _install("".join(text for _, text in blocks(name, "toml")), tmp_path)
    run = [sys.executable, "-W", "error", "-c", "\n".join(script)]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    if name == "write-a-policy.md":
        lines = [
            shlex.split(line) for _, text in blocks(name, "console") for line in re.findall(r"^\$ (.*)$", text, re.M)
        ]
        assert lines
        for words in lines:
            done = subprocess.run(
                [sys.executable, "-m", *words], cwd=tmp_path, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr


def _install(toml: str, folder: Path) -> None:
    """What an installer leaves of a package that declares these entry points."""
    if groups := tomllib.loads(toml).get("project", {}).get("entry-points"):
        metadata = folder / "my_parts-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my_parts\nVersion: 1.0\n")
        lines = [
            f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()) for group, points in groups.items()
        ]
        (metadata / "entry_points.txt").write_text("\n".join(lines))


def test_the_readme_table_is_what_its_command_prints() -> None:
    if not CONSOL.exists():
        pytest.skip("the recorded answers are not on this machine")
    run = [sys.executable, "-m", "testtime", "replay", str(CONSOL)]
    done = subprocess.run(run, capture_output=True, text=True, check=True, env={"COLUMNS": "80"})
    printed = [line.rstrip() for line in done.stdout.split("\n")]
    (_, shown) = blocks("README.md", "text")[0]
    for line in shown.rstrip("\n").split("\n"):
        assert line in printed


def test_the_changelog_opens_with_what_is_unreleased() -> None:
    heads = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert heads[0] == "Unreleased"
