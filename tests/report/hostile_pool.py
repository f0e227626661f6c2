"""A run whose every text tries to break the page that shows it, with one of every kind of candidate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from testtime.store.parquet import write_frame

ATTACKS = [
    "</script><script>window.broken = 1</script>",
    "<img src=x onerror='window.broken = 2'>",
    "\u2028\u2029*/ window.broken = 3 //",
    "\u202egnp.exe\u2066 turned",
    "nul\x00 bell\x07 escape\x1b[31m",
    "lone \ud83d half",
    "<!--<script>",
    "]]>&lt;&amp;&#x3c;script>",
    "javascript:window.broken=4",
    "\ufeff\u200b\u200dzero width",
    "𝒳 مرحبا שלום 漢字 🧮",
    "x" * 300_000,
]
PROBLEMS = len(ATTACKS)
DRAWS = 4


def rows() -> list[dict[str, Any]]:
    """Twelve problems × four draws, and a retry; each text, key, error and explanation is an attack."""
    found = []
    for at, attack in enumerate(ATTACKS):
        for draw in range(DRAWS):
            right = (at + draw) % 3 != 0
            found.append(row(at, draw, attack, right=right) | special(at, draw, attack))
    return [*found, row(0, DRAWS, ATTACKS[0], right=True) | {"is_retry": True, "retry_of_candidate_idx": 2}]


def row(at: int, draw: int, attack: str, *, right: bool) -> dict[str, Any]:
    parts = [{"kind": "thinking", "text": attack}, {"kind": "answer", "text": f"\\boxed{{{attack[:40]}}}"}]
    short = attack.encode("utf-8", "replace").decode()[:60]
    return {
        "arm": "plain", "query_id": f"q{at} {short[:20]}", "candidate_idx": draw, "split": "odd" if at % 2 else "even",
        "question": attack, "ground_truth_answer": short, "candidate_text": attack, "parts": json.dumps(parts),
        "answer": short if right else f"not {short}", "answer_key": f"{short}{'' if right else draw % 2}",
        "finish_reason": "stop", "error": None, "is_verified": right, "verification_explanation": short,
        "verification_method": short[:9], "verification_verifier_name": "math", "verification_confidence": 0.5,
        "verification_saw_reference": True, "refusal_is_refusal": False, "refusal_type": None, "is_retry": False,
        "retry_of_candidate_idx": None, "completion_tokens": 10 + at + draw, "prompt_tokens": 7, "latency_s": 0.5,
        "input_messages": json.dumps([{"role": "user", "content": attack}]),
    }  # fmt: skip


def special(at: int, draw: int, attack: str) -> dict[str, Any]:
    """What makes some rows a failure, a refusal, a guided text, a tool conversation, a forced continuation."""
    if (at, draw) == (1, 0):
        return {"error": attack, "is_verified": None, "answer": None, "answer_key": None, "finish_reason": "error"}
    if (at, draw) == (1, 1):
        return {"refusal_is_refusal": True, "refusal_type": "safety", "is_verified": False}
    if (at, draw) == (4, 0):
        thought = [("base", f"<think>{attack}"), ("oracle", attack), ("base", f"{attack}</think>{attack}")]
        return {"parts": json.dumps([{"kind": kind, "text": text} for kind, text in thought])}
    kinds = {0: ("base", "oracle", "base"), 2: ("thinking", "forced", "answer"), 3: ("call", "result", "answer")}
    if draw == 0 and at in kinds:
        return {"parts": json.dumps([{"kind": kind, "text": f"{kind} {attack}"} for kind in kinds[at]])}
    return {}


def write(folder: Path, name: str = "hostile") -> Path:
    """The run as a folder; what Parquet cannot hold is replaced, as the store does. Gives the folder."""
    path = folder / name
    path.mkdir(parents=True)
    clean = [
        {
            key: value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
            for key, value in one.items()
        }
        for one in rows()
    ]
    meta = {
        "run": f"{name} </title><script>window.broken = 5</script>", "dataset": "<b>set</b>", "model": "fake:m\u202e",
        "notes": "<script>window.broken = 6</script>\u2028", "config": {"note": "</script>"}, "floor": {"plain": DRAWS},
        "arms": [{"label": "plain", "models": {"model": "fake:m"}, "prompt": "<i>{question}</i>", "sampling": {}}],
        "policies": ["sc_fixed:n=1", "sc_fixed:n=4"], "caveats": ["<script>window.broken = 7</script>"],
    }  # fmt: skip
    write_frame(path / "candidates.parquet", pl.DataFrame(clean, infer_schema_length=None), meta)
    return path
