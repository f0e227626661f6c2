"""Tables are as wide as where they are printed: what does not fit stands below, and no column is lost or cut."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from testtime.figures.tables import Rows


def _printed(rows: Rows, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    with console.capture() as taken:
        console.print(rows.rich())
    return taken.get().split("\n")


@given(columns=st.integers(1, 16), wide=st.integers(1, 25), first=st.integers(1, 30), width=st.integers(60, 120))
def test_every_number_stands_whole_beside_its_row_however_many_columns(
    columns: int, wide: int, first: int, width: int
) -> None:
    heads = ["", *(f"h{at}" for at in range(columns))]
    cells = [[name * first, *(f"{name}{at}".ljust(wide, "x") for at in range(columns))] for name in "ab"]
    lines = _printed(Rows("", heads, cells), width)
    assert max(map(len, lines)) <= width
    for row in cells:
        beside = " ".join(line for line in lines if line.split()[:1] == row[:1]).split()
        assert [cell for cell in beside if cell != row[0]] == row[1:]


def test_a_table_that_fits_is_one() -> None:
    assert Rows("", ["", "n", "accuracy"], [["a name of several words", "1", "2"]]).parts(40) == [[0, 1, 2]]
