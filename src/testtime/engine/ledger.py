"""Who pays: every call's dollars and joules, divided over the draws and verdicts that it was made for.

The rule. A call that answered several draws at once costs each an equal part of its prompt and its own
tokens, so a share is usd / k, plus what the draw would have cost alone, less the mean of that over
the k; where that is not known, usd / k. Joules go by tokens written, or equally. Dollars are those of
calls that answered: what a failed, cancelled or lost attempt cost is not known, and stays in the ledger
as unknown. All attempts that ended take their joules.

Holds numbers alone, some 0.1 kB a call: names are kept as their 64-bit hashes.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from testtime.core.history import Floats, Ints
from testtime.core.records import Map, Verdict
from testtime.core.spend import Spend, total
from testtime.engine.costs import FREE, alone
from testtime.engine.energy import Window, attribute, level, tokens_of
from testtime.engine.plan import Plan
from testtime.store.codec import decode


class Share(NamedTuple):
    """What a row bears of what was really paid. Unknown is None."""

    usd: float | None
    joules: float | None


def _floats() -> array[float]:
    return array("d")


def _longs() -> array[int]:
    return array("q")


@dataclass
class Session:
    """What one session did and measured, by its own clock."""

    run: str
    """What its folder was called: the shard."""
    host: str | None
    """The machine, where the journal says."""
    first: int = 0
    """Its first call; those up to the next session's are its."""
    windows: list[Window] = field(default_factory=list)

    def meets(self, other: Session) -> bool:
        """Whether it measured the same machine as a session of another folder, at a time."""
        if self.run == other.run or not self.host or self.host != other.host:
            return False
        return self.windows[0].started < other.windows[-1].ended and other.windows[0].started < self.windows[-1].ended


def at_once(sessions: Sequence[Session]) -> list[list[Session]]:
    """The sessions, those together in which shards measured one machine at the same time.

    Sessions of one folder never run at once, whatever their clocks say.
    """
    found: list[list[Session]] = []
    for one in sorted(sessions, key=lambda session: session.windows[0].started):
        group = next((group for group in found if any(one.meets(other) for other in group)), None)
        if group is None:
            found.append([one])
        else:
            group.append(one)
    return found


