"""A model asked for its judgement: one JSON object a text, held to a schema, and each text asked about once.

Every stage that asks the role `judge` asks here, so that equal texts are asked about once, whichever candidates give
them, and never again where their replies were kept (`kept`, by a digest of model, text, schema and sampling).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from testtime.core.errors import ModelError
from testtime.core.protocols import Ask
from testtime.core.records import Map, Request, canonical
from testtime.core.seeds import digest
from testtime.verifiers.said import object_of


@dataclass(frozen=True)
class Told:
    """What a model said of a text."""

    said: Map | None
    """Its object, with "confidence" from 0 to 1; None where it could not be asked or read, or was not."""
    why: str = ""
    """Why there is none."""
    model: str = ""
    calls: Sequence[str] = ()
    """Those that this text took: none for one that was asked about before."""


class Keeps(Protocol):
    """Where replies are kept: a dict, or a file that outlives the session."""

    def get(self, key: str, /) -> Map | None:
        """The reply to a question that was asked before."""
        ...

    def __setitem__(self, key: str, reply: Map, /) -> None:
        """Keeps a reply."""
        ...


@dataclass(frozen=True)
class Asking:
    """A model for the role `judge`."""

    sampling: Map = field(default_factory=lambda: {"temperature": 0.0, "schema": True})
    """What it takes of temperature and schema."""
    model: str = ""
    """Its name, of which what is kept is."""
    kept: Keeps = field(default_factory=dict[str, Map])
    """Digest → reply, of earlier sessions too."""
    most: int | None = None
    """Texts that it may be asked about; None: all."""
    _asked: dict[str, asyncio.Future[Told]] = field(default_factory=dict)

    async def about(self, text: str, schema: Mapping[str, Any], tokens: int, ask: Ask) -> Told:
        """What it says; an empty reply where it was asked about as many texts as it may be."""
        key = digest(self.model, text, canonical(schema), canonical(self.sampling), length=40)
        if (before := self.kept.get(key)) is not None:
            return Told(before["said"], "", before["model"])
        while (before_us := self._asked.get(key)) is not None:
            await asyncio.wait([before_us])  # unlike `await`, leaves the others theirs where this one is cancelled
            if not before_us.cancelled():
                return replace(before_us.result(), calls=())
        if self.most is not None and len(self._asked) >= self.most:
            return Told(None, "as many texts as it may be were asked about")
        self._asked[key] = asyncio.get_running_loop().create_future()
        try:
            told = await self._ask(text, schema, tokens, ask)
        except BaseException:
            self._asked.pop(key).cancel()  # the next one asks anew
            raise
        self._asked[key].set_result(told)
        if told.said is not None:
            self.kept[key] = {"said": dict(told.said), "model": told.model}
        return told

    async def _ask(self, text: str, schema: Mapping[str, Any], tokens: int, ask: Ask) -> Told:
        params = {"max_tokens": tokens, **self.sampling}
        if params.pop("schema", False):
            params["schema"] = schema
        try:
            got = await ask.generate("judge", Request([{"role": "user", "content": text}], params=params))
        except ModelError as error:
            return Told(None, f"the judge could not be asked: {error}")
        said = object_of(got.completions[0].text if got.completions else "")
        return Told(said, "" if said else "the judge's reply cannot be read", got.model, got.calls)
