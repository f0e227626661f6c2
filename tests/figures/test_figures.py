"""A figure tells the truth of its table: a colour is a model, a mark a policy family, a panel a split; what is
modelled is hollow, what is unknown is left out and counted; ticks are round and lie on the axis.
"""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testtime.analysis.frontier import frontier
from testtime.core.errors import BadInput
from testtime.figures import tables
from testtime.figures.axes import AXES, MOST_TICKS, padded, ticks
from testtime.figures.frontier import accuracy_against
from testtime.figures.save import FORMATS, render, renders
from testtime.figures.tables import condensed, cost, interval, summary, text


def table(models: tuple[str, ...] = ("m",), datasets: tuple[str, ...] = ("d",), measured: bool = False) -> pl.DataFrame:
    """Two families of three points for every model and dataset."""
    rows = [
        {
            "run": f"{model}-{dataset}", "provider": None, "model": model, "dataset": dataset, "split": "test",
            "decoding": "plain", "temperature": 0.7, "policy": policy, "setting": setting, "n_problems": 50,
            "accuracy": 0.5 + n / 20, "accuracy_low": 0.4 + n / 20, "accuracy_high": 0.6 + n / 20,
            "candidates": float(n), "gen_tokens": 100.0 * n, "total_tokens": 110.0 * n, "seconds": 0.5 * n,
            "usd": 1e-5 * n, "joules": None, "measured": measured,
        }
        for model in models for dataset in datasets for n in (1, 2, 4)
        for policy, setting in (("sc_fixed", f"n={n}"), ("adaptive_margin", f"max_n={n},stop_rule=beta"))
    ]  # fmt: skip
    return pl.DataFrame(rows, schema_overrides={"joules": pl.Float64, "provider": pl.String})


def drawn(frame: pl.DataFrame, x: str = "gen_tokens") -> dict[str, Any]:
    spec: dict[str, Any] = accuracy_against(frame, x).to_dict()
    return spec


def panels(spec: dict[str, Any]) -> list[dict[str, Any]]:
    if "layer" in spec:
        return [spec]
    return [panel for part in spec.get("hconcat", spec.get("vconcat", [])) for panel in panels(part)]


def domain(spec: dict[str, Any], channel: str) -> list[str]:
    found = {
        tuple(layer["encoding"][channel]["scale"]["domain"])
        for panel in panels(spec) for layer in panel["layer"] if channel in layer["encoding"]
    }  # fmt: skip
    assert len(found) == 1
    return list(found.pop())


def test_a_colour_is_a_model_and_a_mark_a_family_in_every_panel() -> None:
    spec = drawn(table(("m", "k"), ("d", "e", "f")))
    assert len(panels(spec)) == 3
    assert domain(spec, "color") == ["k", "m"]
    assert domain(spec, "shape") == ["sc_fixed", "adaptive_margin beta"]


def test_two_runs_of_one_model_on_one_dataset_are_told_apart() -> None:
    both = pl.concat([table(), table().with_columns(temperature=pl.lit(1.0))])
    assert domain(drawn(both), "color") == ["m, T = 0.7", "m, T = 1.0"]


def test_splits_are_panels_and_no_line_joins_two_of_them() -> None:
    spec = drawn(pl.concat([table(), table().with_columns(split=pl.lit("hard"), accuracy=pl.lit(0.1))]))
    assert [panel["title"]["text"] for panel in panels(spec)] == ["d hard", "d test"]
    assert domain(spec, "color") == ["m"]
    assert spec["title"]["text"].endswith(": m on d")


def test_how_candidates_were_made_is_said_without_what_is_as_usual() -> None:
    every = "tools:max_iterations=20,mock_threshold=0.4,protocol=auto,retry_refusals=True,tools=['calculate']"
    tooled = table().with_columns(decoding=pl.lit(every), run=pl.lit("other"))
    assert domain(drawn(pl.concat([table(), tooled])), "color") == ["m, plain", "m, tools:tools=(calculate)"]
    (rows,) = summary(tooled)
    assert rows.title == "m on d test, tools:tools=(calculate), T = 0.7, 50 problems"


