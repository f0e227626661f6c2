"""The house stands as drawn: rooms import only downwards, never a sibling, and stay small.

Read from the syntax trees, so nothing needs to be installed for a rule to bite. docs/architecture.md says it in prose.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

SRC = Path(__file__).parent.parent / "src" / "testtime"
FILES = sorted(SRC.rglob("*.py"))
MIDDLE = {"core", "answers"}
MAY = {
    "core": set(),
    "answers": {"core"},
    "models": MIDDLE,
    "tasks": MIDDLE,
    "decoding": MIDDLE,
    "tools": MIDDLE,
    "verifiers": MIDDLE,
    "policies": MIDDLE,
    "meters": MIDDLE,
    "store": MIDDLE,
    "sandbox": {"core"},
    "importers": MIDDLE | {"tasks", "store"},
    "engine": {"core", "store"},
    "analysis": MIDDLE | {"policies", "store", "meters.price"},
    "figures": {"core", "analysis", "store"},
    "report": {"core", "analysis", "figures"},
    "serve": {"core", "models"},
    "cluster": {"core", "spec", "engine", "store"},
}
"""Room → rooms it may import from; spec, build, workflow, api and cli may import all rooms below them."""
SHELLS = {
    "__init__": 9,
    "__main__": 9,
    "cli": 8,
    "advice": 6,
    "api": 6,
    "workflow": 6,
    "guide": 6,
    "calibrating": 6,
    "statistics": 7,
    "submit": 6,
    "reporting": 7,
    "session": 5,
    "verifying": 5,
    "build": 4,
    "watching": 4,
    "solo": 4,
    "stages": 3,
    "backends": 3,
    "places": 3,
    "lanes": 3,
    "toolbox": 3,
    "runspec": 2,
    "shelf": 2,
    "sources": 1,
    "spec": 1,
    "shipped": 1,
    "grid": 0,
    "documented": 0,
}
"""What stands above the rooms, lowest first: each may import the rooms and what is lower."""
HEAVY = {
    "torch",
    "transformers",
    "vllm",
    "openai",
    "anthropic",
    "google",
    "boto3",
    "botocore",
    "ray",
    "datasets",
    "fsspec",
}
LATE = {"polars", "pyarrow", "altair", "pandas", "torch", "vl_convert"}
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 450, 60


def module_of(path: Path) -> str:
    parts = path.relative_to(SRC.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree_of(path: Path) -> ast.Module:
    """Each file is parsed once for all rules."""
    return ast.parse(path.read_bytes())


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imports(path: Path, *, top_only: bool = False) -> Iterator[tuple[str, int]]:
    """Modules a file imports, with the line; `if TYPE_CHECKING` blocks are not run and not counted."""
    tree = tree_of(path)
    package = module_of(path) if path.name == "__init__.py" else module_of(path).rpartition(".")[0]
    unused = {id(node) for block in ast.walk(tree) if _types_only(block) for node in ast.walk(block)}
    nodes = _top(tree) if top_only else ast.walk(tree)
    for node in nodes:
        if id(node) in unused:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*package.split(".")[: len(package.split(".")) - node.level + 1], base]).strip(".")
            names = [f"{base}.{alias.name}" for alias in node.names]
            yield from ((name if name in MODULES else base, node.lineno) for name in names)


def _types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _top(tree: ast.Module) -> Iterator[ast.stmt]:
    """Statements run at import, those in top-level if and try blocks included."""
    todo: list[ast.stmt] = list(tree.body)
    while todo:
        node = todo.pop()
        yield node
        if isinstance(node, (ast.If, ast.Try, ast.With)):
            todo += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]


MODULES = {module_of(path) for path in FILES}
IDS = [str(path.relative_to(SRC)) for path in FILES]


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_a_room_imports_only_the_rooms_it_may(path: Path) -> None:
    room = room_of(module_of(path))
    assert room in MAY or room in SHELLS, f"{room} is no room of the design: add it to MAY and to the README"
    for module, line in imports(path):
        if not module.startswith("testtime"):
            continue
        target = room_of(module)
        allowed = (
            target == room
            or (room in SHELLS and (target in MAY or SHELLS[target] < SHELLS[room]))
            or target in MAY.get(room, set())
            or any(module.startswith(f"testtime.{fine}") for fine in MAY.get(room, set()) if "." in fine)
        )
        assert allowed, f"{path}:{line}: {room} may not import {module}"


def test_no_import_cycles() -> None:
    graph = {
        module_of(path): {m for m, _ in imports(path, top_only=True) if m in MODULES} - {module_of(path)}
        for path in FILES
    }
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " → ".join((*trail[trail.index(module) :], module))
        if module not in done:
            for target in sorted(graph[module]):
                visit(target, (*trail, module))
            done.add(module)

    for module in sorted(graph):
        visit(module, ())


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_files_and_functions_stay_small(path: Path) -> None:
    assert len(path.read_bytes().split(b"\n")) - 1 <= MOST_LINES
    for node in functions(path):
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        assert lines <= MOST_LINES_OF_A_FUNCTION, f"{path}:{node.lineno}: {node.name} has {lines} lines"


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_every_module_says_what_it_is_and_every_function_its_types(path: Path) -> None:
    assert ast.get_docstring(tree_of(path)), f"{path}: no module docstring"
    for node in functions(path):
        listed = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
        bare = [a.arg for a in listed if a is not None and a.annotation is None and a.arg not in ("self", "cls")]
        assert not bare, f"{path}:{node.lineno}: {node.name} leaves {bare} without a type"
        assert node.returns is not None, f"{path}:{node.lineno}: {node.name} has no return type"


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_heavy_packages_are_imported_only_inside_a_backend(path: Path) -> None:
    for module, line in imports(path, top_only=True):
        assert module.split(".")[0] not in HEAVY, f"{path}:{line}: {module} at the top of a module"


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_no_unfinished_or_catch_all_code(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for word in ("TODO", "NotImplementedError"):
        assert word not in text, f"{path} is unfinished"
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ExceptHandler):
            caught = {n.id for n in ast.walk(node.type) if isinstance(n, ast.Name)} if node.type else {"everything"}
            passes_on = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
            everything = caught & {"Exception", "BaseException", "everything"}
            assert passes_on or not everything, f"{path}:{node.lineno} catches all and keeps it"


@pytest.mark.parametrize("module", ["testtime", "testtime.cli", "testtime.spec"])
def test_the_command_line_starts_without_table_or_figure_libraries(module: str) -> None:
    code = f"import sys, {module}; print(sorted(set(sys.modules) & {LATE!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
