r"""The answer a text prints: thinking stripped, marks read in a stated order, every step linear in the text.

Order of precedence, after `<think>…</think>` is taken out:

1. strong marks: a balanced `\boxed{…}`, a `Final Answer:` line (or a heading of these words, with the
   answer below it), a `#### 18` line. The one that begins last wins, so a box on the final line wins;
   one with nothing in it is passed over. What it holds is the answer, number or not.
2. weak marks: `the answer is …`, `Answer: …`, a line `A: …`. The last one that holds a number wins.
3. the last number of the text.

In a marked span the number is the first one, so that `$18 per day, 7 days a week` is 18. Where it
begins an expression, the number is the one after the last equals sign of the sentence: `9 × 2 = 18` is 18.
A list of numbers (`3, 4 and 5`) is not a number.
"""

from __future__ import annotations

import re
from collections import deque
from typing import NamedTuple

from testtime.answers import numbers

_RECENT = 20
"""Marks of a kind that are looked at, from the end; it bounds the work on text that is all marks."""
_LONGEST = 400
"""Characters of a marked span that are read."""

_THINK = re.compile(r"<(/?)think(?:ing)?>", re.IGNORECASE)
_BRACE = re.compile(r"\\{1,2}f?box(?:ed)?\s{0,3}\{|\\[\\{}]|[{}]")
_FINAL = re.compile(
    r"final answer[*_ ]{0,4}(?:is[*_ ]{0,4})?(?:[:：=]|[ ][-–—][ ])"
    r"|^[#*_ ]{1,8}final answer[*_ ]{0,4}$"
    r"|^[ ]{0,3}####(?=[ ]{0,3}[-+−$€£*\\]{0,5}[ ]?\.?[0-9])(?![ ]{0,3}[0-9]{1,2}[.)][ ]{0,2}[A-Za-z*])",
    re.IGNORECASE | re.MULTILINE,
)
_WEAK = re.compile(
    r"\banswer[*_ ]{0,4}(?:(?:to|for|in)[ ][^.:\n]{1,80}[ ])?(?:is|are|was|should be|would be|must be|:|：|=)"
    r"|^[*_ ]{0,4}A[*_ ]{0,4}:",
    re.IGNORECASE | re.MULTILINE,
)
_INLINE = re.compile(r"\$\$?([^$]{1,300})\$|\\\(((?:[^\\]|\\(?!\))){1,300})\\\)")
_SENTENCE = re.compile(r"[.!?;](?=\s|$)|\n")
_LIST = re.compile(r"%?\s?(?:[,;]|and|or)\s{1,2}[$(]{0,2}[-+]?\.?[0-9]")
_OPERATOR = re.compile(
    r"%?\s?[A-Za-z]{0,15}\s?(?P<sign>[-+*/×÷·=]|\\times|\\cdot|\\div)\s{0,2}[$(]{0,2}\.?[0-9]|(?P<factor>\()"
)
_SYMBOLIC = re.compile(r"\\(?:[dtc]?frac|sqrt|pi|infty)(?![a-z])")
_EDGE = " \t\r\n*_`$"


class Marked(NamedTuple):
    """A span that the text offers as its answer."""

    text: str
    start: int
    """Where the mark begins, in the text without thinking."""


def unthink(text: str) -> str:
    """The text without its thinking.

    An unclosed `<think>` reaches to the end; a `</think>` that nothing opened (the prompt did) starts at the beginning.

    >>> unthink("<think>7?</think> It is 18."), unthink("7?</think>18"), unthink("18<think>or 7")
    (' It is 18.', '18', '18')
    """
    return "".join(text[start:end] for start, end, thinking in thoughts(text) if not thinking)


def thoughts(text: str) -> list[tuple[int, int, bool]]:
    """The text in spans (start, end, whether it is thinking), in order and without a gap; marks are thinking.

    >>> thoughts("<think>7?</think> It is 18.")
    [(0, 17, True), (17, 27, False)]
    """
    spans: list[tuple[int, int, bool]] = []
    at, thinking = 0, False
    for tag in _THINK.finditer(text):
        if tag.group(1) and not thinking:
            spans, at = [], 0
        elif not tag.group(1) and not thinking:
            spans.append((at, tag.start(), False))
            at = tag.start()
        if tag.group(1):
            spans.append((at, tag.end(), True))
            at = tag.end()
        thinking = not tag.group(1)
    spans.append((at, len(text), thinking))
    return [span for span in spans if span[0] < span[1]]


