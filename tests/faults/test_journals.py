"""A journal that was cut, doubled, interleaved, reordered or overwritten in the middle: the run goes on, drops what it
cannot trust and says so, asks again for nothing but replies whose own lines are gone, and ends as the undamaged one.
"""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from length import LONG
from polars.testing import assert_frame_equal

from testtime.core.records import Arm, Problem
from testtime.core.seeds import digest
from testtime.core.strings import parse
from testtime.decoding.plain import Plain
from testtime.engine.plan import Lane, Plan
from testtime.engine.run import execute
from testtime.meters.price import Price, Prices
from testtime.models.scripted import ALL, Scripted
from testtime.store.journal import read_journal

TIMED = ("latency_s", "timestamp", "joules", "alone", "paid_usd", "cost_usd", "calls")
Damage = Callable[[list[bytes], random.Random], bytes]


def plan(folder: Path) -> Plan:
    """Five problems, two draws each, and a rule that may want six."""
    model = Scripted(
        lambda request, seed: str(int(digest(seed, length=6), 16) % 3), can=ALL - {"n"}, count_file=folder / "server"
    )
    problems = [Problem(f"q{at}", "test", f"question {at}", "1") for at in range(5)]
    lane = Lane(
        (Arm("arm", {"model": model.name}),), Plain({"max_tokens": 9}),
        lambda one: [{"role": "user", "content": one.question}], 2,
    )  # fmt: skip
    return Plan(
        "run", "set", 0, problems, [lane], {model.name: model}, lambda one, text: (text, text), concurrency=4,
        policies=[parse("policy", "adaptive_margin:stop_rule=margin,max_n=6")],
        price=Prices({model.name: Price(1.0, 3.0)}), backoff=0.001,
    )  # fmt: skip


def served(folder: Path) -> int:
    return (folder / "server").stat().st_size


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    asyncio.run(execute(plan(folder), folder))
    return folder


def cut(lines: list[bytes], dice: random.Random) -> bytes:
    everything = b"\n".join(lines) + b"\n"
    return everything[: dice.randrange(len(everything))]


def doubled(lines: list[bytes], dice: random.Random) -> bytes:
    return b"\n".join(line for line in lines for _ in range(dice.choice((1, 2, 3)))) + b"\n"


def twice_over(lines: list[bytes], dice: random.Random) -> bytes:
    return (b"\n".join(lines) + b"\n") * 2


def reordered(lines: list[bytes], dice: random.Random) -> bytes:
    return b"\n".join(dice.sample(lines, len(lines))) + b"\n"


def interleaved(lines: list[bytes], dice: random.Random) -> bytes:
    """As two writers without locks would: the bytes of one line within another."""
    at = dice.randrange(len(lines) - 1)
    one, other = lines[at], lines[at + 1]
    mixed = one[: len(one) // 2] + other + b"\n" + one[len(one) // 2 :]
    return b"\n".join([*lines[:at], mixed, *lines[at + 2 :]]) + b"\n"


def overwritten(lines: list[bytes], dice: random.Random) -> bytes:
    """A block of the disk in the middle holds zeros, or what was there before."""
    everything = bytearray(b"\n".join(lines) + b"\n")
    size = min(dice.choice((16, 512, 4096)), len(everything) // 2)
    at = dice.randrange(len(everything) - size)
    everything[at : at + size] = bytes(size) if dice.random() < 0.5 else dice.randbytes(size)
    return bytes(everything)


def foreign(lines: list[bytes], dice: random.Random) -> bytes:
    """Lines that are JSON, and none of ours; newlines of other systems; a mark of byte order."""
    strange = [b"null", b"{}", b"[[[[", b'{"id":"x"}', b"\xef\xbb\xbf", b"\r", b"\x00" * 99, b'{"a":' * 2000]
    return b"\n".join(line for one in lines for line in (dice.choice(strange), one)) + b"\n"


@pytest.mark.parametrize("damage", [cut, doubled, twice_over, reordered, interleaved, overwritten, foreign])
@pytest.mark.parametrize("seed", range(20 if LONG else 2))
def test_a_damaged_journal_costs_only_the_replies_whose_lines_it_lost(
    whole: Path, tmp_path: Path, damage: Damage, seed: int
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    (folder / "server").unlink()
    path = folder / "journal/main.jsonl"
    dice = random.Random(f"{damage.__name__} {seed}")
    path.write_bytes(damage(path.read_bytes().rstrip(b"\n").split(b"\n"), dice))
    before = read_journal(folder)
    had = {key for line in before.records if line["kind"] == "call" for key in line["children"]}
    drawn = {line["id"] for line in before.records if line["kind"] == "draw"}
    (folder / "server").touch()
    done = asyncio.run(execute(plan(folder), folder))
    every = {key for line in read_journal(whole).records if line["kind"] == "call" for key in line["children"]}
    assert served(folder) <= len(every - had), "a reply that is in the journal was asked for again"
    if drawn == {line["id"] for line in read_journal(whole).records if line["kind"] == "draw"}:
        assert served(folder) == 0
    assert done.dropped == len(before.dropped)
    if damage in (doubled, twice_over, reordered):
        assert (served(folder), done.dropped) == (0, 0)
    one, other = (pl.read_parquet(place / "candidates.parquet").drop(TIMED) for place in (folder, whole))
    assert_frame_equal(one, other)
    asyncio.run(execute(plan(folder), folder))
    assert served(folder) <= len(every - had), "once more, and nobody is asked"


@settings(max_examples=300 if LONG else 40)
@given(st.binary(max_size=400), st.booleans())
def test_any_bytes_are_a_journal_that_is_dropped_line_by_line(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, before: bool
) -> None:
    folder = tmp_path_factory.mktemp("noise")
    (folder / "journal").mkdir()
    (folder / "server").touch()
    (folder / "journal/main.jsonl").write_bytes(noise)
    found = read_journal(folder)
    assert found.records == []
    assert len(found.dropped) <= noise.count(b"\n") + 1
