"""Every block of every page runs: shell lines and Python in the order they are read, offline, over as few problems as
will do. Hosted models are played (played.py), Slurm and vLLM are commands that stand in for them, the rows of the hub
lie in files, and labels are typed by the test.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

import polars as pl
import pytest
import yaml

import testtime as tt
from played import PLAYERS, ROWS, lay_out
from testtime.cli import COMMANDS, app, main
from testtime.guide import calibrated
from testtime.models import BUILTIN
from testtime.runspec import HIDDEN, RunSpec
from testtime.shipped import copy_to
from testtime.spec import accepted, canonical_flags

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = {path.name: path for path in (*DOCS.glob("*.md"), ROOT / "README.md")}
BLOCK = re.compile(r"^```(console|python|yaml|json)([^\n]*)\n(.*?)^```", re.S | re.M)
APART = {"write-a-policy.md", "write-a-component.md", "howto-models.md", "howto-tools.md", "README.md"}
"""Pages whose Python tests/test_docs.py runs, in a process of its own, where what they write is installed."""
ELSEWHERE = {"write-a-policy.md": "tests/test_docs.py", "howto-models.md": "below"}
"""Pages whose shell lines other tests run."""
UNRUN = {
    "testtime submit --cluster ray": "it reserves GPUs; tests/cluster/test_ray.py runs it without (make check-ray)",
}
"""What no test runs as it stands, by its beginning; it is parsed."""
NEEDS_A_SERVER = pytest.mark.skipif(
    not (find_spec("openai") and find_spec("uvicorn")), reason="the openai or the uvicorn package is not installed"
)
SIZES = ("max_queries", "max_examples", "num_samples")
FEW = 3
"""Problems a run is cut to."""
ANSWERS = [
    {"id": at, "gold": 18, "answers": [18, 18, 26, 18] * 4 if at % 3 else [26, 26, 18, 26] * 4, "tokens": [90, 80] * 8}
    for at in range(30)
]


def lines(text: str) -> Iterator[str]:
    """The command lines of a console block."""
    for line in text.replace("\\\n", " ").split("\n"):
        if line.startswith("$ "):
            yield line[2:]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what pages take for granted: recorded answers, the file of a benchmark, a run called NAME."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("OPENAI_API_KEY", "none-of-anybody")
    monkeypatch.setattr("webbrowser.open", lambda url: True)
    monkeypatch.setattr(calibrated, "__defaults__", (FEW, None))  # problems that dials are set on, which no flag says
    for name in ("answers.jsonl", "small.jsonl", "large.jsonl"):
        run = {"run": name.partition(".")[0], "model": name.partition(".")[0]}
        Path(name).write_text("".join(json.dumps({**row, **run}) + "\n" for row in ANSWERS))
    lay_out(tmp_path)
    Path("run.yaml").write_text("model: pocket-s\ndataset: pocket-math\nsplits: easy\nmax_queries: 64\n")
    stand_in(tmp_path / "bin", monkeypatch)
    Path("math500.jsonl").write_text('{"problem": "1/2?", "answer": "\\\\frac12", "unique_id": "a"}\n')
    Path("outputs.jsonl").write_text('{"query_id": "a", "texts": ["It is \\\\\\\\boxed{0.5}.", "No."]}\n')
    Path("pairs.jsonl").write_text('{"gold": "1/2", "prediction": "0.5"}\n')
    for name, file in (("NAME", "answers"), ("open_model", "small"), ("hosted_model", "large")):
        main(["import", "answers", f"{file}.jsonl", "--out", "results", "--run", name])
    main(["replay", "results/NAME", "--policies", "sc_fixed", "--out_csv", "results/NAME/summary.csv"])
    return tmp_path


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that are not here: a scheduler that numbers jobs, and a vLLM that is a server of the embedded model."""
    folder.mkdir()
    serve = f"{sys.executable} -m testtime serve --model pocket-s --served-name $2 --host $4 --port $6"
    for name, does in (("sbatch", "echo 17"), ("squeue", ":"), ("scontrol", "exit 1"), ("vllm", f"exec {serve}")):
        (folder / name).write_text(f"#!/bin/sh\n{does}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


@pytest.mark.parametrize("name", sorted(PAGES.keys() - ELSEWHERE.keys()))
def test_the_blocks_of_a_page_run_in_order(name: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space: dict[str, object] = {"__name__": "__main__"}
    page = PAGES[name].read_text(encoding="utf-8")
    if "testtime init ." not in page:
        copy_to(place)  # as in a clone
    if "results/RUN" in page:
        asked = {"model": "pocket-s", "dataset": "pocket-math", "splits": ["easy"], "max_queries": FEW}
        tt.run(asked, policies=["sc_fixed:n=2"], run="RUN")
    for language, info, text in BLOCK.findall(page):
        if language == "console":
            for line in lines(text):
                shell(line, capsys)
        elif language == "python" and name not in APART:
            if "file=" not in info:
                exec(compile(text, name, "exec"), space)
        elif file := re.match(r"# (\S+\.(?:yaml|json))", text):
            Path(file[1].rstrip(":")).write_text(text)


@NEEDS_A_SERVER
def test_the_shell_lines_on_models_run_against_servers(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The servers that the page starts are started by its own lines, on ports that are free."""
    with ExitStack() as servers:
        at: dict[str, str] = {}
        for language, _, text in BLOCK.findall(PAGES["howto-models.md"].read_text(encoding="utf-8")):
            for line in lines(text) if language == "console" else ():
                if found := re.match(r"testtime serve .* --port (\d+)$", line):
                    at[f"http://localhost:{found[1]}/v1"] = servers.enter_context(served(line))
                    continue
                for said, here in at.items():
                    line = line.replace(said, here)
                shell(line, capsys)
    assert len(at) == 2
    assert (place / "accuracy_vs_tokens.png").is_file()


@contextmanager
def served(line: str) -> Iterator[str]:
    """Runs a line that serves, on a free port, until the block ends. Yields its address."""
    words = [sys.executable, "-m", *re.sub(r"--port \d+", "--port 0", line).split()]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().split(" at ")[1].split()[0]
        finally:
            server.send_signal(signal.SIGINT)
            server.communicate(timeout=30)


def shell(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Runs a line, over few problems; one that UNRUN excuses is parsed."""
    words = shlex.split(line, comments=True)
    if words[0] == "pip":
        assert words[1] == "install"
        extras = re.findall(r"[\w-]+", words[2].partition("[")[2])
        known = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
        assert set(extras) <= known.keys(), line
        return
    assert words[0] == "testtime", line
    argv = canonical_flags(words[1:])
    assert argv[0] in COMMANDS, line
    if len(argv) > 1 and "--help" not in argv:
        app().parse_args(argv, exit_on_error=False, print_error=False)
    if any(line.startswith(known) for known in UNRUN):
        return
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch:
        for name, place in ({} if "--dry_run" in argv else PLAYERS).items():
            patch.setitem(BUILTIN, name, place)
        code = main(cut(argv))
    assert code == 0, f"{line}\n{capsys.readouterr().err}"
    if argv[0] == "audit" and "--out_csv" in argv:
        file = Path(argv[argv.index("--out_csv") + 1])
        pl.read_csv(file, infer_schema=False).with_columns(label=pl.lit("right")).write_csv(file)


def cut(argv: list[str]) -> list[str]:
    """The same over few problems, rows of the hub from files; what few problems cannot tell is not asked."""
    flags = dict(zip(argv, [*argv[1:], ""], strict=False))
    if argv[0] == "run":
        file = flags.get("--config")
        told = yaml.safe_load(Path(file).read_text(encoding="utf-8")) if file else {}
        dataset = flags.get("--dataset", told.get("dataset", told.get("dataset_name", "pocket-math")))
        if dataset != "pocket-math" and "--dataset_path" not in argv:
            argv = [*argv, "--dataset_path", ROWS[dataset]]
    if argv[0] in ("run", "guide", "calibrate"):
        argv = few(argv)
    if argv[0] == "stats":
        argv = [word for word in argv if word != "--learn"]  # there are too few errors to learn from
    if argv[0] == "demo":
        argv = [*argv, "--max_queries", str(FEW)]
    return argv


def few(argv: list[str]) -> list[str]:
    """Sizes cut to FEW, and given where they are not."""
    out, sized = [], False
    for before, word in zip(["", *argv], argv, strict=False):
        is_size = before.removeprefix("--") in {name for key in SIZES for name in (key, *accepted(key))}
        sized = sized or is_size
        out.append(str(min(int(word), FEW)) if is_size else word)
    return out if sized or "--prompt" in argv else [*out, "--max_queries", str(FEW)]


def test_every_command_and_every_key_of_a_run_is_documented() -> None:
    """In prose or an example, beside the reference, which is made of the code and names all of them."""
    said = "\n".join(path.read_text(encoding="utf-8") for path in DOCS.glob("*.md"))
    for command in COMMANDS:
        assert f"testtime {command}" in said
    reference = (DOCS / "reference.md").read_text(encoding="utf-8")
    schema = json.loads((DOCS.parent / "experiments" / "schema.json").read_text(encoding="utf-8"))
    for key in RunSpec.model_fields:
        if key not in HIDDEN:
            assert f"`--{key}`" in reference, key
            assert schema["properties"][key].get("description"), key


def test_the_notebook_is_the_tutorial() -> None:
    import importlib.util

    spec = importlib.util.spec_from_file_location("notebook", DOCS / "notebook.py")
    assert spec is not None
    assert spec.loader is not None
    notebook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(notebook)
    made = notebook.notebook((DOCS / "tutorial.md").read_text(encoding="utf-8"))
    assert (DOCS / "tutorial.ipynb").read_text(encoding="utf-8") == made, "run: python docs/notebook.py"
