"""Thinking budgets and guidance through real servers, beside the same in process.

    python -m benchmarks.beside_vllm budgets 60 http://localhost:8101/v1
    python -m benchmarks.beside_vllm guided 60 BASE_URL ORACLE_URL
    python -m benchmarks.beside_vllm native http://localhost:8101/v1

The servers are vLLMs with the shipped weights (benchmarks/vllm_cpu.sh PORT MODEL), or any that speak OpenAI's wire
with token ids: the base serves pocket-s, the oracle and the one of budgets pocket-m.

Budgets: `budget` by continuation on so many medium problems × 3 at temperature 0.7: the paired difference of
accuracy at each budget with its interval, and thoughts beyond their budget; then at temperature 0, and with the law
over all answers measured, rows that differ.
Guided: greedy, several settings; texts that differ from those in process, each with the gap between the two tokens at
the first difference, by the law of the model that wrote it. Native: whether the server takes `thinking_token_budget`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.agreement import LEVEL
from testtime import api, guide
from testtime.analysis.bootstrap import difference_interval
from testtime.core.errors import ModelError
from testtime.core.records import Request
from testtime.models.naming import open_model
from testtime.runspec import run_spec
from testtime.tasks.pocket_math import PROMPT

BUDGETS, COMPLETIONS = (64, 96, 128, 256), 3
MEASURED = 15
"""Problems whose law over 1,000 answers is asked of the server too: 111 requests a row."""
GUIDED = (
    "guided:trigger=entropy,threshold=0.5,c=5,k=3", "guided:trigger=periodic,every=12,c=4,k=3",
    "guided:trigger=random,c=3,k=10", "guided:trigger=disagreement,threshold=0.3,c=inf,k=3",
)  # fmt: skip
LISTED = ("arm", "query_id", "candidate_idx")


# ---- budgets ----
def budgets(count: int, url: str) -> None:
    """Prints one line a budget, and how many greedy texts differ."""
    with tempfile.TemporaryDirectory() as room:
        warm = [_drawn(Path(room), name, count, COMPLETIONS, 0.7, score="none", **how) for name, how in _ends(url)]
        cold = [_drawn(Path(room) / "cold", name, MEASURED, 1, 0.0, **how) for name, how in _ends(url)]
    for label, rows in zip(("in process", "vLLM"), warm, strict=True):
        beyond, forced = (rows["thinking_tokens"] > rows["budget"]).sum(), rows["forced"].sum()
        print(f"{label}: {len(rows)} rows, {beyond} thought beyond their budget, {forced} were forced to end")
    for budget in BUDGETS:
        here, there = (_shares(rows.filter(budget=budget)) for rows in warm)
        low, high = difference_interval(there - here)
        print(
            f"budget {budget}: in process {100 * here.mean():.1f} %, vLLM {100 * there.mean():.1f} %, "
            f"difference {100 * (there - here).mean():+.1f} [{100 * low:+.1f}, {100 * high:+.1f}] points"
        )
    both = cold[0].join(cold[1], on=LISTED, suffix="_there")
    for column in ("candidate_text", "answer", "thinking_tokens", "forced", "stopped_early"):
        differ = (both[column] != both[f"{column}_there"]).sum()
        print(f"greedy: {column} differs in {differ} of {len(both)} rows")
    far = (both["oracle(answer_probability)"] - both["oracle(answer_probability)_there"]).abs().max()
    print(f"greedy: the probability of the gold answer differs by {far:.1e} at most")


def _ends(url: str) -> list[tuple[str, dict[str, Any]]]:
    return [("pocket:pocket-m", {}), ("vllm:pocket-m", {"base_url": url, "send_seed": False})]


def _drawn(room: Path, model: str, count: int, completions: int, temperature: float, **how: Any) -> pl.DataFrame:
    """The candidates of a run over BUDGETS."""
    ran = api.run(
        model=model, dataset="pocket-math", splits=["medium"], max_queries=count, num_candidates=completions,
        temperature=temperature, decoding="budget", budgets=list(BUDGETS), policies=["sc_fixed:n=1"], out_dir=room,
        run=model.partition(":")[0], **how,
    )  # fmt: skip
    return pl.read_parquet(ran.path / "candidates.parquet")


def _shares(rows: pl.DataFrame) -> np.ndarray[Any, np.dtype[np.float64]]:
    """[problem] the share of right draws, by query_id."""
    right = pl.col("is_verified").fill_null(value=False).cast(pl.Float64).mean()
    return rows.group_by("query_id").agg(right).sort("query_id")["is_verified"].to_numpy()


# ---- guidance ----
def guided(count: int, base: str, oracle: str) -> None:
    """Prints how many greedy texts differ from those in process, and by how much where they part."""
    asked = {
        "dataset": "pocket-math", "splits": ["medium"], "max_queries": count, "temperature": 0.0, "top_p": 1.0,
        "max_tokens": 300, "policies": ["sc_fixed:n=1"], "decoding": list(GUIDED), "run": "r",
    }  # fmt: skip
    names = {"model": "vllm:pocket-s", "oracle_model": "vllm:pocket-m", "send_seed": False}
    names["base_url"] = [base, f"oracle_model={oracle}"]
    with tempfile.TemporaryDirectory() as room:
        pocket = {"model": "pocket-s", "oracle_model": "pocket-m", "out_dir": Path(room) / "here"}
        here = guide.evaluate(run_spec({**asked, **pocket})).rows
        there = guide.evaluate(run_spec({**asked, **names, "out_dir": Path(room) / "there"})).rows
    both = here.join(there, on=["decoding", "query_id"], suffix="_there")
    for (name,), rows in both.group_by("decoding", maintain_order=True):
        differ = rows.filter(pl.col("result") != pl.col("result_there"))
        gaps = [asyncio.run(_gap(row)) for row in differ.iter_rows(named=True)]
        near = sum(gap < LEVEL for gap in gaps)
        failed, asks = rows["error_there"].is_not_null().sum(), rows["consultations"].sum()
        print(
            f"{name!s}: {len(differ)} of {len(rows)} texts differ ({near} at near-ties below {LEVEL:g}; largest "
            f"gap {max(gaps, default=0):.1e}), {failed} failed, {asks} consultations here, "
            f"{rows['consultations_there'].sum()} there"
        )


async def _gap(row: Mapping[str, Any]) -> float:
    """At the first difference: how much more probable the token here is than that there, by its writer's law."""
    ours, theirs = _tokens(row["parts"]), _tokens(row["parts_there"])
    at = next(i for i in range(max(len(ours), len(theirs))) if ours[i : i + 1] != theirs[i : i + 1])
    (role, token), other = ours[at] if at < len(ours) else ("base", None), theirs[at][1] if at < len(theirs) else None
    model: Any = open_model("pocket:pocket-m" if role == "oracle" else "pocket:pocket-s")
    end = next(iter(model.config.eos))
    messages = [{"role": "user", "content": PROMPT.format(question=row["prompt"])}]
    prefix = tuple(token for _, token in ours[:at])
    (laws,) = await model.score(Request(messages, prefix=prefix), [(end if token is None else token,)], full=True)
    law = np.exp(laws[0])
    return float(law[end if token is None else token] - law[end if other is None else other])


