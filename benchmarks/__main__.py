"""One table of all that is to be fast: our figure, the aim, met or missed, and peers where they are installed.

    python -m benchmarks [ROW …] [--full] [--growth FILE.png]

Without --full: the smallest and the middle size, in a few minutes; with it also the size that each aim is about.
Each row runs in a process of its own. --growth draws how seconds (or rates) go with size. More rows by themselves:
replay, engine, kills, verifiers, sandbox, pocket, guided, agreement, emergence, certificates.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

from benchmarks.rows import ROWS, Row

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # for the rows' processes


def measured(name: str, size: int) -> dict[str, Any]:
    """One row at one size; a row that cannot be measured here says why."""
    done = subprocess.run([sys.executable, "-m", "benchmarks.rows", name, str(size)], capture_output=True, text=True)
    if done.returncode:
        return {"value": None, "note": f"not measured: {done.stderr.strip().split(chr(10))[-1][:100]}"}
    said: dict[str, Any] = json.loads(done.stdout.strip().split("\n")[-1])
    return said


def line(row: Row, size: int, said: dict[str, Any]) -> str:
    """One line of the table."""
    value = said["value"]
    aim = "–" if row.aim is None else f"{'≥' if row.more_is_better else '≤'} {row.aim:,g}"
    met = "" if value is None or row.aim is None else "met" if row.met(value) else "missed"
    number = "–" if value is None else f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"
    return f"| {row.what} | {size:,} | {number} {row.unit} | {aim} | {met} | {said['note']} |"


def growth(points: dict[str, list[tuple[int, float]]], path: str) -> None:
    """Draws each row's value against its size, both on logarithmic axes, relative to its smallest size."""
    import altair as alt

    data = [
        {"work": ROWS[name].what, "size": size / several[0][0], "value": value / several[0][1]}
        for name, several in points.items()
        for size, value in several
    ]
    chart = alt.Chart(alt.Data(values=data)).mark_line(point=True)
    shown = chart.encode(
        x=alt.X("size:Q", scale=alt.Scale(type="log"), title="size, times the smallest"),
        y=alt.Y("value:Q", scale=alt.Scale(type="log"), title="seconds, or rate, times the smallest's"),
        color=alt.Color("work:N", title=None),
    )
    shown.properties(width=520, height=320).save(path)


def main() -> None:
    """Measures and prints."""
    asks = argparse.ArgumentParser(prog="python -m benchmarks", description="All that is to be fast, in one table.")
    asks.add_argument("rows", nargs="*", choices=[*ROWS, []], help="which rows; by default all")
    asks.add_argument(
        "--full", action="store_true", help="also the size that each aim is about: an hour, 15 GB of disk"
    )
    asks.add_argument("--growth", metavar="FILE.png", help="draw how each grows")
    asked = asks.parse_args()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    load = f"load {os.getloadavg()[0]:.1f}"
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {commit}, {platform.processor() or platform.machine()},", end=" ")
    print(f"{os.cpu_count()} cores, {load}, Python {platform.python_version()}\n")
    print("| work | size | measured | aim | | |\n|---|---|---|---|---|---|")
    points: dict[str, list[tuple[int, float]]] = {}
    for name in asked.rows or ROWS:
        row = ROWS[name]
        for size in dict.fromkeys(row.sizes if asked.full else row.sizes[:2]):
            said = measured(name, size)
            print(line(row, size, said), flush=True)
            if said["value"]:
                points.setdefault(name, []).append((size, said["value"]))
    if asked.growth:
        growth({name: several for name, several in points.items() if len(several) > 1}, asked.growth)


if __name__ == "__main__":
    main()
