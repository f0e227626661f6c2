"""Proves how a process with pocket models behaves: Ctrl-C ends it between tokens, a core is left free when asked, and
it stays under 500 MB.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pocket_tiny as tiny
import pytest

from testtime.models.pocket import backend, numpy_runtime
from testtime.models.pocket.backend import PocketModel, fastest

WRITES = """
import asyncio, sys
from pathlib import Path
from testtime.core.records import Request
from testtime.models.pocket.backend import PocketModel

async def endless():
    model, asked = PocketModel("tiny", folder=Path(sys.argv[1])), [{"role": "user", "content": "Tom"}]
    await model.generate(Request(asked, seed=0, params={"max_tokens": 4}))
    print("writing", flush=True)
    while True:
        await model.generate(Request(asked, n=500, seed=1, params={"temperature": 2.0}))

asyncio.run(endless())
"""

REMEMBERS = """
import asyncio, sys
from itertools import islice
from testtime.core.records import Request
from testtime.models.pocket import backend, numpy_runtime
from testtime.tasks.pocket_math import PocketMath

async def busy():
    ready = numpy_runtime.ready if sys.argv[1] == "numpy" else backend.fastest()
    models = [backend.PocketModel(name, ready=ready) for name in ("pocket-s", "pocket-m")]
    problems = islice(PocketMath().problems("hard"), 64)
    asked = [[{"role": "user", "content": problem.question}] for problem in problems]
    for model in models:
        params = {"max_tokens": 60, "stop": "never"}
        done = await asyncio.gather(*(model.generate(Request(one, n=2, seed=0, params=params)) for one in asked))
        ids = [one.completions[0].token_ids for one in done]
        prefixes = zip(asked, ids, strict=True)
        await asyncio.gather(*(model.generate(Request(a, prefix=p, seed=0, params=params)) for a, p in prefixes))
        await model.score(Request(asked[0]), [f"{value:03d}" for value in range(1000)])

asyncio.run(busy())
status = open("/proc/self/status").read()  # getrusage would count what this process's parent held before it
print(int(status.partition("VmHWM:")[2].split()[0]) * 1024)
"""


def _started(script: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_an_interrupt_ends_a_process_that_writes(tmp_path: Path) -> None:
    with _started(WRITES, str(tiny.write(tmp_path))) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    assert process.returncode in (-signal.SIGINT, 130)
    assert said.rstrip().endswith("KeyboardInterrupt")


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is counted in another unit elsewhere")
@pytest.mark.parametrize("kind", ["numpy", "fastest"])
def test_both_models_at_work_stay_under_500_megabytes(kind: str) -> None:
    with _started(REMEMBERS, kind) as process:
        peak, said = process.communicate(timeout=600)
    assert process.returncode == 0, said
    assert int(peak) < 500e6


@pytest.mark.parametrize(("cores", "asked", "lanes"), [(4, False, 4), (4, True, 3), (2, True, 1), (1, True, 1)])
def test_a_core_is_left_free_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int, asked: bool, lanes: int
) -> None:
    monkeypatch.setattr(backend, "cores_here", lambda: cores)
    folder = tiny.write(tmp_path)
    for ready in {numpy_runtime.ready, fastest()}:
        most = 1 if ready is numpy_runtime.ready else cores
        model = PocketModel("tiny", folder=folder, leave_core_free=asked, ready=ready)
        assert len(model._lanes) == min(lanes, most)


def test_threads_are_as_many_as_asked_for_and_only_while_they_write(tmp_path: Path) -> None:
    model = PocketModel("tiny", folder=tiny.write(tmp_path), threads=2)
    assert not [thread for thread in threading.enumerate() if thread.name == "pocket"]
    futures = [lane.call(lambda _: threading.current_thread()) for lane in model._lanes]
    workers = {future.result(60) for future in futures}
    assert {thread.name for thread in workers} == {"pocket"}
    assert len(workers) == 2
    for thread in workers:
        thread.join(60)
    assert not any(thread.is_alive() for thread in workers)