def _tokens(parts: str) -> list[tuple[str, int]]:
    """Who wrote each token, and which it is."""
    return [(part["kind"], token) for part in json.loads(parts) for token in part.get("token_ids") or ()]


# ---- the server's own budget ----
def native(url: str) -> None:
    """Prints what the server makes of a thinking budget of its own."""
    model: Any = open_model("vllm:pocket-m", {"base_url": url, "send_seed": False})
    messages = [{"role": "user", "content": PROMPT.format(question="Tom has 3 apples. How many apples does Tom have?")}]
    params = {"max_tokens": 200, "temperature": 0.0, "thinking": {"tokens": 16}}

    async def asked() -> Any:
        try:
            return await model.generate(Request(messages, params=params))
        finally:
            await model.close()

    try:
        got = asyncio.run(asked())
    except ModelError as error:
        print(f"thinking_token_budget is refused: {error}")
    else:
        print(f"thinking_token_budget is taken: {got.spend.reasoning} tokens thought, said {got.completions[0].text!r}")


def main(kind: str, *rest: str) -> None:
    """One of the three."""
    if kind == "native":
        native(*rest)
    elif kind == "guided":
        guided(int(rest[0]), *rest[1:])
    else:
        budgets(int(rest[0]), *rest[1:])


if __name__ == "__main__":
    main(*sys.argv[1:])
