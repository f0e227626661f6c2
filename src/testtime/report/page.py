"""The page as one HTML text: nothing is fetched, and nothing that a model wrote can run.

Scripts and styles stand in the page and are named to the browser by their digests (a Content-Security-Policy in the
head): no other script, style, picture, frame or connection is allowed. Data stand in a block of JSON in ASCII, without
the signs that could end it; the script makes text nodes of them.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from testtime.report.blocks import Chart, Section, html, safe
from testtime.report.material import Browsed, Material
from testtime.report.sample import stated
from testtime.report.sections import SECTIONS

SCRIPTS = ("base.js", "charts.js", "browser.js")
STYLES = ("page.css",)


def page(material: Material) -> str:
    """The whole page."""
    sections = [made for section in SECTIONS if (made := section(material)) is not None]
    title = f"testtime: {', '.join(run.name for run in material.runs)}"
    script, style = _asset(SCRIPTS), _asset(STYLES)
    browser = _browser(material) if any(one.problems for one in material.browsed) else ""
    data = {"charts": _charts(sections), "pools": [_pool(one) for one in material.browsed if one.problems]}
    return "\n".join([
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy(script, style)}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">',
        f"<title>{safe(title)}</title>\n<style>{style}</style>\n</head>\n<body>",
        '<a class="skip" href="#answer">Skip to the answer</a>',
        _header(material, sections, bool(browser)),
        f'<main>\n{"".join(html(section) for section in sections)}{browser}\n{_footer(material)}</main>',
        f'<script type="application/json" id="data">{embedded(data)}</script>',
        f"<script>{script}</script>\n</body>\n</html>\n",
    ])  # fmt: skip


def embedded(value: object) -> str:
    """JSON that can stand in a script element: ASCII, and without <, > and &, which HTML could read.

    >>> len(embedded("</script>")), "<" in embedded("</script>")
    (21, False)
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def policy(script: str, style: str) -> str:
    """The Content-Security-Policy that allows this script and this style, and nothing else at all."""
    return (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _asset(names: tuple[str, ...]) -> str:
    room = files("testtime.report") / "assets"
    return "\n" + "\n".join((room / name).read_text(encoding="utf-8") for name in names)


def _header(material: Material, sections: list[Section], browser: bool) -> str:
    names = "".join(f"<li>{safe(run.name)}</li>" for run in material.runs)
    links = "".join(f'<li><a href="#{one.name}">{safe(one.short)}</a></li>' for one in sections)
    links += '<li><a href="#browser">Candidates</a></li>' if browser else ""
    return (
        f'<header><p class="brand">testtime <span>report</span></p><ul class="runs">{names}</ul>'
        f'<nav aria-label="Sections"><ul>{links}</ul></nav>'
        '<button type="button" id="theme" hidden>Theme: system</button></header>'
    )


def _footer(material: Material) -> str:
    return (
        f"<footer><p>Made {safe(material.made)} by testtime {safe(material.versions.get('testtime', ''))}.</p></footer>"
    )


def _browser(material: Material) -> str:
    said = []
    for one in material.browsed:
        shown = len(one.problems)
        if shown < one.total:
            said.append(
                f"{one.run}: {shown:,} of {one.total:,} problems, sampled by split and state ({stated(one.strata)}). "
                f"Any other: testtime show {one.place} QUERY_ID"
            )
        else:
            said.append(f"{one.run}: all {one.total:,} problems.")
    lines = "".join(f'<p class="note">{safe(line)}</p>' for line in said)
    return (
        '<section id="browser" aria-labelledby="browser-title"><h2 id="browser-title">Problems and candidates</h2>'
        f'{lines}<div class="browser"><noscript>The candidates need JavaScript.</noscript></div></section>'
    )


def _charts(sections: list[Section]) -> Mapping[str, Any]:
    return {block.name: block.data for section in sections for block in section.blocks if isinstance(block, Chart)}


def _pool(one: Browsed) -> Mapping[str, Any]:
    return {"run": one.run, "place": one.place, "total": one.total, "problems": one.problems}
