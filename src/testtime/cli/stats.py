"""`testtime stats`: what the base model's states say where the oracle was asked, and whether it tells anything."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from testtime.cli import Json, Whole
from testtime.core.errors import BadInput
from testtime.figures.save import require

if TYPE_CHECKING:
    from testtime.analysis.positions import Law


def stats(
    *,
    stats_file: Annotated[Path | None, Parameter(help="The output file of testtime guide, or a run's folder.")] = None,
    steps_file: Annotated[
        Path | None, Parameter(help="Labelled steps in PRM800K's format, to be read by --model instead.")
    ] = None,
    model: Annotated[
        str | None,
        Parameter(help="The model that reads the texts instead of their base, or that reads labelled steps."),
    ] = None,
    prompt: Annotated[str, Parameter(help="The template of their problems, with {question} in it.")] = "{question}",
    output: Annotated[Path | None, Parameter(help="Rows with their analysis, as JSON Lines.")] = None,
    device: Annotated[
        str | None, Parameter(help="cpu, or cuda where the backend has it; a served model's weights are opened there.")
    ] = None,
    every: Annotated[
        bool, Parameter(show_default=False, help="Look at every token, not at consultations alone.")
    ] = False,
    stats_mode: Annotated[
        Literal["corrected", "original"], Parameter(help="original: as an earlier tool computed attention.")
    ] = "corrected",
    ahead: Annotated[Whole, Parameter(help="How many tokens ahead an error is to be foretold.")] = 5,
    learn: Annotated[
        bool, Parameter(show_default=False, help="Fit the weights of the trigger learned, and print them.")
    ] = False,
    out_png: Annotated[Path | None, Parameter(help="Draw the heat map of correlations here.")] = None,
    positions_png: Annotated[Path | None, Parameter(help="Draw the statistics along the text here.")] = None,
    out_html: Annotated[Path | None, Parameter(help="Write texts shaded by entropy here; needs --every.")] = None,
    verbose: Annotated[bool, Parameter(show_default=False, help="Print the statistics of every text.")] = False,
    json: Json = False,
) -> None:
    """Statistics of the base's next token and attention, and what they tell of right and wrong."""
    if (stats_file is None) == (steps_file is None):
        raise BadInput("one of --stats_file and --steps_file is needed", mend="give one of them")
    if steps_file is not None:
        _steps(steps_file, model, prompt, device, output, json)
        return
    assert stats_file is not None
    from testtime.cli import show
    from testtime.statistics import analyse, read_texts, write_lines

    if out_png or positions_png:
        require()  # before anything is computed
    found = analyse(read_texts(stats_file), model=model, device=device, mode=stats_mode, every=every)
    if output:
        write_lines(found, output)
    drawn = _draw(found, {"heat": out_png, "along": positions_png, "page": out_html})
    analyses, law = _analyses(found, ahead), _learned(found) if learn else None
    if json:
        show.json({**analyses, "learned": law, "notes": _notes(found)})
        return
    if verbose:
        _print_all(found)
    _report(analyses, ahead)
    if law is not None:
        _print_law(law)
    show.notes(_notes(found))
    show.wrote(output, *drawn)
    show.next_step(_next(stats_file, every, learn or not _learnable(found)))


def _next(stats_file: Path, every: bool, learnt: bool) -> str:
    """Every token where consultations alone were looked at, then the law that they give, where errors are known."""
    more = "" if every and learnt else " --every --learn" if every else " --every"
    return f"testtime stats --stats_file {shlex.quote(str(stats_file))}{more or ' --every --out_html shaded.html'}"


def _analyses(found: Sequence[Mapping[str, Any]], ahead: int) -> dict[str, Sequence[Mapping[str, Any]]]:
    """The three analyses, as far as the file has what they need."""
    from testtime.analysis.positions import correlations, effects, foresight
    from testtime.statistics import consulted_once, errors_of, texts_at_consultations

    texts, errors = errors_of(found)
    at_them, pairs = texts_at_consultations(found), consulted_once(found)
    return {
        "consultations": correlations(at_them) if at_them else [],
        "foresight": foresight(texts, errors, ahead) if errors else [],
        "effects": effects(pairs) if pairs else [],
    }


def _report(analyses: Mapping[str, Sequence[Mapping[str, Any]]], ahead: int) -> None:
    from testtime.cli import show
    from testtime.figures.position_tables import auc_rows, correlation_rows, effect_rows

    if not any(analyses.values()):
        show.notes(["no consultation, and not both ends of the scale on one problem: nothing to set beside each other"])
    tables = [correlation_rows(rows, "at consultations") for rows in [analyses["consultations"]] if rows]
    tables += [auc_rows(rows, ahead) for rows in [analyses["foresight"]] if rows]
    show.tables(tables + [effect_rows(rows) for rows in [analyses["effects"]] if rows])


