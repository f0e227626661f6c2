"""Completions as a page for reading: what was inserted is marked, thinking is set apart from the answer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

STYLE = """
body { font: 14px/1.5 Helvetica, Arial, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #222 }
h1 { font-size: 19px } h2 { font-size: 15px; margin: 2em 0 .4em }
article { border-left: 3px solid #ccc; margin: .8em 0; padding: .2em 0 .2em .9em }
article.right { border-color: #009e73 } article.wrong { border-color: #d55e00 }
header { color: #555; font-size: 12.5px }
pre { font: 12.5px/1.45 ui-monospace, Consolas, monospace; white-space: pre-wrap; margin: .3em 0 }
.forced { background: #ffe08a; border-radius: 3px } .answer { font-weight: 700 } .thinking { color: #444 }
"""
KEY = (
    "<span class='forced'>inserted</span>, <span class='thinking'>thought</span>, <span class='answer'>answered</span>"
)


def page(rows: Iterable[Mapping[str, Any]], title: str) -> str:
    """One self-contained page: a heading a problem, its completions by budget.

    Rows have query_id, question, ground_truth_answer, arm, candidate_idx, parts (JSON), answer, is_verified, facts.
    """
    said = [f"<!doctype html><meta charset=utf-8><title>{escape(title)}</title><style>{STYLE}</style>"]
    said.append(f"<h1>{escape(title)}</h1><p>{KEY}</p>")
    last = None
    for row in rows:
        if row["query_id"] != last:
            last = row["query_id"]
            gold = f" <b>{escape(str(row['ground_truth_answer']))}</b>" if row["ground_truth_answer"] else ""
            said.append(f"<h2>{escape(str(last))}</h2><p>{escape(row['question'] or '')}{gold}</p>")
        said.append(_article(row))
    return "\n".join(said) + "\n"


def _article(row: Mapping[str, Any]) -> str:
    judged = {True: " class=right", False: " class=wrong"}.get(row["is_verified"], "")
    noted = json.loads(row["facts"]) if row["facts"] else {}
    shown = [f"{escape(row['arm'])}, draw {row['candidate_idx']}"]
    if (thought := noted.get("thinking_tokens")) is not None:
        shown.append(f"{thought} tokens thought")
    shown += [f"{noted['n_continuations']} continuations"] if noted.get("n_continuations") else []
    if (chance := noted.get("oracle(answer_probability)")) is not None:
        shown.append(f"p(gold) {chance:.3f}")
    parts = json.loads(row["parts"]) if row["parts"] else []
    text = "".join(f"<span class='{escape(part['kind'])}'>{escape(part['text'])}</span>" for part in parts)
    return f"<article{judged}><header>{' · '.join(shown)}</header><pre>{text}</pre></article>"
