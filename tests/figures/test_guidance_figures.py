"""Guided texts and grids, drawn: a text reads without colour, a page lets no model write markup, and a figure has
both ends of the scale.
"""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from testtime.core.errors import BadInput
from testtime.core.records import Part
from testtime.figures.guidance import accuracy_against_oracle, surface
from testtime.figures.guidance_tables import grid_rows, interleaved, page
from testtime.figures.tables import text


def table() -> pl.DataFrame:
    rows: list[dict[str, Any]] = [
        {"k": "0", "c": "0", "trigger": "never", "accuracy": 0.4, "oracle_tokens": 0.0},
        {"k": "inf", "c": "inf", "trigger": "always", "accuracy": 0.9, "oracle_tokens": 110.0},
        *(
            {"k": k, "c": c, "trigger": trigger, "accuracy": 0.5, "oracle_tokens": float(k) * float(c)}
            for trigger in ("random", "entropy threshold=1") for k in ("1", "5") for c in ("1", "5")
        ),
    ]  # fmt: skip
    more = {"low": 0.3, "high": 0.95, "n": 50, "parsed": 1.0, "parsed_accuracy": 0.5, "parsed_low": 0.3,
            "parsed_high": 0.7, "consultations": 1.0, "flops": None}  # fmt: skip
    return pl.DataFrame([row | more for row in rows], schema_overrides={"flops": pl.Float64})


def test_a_text_reads_without_colour_and_never_commands_a_terminal() -> None:
    parts = [Part("base", "a\x1b[31m\n"), Part("oracle", "b"), Part("base", "c"), Part("oracle", "d")]
    shown = interleaved(parts).plain
    assert shown == "a\ufffd[31m\n[1:b]c[2:d]"


def test_a_page_escapes_what_models_wrote() -> None:
    made = page([("<q>", [("<script>alert(1)</script>", "base", 1.5), ("x", "oracle", None)])])
    assert "<script>" not in made
    assert "&lt;script&gt;" in made
    assert '<sup title="consultation 1">1</sup>' in made
    assert "http" not in made, "it opens offline"


def test_the_table_shows_all_and_unknown_as_a_dash() -> None:
    shown = text([grid_rows(table())])
    assert "40.0 [30.0, 95.0]" in shown
    assert "–" in shown
    assert "of parsed" not in shown
    some = text([grid_rows(table().with_columns(parsed=pl.lit(0.5)))], width=140)
    assert "50.0 [30.0, 70.0]" in some, "the accuracy of parsed rows stands beside, where there are others"


def test_figures_hold_both_ends_and_a_line_for_each_trigger() -> None:
    spec = str(accuracy_against_oracle(table()).to_dict())
    assert all(name in spec for name in ("base alone", "oracle alone", "random", "entropy"))
    assert "50 problems; bars: 95 % intervals over problems" in spec
    shape = surface(table()).to_dict()
    (says,) = shape["title"]["subtitle"]
    assert says == "accuracy in % of 50 problems; 95 % intervals over problems: up to 65 points wide"
    assert len(shape["hconcat"]) == 2
    both = pl.concat([table(), table().with_columns(pl.col("trigger") + " budget=64")])
    assert "base alone budget=64" in str(accuracy_against_oracle(both).to_dict())
    panels = surface(both).to_dict()["hconcat"]
    assert len(panels) == 4, "each budget has panels of its own, with its own ends"
    with pytest.raises(BadInput, match="is no surface"):
        surface(table().filter(pl.col("k") == "1"))
    with pytest.raises(BadInput, match="both an accuracy and flops"):
        accuracy_against_oracle(table(), "flops")


def test_a_line_joins_only_what_no_cheaper_setting_reaches() -> None:
    """Five settings of a trigger, of which two are beaten by cheaper ones: the line has three points, the marks all."""
    base = table().filter(pl.col("trigger") == "random").head(1)
    accuracies = [0.5, 0.4, 0.6, 0.6, 0.7]
    several = pl.concat([base] * 5).with_columns(
        accuracy=pl.Series(accuracies), oracle_tokens=pl.Series([1.0, 2.0, 3.0, 4.0, 5.0])
    )
    drawn = accuracy_against_oracle(several).to_dict()
    (line,) = [layer for layer in drawn["layer"] if layer["mark"]["type"] == "line"]
    assert [row["accuracy"] for row in drawn["datasets"][line["data"]["name"]]] == [0.5, 0.6, 0.7]
    assert max(len(rows) for rows in drawn["datasets"].values()) == 5
