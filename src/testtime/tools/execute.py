"""What becomes of a call: a Python function that the run was given, a mock that is sure enough, else a model that plays
the tool, else an error that says so.

    call → function of the run? ── yes → its result
              │ no
           dynamic mock, confidence ≥ threshold? ── yes → its result
              │ no
           a model for the role `mock`? ── yes → what it gives
              │ no
           error

A function runs only where the run itself names the tool, never because a dataset defines one of the same name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from testtime.core import rows
from testtime.core.definitions import Definition, definition, disobeys
from testtime.core.errors import ToolError, unknown_name
from testtime.core.protocols import Ask
from testtime.core.records import Map
from testtime.core.registry import find, names
from testtime.tools.catalogue import catalogue
from testtime.tools.functions import Function
from testtime.tools.mock import mock
from testtime.tools.simulate import simulate

NAME = "execute"
"""Under which a plan holds it, and decodings ask for it."""
FILES = (".json", ".jsonl")
"""Endings of names that are files of definitions."""
CERTAIN = 1.0
"""The confidence of a computed result, which no model's guess replaces."""


@dataclass(frozen=True)
class Execute:
    """Runs calls `{tool, arguments, problem, own, forced, threshold}`."""

    seed: int
    functions: Mapping[str, Function] = field(default_factory=dict)
    """Those that the run was given, by the tool's name."""
    simulator: Map | None = None
    """Sampling of the model that plays tools; None: there is none."""

    async def __call__(self, call: Map, ask: Ask) -> Map:
        """`{result, source, confidence, category}`. Raises ToolError, ModelError where a later try may go better."""
        tool, arguments = definition(call["tool"]), call["arguments"]
        if not isinstance(arguments, Mapping):
            raise ToolError(f"{tool.name} takes a JSON object of arguments")
        if why := disobeys(arguments, tool.parameters):
            raise ToolError(f"{tool.name} was called wrongly: {why}")
        if call["own"] and tool.name in self.functions:
            return {"result": await self.functions[tool.name].run(arguments), "source": "function"}
        mocked = mock(tool, arguments, self.seed)
        if mocked.confidence >= (CERTAIN if call["forced"] else call["threshold"]):
            told = {"confidence": mocked.confidence, "category": mocked.category}
            return {"result": mocked.result, "source": "dynamic_mock", **told}
        result = await simulate(tool, arguments, str(call["problem"]), self.simulator, ask)
        return {"result": result, "source": "llm_mock_forced" if call["forced"] else "llm_mock"}


def functions(chosen: Iterable[str]) -> dict[str, Function]:
    """The Python functions among the tools that a run names. Raises BadInput where a package is missing."""
    known = names("tool")
    return {name: Function(name, find("tool", name)) for name in dict.fromkeys(chosen) if name in known}


def definitions(chosen: Iterable[str]) -> list[Definition]:
    """What the tools that a run names are: functions, tools of the catalogue, those that a file (.json) defines.

    Raises BadInput for a name that is none of these, and a file that cannot be read.
    """
    own, listed = functions(chosen := list(chosen)), catalogue().entries
    found: list[Definition] = []
    for name in chosen:
        if name.endswith(FILES):
            found += _defined(name)
        elif name in own or name in listed:
            found.append(own[name].definition if name in own else listed[name].definition)
        else:
            raise unknown_name("tool", name, [*names("tool"), *catalogue().names])
    return list({one.name: one for one in found}.values())


def _defined(path: str) -> list[Definition]:
    """The tools that a file defines, a row each. Raises BadInput with file and line."""
    found = []
    for row in rows.read(path):
        try:
            found.append(definition(json.loads(json.dumps(row, default=float))))
        except ToolError as error:
            row.bad(str(error), mend="write {name, description, parameters} as OpenAI's chat has it")
    return found
