"""A judge beside any run: which model it is, where it answers, and what it took.

Named, or by default the one that the pool's own run asked, else the model that made its candidates, at the address
where the run found it. A default that cannot be asked here (no key, no such provider) is none, and a line says why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testtime.backends import open_alone
from testtime.core.errors import BadInput, ModelError, Refused
from testtime.core.protocols import Model
from testtime.core.records import Generation, Map, Request
from testtime.core.seeds import seed_of
from testtime.core.spend import Spend, Sum
from testtime.engine.gate import Gate
from testtime.meters.price import catalogue
from testtime.models.naming import resolve
from testtime.runspec import MODEL_KEYS
from testtime.stages import asking_of
from testtime.verifiers.asking import Asking, Keeps

ASKERS = ("judge", "each")
"""Stages that ask a judge where none is named."""
ATTEMPTS = 6
BACKOFF = 1.0
"""Seconds before the second attempt; twice as long before each further one."""


@dataclass(eq=False)
class Solo:
    """What a judge needs of `Ask`: one model, so many calls at once; it counts what they take."""

    model: Model | None
    named: bool
    concurrency: int
    price: Callable[[str, Spend], float | None]
    note: str | None = None
    """Why there is no model, where one was looked for."""
    calls: int = 0
    tokens: int = 0
    """Of those whose number is known."""
    dollars: Sum = field(default_factory=Sum)
    _gate: Gate | None = None

    def asking(self, kept: Keeps) -> Asking | None:
        """How it is asked; None where there is no model, or one that takes no schema and was not named."""
        return asking_of(self.model, kept, named=self.named) if self.model else None

    def spent(self) -> list[str]:
        """What the judge took, in words; nothing where none was asked."""
        tokens, dollars = f"{self.tokens:,} tokens", self._dollars()
        return [f"{self.calls:,} calls of {tokens}", *([dollars] if dollars else [])] if self.calls else []

    def running(self) -> list[str]:
        """The same in a word, for a line that also says how far the work is: dollars where they are known."""
        return [self._dollars() or f"{self.tokens:,} tokens"] if self.calls else []

    def _dollars(self) -> str | None:
        if self.dollars.unknown and not self.dollars.known:
            return None
        return f"{'≥ ' if self.dollars.unknown else ''}${self.dollars.known:,.4f}"

    async def generate(self, role: str, request: Request) -> Generation:
        """One request to the judge's model. Raises ModelError, Refused where there is none."""
        if self.model is None:
            raise Refused(f"there is no model for the role {role!r}", mend="add --judge_model")
        self._gate = self._gate or Gate(self.concurrency)
        seed = seed_of(0, role, request.messages) if "seed" in self.model.can else None
        single, turn = Request(request.messages, seed=seed, params=request.params), 1
        while isinstance(got := await self._once(self.model, single, self._gate), ModelError):
            if not got.retry or turn >= ATTEMPTS:
                raise got
            await asyncio.sleep(BACKOFF * 2 ** (turn - 1))
            turn += 1
        return got

    async def _once(self, model: Model, request: Request, gate: Gate) -> Generation | ModelError:
        """One try, and what it took; the error, where it failed."""
        left_at = await gate.enter()
        self.calls += 1
        try:
            got = await model.generate(request)
        except ModelError as error:
            self.dollars = Sum(self.dollars.known, self.dollars.unknown + error.lost)
            if error.busy:
                gate.too_many(left_at, error.retry_after or 0.0)
            return error
        finally:
            gate.leave()
        gate.answered()
        self.tokens += (got.spend.prompt or 0) + (got.spend.completion or 0)
        usd = got.spend.usd if got.spend.usd is not None else self.price(model.name, got.spend)
        self.dollars = Sum(self.dollars.known + (usd or 0.0), self.dollars.unknown + (usd is None))
        return got


def solo_of(
    verifier: str, judge_model: str | None, base_url: Sequence[str], meta: Map, concurrency: int, prices: Path | None
) -> Solo:
    """The judge that was named, else the pool's own for a stage that asks one. Raises BadInput for what was named."""
    model, note = None, None
    if judge_model is not None or verifier not in ASKERS:
        model = open_alone("judge_model", judge_model, base_url)
    elif base_url:
        model = open_alone("judge_model", _of_pool(meta), base_url)
    else:
        try:
            name = _of_pool(meta)
            model = open_alone("judge_model", name, [at] if name and (at := _address(meta, name)) else [])
        except BadInput as error:
            note = f"no judge was asked: {error.what}; add --judge_model"
    elsewhere = [model.name] if model is not None and getattr(model, "elsewhere", False) else []
    listed = catalogue(own=prices, elsewhere=elsewhere)
    return Solo(model, judge_model is not None, concurrency, listed, note)


def _of_pool(meta: Map) -> str | None:
    """The whole name of the model that a pool's own run would ask; None where the pool says no model."""
    said = _config(meta)
    if name := said.get("judge_model") or said.get("model"):
        return str(name)
    name = meta.get("model")
    return resolve(str(name), meta.get("provider") or None) if name else None


def _address(meta: Map, name: str) -> str | None:
    """Where the pool's run found a model; None where its provider says."""
    found: dict[str, str] = {}
    for text in _config(meta).get("base_url") or ():
        key, equals, url = str(text).partition("=")
        named = bool(equals) and key in MODEL_KEYS
        found[str(_config(meta).get(key)) if named else ""] = url if named else str(text)
    return found.get(name, found.get(""))


def _config(meta: Map) -> Mapping[str, Any]:
    config = meta.get("config")
    return config if isinstance(config, Mapping) else {}