def last_box(text: str) -> Marked | None:
    r"""What the last balanced, non-empty `\boxed{…}` holds; an unbalanced one is passed over.

    >>> last_box(r"\boxed{7} or \boxed{\frac{1}{2}} or \boxed{3").text
    '\\frac{1}{2}'
    """
    opened: list[re.Match[str]] = []
    best: Marked | None = None
    for brace in _BRACE.finditer(text):
        sign = brace.group()
        if sign == "}" and opened:
            opener = opened.pop()
            newer = best is None or opener.start() > best.start
            if newer and len(opener.group()) > 1 and (held := _held(text, opener.end(), brace.start())):
                best = Marked(held, opener.start())
        elif sign[-1] == "{" and sign != "\\{":
            opened.append(brace)
    return best


def marked(text: str) -> Marked | None:
    """The span of the last strong mark, thinking already stripped; None where the text has none."""
    return max(filter(None, (last_box(text), _after_last(_FINAL, text))), key=lambda mark: mark.start, default=None)


def weakly(text: str) -> str | None:
    """What the last weak mark is followed by, to the end of its sentence; mathematics without its dollars."""
    for mark in reversed(deque(_WEAK.finditer(text), _RECENT)):
        said = text[mark.end() : mark.end() + _LONGEST].lstrip(" \t\r\n*_`:")
        math = _INLINE.match(said)
        sentence = _SENTENCE.search(said)
        span = math[1] or math[2] if math else said[: sentence.start()] if sentence else said
        if span := span.strip(_EDGE):
            return span
    return None


def number(text: str | None) -> tuple[str | None, str | None]:
    r"""(The answer as printed, its key) of a text whose answer is a number; no key where it prints none.

    >>> number("16 - 7 = 9. Final Answer: $1,234.00 per day.")
    ('1,234.00', '1234')
    >>> number(r"So it is \boxed{\text{Monday}}."), number("I cannot tell.")
    (('\\text{Monday}', None), (None, None))
    """
    said = unthink(text or "")
    strong = marked(said)
    if strong is not None:
        found = _of_span(strong.text)
        return (found.printed, numbers.key(found.value)) if found else (strong.text, None)
    found = _of_weak(said) or numbers.last(numbers.plain(said))
    return (found.printed, numbers.key(found.value)) if found else (None, None)


def _of_weak(text: str) -> numbers.Found | None:
    for mark in reversed(deque(_WEAK.finditer(text), _RECENT)):
        found = _of_span(_line(text, mark.end()))
        if found:
            return found
    return None


def _of_span(span: str) -> numbers.Found | None:
    r"""The number a marked span states; none where it is symbolic, as `\sqrt{2}` is, or a list, as `3, 4` is."""
    span = numbers.plain(span)
    found = numbers.first(span)
    if found is None or _SYMBOLIC.search(span) or _LIST.match(span, found.end):
        return None
    operator = _OPERATOR.match(span, found.end)
    return _result(span, found, operator["sign"]) if operator else found


def _result(span: str, found: numbers.Found, sign: str | None) -> numbers.Found:
    """What the expression that begins with `found` comes to, where the sentence says so; `18 = 2 · 9` is 18."""
    end = _SENTENCE.search(span, found.end)
    _, equals, after = span[found.end : end.start() if end else None].rpartition("=")
    result = numbers.first(after) if equals else None
    return found if result is None or (sign == "=" and numbers.first(after, result.end)) else result


def _after_last(mark: re.Pattern[str], text: str) -> Marked | None:
    """The line after the last mark that has something behind it."""
    for match in reversed(deque(mark.finditer(text), _RECENT)):
        if line := _line(text, match.end()):
            return Marked(line, match.start())
    return None


def _line(text: str, start: int) -> str:
    """The rest of the line, or where it is blank the next line that is not."""
    for line in text[start : start + _LONGEST].split("\n"):
        if held := line.strip(_EDGE).removesuffix(".").rstrip(_EDGE):
            return held
    return ""


def _held(text: str, start: int, end: int) -> str:
    return text[start : min(end, start + _LONGEST)].strip()
