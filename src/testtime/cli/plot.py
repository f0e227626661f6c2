"""`testtime plot`: the figure of a table."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def plot(
    *,
    csv: Annotated[Path, Parameter(help="A table that replay or analyze wrote.")],
    out_png: Annotated[Path | None, Parameter(help="Write a picture fit for print here.")] = None,
    out_svg: Annotated[Path | None, Parameter(help="Write a picture that scales here.")] = None,
    out_html: Annotated[
        Path | None, Parameter(help="Write a page with tooltips here; it opens without a network.")
    ] = None,
    out_json: Annotated[Path | None, Parameter(help="Write the Vega-Lite specification here.")] = None,
    x: Annotated[
        str, Parameter(help="candidates, tokens, total_tokens, seconds, dollars or joules; the axis is logarithmic.")
    ] = "tokens",
) -> None:
    """Draw accuracy against tokens, dollars, seconds, … from a table."""
    from testtime import api
    from testtime.cli import show
    from testtime.core.errors import BadInput

    wanted = {"png": out_png, "svg": out_svg, "html": out_html, "json": out_json}
    paths = {form: path for form, path in wanted.items() if path}
    if not paths:
        raise BadInput("no file to draw", mend="add --out_png F (or --out_svg, --out_html, --out_json)")
    api.draw(csv, paths, x)
    show.wrote(*paths.values())
    page = csv.with_suffix(".html")
    show.next_step(
        f"testtime runs {shlex.quote(str(csv.parent))}"
        if "html" in paths
        else shlex.join(["testtime", "plot", "--csv", str(csv), "--x", x, "--out_html", str(page)])
    )
