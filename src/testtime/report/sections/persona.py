"""How strongly a persona shows, whether it keeps its constraints, and how often it is right meanwhile."""

from __future__ import annotations

from testtime.analysis.inspection import Inspected
from testtime.figures.inspection import persona_by_strength
from testtime.figures.tables import UNKNOWN, Rows, interval
from testtime.report.blocks import Block, Says, Section, Shows
from testtime.report.material import Material, RunData


def persona(material: Material) -> Section | None:
    """A row a run and arm that has a persona, and accuracy by strength."""
    shown = [(run, one) for run in material.runs for one in run.inspected if _has(run, one)]
    if not shown:
        return None
    heads = ["", "texts", "markers a text", "break a constraint", "judge's score, 0 to 5", "refusals", "accuracy %"]
    note = (
        "Markers: signs of the persona that a text shows, of those its file lists. Accuracy: a problem's mean "
        "candidate; 95 % intervals over problems."
    )
    blocks: list[Block] = [Shows(Rows("", heads, [_cells(one) for _, one in shown]), note=note)]
    for _, one in shown:
        blocks += [
            Shows(Rows(f"{one.name}: {rows.title.lower()}", rows.heads, rows.cells))
            for rows in persona_by_strength(one)
        ]
    if len(material.runs) == 1:
        command = f"testtime compare BASELINE {material.runs[0].place} --by split"
        blocks += [Says("What the persona costs is a comparison with the same problems without it:"),
                   Says(command, "command")]  # fmt: skip
    return Section("persona", "How the persona shows", "Persona", blocks)


def _has(run: RunData, one: Inspected) -> bool:
    """Whether an arm speaks as somebody."""
    arms = run.pool.arms
    mine = [draws.arm for label, draws in arms.items() if len(arms) == 1 or one.name.endswith(f", arm {label}")]
    return one.persona is not None or any(arm.persona for arm in mine)


def _cells(one: Inspected) -> list[str]:
    shows = one.persona
    return [
        one.name, f"{one.rows:,}",
        UNKNOWN if shows is None or shows.markers is None else f"{shows.markers:.2f}",
        UNKNOWN if shows is None else _share(shows.breaking),
        UNKNOWN if shows is None or shows.score is None else f"{shows.score:.2f}",
        _share(one.shares.get("refusals", (0, 0))),
        interval(one.mean.mean, one.mean.low, one.mean.high),
    ]  # fmt: skip


def _share(told: tuple[int, int]) -> str:
    hits, known = told
    return f"{hits:,} of {known:,} ({hits / known:.1%})" if known else UNKNOWN
