"""What a reader must be told: alarms of leaks, and what the tables could not say."""

from __future__ import annotations

from testtime.analysis.alarms import LEVEL, Alarm, of_pool, tuned_on_test
from testtime.analysis.recommend import Field
from testtime.core.errors import BadInput
from testtime.figures.tables import Rows, condensed
from testtime.report.blocks import Block, Says, Section, Shows
from testtime.report.material import Material


def caveats(material: Material) -> Section:
    """Alarms that ring first, then those that were looked for and are quiet, then notes."""
    found = [(run.name, alarm) for run in material.runs for alarm in of_pool(run.pool)] + _tuning(material)
    ringing = [(name, alarm) for name, alarm in found if alarm.rings]
    blocks: list[Block] = [Says(f"{name}: {alarm.says}.", "warn") for name, alarm in ringing]
    if not ringing:
        blocks.append(Says("No alarm rings: nothing looked for below was found."))
    cells = [[_words(alarm), name, "rings" if alarm.rings else "quiet", _p(alarm)] for name, alarm in found]
    title = f"What was looked for (an alarm rings at p < {LEVEL:g}, or on a plain fact)"
    blocks.append(Shows(Rows(title, ["leak", "where", "", "p"], cells, left=True), folded=True))
    several = len(material.runs) > 1
    told = [f"{run.name}: {note}" if several else note for run in material.runs for note in run.pool.notes]
    blocks += [Says(line, "note") for line in condensed([*told, *material.notes, *material.outcome_notes])]
    return Section("caveats", "Caveats", "Caveats", blocks)


def _tuning(material: Material) -> list[tuple[str, Alarm]]:
    """Whether the best of the page's settings is best elsewhere too, for each run."""
    if material.outcomes is None:
        return []
    found = []
    for part in material.outcomes.partition_by("run", maintain_order=True):
        column = "gen_tokens" if part["gen_tokens"].null_count() == 0 else "candidates"
        try:
            field = Field.of(part, column)
        except BadInput:  # settings share no problem
            continue
        best = int(field.correct.mean(axis=1).argmax())
        found.append((str(part["run"][0]), tuned_on_test(field.correct, best, material.seed)))
    return found


def _words(alarm: Alarm) -> str:
    return alarm.name.replace("_", " ")


def _p(alarm: Alarm) -> str:
    return "a plain fact" if alarm.p is None else f"{alarm.p:.3g}"
