"""Proves that of those who ask a judge about one text at once, one asks for all; where its question fails or is given
up, the next asks, and one who goes away disturbs nobody.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

from testtime.core.errors import StoppedEarly
from testtime.core.records import Completion, Generation, Request
from testtime.core.spend import Spend
from testtime.verifiers.asking import Asking


@dataclass
class Slow:
    """`Ask` of a judge that takes a while, and has no room for the first questions."""

    without_room: int = 0
    asked: int = 0
    open: asyncio.Event = field(default_factory=asyncio.Event)

    async def generate(self, role: str, request: Request) -> Generation:
        self.asked += 1
        mine = self.asked
        await self.open.wait()
        if mine <= self.without_room:
            raise StoppedEarly("no room")
        return Generation([Completion('{"right": true}', "stop")], Spend(), "judge:1", calls=(f"call {mine}",))


async def several(asking: Asking, ask: Slow, count: int) -> list[asyncio.Task[Any]]:
    """So many that ask about one text, each as far as it comes before the judge says anything."""
    tasks = [asyncio.create_task(asking.about("text", {}, 9, cast(Any, ask))) for _ in range(count)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert ask.asked == 1
    return tasks


def test_the_next_asks_where_the_first_found_no_room() -> None:
    async def main() -> list[Any]:
        ask = Slow(without_room=1)
        tasks = await several(Asking(), ask, 4)
        ask.open.set()
        said = await asyncio.gather(*tasks, return_exceptions=True)
        assert ask.asked == 2
        return said

    first, *others = asyncio.run(main())
    assert isinstance(first, StoppedEarly)
    assert [one.said["right"] for one in others] == [True] * 3
    assert sorted(one.calls for one in others) == [(), (), ("call 2",)]


def test_where_there_is_no_room_at_all_each_is_told_so_and_none_is_cancelled() -> None:
    async def main() -> list[Any]:
        ask = Slow(without_room=9)
        tasks = await several(Asking(), ask, 3)
        ask.open.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(one) for one in asyncio.run(main())] == [StoppedEarly] * 3


def test_one_who_waits_and_goes_away_disturbs_nobody() -> None:
    async def main() -> tuple[list[Any], int]:
        ask = Slow()
        tasks = await several(Asking(), ask, 3)
        tasks[1].cancel()
        await asyncio.sleep(0)
        ask.open.set()
        return await asyncio.gather(*tasks, return_exceptions=True), ask.asked

    (first, gone, last), asked = asyncio.run(main())
    assert isinstance(gone, asyncio.CancelledError)
    assert (first.said["right"], last.said["right"], asked) == (True, True, 1)
