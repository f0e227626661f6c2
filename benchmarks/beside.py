"""Sampling without a model's cost, in one run beside its peers: candidates a second, processor time, memory.

    make peers && python -m benchmarks.beside [CANDIDATES]        16,000 without

Each is given the same work, 16 answers to each of so many questions by a fake that answers at once, in a process of
its own, alone, one after another. What they do with it is not the same: `testtime` and `inspect-ai` write every answer
down as they go (here: synced to the disk), `its-hub` votes and keeps nothing. A peer that is not installed is passed
over, with the line that installs it. inspect-ai's fake (mockllm) counts tokens with a table that it downloads; here its
tokenizer is a stub, so that it runs without a network.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

USUAL = 16_000
PEERS = Path(".peers")
"""A virtual environment a peer: they and we pin what the others cannot have."""
CLOCK = """
import json, resource, sys, time
count, room = int(sys.argv[1]), sys.argv[2]
def told(work):
    wall, used = time.perf_counter(), time.process_time()
    made = work()
    spent = time.perf_counter() - wall, time.process_time() - used
    print(json.dumps([made, *spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10]))
"""
OURS = """
import asyncio
from pathlib import Path
from benchmarks.engine import plan
from testtime.engine.run import execute
told(lambda: asyncio.run(execute(plan(count, 0.0, 32, False), Path(room))).made)
"""
INSPECT = """
import types
import tiktoken
stub = types.SimpleNamespace(encode=lambda text, **_: text.split(), encode_ordinary=lambda text: text.split())
tiktoken.get_encoding = tiktoken.encoding_for_model = lambda *_: stub
from inspect_ai import Task, eval
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.solver import generate
questions = MemoryDataset([Sample(input=f"what is {at} plus {at}?", target=str(2 * at)) for at in range(count // 16)])
def work():
    task = Task(dataset=questions, solver=generate(), epochs=16)
    (log,) = eval(task, model="mockllm/model", log_dir=room, display="none", max_connections=32, max_samples=32)
    assert log.status == "success", log.error
    return log.stats and len(log.samples)
told(work)
"""
ITS = """
import asyncio
from its_hub import AbstractLanguageModel, SelfConsistency
class Echo(AbstractLanguageModel):
    async def agenerate(self, messages, stop=None, **_):
        return [await self.agenerate_single(one) for one in messages]
    async def agenerate_single(self, messages, stop=None, **_):
        return {"role": "assistant", "content": "the answer"}
async def ask():
    vote = SelfConsistency()
    for at in range(count // 16):
        await vote.ainfer(Echo(), f"what is {at} plus {at}?", 16)
    return count
told(lambda: asyncio.run(ask()))
"""
CASES = {"testtime": (None, OURS), "inspect-ai": ("inspect", INSPECT), "its-hub": ("its_hub", ITS)}


def measure(peer: str | None, code: str, candidates: int) -> list[float] | str:
    """[Made, wall seconds, processor seconds, peak MB] of a process, or why there is none."""
    python = sys.executable if peer is None else str(PEERS / peer / "bin" / "python")
    if not Path(python).exists():
        return f"not installed: make peer-{peer}"
    with tempfile.TemporaryDirectory() as room:
        line = [python, "-c", CLOCK + code, str(candidates), room]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        return f"failed: {done.stderr.strip().rpartition(chr(10))[2]}"
    numbers: list[float] = json.loads(done.stdout.strip().rpartition("\n")[2])
    return numbers


def main(candidates: int) -> None:
    """Prints a line a peer."""
    print(f"{'':>12}{'candidates':>12}{'wall/s':>10}{'cpu/s':>10}{'ms of cpu':>11}{'MB':>7}")
    for name, (peer, code) in CASES.items():
        found = measure(peer, code, candidates)
        if isinstance(found, str):
            print(f"{name:>12}  {found}")
            continue
        made, wall, used, memory = found
        rates = f"{made / wall:>10,.0f}{made / used:>10,.0f}{used / made * 1e3:>11.2f}"
        print(f"{name:>12}{made:>12,.0f}{rates}{memory:>7.0f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else USUAL)
