"""What candidates did with tools: how often they called, what answered, and how often that ended right."""

from __future__ import annotations

from collections.abc import Sequence

from testtime.analysis.bootstrap import wilson
from testtime.analysis.conduct import Tool, ToolUse, tool_use
from testtime.figures.tables import UNKNOWN, Rows, interval
from testtime.report.blocks import Block, Says, Section, Shows
from testtime.report.material import Material
from testtime.report.naming import places

SOURCES = {
    "dynamic_mock": "the mock", "llm_mock": "a model", "llm_mock_forced": "a model, on a second try",
    "function": "a function", "error": "an error",
}  # fmt: skip
"""What played a tool, in words."""
MOST = 20
"""Tools that are listed."""


def tools(material: Material) -> Section | None:
    """A row a run and arm, and a table of tools for each."""
    named = places(material)
    found: list[tuple[str, ToolUse]] = []
    for run in material.runs:
        used = [] if run.tools is None else tool_use(run.tools)
        name = named[run.pool.run]
        found += [(name if len(used) == 1 else f"{name}, {one.arm}", one) for one in used]
    if not found:
        return None
    heads = ["", "candidates", "that call", "calls", "rounds", "errors told", "failed",
             "right of calling %", "right of others %"]  # fmt: skip
    note = (
        "Rounds: of those that call, on average. Right: of candidates with a verdict, Wilson's 95 % intervals over "
        "candidates; who calls is the model's choice, so this is no effect of calling."
    )
    blocks: list[Block] = [Shows(Rows("", heads, [_cells(name, one) for name, one in found]), note=note)]
    blocks += [Shows(_by_name(name, one.tools), words=frozenset({3})) for name, one in found if one.tools]
    blocks.append(Says("Every conversation is under Candidates: what was called, and what came back.", "note"))
    return Section("tools", "What was done with tools", "Tools", blocks)


def _cells(name: str, one: ToolUse) -> list[str]:
    return [
        name, f"{one.candidates:,}", f"{one.calling:,}", f"{one.calls:,}",
        f"{one.rounds:.1f}" if one.calling else UNKNOWN, f"{one.errors:,}",
        f"{one.endless:,}", _right(one.right), _right(one.without),
    ]  # fmt: skip


def _by_name(name: str, several: Sequence[Tool]) -> Rows:
    heads = ["tool", "calls", "candidates", "played by", "right %"]
    cells = [
        [one.name, f"{one.calls:,}", f"{one.candidates:,}", _played(one), _right(one.right)] for one in several[:MOST]
    ]
    rest = f", the {MOST} most called of {len(several):,}" if len(several) > MOST else ""
    return Rows(f"{name}: tools{rest}", heads, cells)


def _played(one: Tool) -> str:
    ordered = sorted(one.sources.items(), key=lambda item: -item[1])
    return ", ".join(f"{SOURCES.get(source, source)} ({count:,})" for source, count in ordered) or UNKNOWN


def _right(told: tuple[int, int]) -> str:
    right, judged = told
    return interval(right / judged, *wilson(right / judged, judged)) if judged else UNKNOWN
