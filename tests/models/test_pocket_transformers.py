"""Proves that greedy text is that of `transformers` on the same weights, over ≥ 1,000 prompts.

float32 sums in another order may differ in the last bits, so where the two best tokens are level to within
rounding either may come first. Each such place is printed with its gap; a larger gap fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pocket_tiny as tiny
import pytest

from testtime.core.records import Request
from testtime.models.pocket.backend import SHIPPED, PocketModel

torch = pytest.importorskip("torch", reason="torch is not installed: no transformers to compare with")
transformers = pytest.importorskip("transformers", reason="transformers is not installed: nothing to compare with")

LEVEL = 1e-4
"""A gap in probability that rounding may turn."""
PROMPTS, TOKENS = 1002, 200


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Two threads on weights as small as these wait for each other: beside other work sixty times as long as one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _messages(name: str) -> list[list[dict[str, str]]]:
    if name == "random":
        rng = np.random.default_rng(2)
        texts = ["".join(rng.choice(tiny.TOKENS[6:], 25)) for _ in range(PROMPTS)]
    else:
        from testtime.tasks.pocket_math import PocketMath

        task, part = PocketMath(), PROMPTS // 3
        problems = [p for split in ("easy", "medium", "hard") for p in islice(task.problems(split), part)]
        texts = [task.prompt.format(question=p.question) for p in problems]
    return [[{"role": "user", "content": text}] for text in texts]


def _ours(model: PocketModel, messages: list[Any], tokens: int) -> list[list[int]]:
    async def all_of_them() -> list[Any]:
        params = {"temperature": 0, "max_tokens": tokens}
        return await asyncio.gather(*(model.generate(Request(m, params=params)) for m in messages))

    ended = [generation.completions[0] for generation in asyncio.run(all_of_them())]
    (end,) = model.config.eos
    return [[*(c.token_ids or ()), *([end] if c.finish == "stop" else [])] for c in ended]


@pytest.mark.parametrize("name", ["random", "pocket-s", "pocket-m"])
def test_greedy_text_is_that_of_transformers(name: str, tmp_path: Path) -> None:
    folder = tiny.write(tmp_path) if name == "random" else SHIPPED / name
    if not (folder / "model.safetensors").exists():
        pytest.skip(f"the weights of {name} are not in this tree")
    messages = _messages(name)
    model = PocketModel(name, folder=folder)
    theirs = transformers.LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    prompts = [model.tokenizer.prompt(m) for m in messages]
    texts = _ours(model, messages, TOKENS)
    assert len(texts) >= 1000
    differ = [gap for i in range(len(texts)) if (gap := _first_gap(theirs, i, prompts[i], texts[i])) is not None]
    print(f"{name}: {len(differ)} of {len(texts)} texts differ")
    assert max(differ, default=0.0) < LEVEL


def _first_gap(theirs: Any, index: int, prompt: list[int], text: list[int]) -> float | None:
    """Where their greedy choice after our text so far first differs from ours: the gap between the two.

    Their choice at each token given ours before it: equal to running theirs freely up to the first difference.
    """
    with torch.inference_mode():
        logits = theirs(torch.tensor([prompt + text])).logits[0, len(prompt) - 1 : -1]
    chosen = logits.argmax(-1).tolist()
    where = next((at for at, (a, b) in enumerate(zip(chosen, text, strict=True)) if a != b), None)
    if where is None:
        return None
    law = torch.softmax(logits[where], -1)
    gap = float(law[chosen[where]] - law[text[where]])
    print(f"prompt {index}, token {where}: {chosen[where]} there, {text[where]} here, gap {gap:.2e}")
    return gap