def test_tables_of_two_runs_that_are_alike_name_their_runs() -> None:
    titles = [rows.title for rows in summary(pl.concat([table(), table().with_columns(run=pl.lit("again"))]))]
    assert titles == [f"{run}: m on d test, T = 0.7, 50 problems" for run in ("m-d", "again")]


def test_a_line_joins_settings_that_differ_in_the_number_of_draws_alone() -> None:
    swept = pl.concat(
        table().with_columns(pl.col("setting").str.replace("stop_rule=beta", f"stop_rule=beta,threshold={t}"))
        for t in (0.9, 0.95)
    )
    spec = drawn(swept)
    lines = {row["line"] for row in next(iter(spec["datasets"].values()))}
    assert len(lines) == 3
    assert domain(spec, "shape") == ["sc_fixed", "adaptive_margin beta"]
    joined = next(layer for layer in spec["layer"] if layer["mark"]["type"] == "line")
    assert [field["field"] for field in joined["encoding"]["detail"]] == ["series", "line"]


def test_every_family_of_the_house_has_a_mark_of_its_own() -> None:
    rules = ["share", "margin", "entropy", "beta", "dirichlet", "sprt", "window", "lossless"]
    swept = pl.concat(table().with_columns(pl.col("setting").str.replace("beta", rule)) for rule in rules)
    others = [table().with_columns(policy=pl.lit(name), setting=pl.lit("n=1")) for name in ("best_of_n", "weighted")]
    spec = drawn(pl.concat([swept, *others]))
    shapes = next(layer["encoding"]["shape"]["scale"] for layer in spec["layer"] if "shape" in layer["encoding"])
    assert len(shapes["domain"]) == len(rules) + 3
    assert len(set(shapes["range"])) == len(shapes["range"]) == len(shapes["domain"])


def test_long_names_do_not_widen_the_figure() -> None:
    title = drawn(table(("organisation/model" * 9,), ("dataset" * 20,)))["title"]["text"]
    assert title[0] == "Accuracy against generated tokens per problem:"
    assert len(title[1]) < 80


def test_modelled_costs_are_hollow_and_counts_are_not() -> None:
    def modelled(frame: pl.DataFrame, x: str) -> set[bool]:
        values = next(iter(drawn(frame, x)["datasets"].values()))
        return {row["modelled"] for row in values}

    assert modelled(table(), "usd") == {True}
    assert modelled(table(measured=True), "usd") == {False}
    assert modelled(table(), "gen_tokens") == {False}


def test_what_has_no_number_is_left_out_and_counted() -> None:
    frame = table().with_columns(accuracy=pl.when(pl.col("candidates") < 4).then(pl.col("accuracy")))
    spec = drawn(frame)
    assert len(next(iter(spec["datasets"].values()))) == 4
    assert any(line.startswith("2 settings not drawn") for line in spec["title"]["subtitle"])


def test_the_heading_says_what_and_on_how_many_problems() -> None:
    title = drawn(table())["title"]
    assert title["text"] == "Accuracy against generated tokens per problem: m on d test"
    assert title["subtitle"][0].startswith("50 problems; bars: 95 % intervals over problems")
    one = drawn(table().filter(pl.col("policy") == table()["policy"][0]))["title"]["subtitle"]
    assert any(line.startswith("Policy: ") for line in one), "what no legend names"


def test_a_table_without_that_cost_names_what_it_has() -> None:
    with pytest.raises(BadInput, match="no row has both an accuracy and joules; known here: candidates, gen_tokens"):
        accuracy_against(table(), "joules")
    with pytest.raises(BadInput, match="no column 'gen_tokens'"):
        accuracy_against(table().drop("gen_tokens"))


@pytest.mark.parametrize("x", ["candidates", "gen_tokens", "total_tokens", "seconds", "usd"])
def test_every_axis_draws(x: str) -> None:
    assert AXES[x] in str(drawn(table(), x))


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_whole(form: str) -> None:
    starts = {"png": b"\x89PNG", "svg": b"<svg", "html": b"<!DOCTYPE html>", "json": b"{"}
    assert render(accuracy_against(table()), form).lstrip().startswith(starts[form])


