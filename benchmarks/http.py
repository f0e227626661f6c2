"""The engine through a provider's SDK and local HTTP: its share of the ideal at 1 s latency and 256 calls in flight.

    python -m benchmarks.http [CANDIDATES] [FOLDER]        5,120 without

A server of this machine, in a process of its own, answers each chat request after a second and speaks just enough of
HTTP for that; the client is the backend `openai:` with the SDK's own transport. The ideal is candidates × latency ÷
concurrency. Processor time is the client's own.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.engine import plan
from testtime.core.records import Arm
from testtime.engine.run import fill
from testtime.models.openai.backend import OpenAI

LATENCY, AT_ONCE, USUAL = 1.0, 256, 5_120
REPLY = json.dumps({
    "id": "c", "object": "chat.completion", "created": 0, "model": "fake",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "the answer"}}],
    "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
}).encode()  # fmt: skip
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(REPLY)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Each request of a connection, one after another."""
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))
            await asyncio.sleep(LATENCY)
            writer.write(HEAD + REPLY)
            await writer.drain()
    writer.close()


def serve(told: Connection) -> None:
    """A process: says its port, and serves until it is ended."""

    async def forever() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1024)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(forever())


def measure(folder: Path, url: str, candidates: int) -> tuple[float, float]:
    """(Wall, processor) seconds of one run into an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    made = plan(candidates, 0.0, AT_ONCE, shared=False)
    model = OpenAI("fake", base_url=url)
    lane = replace(made.lanes[0], arms=(Arm("arm", {"model": model.name}),))
    wall, used = time.perf_counter(), time.process_time()
    asked = replace(made, lanes=[lane], models={model.name: model}, share=1)
    done = asyncio.run(fill(asked, folder))
    assert (done.made, done.failed) == (candidates, 0)
    return time.perf_counter() - wall, time.process_time() - used


def main(candidates: int, room: Path) -> None:
    """Prints one line."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    server = context.Process(target=serve, args=(there,), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{here.recv()}/v1"
    measure(room / "warm", url, AT_ONCE)
    wall, used = measure(room / "run", url, candidates)
    server.terminate()
    ideal = candidates * LATENCY / AT_ONCE
    print(
        f"{candidates:,} candidates, {AT_ONCE} in flight at {LATENCY:g} s: "
        f"{wall:.1f} s, {ideal / wall:.1%} of the ideal, "
        f"{used / candidates * 1e3:.2f} ms of processor time a candidate"
    )


if __name__ == "__main__":
    size = int(sys.argv[1]) if len(sys.argv) > 1 else USUAL
    if len(sys.argv) > 2:
        main(size, Path(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(size, Path(temporary))
