"""One table of all that is to be fast: our figure, the aim, met or missed, and peers where they are installed.

    python -m benchmarks [ROW …] [--full]
    python -m benchmarks [ROW …] --growth FILE

By the clock, on a machine that does nothing else: without --full at a tenth of the work, in a few minutes; with it at
the size that each aim is about. --growth measures each row at once, ten and a hundred times a little work, in processor
time, so that it may be made beside other work, and draws it: five minutes on two quiet cores, 2 GB. Each row runs in a
process of its own. More by themselves: replay, engine, kills, verifiers, sandbox, pocket, guided, agreement, emergence,
certificates, beside, million, http.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

from benchmarks.rows import ROWS, Row

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # for the rows' processes

LINEAR = 1.1
"""The largest exponent that counts as linear: what is measured twice beside other work differs by a quarter."""


def measured(name: str, size: int) -> dict[str, Any]:
    """One row at one size; a row that cannot be measured here says why."""
    done = subprocess.run([sys.executable, "-m", "benchmarks.rows", name, str(size)], capture_output=True, text=True)
    if done.returncode:
        note = f"not measured: {done.stderr.strip().split(chr(10))[-1][:100]}"
        return {"value": None, "note": note, "used": None}
    said: dict[str, Any] = json.loads(done.stdout.strip().split("\n")[-1])
    return said


def line(row: Row, size: int, said: dict[str, Any]) -> str:
    """One line of the table."""
    value = said["value"]
    aim = "–" if row.aim is None else f"{'≥' if row.more_is_better else '≤'} {row.aim:,g}"
    met = "" if value is None or row.aim is None else "met" if row.met(value) else "missed"
    return f"| {row.what} | {size:,} | {_short(value)} {row.unit} | {aim} | {met} | {said['note']} |"


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"


def exponent(sizes: tuple[int, ...], used: list[float]) -> float:
    """Of size, in the last tenfold step: 1 is linear. What starting costs counts least there."""
    return math.log(used[-1] / used[-2]) / math.log(sizes[-1] / sizes[-2])


def growth(names: list[str], path: str) -> None:
    """Prints and draws the processor time of each row at its three sizes."""
    print("| work | processor s at once, ten, a hundred times | exponent of the last step | |\n|---|---|---|---|")
    data: list[dict[str, Any]] = []
    for name in names:
        row = ROWS[name]
        if len(set(row.sizes)) < 3:
            continue
        used = [measured(name, size)["used"] for size in row.sizes]
        if None in used:
            print(f"| {row.what}, {row.sizes[0]:,} … | – | | not measured |", flush=True)
            continue
        found = exponent(row.sizes, used)
        told = f"{', '.join(map(_short, used))} | {found:.2f} | {'linear or better' if found <= LINEAR else 'worse'}"
        print(f"| {row.what}, {row.sizes[0]:,} … {row.sizes[-1]:,} | {told} |", flush=True)
        several = zip(row.sizes, used, strict=True)
        data += [{"work": row.what, "size": size / row.sizes[0], "seconds": seconds} for size, seconds in several]
    draw(data, path)


def draw(data: list[dict[str, Any]], path: str) -> None:
    """A panel a row: processor seconds against work, both logarithmic; dashed, what linear growth comes to."""
    import altair as alt

    works = list(dict.fromkeys(one["work"] for one in data))
    least = {one["work"]: one["seconds"] for one in data if one["size"] == 1}
    shown = [{**one, "linear": least[one["work"]] * one["size"]} for one in data]
    times = alt.Axis(values=[1, 10, 100], labelExpr="datum.value + '×'", grid=False)
    seconds = alt.Axis(values=[0.01, 0.1, 1, 10, 100], format="~g")
    base = alt.Chart().encode(
        x=alt.X("size:Q", scale=alt.Scale(type="log", domain=[0.8, 125], nice=False), axis=times, title=None)
    )
    log = alt.Scale(type="log", domain=[0.01, 300], nice=False)
    line = base.mark_line(strokeDash=[4, 4], color="#888").encode(y=alt.Y("linear:Q", scale=log))
    mark = base.mark_line(point=True).encode(
        y=alt.Y("seconds:Q", scale=log, axis=seconds, title="processor seconds"),
    )
    panel = alt.layer(line, mark, data=alt.Data(values=shown)).properties(width=140, height=110)
    title = "Once, ten and a hundred times the work; dashed: linear growth, which is the aim"
    labels = alt.Header(title=None, labelLimit=200, labelFontSize=11)
    parts = panel.facet(alt.Facet("work:N", header=labels, sort=works), columns=5, title=title)
    parts.resolve_axis(x="independent").save(path)


def main() -> None:
    """Measures and prints."""
    asks = argparse.ArgumentParser(prog="python -m benchmarks", description="All that is to be fast, in one table.")
    asks.add_argument("rows", nargs="*", choices=[*ROWS, []], help="which rows; by default all")
    asks.add_argument("--full", action="store_true", help="the size that each aim is about")
    asks.add_argument("--growth", metavar="FILE", help="how processor time grows with size, as PNG or SVG")
    asked = asks.parse_args()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    load = f"load {os.getloadavg()[0]:.1f}"
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {commit}, {platform.processor() or platform.machine()},", end=" ")
    print(f"{os.cpu_count()} cores, {load}, Python {platform.python_version()}\n")
    names = asked.rows or list(ROWS)
    if asked.growth:
        growth(names, asked.growth)
        return
    print("| work | size | measured | aim | | |\n|---|---|---|---|---|---|")
    for name in names:
        row = ROWS[name]
        size = row.whole if asked.full else max(row.whole // 10, row.sizes[0])
        print(line(row, size, measured(name, size)), flush=True)


if __name__ == "__main__":
    main()
