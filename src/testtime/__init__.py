"""A laboratory for test-time compute: sample once, replay everything.

    import testtime as tt

    table = tt.load("answers.jsonl").replay(["sc_fixed", "adaptive_margin"], sc_n=[1, 4, 16])
    table.frontier()

The names below are the public ones; each is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from testtime.analysis.ledger import ledger
    from testtime.api import LoadedPool, Run, Table, analyze, compare, load, run, run_all
    from testtime.core.errors import BadInput, TesttimeError
    from testtime.sources import inspect
    from testtime.workflow import AnalysisWorkflow, get_samplewise_breakthrough_and_skew

_PLACES = {
    "AnalysisWorkflow": "testtime.workflow",
    "get_samplewise_breakthrough_and_skew": "testtime.workflow",
    "load": "testtime.api",
    "analyze": "testtime.api",
    "compare": "testtime.api",
    "inspect": "testtime.sources",
    "ledger": "testtime.analysis.ledger",
    "LoadedPool": "testtime.api",
    "Run": "testtime.api",
    "Table": "testtime.api",
    "run": "testtime.api",
    "run_all": "testtime.api",
    "BadInput": "testtime.core.errors",
    "TesttimeError": "testtime.core.errors",
}

__all__ = [
    "AnalysisWorkflow", "BadInput", "LoadedPool", "Run", "Table", "TesttimeError", "analyze", "compare",
    "get_samplewise_breakthrough_and_skew", "inspect", "ledger", "load", "run", "run_all",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'testtime' has no attribute {name!r}; it has {', '.join(__all__)}")
    import importlib

    value = getattr(importlib.import_module(_PLACES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
