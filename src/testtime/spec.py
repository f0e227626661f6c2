"""What a user may ask for: the names, the typed specs, and how flags and a YAML file become one.

    flags ─ canonical_flags ─┐
                             ├─ replay_spec ─ ReplaySpec ─ grid.grid ─ policies as text
    YAML  ─ read_yaml ───────┘

A key has one canonical name, which is the only one in files, columns and metadata; the others of NAMES
are accepted wherever a user types. Imports no table library: `testtime --help` loads this file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from testtime.core.errors import BadInput, unknown_name


@dataclass(frozen=True)
class Name:
    """One key: its canonical name, the other names it is accepted under, and what it is."""

    canonical: str
    accepted: tuple[str, ...]
    sentence: str


NAMES = (
    Name("max_queries", ("max_examples", "num_samples"), "Problems of each split, at most."),
    Name(
        "num_candidates",
        ("num_completions",),
        "Draws of each problem; where it is absent, the largest of n and max_n.",
    ),
    Name("n", ("sc_n",), "Draws of a policy that draws a fixed number (sc_fixed, best_of_n, weighted)."),
    Name("max_n", ("adaptive_max_n",), "The most draws an adaptive policy may make."),
    Name("max_tokens", ("max_new_tokens",), "Completion tokens of one call, at most."),
    Name("budget", ("budgets",), "Tokens of thinking at which the model is asked to answer."),
    Name(
        "repetition_threshold",
        ("force_continue_repetition_threshold",),
        "A piece of thinking between two continuations of at most so many tokens ends it.",
    ),
    Name("model", ("model_name", "base_model"), "The model that makes the candidates."),
    Name("dataset", ("dataset_name",), "The benchmark."),
    Name("output", ("output_file",), "Where the candidates (.parquet) or outcomes (.jsonl) of a run are written."),
    Name("splits", ("split",), "Which splits of the dataset."),
    Name("start_index", ("offset",), "Problems of each split that are passed over before the first."),
)
_CANONICAL = {accepted: name.canonical for name in NAMES for accepted in name.accepted}

DEFAULT_POLICIES = ("sc_fixed", "adaptive_margin")


def canonical(key: str) -> str:
    """The canonical name of a key as someone typed it.

    >>> canonical("max-examples")
    'max_queries'
    """
    plain = key.replace("-", "_")
    return _CANONICAL.get(plain, plain)


def accepted(key: str) -> tuple[str, ...]:
    """The other names a canonical key goes by."""
    return next((name.accepted for name in NAMES if name.canonical == key), ())


def canonical_flags(argv: Sequence[str]) -> list[str]:
    """The command line with canonical flag names, underscores throughout. Two spellings of one key are refused.

    >>> canonical_flags(["replay", "--sc-n", "1", "--adaptive_max_n=8"])
    ['replay', '--n', '1', '--max_n=8']
    """
    spelt: dict[str, str] = {}
    out: list[str] = []
    for at, token in enumerate(argv):
        if token == "--":
            return out + list(argv[at:])
        if not token.startswith("--"):
            out.append(token)
            continue
        typed, equals, value = token[2:].partition("=")
        key = canonical(typed)
        if spelt.setdefault(key, typed) != typed:
            raise BadInput(f"--{spelt[key]} and --{typed} are two spellings of one flag", mend="give one of them")
        out.append(f"--{key}{equals}{value}")
    return out


# ---- the file ----
class _Strict(yaml.SafeLoader):
    """The safe loader, refusing a key that is there twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        first: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key that is no plain word", key.start_mark)
            if key.value in first and key.tag != "tag:yaml.org,2002:merge":
                again = f"the key {key.value!r} is there twice, first on line {first[key.value]}"
                raise yaml.constructor.ConstructorError(None, None, again, key.start_mark)
            first[str(key.value)] = key.start_mark.line + 1
        return super().construct_mapping(node, deep)


@dataclass(frozen=True)
class Document:
    """A YAML file's keys under their canonical names, and the line each is on."""

    path: Path
    values: Mapping[str, Any]
    lines: Mapping[str, int]

    def at(self, key: str) -> str:
        """`file:line` of a key, for errors."""
        return f"{self.path}:{self.lines[key]}" if key in self.lines else str(self.path)


def read_yaml(path: Path) -> Document:
    """A YAML mapping with canonical keys. Raises BadInput naming the file and the line."""
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise BadInput("no such file", where=str(path), mend="check the path") from None
    except IsADirectoryError:
        raise BadInput("is a folder", where=str(path), mend="name a YAML file in it") from None
    except OSError as error:
        raise BadInput(str(error.strerror), where=str(path)) from None
    except UnicodeDecodeError as error:
        raise BadInput(f"not UTF-8 at byte {error.start}", where=str(path), mend="save it as UTF-8") from None
    node, values = _parse(path, text)
    lines: dict[str, int] = {}
    found: dict[str, Any] = {}
    for (key_node, _), typed in zip(node.value, values, strict=True):
        key = canonical(str(typed))
        line = key_node.start_mark.line + 1
        if key in found:
            twice = f"{typed!r} and the key on line {lines[key]} are two spellings of {key}"
            raise BadInput(twice, where=f"{path}:{line}", mend="keep one of them")
        found[key], lines[key] = values[typed], line
    return Document(path, found, lines)