def _learnable(found: Sequence[Mapping[str, Any]]) -> bool:
    """Whether errors enough are known."""
    from testtime.analysis.positions import FEW
    from testtime.statistics import errors_of

    return len(errors_of(found)[1]) >= FEW


def _learned(found: Sequence[Mapping[str, Any]]) -> Law:
    """The weights of a law that expects the base's next error, and how well it does on other problems."""
    from testtime.analysis.positions import learn
    from testtime.statistics import errors_of

    return learn(*errors_of(found))


def _print_law(law: Law) -> None:
    from testtime.cli import show

    told = "unknown" if law.auc is None else f"{law.auc:.3f}"
    out = show.console()
    out.print(f"learned from {law.errors} errors at {law.positions:,} positions, AUC {told} on problems left out:")
    out.print(f'--trigger learned --weights "{law.weights}"', soft_wrap=True)


def _notes(found: Sequence[Mapping[str, Any]]) -> list[str]:
    entries = [one for row in found for one in row["analysis_result"]]
    cut = sum(one["truncated"] for one in entries)
    models = ", ".join(dict.fromkeys(row["analysis_model"] for row in found if "analysis_model" in row)) or "no model"
    told = [f"{len(entries):,} positions of {len(found):,} texts, by the states of {models}"]
    told += _unread(found)
    if cut:
        told.append(f"{cut:,} positions know the most probable tokens alone: their entropy is a lower bound")
    return told


def _unread(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """What could not be read, with the first reason."""
    why = [row["analysis_error"] for row in found if "analysis_error" in row]
    return [f"{len(why):,} of {len(found):,} could not be read, and have no statistics: {why[0]}"] if why else []


def _draw(found: Sequence[Mapping[str, Any]], files: Mapping[str, Path | None]) -> list[Path]:
    from testtime.figures.position_tables import shaded
    from testtime.figures.save import form_of, render
    from testtime.store.atomic import whole

    written = []
    for key, path in files.items():
        if path is None:
            continue
        if key == "page":
            content = shaded(found).encode()
        else:
            from testtime.figures.positions import along, heat_map

            content = render(heat_map(found) if key == "heat" else along(found), form_of(path))
        with whole(path) as part:
            part.write_bytes(content)
        written.append(path)
    return written


def _print_all(found: Sequence[Mapping[str, Any]]) -> None:
    from testtime.cli import show
    from testtime.core.signals import STATISTICS

    out = show.console()
    for row in found:
        out.print(f"{row.get('query_id')} {row.get('decoding', '')} acc {row['acc']}", style="bold", soft_wrap=True)
        for entry in row["analysis_result"]:
            shown = ", ".join(
                f"{name} {'–' if entry[name] is None else format(entry[name], '.3f')}" for name in STATISTICS
            )
            out.print(f"  {entry['position']}: {shown}", soft_wrap=True)


def _steps(path: Path, model: str | None, prompt: str, device: str | None, output: Path | None, json: bool) -> None:
    """Labelled steps: do statistics at the start and the end of a step go with its label?"""
    from testtime.analysis.positions import step_correlations
    from testtime.cli import show
    from testtime.figures.position_tables import correlation_rows
    from testtime.statistics import labelled_steps, read_steps, write_lines

    if model is None:
        raise BadInput("no model reads the steps", mend="add --model")
    steps, left_out = labelled_steps(path)
    if not steps:
        raise BadInput("no step is rated", where=str(path))
    found = read_steps(steps, model, prompt, device=device)
    if output:
        write_lines(found, output)
    several = step_correlations(found)
    if json:
        show.json({"steps": len(steps), "rows_left_out": left_out, "correlations": several})
        return
    for at in dict.fromkeys(row["at"] for row in several):
        title = f"with the label, at the {at} of a step"
        show.tables([correlation_rows([row for row in several if row["at"] == at], title)])
    told = f"{len(steps):,} labelled steps of {len({step.query_id for step in steps}):,} problems, by {model}"
    aside = [f"{left_out:,} rows for quality control or screening are left out"] if left_out else []
    show.notes([told, *aside, *_unread(found)])
    show.wrote(output)
    show.next_step("testtime guide --base_model pocket-s --oracle_model pocket-m --dataset pocket-math --split medium")
