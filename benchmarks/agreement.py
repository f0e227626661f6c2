"""One model behind several backends: do they say the same, and do experiments on them agree?

    python -m benchmarks.agreement greedy 1002 vllm=http://localhost:8101/v1
    python -m benchmarks.agreement accuracy 200 vllm=http://localhost:8101/v1

pocket-m is asked directly, through transformers (hf), through `testtime serve`, and through every server that is named
(a vLLM with the same weights: benchmarks/vllm_cpu.sh). Greedy: texts that differ from pocket's, each with the gap
between the two tokens at the first difference, by pocket's own law. Accuracy: the same problems, four draws each at
temperature 0.8, the share of right draws with its interval over problems.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from testtime import api
from testtime.core.errors import ModelError
from testtime.core.records import Request
from testtime.models.naming import open_model
from testtime.serve.server import running
from testtime.tasks.pocket_math import PocketMath

TOKENS, AT_ONCE, LEVEL = 200, 32, 1e-4
DRAWS = 4


def backends(stack: ExitStack, named: Sequence[str]) -> dict[str, tuple[str, dict[str, Any]]]:
    """Label → (model, settings). Seeds are sent nowhere beyond ours: a vLLM on the processor fails on them."""
    url = stack.enter_context(running(open_model("pocket:pocket-m")))
    known = {
        "pocket": ("pocket:pocket-m", {}),
        "hf": ("hf:pocket-m", {}),
        "serve": ("vllm:pocket-m", {"base_url": url}),
    }
    for text in named:
        label, _, address = text.partition("=")
        known[label] = ("vllm:pocket-m", {"base_url": address, "send_seed": False})
    return known


def prompts(count: int) -> list[list[dict[str, str]]]:
    """Of each split a third."""
    task = PocketMath()
    problems = [p for split in ("easy", "medium", "hard") for p in islice(task.problems(split), count // 3)]
    return [[{"role": "user", "content": task.prompt.format(question=p.question)}] for p in problems]


async def said(model: Any, asked: Sequence[Any]) -> list[Any]:
    """Each prompt's greedy completion."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(messages: Any) -> Any:
        async with slots:
            request = Request(messages, params={"temperature": 0, "max_tokens": TOKENS})
            for _ in range(3):
                try:
                    return (await model.generate(request)).completions[0]
                except ModelError as error:
                    if not error.retry:
                        raise
            raise SystemExit("a server gives no answer")

    try:
        return await asyncio.gather(*[one(messages) for messages in asked])
    finally:
        if close := getattr(model, "close", None):
            await close()


async def gap(pocket: Any, messages: Any, ours: Sequence[int], theirs: Sequence[int]) -> float:
    """At the first difference: how much more probable pocket's token is than the other, by pocket's own law."""
    end = next(iter(pocket.config.eos))
    a, b = [*ours, end], [*theirs, end]
    at = next(i for i in range(min(len(a), len(b))) if a[i] != b[i])
    (laws,) = await pocket.score(Request(messages, prefix=tuple(ours[:at])), [(a[at],)], full=True)
    law = np.exp(laws[0])
    return float(law[a[at]] - law[b[at]])


async def greedy(count: int, named: Sequence[str]) -> None:
    """Prints how many greedy texts differ from pocket's, and by how much where they part."""
    asked, pocket = prompts(count), open_model("pocket:pocket-m")
    reference = await said(pocket, asked)
    with ExitStack() as stack:
        for label, (name, settings) in backends(stack, named).items():
            began = time.process_time()
            texts = await said(open_model(name, settings), asked)
            differ = [
                await gap(pocket, asked[i], reference[i].token_ids, texts[i].token_ids)
                for i in range(len(asked))
                if texts[i].text != reference[i].text
            ]
            near = sum(one < LEVEL for one in differ)
            tokens = sum(one.tokens or 0 for one in texts)
            print(
                f"{label}: {len(differ)} of {len(asked)} texts differ ({near} at near-ties below {LEVEL:g}; "
                f"largest gap {max(differ, default=0):.1e}); {tokens} tokens, {time.process_time() - began:.1f} "
                "processor seconds here",
                flush=True,
            )


def accuracy(count: int, named: Sequence[str]) -> None:
    """Prints the accuracy of one draw and of a vote on each backend."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for label, (name, settings) in backends(stack, named).items():
            ran = api.run(
                model=name, dataset="pocket-math", splits=["medium"], max_queries=count, temperature=0.8,
                policies=["sc_fixed:n=1", f"sc_fixed:n={DRAWS}"], out_dir=folder, run=label, **settings,
            )  # fmt: skip
            for row in ran.table.to_polars().iter_rows(named=True):
                low, high = row["accuracy_low"], row["accuracy_high"]
                print(f"{label}: {row['setting']} {row['accuracy']:.3f} [{low:.3f}, {high:.3f}]", flush=True)


if __name__ == "__main__":
    kind, size, *servers = sys.argv[1:]
    if kind == "greedy":
        asyncio.run(greedy(int(size), servers))
    else:
        accuracy(int(size), servers)
