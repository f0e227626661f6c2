"""The reference page, and the JSON Schema of a run's YAML file, made of the code.

    python -m testtime.cli.reference > docs/reference.md
    python -m testtime.cli.reference schema > experiments/schema.json

A test compares both with what this prints, so they are never out of date.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping

from testtime.cli import COMMANDS, app

EXIT_CODES = {
    0: "done",
    2: "the input cannot be used; nothing was written",
    3: "stopped early, by a cap or as over 20 % of the draws failed; what was written is whole and usable",
    130: "interrupted",
}
SUMMARY = {
    "n_problems": "Problems the row is about; the accuracy is over those with a verdict, which a note counts.",
    "accuracy": "Mean chance of a right answer; failures count as wrong. Empty where the pool was exhausted.",
    "accuracy_low": "Lower end of its 95 % interval over problems.",
    "accuracy_high": "Upper end.",
    "answered": "Share of problems with an answer.",
    "gen_tokens_sum": "Tokens written, over all problems.",
}
"""What a column of the table is where an outcome's key of that name is not or is something else."""


def page() -> str:
    """The whole page."""
    parts = [
        "# Reference",
        "Made by `python -m testtime.cli.reference`; change the code, not this page.",
        "## Commands",
    ]
    for name in COMMANDS:
        parts += [f"### testtime {name}", COMMANDS[name][1], "\n".join(_flags(name))]
    parts += ["All commands take `--debug` (show the traceback of an error).", "## Names", "\n".join(_names())]
    parts += ["## Policies", "Written as `name:key=value,…`.", "\n".join(_policies())]
    parts += ["## Stopping rules", "\n".join(_rules())]
    parts += ["## Datasets", "From a local file (`--dataset_path`), or by their id of the hub.", "\n".join(_datasets())]
    parts += ["## Verifiers", "What `verification_verifier_name` holds.", "\n".join(_components("verifier"))]
    parts += ["## The table (`--out_csv`)", "\n".join(_summary())]
    for title, columns in _files().items():
        parts += [f"## {title}", "\n".join(_table(["column", "is"], columns.items()))]
    parts += ["## Exit codes", "\n".join(_table(["code", "means"], EXIT_CODES.items()))]
    return "\n\n".join(parts) + "\n"


def _table(heads: list[str], rows: object) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:  # type: ignore[attr-defined]
        yield f"| {' | '.join(_cell(cell, at) for at, cell in enumerate(row))} |"


def _cell(value: object, at: int) -> str:
    text = str(value).replace("|", "\\|").replace("\n", " ")
    return f"`{text}`" if at == 0 else text


def _flags(command: str) -> Iterator[str]:
    rows = []
    for argument in app()[command].assemble_argument_collection():
        if argument.show:
            name = argument.names[0]
            flag = f"--{name[2:].replace('-', '_')}" if name.startswith("--") else name
            rows.append((flag, "needed" if argument.required else "", argument.parameter.help or ""))
    return _table(["flag", "", "is"], rows)


def _names() -> Iterator[str]:
    from testtime.spec import NAMES

    return _table(
        ["canonical", "also accepted", "is"], [(n.canonical, ", ".join(n.accepted), n.sentence) for n in NAMES]
    )


def _policies() -> Iterator[str]:
    from testtime.core.registry import names
    from testtime.core.strings import fields_of

    rules = _rule_settings()
    of_rules = {key for keys in rules.values() for key in keys}
    rows = []
    for policy in names("policy"):
        for key, (kind, default, sentence) in fields_of("policy", policy).items():
            if key not in of_rules:
                rows.append((policy, f"`{key}`", kind.__name__, "" if default is None else str(default), sentence))
    return _table(["policy", "setting", "type", "default", "is"], rows)


def _rules() -> Iterator[str]:
    rows = [
        (rule, *row) for rule, keys in _rule_settings().items() for row in keys.values() or [("", "", "no settings")]
    ]
    return _table(["rule", "setting", "default", "is"], rows)


def _rule_settings() -> dict[str, dict[str, tuple[str, str, str]]]:
    """Rule → setting → (name, default, sentence)."""
    from dataclasses import fields

    from testtime.core.registry import find, names

    return {
        rule: {
            f.name: (f"`{f.name}`", str(f.default), f.metadata.get("sentence", ""))
            for f in fields(find("stopping rule", rule))
        }
        for rule in names("stopping rule")
    }


def _datasets() -> Iterator[str]:
    from testtime.core.registry import find, names
    from testtime.tasks import HUB

    rows = []
    for name in names("task"):
        ids = ", ".join(id for id, task in HUB.items() if task == name)
        stage = find("task", name).verifier  # no text where it is that of another dataset
        rows.append((name, stage if isinstance(stage, str) else "the dataset's", ids, _opening(find("task", name))))
    return _table(["dataset", "verifier", "of the hub", "is"], rows)


def _components(kind: str) -> Iterator[str]:
    from testtime.core.registry import find, names

    return _table([kind, "is"], [(name, _opening(find(kind, name))) for name in sorted(names(kind))])


def _opening(component: object) -> str:
    """The first paragraph of a component's module."""
    from sys import modules

    return (modules[component.__module__].__doc__ or "").strip().partition("\n\n")[0].replace("\n", " ")


def _summary() -> Iterator[str]:
    from testtime.analysis.table import COLUMNS
    from testtime.store.outcomes import OUTCOMES

    about = {name: field.about for name, field in OUTCOMES.items()} | SUMMARY
    return _table(["column", "is"], [(name, about[name]) for name in COLUMNS])


def _files() -> Mapping[str, Mapping[str, str]]:
    from testtime.store import outcomes, schema

    return {
        "Outcome files (`--out_jsonl`)": {name: field.about for name, field in outcomes.OUTCOMES.items()},
        "candidates.parquet": {name: column.about for name, column in schema.CANDIDATES.items()},
        "calls.parquet": {name: column.about for name, column in schema.CALLS.items()},
    }


def schema() -> str:
    """The JSON Schema of a run's YAML file, for editors: every key under every accepted name."""
    from testtime.grid import setting_fields
    from testtime.runspec import KINDS, RunSpec
    from testtime.spec import accepted

    made = RunSpec.model_json_schema()
    own = {key: value for key, value in made["properties"].items() if key != "settings"}
    settings = {key: {"description": says} for key, says in setting_fields(KINDS).items() if key not in own}
    known = {name: value for key, value in (own | settings).items() for name in (key, *accepted(key))}
    whole = {**made, "title": "testtime run", "properties": dict(sorted(known.items())), "required": []}
    return json.dumps(whole, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    print(schema() if sys.argv[1:] == ["schema"] else page(), end="")  # noqa: T201
