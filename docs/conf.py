"""The site: Sphinx with MyST, as it is kept by many, reads Markdown as it lies here, and loads nothing from the net."""

project = "testtime"
author = "the authors of testtime"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_site", "*.ipynb"]
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
suppress_warnings = [
    "misc.highlighting_failure",  # a block may show what a terminal prints
    "myst.xref_missing",  # links to files outside docs/, which the checkout has; tests/test_docs.py follows them all
]
html_theme = "furo"
html_title = "testtime"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_copyright = False
html_show_sourcelink = False
