r"""The final answer of a text whose answer is an expression, a choice, or a program: thinking stripped, marks first.

Where an answer stands is decided as in `extract`: the last strong mark, then the last weak one. Boxes that only
`and`, commas or space keep apart are one answer: `\boxed{1}, \boxed{2}` is `1, 2`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from testtime.answers import expression, extract, numbers

_BETWEEN = re.compile(r"\}(?:[\s$.,;]|\\q?quad|\\text\s?\{\s?(?:and|or)\s?\}|and|or){0,9}$")
_MOST_BOXES = 8
_MATH = re.compile(r"\$\$?([^$]{1,400})\$|\\\(((?:[^\\]|\\(?!\))){1,400})\\\)|\\\[((?:[^\\]|\\(?!\])){1,400})\\\]")
_LETTER = re.compile(r"[\s*_($\[]{0,6}(?:\\text\w{0,4}\s?\{|\\mathr?[bm]f?\s?\{)?[\s(*]{0,3}([A-Z])(?![A-Za-z'])")
_OPTION = re.compile(r"\b(?:answer|option|choice)s?\b[^A-Z\n]{0,30}\(?\b([A-Z])\b(?!['’])")
_ALONE = re.compile(r"^[\s*_(]{0,6}([A-Z])[\s*_).:]{0,4}$", re.MULTILINE)
_FENCE = re.compile(r"^[ ]{0,3}```[ ]?([A-Za-z0-9+#]{0,20})[^\n]{0,40}\n(.*?)^[ ]{0,3}```", re.MULTILINE | re.DOTALL)


def mathematics(text: str | None) -> tuple[str | None, str | None]:
    r"""(The answer as printed, its key) of a text whose answer is an expression; (None, None) where it prints none.

    >>> mathematics(r"So $x = \boxed{\frac{1}{2}}$ and $\boxed{3}$.")
    ('\\frac{1}{2}, 3', '{0.5,3}')
    >>> mathematics(r"<think>7?</think> The answer is $(2, -1)$."), mathematics("I cannot tell.")
    (('(2, -1)', '(2,-1)'), (None, None))
    """
    said = extract.unthink(text or "")
    printed = _marked(said)
    if printed is None:
        found = numbers.last(numbers.plain(said))
        return (found.printed, numbers.key(found.value)) if found else (None, None)
    return printed, expression.key(printed)


def letter(text: str | None, choices: Mapping[str, str] | Sequence[str]) -> tuple[str | None, str | None]:
    r"""(As printed, the letter) of a text that chooses one; a single option given in its words counts.

    >>> letter("**Answer: (B)** because …", "ABCD"), letter("A tricky one. I would say option C.", "ABCD")
    (('(B)** because …', 'B'), ('C', 'C'))
    >>> letter(r"It is \boxed{blue}.", {"A": "red", "B": "blue"}), letter("A hard question", "ABCD")
    (('blue', 'B'), (None, None))
    """
    said = extract.unthink(text or "")
    printed = _marked(said)
    if printed is not None:
        start = _LETTER.match(printed)
        if start and start[1] in choices:
            return printed, start[1]
        named = _named(printed, choices)
        if named is not None:
            return printed, named
    for pattern in (_OPTION, _ALONE):
        found = [one for one in pattern.findall(said) if one in choices]
        if found:
            return found[-1], found[-1]
    return printed, None


def program(text: str | None, name: str | None = None, start: str = "") -> str | None:
    """The program of a text: its last fenced block, that defines `name` where one does; else the whole text.

    `start` is put before a text that only goes on where it ends (a function's header), and is no program by itself.
    """
    said = extract.unthink(text or "")
    blocks = [found[2] for found in _FENCE.finditer(said) if found[1].lower() in ("", "python", "py", "python3")]
    defining = [block for block in blocks if name is None or re.search(rf"\bdef\s+{re.escape(name)}\b", block)]
    code = (defining or blocks)[-1] if blocks else re.sub(r"^[ ]{0,3}```[^\n]*$", "", said, flags=re.MULTILINE)
    if not code.strip():
        return None
    begun = name is not None and re.search(rf"\bdef\s+{re.escape(name)}\b", code) is None
    return (start.rstrip("\n") + "\n" + code if begun and start else code).strip("\n") + "\n"


def _marked(said: str) -> str | None:
    """What the text offers as its answer, boxes side by side together; None where nothing is marked."""
    strong = extract.marked(said)
    if strong is None:
        return extract.weakly(said)
    math = _MATH.fullmatch(strong.text) or _MATH.search(strong.text)
    box = extract.last_box(said)
    if box is None or box.start != strong.start:
        inner = math and next(filter(None, math.groups()), None)
        return inner.strip() if inner else strong.text
    boxes = [box.text]
    while len(boxes) < _MOST_BOXES and (before := _box_before(said, box.start)):
        box = before
        boxes.insert(0, box.text)
    return boxes[-1] if len(set(map(expression.key, boxes))) == 1 else ", ".join(boxes)


def _box_before(said: str, start: int) -> extract.Marked | None:
    """The box that ends just before this place, with nothing but a joint between."""
    joint = _BETWEEN.search(said, max(0, start - 60), start)
    if joint is None:
        return None
    head = said[max(0, joint.start() - 2000) : joint.start() + 1]
    box = extract.last_box(head)
    closes = box is not None and extract.last_box(head[:-1]) != box
    return extract.Marked(box.text, box.start + max(0, joint.start() - 2000)) if box and closes else None


def _named(printed: str, choices: Mapping[str, str] | Sequence[str]) -> str | None:
    """The letter whose option is printed instead of it."""
    if not isinstance(choices, Mapping):
        return None
    key = expression.key(printed)
    same = [one for one, option in choices.items() if key is not None and expression.key(option) == key]
    return same[0] if len(same) == 1 else None
