"""Guided decoding of many problems at once against a plain loop that asks for one piece at a time.

    python -m benchmarks.guided [PROBLEMS]

Both do the same requests (equal texts are asserted) to the same two models behind `testtime serve`, a process and a
port each. The loop is the way the method was first written: one problem after another, one request under way.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from testtime.core.protocols import Model
from testtime.core.records import Arm, Candidate
from testtime.core.strings import parse
from testtime.engine.plan import Lane, Plan
from testtime.engine.run import fill
from testtime.lanes import messages_of
from testtime.models.naming import open_model
from testtime.store.codec import decode
from testtime.store.journal import read_journal
from testtime.tasks.pocket_math import PROMPT, PocketMath

SAMPLING = {"temperature": 0.0, "top_p": 1.0, "max_tokens": 300}
DECODING = "guided:trigger=periodic,every=20,c=5,k=5"
TOGETHER = 32
ROLES = {"base": "pocket-s", "oracle": "pocket-m"}


@contextmanager
def served(name: str) -> Iterator[str]:
    """A pocket model on a port of its own; gives its address."""
    command = [sys.executable, "-m", "testtime", "serve", "--model", name, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdout is not None
        try:
            said = next(line for line in process.stdout if "http" in line)
            found = re.search(r"http://\S+", said)
            assert found, said
            yield found[0]
        finally:
            process.terminate()


def run(models: Mapping[str, Model], count: int, concurrency: int) -> tuple[dict[str, str], float]:
    """(Text by problem, seconds) with so many requests under way."""
    names = {role: models[role].name for role in ROLES}
    lane = Lane(
        (Arm(DECODING, names, PROMPT, decoding={"kind": "guided"}, sampling=SAMPLING),),
        parse("decoding", DECODING, sampling=SAMPLING), messages_of(PROMPT), 1,
    )  # fmt: skip
    problems = list(islice(PocketMath().problems("validation-medium"), count))
    plan = Plan(
        "benchmark", "pocket-math", 0, problems, [lane], {model.name: model for model in models.values()},
        PocketMath().answer, concurrency=concurrency,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as room:
        start = time.perf_counter()
        asyncio.run(fill(plan, Path(room)))
        seconds = time.perf_counter() - start
        drawn = [
            one for line in read_journal(Path(room)).records if line["kind"] == "draw" for one in line["candidates"]
        ]
    made = [decode(Candidate, one) for one in drawn]
    assert not [one.error for one in made if one.error], made[0].error
    return {one.query_id: one.text for one in made}, seconds


def main(count: int) -> None:
    """Prints seconds a problem both ways, alternating twice, and their ratio."""
    with served("pocket-s") as base, served("pocket-m") as oracle:
        addresses = {"base": base, "oracle": oracle}

        def fresh() -> dict[str, Any]:
            return {role: open_model(f"vllm:{name}", {"base_url": addresses[role]}) for role, name in ROLES.items()}

        run(fresh(), 4, 4)  # what is compiled or allocated at the first use
        best: dict[int, float] = {}
        texts: dict[int, dict[str, str]] = {}
        for _ in range(2):
            for together in (1, TOGETHER):
                texts[together], seconds = run(fresh(), count, together)
                best[together] = min(best.get(together, seconds), seconds)
        assert texts[1] == texts[TOGETHER]
    for together, seconds in best.items():
        print(f"{together:3} under way: {1000 * seconds / count:7.1f} ms a problem")
    print(f"ratio {best[1] / best[TOGETHER]:.1f}, the same {count} texts")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 64)
