"""Batch files of a provider: requests gather, leave together, and are picked up again after any kill.

The way of a request: its `sent` line, which says that it goes by a batch; the next batch, which leaves once `size`
have gathered or nothing came for `linger` seconds; a `batch` line with the provider's id, synced to the disk before
the provider is first asked how far it is; its `call` line when its result is there. A process that ends in between
leaves `sent` lines without `call` lines: a later one finds the batch they went by and waits for it, and nothing that
was received or is under way is asked for again. What expired or failed for a while gathers anew, alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from testtime.core.errors import Fault, ModelError
from testtime.core.records import Generation, Request
from testtime.engine.foreign import Foreign
from testtime.store.journal import Journal

Outcome = Generation | ModelError | Fault


@dataclass(eq=False)
class Batcher:
    """The batches of one model."""

    name: str
    model: Any
    """A model with the capability `batch`."""
    journal: Journal
    spawn: Callable[[Coroutine[Any, Any, None]], object]
    """Starts a task that ends with the session."""
    size: int
    """Requests of a batch, at most."""
    linger: float
    """Seconds without a further request after which a batch leaves."""
    backoff: float
    """Seconds between two questions to a provider that could not be reached."""
    _gathered: dict[str, tuple[Request, asyncio.Future[Outcome]]] = field(default_factory=dict)
    _timer: asyncio.TimerHandle | None = None

    async def ask(self, id: str, request: Request) -> Generation:
        """The result of a request, by the batch that it goes into. Raises ModelError, Fault."""
        loop = asyncio.get_running_loop()
        came: asyncio.Future[Outcome] = loop.create_future()
        self._gathered[id] = (request, came)
        if self._timer is not None:
            self._timer.cancel()
        if len(self._gathered) >= self.size:
            self._leave()
        else:
            self._timer = loop.call_later(self.linger, self._leave)
        outcome = await came
        if isinstance(outcome, Generation):
            return outcome
        raise outcome

    def gathers(self, id: str) -> bool:
        """Whether a request has not left yet."""
        return id in self._gathered

    def _leave(self) -> None:
        gathered, self._gathered, self._timer = self._gathered, {}, None
        waiting = {id: came for id, (_, came) in gathered.items() if not came.done()}
        if waiting:
            self.spawn(self._carry({id: gathered[id][0] for id in waiting}, waiting))

    async def _carry(self, requests: Mapping[str, Request], waiting: dict[str, asyncio.Future[Outcome]]) -> None:
        """Submits a batch, writes down what it is called, and hands out its results."""
        try:
            with Foreign(f"the batches of {self.name}"):
                batch = await self.model.submit(requests)
        except (ModelError, Fault) as error:
            return _settle(waiting, error)
        self.journal.append("batch", f"{self.name}/{batch}", model=self.name, batch=batch, calls=list(requests))
        self.journal.sync()
        await self.collect(batch, requests, lambda id, outcome: _settle({id: waiting[id]}, outcome))

    async def collect(self, batch: str, ids: Iterable[str], land: Callable[[str, Outcome], None]) -> None:
        """Lands the outcome of each request of a batch; what it ends without is a failure that may go better."""
        left = set(ids)
        while True:
            try:
                with Foreign(f"the batches of {self.name}"):
                    async for id, got in self.model.collect(batch):
                        if id in left:
                            left.discard(id)
                            land(id, _outcome(got))
            except ModelError as error:
                if error.retry:  # the question failed, not the batch
                    await asyncio.sleep(error.retry_after or self.backoff)
                    continue
                ended: Outcome = error
            except Fault as fault:
                ended = fault
            else:
                ended = ModelError(f"the batch {batch} ended without it", retry=True)
            for id in left:
                land(id, ended)
            return


def _outcome(got: Generation | Exception) -> Outcome:
    if isinstance(got, (Generation, ModelError, Fault)):
        return got
    return ModelError(f"{type(got).__name__}: {got}")


def _settle(waiting: Mapping[str, asyncio.Future[Outcome]], outcome: Outcome) -> None:
    for came in waiting.values():
        if not came.done():
            came.set_result(outcome)
