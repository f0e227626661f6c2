"""The sections of the page, each in a file of its own: from the material to a part of the page, None without data."""

from __future__ import annotations

from collections.abc import Callable

from testtime.report.blocks import Section
from testtime.report.material import Material
from testtime.report.sections.answer import answer
from testtime.report.sections.best_of_n import best_of_n
from testtime.report.sections.caveats import caveats
from testtime.report.sections.compute import compute
from testtime.report.sections.conditions import conditions
from testtime.report.sections.emergence import emergence
from testtime.report.sections.frontier import frontier
from testtime.report.sections.guidance import guidance
from testtime.report.sections.persona import persona
from testtime.report.sections.policies import policies
from testtime.report.sections.refusals import refusals
from testtime.report.sections.side_by_side import side_by_side
from testtime.report.sections.spend import spend
from testtime.report.sections.tools import tools
from testtime.report.sections.verdicts import verdicts

SECTIONS: tuple[Callable[[Material], Section | None], ...] = (
    answer, frontier, policies, side_by_side, emergence, guidance, best_of_n, persona, refusals, tools, verdicts, spend,
    compute, conditions, caveats,
)  # fmt: skip
"""In the order of the page; the candidates come last of all."""
