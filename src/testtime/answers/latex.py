r"""LaTeX spellings made plain before an answer is parsed: every step linear in the text.

What is left is `\frac{…}{…}`, `\sqrt[n]{…}`, `\begin{…}`, function names, names, numbers and signs.
"""

from __future__ import annotations

import re

_DROPPED = re.compile(
    r"\\(?:left|right|displaystyle|textstyle|bigl?|bigr?|Bigl?|Bigr?|limits|nolimits)(?![A-Za-z])|(?<!\\)\\[,;:!> ]|~"
    r"|\^\{?\\circ\}?|°|\\degree(?![A-Za-z])|\\[()\[\]]|\$|\\%|%|\\\$|[€£¥₹]|&=|\\qquad|\\quad|\\q?quad(?=[a-z])"
)
_SPELT = (
    ("\\{", "{"), ("\\}", "}"), ("\\dfrac", "\\frac"), ("\\tfrac", "\\frac"), ("\\cfrac", "\\frac"),
    ("\\dbinom", "\\binom"), ("\\tbinom", "\\binom"),
    ("\\cdot", "*"), ("\\times", "*"), ("×", "*"), ("·", "*"), ("\\div", "/"), ("÷", "/"),
    ("−", "-"), ("–", "-"), ("\\pm", "±"), ("\\infty", "∞"), ("\\infinity", "∞"), ("π", "\\pi "), ("√", "\\sqrt "),
    ("≤", "<="), ("≥", ">="), ("≠", "!="), ("∈", "\\in "), ("\\lbrace", "{"), ("\\rbrace", "}"), ("**", "^"),
    ("\\lvert", "|"), ("\\rvert", "|"), ("\\ldots", "…"), ("\\dots", "…"), ("\\cdots", "…"), ("\\prime", "'"),
    ("\\varnothing", "\\emptyset"), ("∅", "\\emptyset "),
)  # fmt: skip
_SIGNED = str.maketrans(
    {"²": "^2", "³": "^3", "½": r"\frac{1}{2}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}", "⅓": r"\frac{1}{3}"}
)
_ORDER = re.compile(r"\\(leq?|geq?|lt|gt|neq?|leqslant|geqslant)(?![A-Za-z])")
_SIGNS = {"l": "<=", "g": ">=", "n": "!="}
_TEXT = re.compile(
    r"\\(?:text|textbf|textit|textrm|textnormal|mbox|hbox|mathrm|mathbf|mathit|mathsf|boldsymbol|operatorname|emph|bm)"
    r"\s?\{([^{}]{0,200})\}"
)
_AND = re.compile(r"\s*,?\s*\\text\s?\{\s*,?\s*(?:and|or)\s*,?\s*\}\s*|\s*,?\s+(?:and|or)\s+(?=[-\d(\\{x-z])")
_BOX = re.compile(r"\\f?box(?:ed)?\s?\{")
_UNIT_TEXT = re.compile(
    r"(?<=[\d})\]a-z∞])\s{0,3}\\(?:text|mbox|textrm|textnormal|mathrm|hbox|textbf)\s?\{[^{}]{1,60}\}"
    r"(?:\s?\^\s?\{?[23]\}?)?\.?$"
)
_UNIT = (
    "units?|degrees?|percent|pct|dollars?|cents?|inch(?:es)?|feet|foot|ft|yards?|miles?|mph|meters?|metres?|cm|mm|km|kg|grams?"
    "|pounds?|ounces?|liters?|litres?|gallons?|seconds?|minutes?|hours?|days?|weeks?|months?|years?|people|ways|square|cubic"
    "|sq|per|radians?"
)
_UNIT_WORDS = re.compile(
    rf"^([-+]?[0-9][0-9.,/ ]{{0,40}})\s{{1,3}}[A-Za-z]{{2}}[A-Za-z ./^0-9]{{0,60}}$"
    rf"|^(.{{0,300}}[)}}\]a-z])\s{{1,3}}(?:(?:{_UNIT})[ ./]{{0,2}}){{1,4}}(?:\^\{{?[23]\}}?)?$"
)
_GROUPS = re.compile(r"(?<![0-9.,])[0-9]{1,3}(?:(?:,|\{,\}|\\,|\\!,|,\\!\s?)[0-9]{3})+(?![0-9])")
_SPACED = re.compile(r"(?<![0-9] )(?<![0-9.,/^_{])[0-9]{1,3}(?: [0-9]{3})+(?![0-9]| [0-9])")
_REPEATS = re.compile(r"([0-9]{0,30})\.([0-9]{0,30})\\overline\s?\{([0-9]{1,30})\}")
_APPROX = re.compile(r"\\approx|≈|\\simeq")


def spelling(text: str) -> str:
    r"""The answer in plain spelling, without what surrounds it.

    >>> spelling(r"\left( 3, \dfrac{\pi}{2}\right)."), spelling(r"$\$1{,}234\text{ dollars}$")
    ('( 3, \\frac{\\pi}{2} )', '1234')
    >>> spelling(r"6 \text{ and } 8")
    '6,8'
    """
    text = text.translate(_SIGNED).strip().strip("$").strip()
    text = _APPROX.split(text)[0] if not _APPROX.match(text) else text
    text = _AND.sub(",", text)
    text = _UNIT_TEXT.sub("", text.rstrip(" .,;:"))
    text = _GROUPS.sub(lambda found: re.sub(r"[^0-9]", "", found[0]), text)
    text = _SPACED.sub(lambda found: found[0].replace(" ", ""), text)
    text = _TEXT.sub(_content, text)
    text = _DROPPED.sub(" ", text)
    for old, new in _SPELT:
        text = text.replace(old, new)
    text = _ORDER.sub(_order, text)
    text = _REPEATS.sub(_repeating, text)
    text = _unboxed(text).strip().lstrip(",;:").rstrip(".,;: ").strip()
    words = _UNIT_WORDS.match(text)
    return (words[1] or words[2]).strip() if words else text


def _content(found: re.Match[str]) -> str:
    """Marked-up text: a single letter or a word stays as it is, `(A)` too."""
    inner = found[1].strip()
    choice = re.fullmatch(r"\(([A-Z])\)", inner)
    return f" {choice[1] if choice else inner} "


def _order(found: re.Match[str]) -> str:
    name = found[1]
    return {"lt": "<", "gt": ">"}.get(name) or _SIGNS[name[0]]


def _repeating(found: re.Match[str]) -> str:
    """A repeating decimal as a fraction."""
    whole, fixed, period = found[1] or "0", found[2], found[3]
    below = 10 ** len(fixed) * (10 ** len(period) - 1)
    above = int(whole + fixed + period) - int(whole + fixed or "0")
    return f"\\frac{{{above}}}{{{below}}}"


def _unboxed(text: str) -> str:
    """Without a box that holds everything."""
    box = _BOX.match(text)
    return text[box.end() : -1] if box and text.endswith("}") else text
