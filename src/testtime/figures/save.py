"""A chart as the bytes of a file: PNG, SVG, a page that works offline, or the Vega-Lite JSON."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testtime.core.errors import BadInput

if TYPE_CHECKING:
    from altair.typing import ChartType

FORMATS = ("png", "svg", "html", "json")
SCALE = 3
"""Pixels of the PNG for each unit of the chart: about 288 dpi at its natural size."""


def form_of(path: Path) -> str:
    """The format that a file's ending means; PNG where it means none.

    >>> form_of(Path("a.svg")), form_of(Path("a.vl.json")), form_of(Path("a"))
    ('svg', 'json', 'png')
    """
    ending = path.suffix.lstrip(".").lower()
    return ending if ending in FORMATS else "png"


def require() -> None:
    """Raises BadInput with the install line where a drawing library is missing."""
    for module in ("altair", "vl_convert"):
        if importlib.util.find_spec(module) is None:
            raise BadInput(f"figures need the package {module}", mend='run: pip install "testtime[figures]"')


def render(chart: ChartType, form: str) -> bytes:
    """The chart in one of FORMATS; see `renders`."""
    return renders(chart, [form])[form]


def renders(chart: ChartType, forms: Iterable[str]) -> dict[str, bytes]:
    """The chart in several of FORMATS. The page holds its own scripts and opens without a network.

    The specification is made once for all, which takes longer than drawing it. Raises BadInput where a library is
    missing, or the machine lacks what it needs (memory, open files).
    """
    require()
    try:
        _room()
        spec = chart.to_dict()
        return {form: _rendered(spec, form) for form in forms}
    except (ValueError, OSError) as error:
        raise BadInput(f"the figure cannot be drawn: {error}") from error


def _room(files: int = 16) -> None:
    """Raises OSError where that many files cannot be opened any more: the drawing library would abort on it."""
    with ExitStack() as stack:
        for _ in range(files):
            stack.callback(os.close, os.open(os.devnull, os.O_RDONLY))


def _rendered(spec: dict[str, Any], form: str) -> bytes:
    import vl_convert

    if form == "png":
        return vl_convert.vegalite_to_png(spec, scale=SCALE)
    if form == "svg":
        return vl_convert.vegalite_to_svg(spec).encode()
    if form == "html":
        return vl_convert.vegalite_to_html(spec, bundle=True).encode()
    if form == "json":
        return json.dumps(spec, indent=2, sort_keys=True).encode()
    raise BadInput(f"cannot draw {form!r}", mend=f"use {', '.join(FORMATS)}")
