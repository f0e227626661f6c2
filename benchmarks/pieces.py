"""What rows of the table do in processes of their own, so that starting and memory count for themselves.

python -m benchmarks.pieces pool|inspect|pandas|journal|resume|server|client …
"""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.engine import plan
from benchmarks.rows import peak

REPLY = (
    b'{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant",'
    b'"content":"Final Answer: 4"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":5,'
    b'"total_tokens":14}}'
)


def pool(room: str, rows: str) -> None:
    """A run of so many candidates, 16 a problem, as a run writes it: texts of a kilobyte, each another, in its groups.

    Dollars and seconds do not compress, nor do the texts beyond what words do. About 0.4 kB a row on disk.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from testtime.store import schema
    from testtime.store.parquet import GROUP, GROUP_TEXT

    count, block, length = int(rows), 163_840, 1_040
    group = min(GROUP, GROUP_TEXT // length)
    dice = np.random.default_rng(0)
    words = dice.choice(np.array([f"{at:x} " for at in range(4_096)]), 4_000_000)
    soup = np.frombuffer("".join(words.tolist()).encode(), np.uint8)
    fields = schema.arrow(schema.CANDIDATES)
    metadata = {
        b"format": b"testtime.candidates", b"version": str(schema.VERSION).encode(), b"run": b"run", b"dataset": b"d",
        b"splits": b"math,code", b"arms": b'[{"label": "plain", "models": {"model": "m"}}]', b"floor": b'{"plain": 16}',
    }  # fmt: skip
    (folder := Path(room) / "run").mkdir()
    (folder / "spec.yaml").write_text("model: m\n")
    stamped = fields.with_metadata(metadata)
    with pq.ParquetWriter(folder / "candidates.parquet", stamped, compression="zstd", write_page_checksum=True) as file:
        for start in range(0, count, block):
            size = min(block, count - start)
            at = np.arange(start, start + size)
            gold = at // 16 % 997
            near = gold + dice.integers(0, 4, size) * (dice.random(size) < 0.5)  # right in five of eight
            there = (dice.integers(0, len(soup) - length, size)[:, None] + np.arange(length)).ravel()
            ends = pa.array(np.arange(size + 1, dtype=np.int32) * length)
            texts = pa.StringArray.from_buffers(size, ends.buffers()[1], pa.py_buffer(soup[there].tobytes()))
            known = {
                "arm": np.full(size, "plain"), "query_id": np.char.add("q", (at // 16).astype(str)),
                "candidate_idx": at % 16, "split": np.where(at < count // 2, "math", "code"), "candidate_text": texts,
                "ground_truth_answer": gold.astype(str), "answer": near.astype(str), "answer_key": near.astype(str),
                "is_verified": near == gold, "verification_confidence": np.ones(size),
                "verification_method": np.where(near == gold, "key", "number"),
                "verification_explanation": np.char.add(near.astype(str), " against the reference"),
                "verification_saw_reference": np.ones(size, bool), "refusal_is_refusal": np.zeros(size, bool),
                "refusal_confidence": np.ones(size),
                "finish_reason": np.where(dice.random(size) < 0.02, "length", "stop"),
                "quality_answer_length": np.full(size, 3), "quality_reasoning_length": dice.integers(900, 1_040, size),
                "quality_total_response_length": np.full(size, length), "model": np.full(size, "m"),
                "provider": np.full(size, "p"), "temperature": np.full(size, 0.7), "generation_seed": at,
                "prompt_tokens": dice.integers(40, 400, size), "completion_tokens": dice.integers(40, 400, size),
                "latency_s": dice.uniform(0.1, 9, size), "cost_usd": dice.uniform(0, 0.01, size),
                "is_retry": np.zeros(size, bool),
            }  # fmt: skip
            columns = [
                pa.array(known[field.name], type=field.type) if field.name in known else pa.nulls(size, field.type)
                for field in fields
            ]
            file.write_table(pa.Table.from_arrays(columns, schema=fields), row_group_size=group)
        file.add_key_value_metadata({"empty": ",".join(name for name in fields.names if name not in known)})


def inspect(room: str) -> None:
    """Prints the seconds and the memory of what `testtime inspect` computes."""
    import testtime as tt

    began = time.perf_counter()
    assert tt.inspect(f"{room}/run")
    print(f"{time.perf_counter() - began:.3f} {peak()}")


def pandas(room: str) -> None:
    """The same by the recipe of four columns, without maj@k."""
    from importlib import import_module

    read, began = import_module("pandas").read_parquet, time.perf_counter()
    columns = ["query_id", "is_verified", "completion_tokens", "cost_usd"]
    frame = read(f"{room}/run/candidates.parquet", columns=columns)
    grouped = frame.groupby("query_id")
    assert len(grouped["is_verified"].agg(["mean", "any"]))
    assert frame["cost_usd"].sum() > 0
    print(f"{time.perf_counter() - began:.2f} s, {peak()}")


def journal(room: str, candidates: str) -> None:
    """A run of so many candidates, drawn."""
    from testtime.engine.run import fill

    asyncio.run(fill(plan(int(candidates), 0.0, 256, shared=False), Path(room)))


def resume(room: str, candidates: str) -> None:
    """Prints the seconds and the memory of going on where nothing is left."""
    from testtime.engine.run import fill

    began = time.perf_counter()
    done = asyncio.run(fill(plan(int(candidates), 0.0, 256, shared=False), Path(room)))
    assert (done.made, done.kept) == (0, int(candidates))
    print(f"{time.perf_counter() - began:.3f} {peak()}")


def server() -> None:
    """Answers every chat request after a second; prints its address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if b"content-length" in line
                )
                await reader.readexactly(length)
                await asyncio.sleep(1.0)
                front = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(REPLY)
                writer.write(front + REPLY)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def main() -> None:
        listening = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=512)
        print(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1", flush=True)
        await listening.serve_forever()

    asyncio.run(main())


def client(room: str, candidates: str, url: str) -> None:
    """Prints the seconds in which so many candidates come from there, 256 at a time."""
    from testtime.core.records import Arm
    from testtime.decoding.plain import Plain
    from testtime.engine.plan import Lane
    from testtime.engine.run import fill
    from testtime.models.naming import open_model

    model = open_model("openai:gpt-4o", {"base_url": url, "api": "chat"})
    made = plan(int(candidates), 0.0, 256, shared=False)
    lane = Lane((Arm("arm", {"model": model.name}),), Plain({"max_tokens": 64}), made.lanes[0].messages, due=16)
    began = time.perf_counter()
    done = asyncio.run(fill(replace(made, lanes=[lane], models={model.name: model}, share=1), Path(room)))
    assert (done.made, done.failed) == (int(candidates), 0)
    print(f"{time.perf_counter() - began:.3f}")


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