@dataclass
class Ledger:
    """Filled from the journal's `call` and `window` lines; calls are numbered as they come."""

    plan: Plan
    sessions: list[Session] = field(default_factory=list)
    """All so far; the last one is being read."""
    _started: array[float] = field(default_factory=_floats)
    _ended: array[float] = field(default_factory=_floats)
    _tokens: array[float] = field(default_factory=_floats)
    _keys: array[int] = field(default_factory=_longs)
    """[call] hash of its key: what it was asked, which all attempts at it share."""
    joules: Floats = field(default_factory=lambda: np.zeros(0))
    """[call] nan where unknown; once `close` was called."""
    _served: array[int] = field(default_factory=_longs)
    """[share] hash of the draw or verdict that bears it."""
    _call: array[int] = field(default_factory=_longs)
    _usd: array[float] = field(default_factory=_floats)
    """[share] nan is unknown."""
    _weight: array[float] = field(default_factory=_floats)
    """[share] part of the call's joules."""
    _answered: array[int] = field(default_factory=lambda: array("b"))

    def session(self, record: Mapping[str, Any]) -> None:
        """A session begins."""
        self.sessions.append(Session(str(record["run"]), record.get("host"), len(self._started)))

    def close(self) -> None:
        """All calls and windows are in. A session that measured nothing shares no other's windows."""
        started, ended, tokens = (np.array(one) for one in (self._started, self._ended, self._tokens))
        self.joules = np.full(len(started), np.nan)
        ends = [*(one.first for one in self.sessions[1:]), len(started)]
        last = {id(one): end for one, end in zip(self.sessions, ends, strict=True)} if self.sessions else {}
        for together in self._groups:
            mine = np.concatenate([np.arange(one.first, last[id(one)]) for one in together])
            self.joules[mine] = attribute(_line(together), started[mine], ended[mine], tokens[mine])

    def call(self, record: Mapping[str, Any]) -> None:
        """An attempt that ended."""
        number = len(self._started)
        answered, serves = record["status"] == "ok", record["serves"]
        refused = record["status"] == "failed" and not record.get("lost")
        spend = FREE if refused else decode(Spend, record["spend"])
        self._started.append(record["started"])
        self._ended.append(record["ended"])
        self._tokens.append(tokens_of(spend))
        self._keys.append(hash(record["key"]))
        tokens = [one.get("tokens") for one in record.get("completions", ())]
        usds = self._dollars(record["model"], spend, tokens) if tokens else [spend.usd] * len(serves)
        weights = _parts([float(count) for count in tokens if count is not None], len(serves))
        for served, usd, weight in zip(serves, usds, weights, strict=True):
            self._served.append(hash(served))
            self._call.append(number)
            self._usd.append(np.nan if usd is None else usd)
            self._weight.append(weight)
            self._answered.append(answered)

    def window(self, record: Mapping[str, Any]) -> None:
        """A window that closed."""
        if not self.sessions:  # the line that begins it is damaged: a session of an unknown machine
            self.sessions.append(Session("", None))
        about = record.get("source", ""), record.get("idle", False)
        self.sessions[-1].windows.append(Window(record["started"], record["ended"], record["joules"], *about))

    @property
    def measured(self) -> bool:
        """Whether any session had a meter."""
        return any(one.windows for one in self.sessions)

    @property
    def _groups(self) -> list[list[Session]]:
        """The sessions that measured, those that did so together."""
        return at_once([one for one in self.sessions if one.windows])

    def joules_of(self, number: int) -> float | None:
        """Of one call."""
        joules = float(self.joules[number])
        return None if np.isnan(joules) else joules

    def share(self, draw: str, rows: Sequence[Sequence[str]], at: int, verdicts: Mapping[str, Verdict]) -> Share:
        """What row `at` of a draw is to bear: the calls it lists, its part of those that no row lists, its verdicts.

        `rows` are the keys that each row of the draw lists. Unknown where a call that it or a verdict lists is not in
        the journal any more.
        """
        if not all(map(self._known, [*rows[at], *(key for verdict in verdicts.values() for key in verdict.calls)])):
            return Share(None, None)
        listed = [{hash(key) for key in keys} for keys in rows]
        parts: list[tuple[int, int]] = []
        for share in self._of(draw):
            key = self._keys[self._call[share]]
            bearers = [place for place, keys in enumerate(listed) if key in keys] or range(len(rows))
            if at in bearers:
                parts.append((share, len(bearers)))
        parts += [(share, 1) for id in verdicts for share in self._of(id)]
        answered = [(_or_none(self._usd[share]), among) for share, among in parts if self._answered[share]]
        usd = total(None if usd is None else usd / among for usd, among in answered).value
        shares = [(self.joules_of(self._call[share]), self._weight[share] / among) for share, among in parts]
        joules = total(None if joules is None else joules * part for joules, part in shares).value
        return Share(None if parts and not answered else usd, joules if self.measured else None)

    def energy(self) -> Map | None:
        """What the files say of energy: what was measured, by what, beside what idleness, with how many calls at once.

        None without a meter. Joules are unknown where a window's are.
        """
        if not self.measured:
            return None
        groups = self._groups
        work = [window for together in groups for window in _line(together) if not window.idle]
        idle = [window for together in groups if len(together) == 1 for window in together[0].windows if window.idle]
        seconds, rest = (sum(one.ended - one.started for one in some) for some in (work, idle))
        joules, at_rest = (total(one.joules for one in some).value for some in (work, idle))
        sources = (window.source for one in self.sessions for window in one.windows)
        return {
            "source": "; ".join(dict.fromkeys(filter(None, sources))),
            "seconds": seconds,
            "joules": joules,
            "attributed": float(np.nansum(self.joules)),
            "unknown_calls": int(np.isnan(self.joules).sum()),
            "idle_watts": at_rest / rest if at_rest is not None and rest else None,
            "batch_size": float(np.sum(np.array(self._ended) - np.array(self._started))) / seconds if seconds else None,
        }

    @cached_property
    def _sorted(self) -> tuple[Ints, Ints]:
        """Shares by whom they are borne, and these hashes."""
        served = np.array(self._served, dtype=np.int64)
        order = np.argsort(served, kind="stable")
        return order, served[order]

    @cached_property
    def _all_keys(self) -> Ints:
        return np.unique(np.array(self._keys, dtype=np.int64))

    def _known(self, key: str) -> bool:
        at = int(np.searchsorted(self._all_keys, hash(key)))
        return at < len(self._all_keys) and int(self._all_keys[at]) == hash(key)

    def _of(self, served: str) -> Iterator[int]:
        """The shares of a draw or verdict, in the order of the journal."""
        order, hashes = self._sorted
        low, high = np.searchsorted(hashes, hash(served)), np.searchsorted(hashes, hash(served), "right")
        yield from order[low:high].tolist()

    def _dollars(self, model: str, spend: Spend, tokens: Sequence[int | None]) -> list[float | None]:
        if spend.usd is None:
            return [None] * len(tokens)
        by_itself = [alone(self.plan, model, spend, one, len(tokens)).usd for one in tokens]
        known = [usd for usd in by_itself if usd is not None]
        if len(known) < len(tokens):
            return [spend.usd / len(tokens)] * len(tokens)
        mean = sum(known) / len(known)
        return [spend.usd / len(tokens) + usd - mean for usd in known]


def _line(together: Sequence[Session]) -> list[Window]:
    """The windows of sessions that measured together, none counted twice."""
    return level([window for session in together for window in session.windows])


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else value


def _parts(tokens: Sequence[float], count: int) -> list[float]:
    if len(tokens) < count or not sum(tokens):
        return [1 / count] * count
    return [one / sum(tokens) for one in tokens]