def _parse(path: Path, text: str) -> tuple[yaml.MappingNode, dict[Any, Any]]:
    """The top node and its values."""
    try:
        loader = _Strict(text)
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise BadInput("not a mapping", where=f"{path}:1", mend="write one `key: value` a line")
        values = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise BadInput(f"broken YAML, {error.problem or error.context}", where=where) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadInput(f"broken YAML, {error}", where=str(path)) from None
    return node, values


# ---- the specs ----
def _several(value: object) -> object:
    """One value where several may stand."""
    return value if isinstance(value, (list, tuple)) else (value,)


def _listed(value: object) -> object:
    """The same, where one value may be several joined by commas."""
    several = _several(value)
    return tuple(part.strip() for one in several for part in str(one).split(","))  # type: ignore[attr-defined]


Several = Annotated[tuple[str, ...], BeforeValidator(_several)]
Listed = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class ReplaySpec(BaseModel):
    """One `testtime replay`: which pools, which policies, how many orders, where to write."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    pools: Several = ()
    """Answers files, run folders, candidates.parquet files, or globs of them."""
    policies: Several = DEFAULT_POLICIES
    """Policies as name or name:key=value,…; by default sc_fixed and adaptive_margin."""
    settings: Mapping[str, Several] = Field(default_factory=dict)
    """Settings of the selected policies, each one value or several: a grid."""
    orders: Annotated[int, Field(strict=True, ge=2)] = 100
    """Random orders shared by all policies whose law has no closed form; by default 100."""
    seed: Annotated[int, Field(strict=True)] = 0
    """Seed of the orders and of the bootstrap; by default 0."""
    realised: Annotated[bool, Field(strict=True)] = False
    """Play the recorded order once instead of averaging over orders."""
    out_csv: Path | None = None
    """Write the table here."""
    out_jsonl: Path | None = None
    """Write the outcomes here, one line a policy and problem: what `analyze` reads."""


def replay_spec(flags: Mapping[str, Any], config: Path | None = None) -> ReplaySpec:
    """The spec of a replay from flags over a file. Raises BadInput."""
    return typed(ReplaySpec, flags, config)


_Spec = TypeVar("_Spec", bound=BaseModel)


def typed(
    kind: type[_Spec],
    flags: Mapping[str, Any],
    config: Path | None = None,
    kinds: Sequence[str] = ("policy",),
    read: Callable[[Path], Document] = read_yaml,
) -> _Spec:
    """A spec that has `settings`, from flags over a file; a flag that is None was not given. Raises BadInput.

    Keys that are no field of it are settings of components of these `kinds`, and must be a field of one.
    """
    from testtime.grid import setting_fields  # numpy comes with it

    document = read(config) if config else None
    given = _given(flags)
    merged: dict[str, Any] = {**(document.values if document else {}), **given}
    own = kind.model_fields.keys() - {"settings"}
    settings = {key: merged.pop(key) for key in list(merged) if key not in own}
    known = sorted({*own, *setting_fields(kinds)})
    for key, value in settings.items():
        where = document.at(key) if document and key not in given else None
        if key not in known:
            every = {other for name in known for other in (name, *accepted(name))}
            look = "docs/reference.md lists them"
            raise unknown_name("key" if where else "flag", key, every, where=where, look=look)
        if where and not _is_setting(value):
            raise BadInput(f"{key}: {value!r} is no setting", where=where, mend="write one value, or a list of them")
    try:
        return kind.model_validate({**merged, "settings": setting_texts(settings)})
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0]) if first["loc"] else ""
        raise _refused(key, first, document if document and key not in given else None, kind) from None


def _refused(key: str, error: ErrorDetails, document: Document | None, kind: type[BaseModel]) -> BadInput:
    """The error for a value that its field does not take, or for a field that has none."""
    if error["type"] == "missing":
        where, prefix = (str(document.path), "the key ") if document else (None, "--")
        return BadInput(f"no {key} is given", where=where, mend=f"add {prefix}{key}")
    said = error["msg"][0].lower() + error["msg"][1:]
    examples = kind.model_fields[key].examples if key in kind.model_fields else None
    mend = f"as in {examples[0]}" if examples else None
    if document:
        return BadInput(f"{key}: {said}", where=document.at(key), mend=mend)
    return BadInput(said, where=f"--{key}", mend=mend)


def _given(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The flags that were given: None and () were not. Raises BadInput for one without any value."""
    given = {canonical(key): v for key, v in flags.items() if v is not None and v != ()}
    for key, value in given.items():
        if value == []:
            raise BadInput(f"--{key} has no value", mend="give it one or several, or leave it out")
    return given


def _is_setting(value: object) -> bool:
    """Whether a value of a file is one setting, or several."""
    several = value if isinstance(value, list) and value else [value]
    return all(isinstance(one, (str, int, float)) for one in several)


def setting_texts(settings: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Settings under their canonical names, each as the texts of a policy string.

    >>> setting_texts({"sc_n": [1, 2], "curtail": False})
    {'n': ('1', '2'), 'curtail': ('false',)}
    """
    listed = {
        canonical(key): given if isinstance(given, (list, tuple, range)) else (given,)
        for key, given in settings.items()
    }
    return {
        key: tuple(str(v).lower() if isinstance(v, bool) else str(v) for v in given) for key, given in listed.items()
    }
