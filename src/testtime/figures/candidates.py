"""One problem as a person reads it in the terminal: what was asked, and its candidates by answer.

A model's text is data: what a terminal would obey is spelled out, never sent. Marks are signs as well as colours, so
that they can be told apart in a file: ▸ folded thinking, [1: …] the oracle, ⟦…⟧ what the decoding put in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import polars as pl
from rich.text import Text

from testtime.figures.tables import UNKNOWN, Rows, cost, letters_of, visible
from testtime.store.texts import Piece, Row, Vote, pieces, traffic, votes

ORACLE, FORCED, FAINT = "bold blue", "reverse", "dim"
VERDICTS = {True: ("right", "bold green"), False: ("wrong", "bold red"), None: ("not judged", "bold yellow")}
TRACE = {"tools": "may use", "call": "→ calls", "result": "← gets", "member": "· member"}


@dataclass(frozen=True)
class Block:
    """Some text that is wrapped as one, and stands indented; `lead` stands before its first line."""

    text: Text
    indent: int = 0
    lead: str = ""


BLANK = Block(Text())


def problem(
    rows: Sequence[Row], run: str, *, thinking: bool = False, every: bool = False, only: int | None = None
) -> list[Block]:
    """All there is to see of one problem of one run: a block an arm.

    `thinking` unfolds what was thought; `every` prints each candidate's text, not the first of each answer alone;
    `only` prints that candidate alone.
    """
    first = rows[0]
    shown = [Block(Text(visible(f"{run} · {first['query_id']}"), style="bold")), BLANK]
    shown += [
        _fact("problem", first.get("question")),
        _fact("reference", first.get("ground_truth_answer")),
    ]
    if first.get("split"):
        shown.append(_fact("split", first["split"]))
    for arm, of_arm in groupby(rows, key=lambda row: row["arm"]):
        mine = list(of_arm)
        several = votes(mine)
        shown.append(_fact("votes", _tally(several)))
        if rows[-1]["arm"] != first["arm"]:
            shown[-1:-1] = [BLANK, Block(Text(visible(f"arm {arm}"), style="bold underline"))]
        for vote in several:
            shown += _vote(vote, thinking, every, only)
        for row in mine:
            if row.get("is_retry") and (only is None or only == row["candidate_idx"]):
                shown += _candidate(row, thinking, f"retry of {row.get('retry_of_candidate_idx')}")
    return [*shown, *_legend(rows, thinking)]


def _fact(name: str, said: object) -> Block:
    return Block(Text(UNKNOWN if said is None else visible(str(said))), 11, name)


def _tally(several: Sequence[Vote]) -> str:
    """`18 × 3 right, 26 × 1 wrong, no answer × 1`."""
    told = []
    for vote in several:
        words = dict.fromkeys(VERDICTS[row.get("is_verified")][0] for row in vote.rows)
        told.append(f"{_named(vote)} × {len(vote.rows)} {'/'.join(words)}")
    return ", ".join(told)


def _named(vote: Vote) -> str:
    return "no answer" if vote.answer is None else _short(vote.answer)


def _short(said: str, most: int = 60) -> str:
    line = " ".join(said.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _vote(vote: Vote, thinking: bool, every: bool, only: int | None) -> Iterator[Block]:
    rows = [row for row in vote.rows if only is None or row["candidate_idx"] == only]
    if not rows:
        return
    head = Text(visible(_named(vote)), style="bold")
    one, several = ("one vote", "votes") if vote.answer is not None else ("one abstains", "abstain")
    head.append(f"   {len(vote.rows)} {several}" if len(vote.rows) > 1 else f"   {one}", style="not bold")
    yield BLANK
    yield Block(head)
    for at, row in enumerate(rows):
        if at == 0 or every:
            yield from _candidate(row, thinking)
        else:
            yield _line(row)


def _line(row: Row, word: str = "candidate") -> Block:
    """Number, verdict and why, spend: one line."""
    text = Text(f"{word} {row['candidate_idx']}  ")
    said, style = VERDICTS[row.get("is_verified")]
    text.append(said, style=style)
    why = [row.get("verification_explanation"), _by(row)]
    text.append(visible("".join(f" · {_short(str(one), 120)}" for one in why if one)))
    spent = [(row.get("completion_tokens"), "gen_tokens", "tokens"), (row.get("cost_usd"), "usd", "dollars")]
    text.append("".join(f" · {cost(value, name)} {unit}" for value, name, unit in spent if value is not None))
    if row.get("finish_reason") not in (None, "stop"):
        text.append(f" · ended by {row['finish_reason']}")
    if row.get("refusal_is_refusal"):
        text.append(f" · refusal ({row.get('refusal_type') or 'of no type'})", style="bold yellow")
    return Block(text, 2)


def _by(row: Row) -> str:
    """Who gave the verdict, how sure."""
    stage, method, sure = (row.get(f"verification_{name}") for name in ("verifier_name", "method", "confidence"))
    told = " ".join(str(one) for one in (stage, method and f"({method})") if one)
    return told + (f", confidence {sure:.2f}" if told and sure is not None else "")


def _candidate(row: Row, thinking: bool, word: str = "candidate") -> Iterator[Block]:
    yield _line(row, word)
    if row.get("error") is not None:
        yield Block(Text(visible(f"failed: {row['error']}"), style="red"), 4)
        return
    said = body(pieces(row), thinking=thinking)
    yield Block(said if said.plain else Text("no text is kept", style=FAINT), 4)


def body(several: Sequence[Piece], *, thinking: bool) -> Text:
    r"""A candidate's text with its marks, thinking folded unless asked for.

    >>> said = [Piece("answer", "<think>2 + 2</think>", True), Piece("answer", "\nIt is 4.", False)]
    >>> print(body(said, thinking=False).plain)
    ▸ 20 characters of thinking
    It is 4.
    """
    text = Text()
    oracles = dict.fromkeys(piece.part for piece in several if piece.kind == "oracle")
    numbers = {part: at for at, part in enumerate(oracles, 1)}
    for thought, run in groupby(several, key=lambda piece: piece.thinking and not thinking):
        together = _whole(run)
        if thought:
            _start_line(text)
            text.append(f"{_folded(together)}\n", style=FAINT)
            continue
        for piece in together:
            _append(text, piece, numbers.get(piece.part, 0))
    text.rstrip()
    return text


def _whole(several: Iterable[Piece]) -> list[Piece]:
    """Pieces of one part that follow each other, as one; some of it thinking, some not."""
    together: list[Piece] = []
    for piece in several:
        if together and together[-1].part == piece.part and together[-1].kind == piece.kind:
            last = together[-1]
            together[-1] = replace(last, text=last.text + piece.text)
        else:
            together.append(piece)
    return together


def _folded(together: Sequence[Piece]) -> str:
    oracles = sum(piece.kind == "oracle" for piece in together)
    forced = sum(piece.kind == "forced" for piece in together)
    told = f"▸ {sum(len(piece.text) for piece in together):,} characters of thinking"
    told += f", {oracles} of its pieces by the oracle" if oracles else ""
    return told + (f", {forced} put in" if forced else "")


def _append(text: Text, piece: Piece, number: int) -> None:
    said = visible(piece.text)
    if text.plain[-1:] in ("", "\n"):
        said = said.lstrip("\n")
    if piece.kind == "oracle":
        text.append(f"[{number}:{said}]", style=ORACLE)
    elif piece.kind == "forced":
        text.append(f"⟦{said}⟧", style=FORCED)
    elif piece.kind in TRACE:
        _start_line(text)
        text.append(f"{TRACE[piece.kind]} ", style="bold magenta")
        text.append(f"{visible(traffic(piece.kind, piece.text))}\n")
    elif piece.kind == "step":
        _start_line(text)
        text.append(said)
    else:
        text.append(said)


def _start_line(text: Text) -> None:
    if text.plain and not text.plain.endswith("\n"):
        text.append("\n")


def _legend(rows: Sequence[Row], thinking: bool) -> list[Block]:
    """What the marks mean that occur."""
    several = [piece for row in rows for piece in pieces(row)]
    told = ["▸ thinking, folded: --thinking opens it"] if not thinking and any(p.thinking for p in several) else []
    told += ["[1: …] written by the oracle"] if any(piece.kind == "oracle" for piece in several) else []
    told += ["⟦…⟧ put in by the decoding"] if any(piece.kind == "forced" for piece in several) else []
    return [BLANK, Block(Text("; ".join(told), style=FAINT))] if told else []


def listed(table: pl.DataFrame, run: str, most: int = 20) -> list[Rows]:
    """The problems that divide the candidates, at most so many; arms by letters, which a table ahead explains."""
    shown = table.head(most)
    names = table["arm"].unique(maintain_order=True).to_list()
    letters = letters_of(names) if len(names) > 1 else {}
    heads = ["problem", *(["arm"] if letters else []), "draws", "answers", "leading answer", "its share", "right"]
    cells = [
        [
            row["query_id"], *([letters[row["arm"]]] if letters else []), f"{row['draws']}", f"{row['answers']}",
            _short(row["answer"] or UNKNOWN, 24), f"{row['leading']:.0%}",
            f"{row['right']} of {row['judged']}" if row["judged"] else UNKNOWN,
        ]
        for row in shown.iter_rows(named=True)
    ]  # fmt: skip
    rest = f"; {table.height - most:,} more" if table.height > most else ""
    legend = [Rows("", ["", "arm"], [[letter, name] for name, letter in letters.items()], left=True)] if letters else []
    return [*legend, Rows(f"{run}: problems, those first whose candidates agree least{rest}", heads, cells)]
