"""Tokens per second of the pocket runtime beside `transformers.generate`, same weights, same run, all cores.

    python -m benchmarks.pocket [FOLDER]      a model's folder; pocket-m without

Each draws NEW tokens after prompts of PROMPT tokens of different problems, at temperature 0.8, with no end token.
Rounds alternate and the best of each is kept, so that other load on the machine harms both alike. Without
torch it prints our own numbers; `numpy` is the runtime without the extra `fast`.
"""

from __future__ import annotations

import asyncio
import json
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any
from unittest.mock import patch

from testtime.core.records import Request
from testtime.models.pocket import numpy_runtime
from testtime.models.pocket.backend import PocketModel, cores_here, shipped
from testtime.models.pocket.lane import Lane
from testtime.models.pocket.runtime import Runtime
from testtime.tasks.pocket_math import PocketMath

PROMPT, NEW, ROUNDS = 40, 40, 4
BATCHES = (1, 16, 64, 256)
Run = Callable[[list[list[int]]], None]


def main(folder: Path) -> None:
    """Prints one line a batch size, and the best of each."""
    with tempfile.TemporaryDirectory() as room:
        endless = without_end(folder, Path(room) / "model")
        model = PocketModel(folder.name, folder=endless)
        texts = prompts(model, max(BATCHES))
        first = ours(model)
        first(texts)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        print(f"{folder.name}: {cores_here()} cores; {memory:.0f} MiB at most with one model and no torch")
        runs = {
            "pocket": first,
            "one thread": ours(PocketModel(folder.name, folder=endless, threads=1)),
            "numpy": ours(PocketModel(folder.name, folder=endless, ready=numpy_runtime.ready)),
            "numpy, 1 thread": ours(PocketModel(folder.name, folder=endless, threads=1, ready=numpy_runtime.ready)),
        }
        runs |= theirs(endless)
        for run in runs.values():
            run(texts[:2])  # what is compiled or allocated at the first use
        report(runs, texts)
        profile(model, texts[:PROFILED])


def report(runs: dict[str, Run], texts: list[list[int]]) -> None:
    """Two tables: tokens by the clock, and by the processor's time, which other load on the machine changes less."""
    fastest = {batch: rates(runs, texts[:batch]) for batch in BATCHES}
    for index, unit in enumerate(("tokens/s", "tokens/processor-s")):
        print(f"{unit:>20}" + "".join(f"{name:>16}" for name in runs) + f"{'ours / theirs':>16}")
        for batch, found in fastest.items():
            print_line(f"batch {batch}", {name: pair[index] for name, pair in found.items()})
        print_line("best", {name: max(found[name][index] for found in fastest.values()) for name in runs})


def profile(model: PocketModel, texts: list[list[int]]) -> None:
    """Where the time of one batch goes: the best round, its threads' milliseconds by the clock and by the processor."""
    run, found = ours(model), list[tuple[float, dict[str, Spent]]]()
    with watched(type(model._lanes[0].runtime)) as spent:
        for _ in range(2 * ROUNDS):
            spent.clear()
            start = time.perf_counter()
            run(texts)
            found.append((time.perf_counter() - start, dict(spent)))
    whole, parts = min(found, key=lambda one: one[0])
    print(f"\nbatch {len(texts)}: {1e3 * whole:.1f} ms by the clock, on {len(model._lanes)} threads; of all threads:")
    for name, (calls, wall, used) in parts.items():
        print(f"{name:>20}{calls:6} calls{1e3 * wall:10.1f} ms{1e3 * used:10.1f} processor ms")


PROFILED = 16
"""Texts whose time is looked into."""
Spent = tuple[int, float, float]
"""Calls, seconds, processor seconds."""


@contextmanager
def watched(kind: type[Runtime]) -> Iterator[dict[str, Spent]]:
    """What the parts take while the context is open. A step of numpy holds a `forward`, so prompts count steps too."""
    spent: dict[str, Spent] = {}
    parts = {"prompts": (kind, "forward"), "steps": (kind, "write"), "all of a thread": (Lane, "_work")}
    with ExitStack() as stack:
        for name, (owner, method) in parts.items():
            stack.enter_context(patch.object(owner, method, timed(getattr(owner, method), name, spent)))
        yield spent


def timed(real: Callable[..., Any], name: str, spent: dict[str, Spent]) -> Callable[..., Any]:
    """A method that notes what it takes."""

    def method(*given: Any, **named: Any) -> Any:
        wall, used = time.perf_counter(), time.thread_time()
        try:
            return real(*given, **named)
        finally:
            calls, seconds, processor = spent.get(name, (0, 0.0, 0.0))
            took = time.perf_counter() - wall, time.thread_time() - used
            spent[name] = (calls + 1, seconds + took[0], processor + took[1])

    return method


def rates(runs: dict[str, Run], texts: list[list[int]]) -> dict[str, tuple[float, float]]:
    """(Tokens/s, tokens/processor-s) of each, the best of ROUNDS rounds in turn."""
    best = dict.fromkeys(runs, (0.0, 0.0))
    drawn = len(texts) * NEW
    for _ in range(ROUNDS):
        for name, run in runs.items():
            start, worked = time.perf_counter(), time.process_time()
            run(texts)
            found = drawn / (time.perf_counter() - start), drawn / (time.process_time() - worked)
            best[name] = max(best[name][0], found[0]), max(best[name][1], found[1])
    return best


def print_line(label: str, speed: dict[str, float]) -> None:
    """One row, with the ratio of the first column to the last where that is transformers."""
    values = list(speed.values())
    ratio = f"{values[0] / values[-1]:15.1f}×" if "transformers" in speed else f"{'–':>16}"
    print(f"{label:>20}" + "".join(f"{value:16,.0f}" for value in values) + ratio)


def prompts(model: PocketModel, count: int) -> list[list[int]]:
    """The beginnings of that many problems, as ids."""
    problems = islice(PocketMath().problems("hard"), count)
    asked = (model.tokenizer.prompt([{"role": "user", "content": problem.question}]) for problem in problems)
    return [ids[-PROMPT:] for ids in asked]


def ours(model: PocketModel) -> Run:
    """All texts as concurrent requests of one completion each."""

    async def together(texts: list[list[int]]) -> None:
        params = {"temperature": 0.8, "max_tokens": NEW}
        requests = [Request([], prefix=tuple(ids[1:]), seed=seed, params=params) for seed, ids in enumerate(texts)]
        await asyncio.gather(*(model.generate(request) for request in requests))

    def run(texts: list[list[int]]) -> None:
        model.kept.clear()  # every round computes its prompts
        asyncio.run(together(texts))

    return run


def theirs(folder: Path) -> dict[str, Run]:
    """`transformers.generate` on the same ids, where it is installed."""
    try:
        import torch
        from transformers import LlamaForCausalLM
    except ImportError:
        return {}
    torch.set_num_threads(cores_here())
    model: Any = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def run(texts: list[list[int]]) -> None:
        ids = torch.tensor(texts)
        with torch.inference_mode():
            out = model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW, do_sample=True, temperature=0.8, top_k=0
            )
        assert out.shape[1] == ids.shape[1] + NEW

    return {"transformers": run}


def without_end(folder: Path, room: Path) -> Path:
    """A copy of the model in which no token ends a text: every run draws as many."""
    shutil.copytree(folder, room)
    for name in ("config.json", "generation_config.json"):
        path = room / name
        path.write_text(json.dumps(json.loads(path.read_bytes()) | {"eos_token_id": None}))
    return room


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else shipped("pocket-m"))