def test_several_formats_are_of_one_specification_which_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    chart, made = accuracy_against(table()), []
    to_dict = type(chart).to_dict
    monkeypatch.setattr(type(chart), "to_dict", lambda self, **how: made.append(self is chart) or to_dict(self, **how))
    drawn = renders(chart, FORMATS)
    assert list(drawn) == list(FORMATS)
    assert made.count(True) == 1
    assert drawn["json"] == chart.to_json().encode()


@given(st.floats(1e-7, 1e7), st.floats(1, 1e5), st.booleans())
def test_ticks_are_few_round_and_on_the_axis(low: float, ratio: float, binary: bool) -> None:
    high = low * ratio
    places = ticks(low, high, binary and ratio < 500)
    start, end = padded(low, high)
    assert places == sorted(set(places))
    assert len(places) <= MOST_TICKS + 1
    assert binary or len(places) >= 1
    assert all(start <= place <= end for place in places)


def test_values_that_differ_by_rounding_are_one_place_on_the_axis() -> None:
    start, end = padded(500.0, 500.0 * (1 + 1e-12))
    assert end / start == pytest.approx(2.25)
    assert ticks(500.0, 500.0 * (1 + 1e-12)) == [500.0]


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_an_interval_is_printed_with_its_number(value: float, low: float, high: float) -> None:
    assert interval(value, low, high) == f"{value * 100:.1f} [{low * 100:.1f}, {high * 100:.1f}]"


@pytest.mark.parametrize(
    ("value", "name", "modelled", "shown"),
    [
        (None, "usd", True, "–"), (0.00012345, "usd", True, "~0.00012"), (4.5, "candidates", False, "4.50"),
        (8.0, "candidates", False, "8"), (2104.6, "gen_tokens", False, "2,105"), (1.234, "seconds", True, "~1.23"),
        (0.9999999999999999, "candidates", False, "1"), (0.0, "usd", False, "0"),
    ],
)  # fmt: skip
def test_costs_have_the_digits_they_deserve(value: float | None, name: str, modelled: bool, shown: str) -> None:
    assert cost(value, name, modelled=modelled) == shown


def test_the_printed_table_fits_80_columns_and_marks_what_is_modelled() -> None:
    shown = text(summary(table().drop("usd", "joules").with_columns(usd=None, joules=None)), width=80)
    assert max(map(len, shown.split("\n"))) <= 80
    assert "~0.5" in shown
    assert "55.0 [45.0, 65.0]" in shown


def test_a_name_is_printed_as_it_is_and_commands_no_terminal() -> None:
    shown = text(summary(table(("[bold]m[/bold]\x1b[31m",))))
    assert shown.split("\n")[0] == "[bold]m[/bold]\N{REPLACEMENT CHARACTER}[31m on d test, T = 0.7, 50 problems"
    assert "\x1b" not in shown


def test_the_frontier_is_printed_a_line_each_family_and_axis() -> None:
    family = table().with_columns(split=pl.lit(None, pl.String), temperature=pl.lit(None, pl.Float64))
    family = family.with_columns(pl.col("accuracy") + 0.002, pl.col("gen_tokens") * 2)
    shown = text(tables.frontier(frontier(family)), width=100).split("\n")
    assert shown[0] == "Frontier over tokens: m on d; MVC for each 1k tokens, on log2 each doubling"
    lines = [" ".join(line.split()) for line in shown if "linear" in line or "log2" in line][1:]
    starts = ["sc_fixed linear 376 ", "log2 1.23 ", "adaptive_margin linear 376 ", "beta log2 1.23 "]
    assert all(line.startswith(start) for line, start in zip(lines, starts, strict=True))


def test_notes_that_say_the_same_are_told_once() -> None:
    notes = ["r, a:n=1: 3 of 9 problems unknown", "r, a:n=2: 4 of 9 problems unknown", "r: something else"]
    assert condensed(notes) == ["r, a:n=1: 3 of 9 problems unknown (and 1 more alike)", "r: something else"]
