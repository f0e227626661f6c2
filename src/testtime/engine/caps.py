"""What a run may cost, and what it has cost: everything spent in its output so far, and what is under way.

Nothing leaves that could exceed a cap: a request counts at its upper bound (all its bytes read, all its tokens
written) from before it leaves until its answer says what it was. One that does not fit waits for those under way;
when none is and it still does not fit, the run stops, and what is there is whole, only smaller. What was lost in
flight stays at its upper bound. A cap on money needs prices: an unknown one is refused, never passed over.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from testtime.core.errors import Refused, StoppedEarly
from testtime.core.spend import Spend


@dataclass(frozen=True)
class Caps:
    """Limits on all that an output ever costs; None: no limit."""

    usd: float | None = None
    tokens: int | None = None
    """Prompt and completion tokens together."""
    seconds: float | None = None
    """Of all sessions, while they ran."""
    failed: float = 0.2
    """Share of the draws that may fail."""


FEWEST = 20
"""Draws of a session before their share of failures can stop it; at its end the share counts however few there are."""


@dataclass
class Account:
    """The running sum against the caps. Amounts that are not known count at their upper bound."""

    caps: Caps
    usd: float = 0.0
    tokens: int = 0
    seconds: float = 0.0
    """Of earlier sessions."""
    unpriced: int = 0
    """Calls whose dollars are known neither exactly nor as a bound."""
    uncounted: int = 0
    """The same of tokens."""
    stopped: str | None = None
    """Why the run stops, once it does."""
    met: str | None = None
    """The cap that stopped it and that, higher, lets it go on."""
    on_stop: list[Callable[[], None]] = field(default_factory=list)
    _flying: int = 0
    _usd_flying: float = 0.0
    _tokens_flying: int = 0
    _began: float = field(default_factory=time.monotonic)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _waiting: deque[tuple[Spend, asyncio.Future[None]]] = field(default_factory=deque)

    def spent(self, spend: Spend, bound: Spend) -> None:
        """Adds a call that ended: what it cost, or at most can have cost."""
        self.paid(
            bound.usd if spend.usd is None else spend.usd,
            _tokens(bound) if (tokens := _tokens(spend)) is None else tokens,
        )

    def paid(self, usd: float | None, tokens: int | None) -> None:
        """Adds dollars and tokens of a call; None where they are not known."""
        self.usd += usd or 0.0
        self.tokens += tokens or 0
        self.unpriced += usd is None
        self.uncounted += tokens is None

    def check(self) -> None:
        """Raises Refused where a cap on money or tokens cannot be kept, as the cost of earlier calls is not known."""
        wanted = [("max_cost", self.caps.usd, self.unpriced), ("max_total_tokens", self.caps.tokens, self.uncounted)]
        for flag, cap, unknown in wanted:
            if cap is not None and unknown:
                what = f"{flag} cannot be kept: what {unknown} earlier calls took is not known"
                raise Refused(what, mend=f"use another output, or leave {flag} out")

    async def reserve(self, bound: Spend) -> None:
        """Waits until a request fits under the caps, in the order of asking. Raises StoppedEarly where none will."""
        self.go_on()
        if self.caps.usd is None and self.caps.tokens is None:
            self._take(bound)
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((bound, place))
        self._admit()
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.exception() is None:
                self._drop(bound)  # it was let go and does not come
            raise

    def hold(self, bound: Spend) -> None:
        """Counts a request that is under way since before this session."""
        self._take(bound)

    def settle(self, bound: Spend, spend: Spend) -> None:
        """A reserved request has ended, and cost this."""
        self.spent(spend, bound)
        self._drop(bound)

    def _take(self, bound: Spend) -> None:
        self._flying += 1
        self._usd_flying += bound.usd or 0.0
        self._tokens_flying += _tokens(bound) or 0

    def _drop(self, bound: Spend) -> None:
        self._flying -= 1
        self._usd_flying -= bound.usd or 0.0
        self._tokens_flying -= _tokens(bound) or 0
        self._admit()

    def _admit(self) -> None:
        """Lets go what fits, first come first; where the first does not fit and none is under way, the run stops."""
        while self._waiting:
            bound, place = self._waiting[0]
            if place.done():
                self._waiting.popleft()
            elif (over := self._exceeded(bound)) is None:
                self._waiting.popleft()
                self._take(bound)
                place.set_result(None)
            elif self._flying:
                return
            else:
                self.stop(*over)

    def failures(self, failed: int, made: int, why: str | None, *, fewest: int = FEWEST) -> None:
        """Stops the run where too many of the draws made failed, unless they are too few to say so."""
        if made >= fewest and failed > self.caps.failed * made:
            self.stop(f"{failed} of {made} draws failed, more than {self.caps.failed:.0%}; the last one: {why}")

    def stop(self, why: str, met: str | None = None) -> None:
        """From now on nothing leaves; what is under way comes home. `met`: the cap that is to be raised."""
        if self.stopped is None:
            self.stopped, self.met = why, met
            self._stop.set()
            for _, place in self._waiting:
                if not place.done():
                    place.set_exception(StoppedEarly(why))
            self._waiting.clear()
            for told in self.on_stop:
                told()

    def go_on(self) -> None:
        """Raises StoppedEarly once the run stops, or its time is up."""
        if self.caps.seconds is not None and self.left <= 0:
            self.stop(f"max_seconds {self.caps.seconds:g} is used up", "max_seconds")
        if self.stopped is not None:
            raise StoppedEarly(self.stopped)

    async def sleep(self, seconds: float) -> None:
        """Waits. Raises StoppedEarly where the run stops meanwhile, or its time is up before."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), max(0.0, min(seconds, self.left)))
        self.go_on()

    @property
    def left(self) -> float:
        """Seconds until the time is up."""
        if self.caps.seconds is None:
            return float("inf")
        return self.caps.seconds - self.seconds - (time.monotonic() - self._began)

    def _exceeded(self, bound: Spend) -> tuple[str, str | None] | None:
        """Why a request may not go, with what is spent and under way, and the cap that would have to be higher."""
        caps, tokens = self.caps, _tokens(bound)
        if caps.usd is not None:
            if bound.usd is None:
                return "max_cost cannot be kept: a request has no known price or no token limit", None
            if self.usd + self._usd_flying + bound.usd > caps.usd:
                spent = f"${self.usd:.4f} are spent, and the next request may cost ${bound.usd:.4f}"
                return f"max_cost ${caps.usd:g}: {spent}", "max_cost"
        if caps.tokens is not None:
            if tokens is None:
                return "max_total_tokens cannot be kept: a request has no token limit", None
            if self.tokens + self._tokens_flying + tokens > caps.tokens:
                spent = f"{self.tokens:,} are spent, and the next may be {tokens:,}"
                return f"max_total_tokens {caps.tokens:,}: {spent}", "max_total_tokens"
        return None


def _tokens(spend: Spend) -> int | None:
    """Prompt and completion together, or None."""
    return None if spend.prompt is None or spend.completion is None else spend.prompt + spend.completion


def need_prices(caps: Caps, models: Iterable[str], price: Callable[[str, Spend], float | None] | None) -> None:
    """Raises Refused where a cap on money is asked for and the price of a model is not known."""
    probe = Spend(prompt=1, cached=0, completion=1, reasoning=0)
    for model in models:
        if caps.usd is not None and (price is None or price(model, probe) is None):
            what = f"max_cost needs the price of {model}, which is not known"
            raise Refused(what, mend="use max_total_tokens instead, or leave max_cost out")
