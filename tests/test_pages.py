"""Every block of every page runs: shell lines and Python in the order they are read, offline, over as few problems as
will do. What needs a key, a server or a cluster is parsed, and a hosted run is foretold (`--dry_run`).
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from testtime.cli import COMMANDS, app, main
from testtime.guide import calibrated
from testtime.runspec import HIDDEN, RunSpec
from testtime.shipped import copy_to
from testtime.spec import accepted, canonical_flags

DOCS = Path(__file__).parent.parent / "docs"
BLOCK = re.compile(r"^```(console|python|yaml|json)([^\n]*)\n(.*?)^```", re.S | re.M)
APART = {
    "write-a-policy.md", "write-a-component.md", "howto-models.md", "howto-tools.md", "reference.md", "index.md",
}  # fmt: skip
"""Pages whose code is run by tests/test_docs.py in a process of its own, and pages without any."""
PARSED = {
    "serve": "it serves until Ctrl-C",
    "submit": "it needs a scheduler",
    "doctor": "it looks for servers",
    "audit": "labels are typed by hand",
}
"""Commands that are only parsed, and why."""
SIZES = ("max_queries", "max_examples", "num_samples")
FEW = 3
"""Problems a run is cut to."""
GSM8K = [
    {"question": f"Tom has {n} pens and finds {n + 1} more. How many?", "answer": f"{n} + {n + 1}\n#### {2 * n + 1}"}
    for n in range(8)
]
ANSWERS = [
    {"id": at, "gold": 18, "answers": [18, 18, 26, 18] * 4 if at % 3 else [26, 26, 18, 26] * 4, "tokens": [90, 80] * 8}
    for at in range(30)
]


def pages() -> list[str]:
    return sorted(path.name for path in DOCS.glob("*.md") if path.name not in APART)


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
    Path("gsm8k.jsonl").write_text("".join(json.dumps(row) + "\n" for row in GSM8K))
    Path("math500.jsonl").write_text('{"problem": "1/2?", "answer": "\\\\frac12", "unique_id": "a"}\n')
    Path("outputs.jsonl").write_text('{"query_id": "a", "texts": ["It is \\\\\\\\boxed{0.5}.", "No."]}\n')
    Path("pairs.jsonl").write_text('{"gold": "1/2", "prediction": "0.5"}\n')
    for name, file in (("NAME", "answers"), ("open_model", "small"), ("hosted_model", "large")):
        main(["import", "answers", f"{file}.jsonl", "--out", "results", "--run", name])
    main(["replay", "results/NAME", "--policies", "sc_fixed", "--out_csv", "results/NAME/summary.csv"])
    return tmp_path


@pytest.mark.parametrize("name", pages())
def test_the_blocks_of_a_page_run_in_order(name: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space: dict[str, object] = {"__name__": "__main__"}
    page = (DOCS / name).read_text(encoding="utf-8")
    if "testtime init ." not in page:
        copy_to(place)  # as in a clone
    for language, info, text in BLOCK.findall(page):
        if language == "console":
            for line in lines(text):
                shell(line, capsys)
        elif language == "python":
            if "file=" not in info:
                exec(compile(text, name, "exec"), space)
        elif file := re.match(r"# (\S+\.(?:yaml|json))", text):
            Path(file[1].rstrip(":")).write_text(text)


@pytest.mark.skipif(
    not (find_spec("openai") and find_spec("uvicorn")), reason="the openai or the uvicorn package is not installed"
)
def test_the_shell_lines_on_models_run_against_servers(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The two servers that the page starts are here those of this process, on ports that are free."""
    from testtime.models.naming import open_model
    from testtime.serve.server import running

    with running(open_model("pocket:pocket-s")) as small, running(open_model("pocket:pocket-m")) as large:
        for language, _, text in BLOCK.findall((DOCS / "howto-models.md").read_text(encoding="utf-8")):
            for line in lines(text) if language == "console" else ():
                told = line.replace("http://localhost:8001/v1", small).replace("http://localhost:8003/v1", large)
                shell(told, capsys)
    assert (place / "accuracy_vs_tokens.png").is_file()


def shell(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Runs a line as far as it can be run here; it must be parsed in any case."""
    words = shlex.split(line, comments=True)
    if words[0] != "testtime" or "…" in line:
        return
    argv = canonical_flags(words[1:])
    assert argv[0] in COMMANDS, line
    if len(argv) > 1 and "--help" not in argv:
        app().parse_args(argv, exit_on_error=False, print_error=False)
    if argv[0] in PARSED or re.search(r"\b(FILE|DIR|RUN|QUERY_ID|POOL|ID)\b", line):
        return
    capsys.readouterr()
    argv = cut(argv)
    if argv is not None:
        code = main(argv)
        assert code == 0, f"{line}\n{capsys.readouterr().err}"


def cut(argv: list[str]) -> list[str] | None:
    """The same over few problems; None where it cannot be run without a hub, a server or a key."""
    flags = dict(zip(argv, [*argv[1:], ""], strict=False))
    if argv[0] == "calibrate":
        argv = few(argv)
    if argv[0] in ("run", "guide"):
        model = flags.get("--model", flags.get("--base_model", ""))
        if "--config" in flags:
            text = Path(flags["--config"]).read_text(encoding="utf-8")
            if not re.search(r"^model(_name)?: *\"?(pocket|pocket:)", text, re.M):
                return None
        elif not model.startswith("pocket") and "127.0.0.1" not in flags.get("--base_url", ""):
            if flags.get("--dataset") != "gsm8k":
                return None
            more = {"--dry_run": [], "--dataset_path": ["gsm8k.jsonl"]}
            argv = [*argv, *(word for flag, value in more.items() if flag not in argv for word in (flag, *value))]
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
