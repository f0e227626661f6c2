"""Who pays: every call's dollars and joules, divided over the draws and verdicts that it was made for.

The rule. A call that answered several draws at once costs each an equal part of its prompt and its own
tokens, so a share is usd / k, plus what the draw would have cost alone, less the mean of that over
the k; where that is not known, usd / k. Joules go by tokens written, or equally. Dollars are those of
calls that answered: what a failed, cancelled or lost attempt cost is not known, and stays in the ledger
as unknown. All attempts that ended take their joules.

Holds numbers and keys only, some 0.5 kB a call; no text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from testtime.core.records import Candidate, Verdict
from testtime.core.spend import Spend, total
from testtime.engine.costs import alone
from testtime.engine.energy import Window, attribute, level
from testtime.engine.plan import Plan
from testtime.store.codec import decode


@dataclass(frozen=True, slots=True)
class Paid:
    """What one call cost one of those it served."""

    call: str
    """Its id; what it was asked is named by its key, which all attempts at it share."""
    key: str
    usd: float | None
    weight: float
    """Its part of the call's joules."""
    answered: bool


class Share(NamedTuple):
    """What a row bears of what was really paid. Unknown is None."""

    usd: float | None
    joules: float | None


@dataclass
class Session:
    """What one session did and measured, by its own clock."""

    run: str
    """What its folder was called: the shard."""
    host: str | None
    """The machine, where the journal says."""
    spans: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Call id → (started, ended)."""
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
    """Filled from the journal's `call` and `window` lines."""

    plan: Plan
    sessions: list[Session] = field(default_factory=list)
    """All so far; the last one is being read."""
    measured: bool = False
    """Whether any session had a meter."""
    keys: set[str] = field(default_factory=set)
    """Of all calls."""
    by_served: dict[str, list[Paid]] = field(default_factory=dict)
    joules: dict[str, float | None] = field(default_factory=dict)
    """By call id, once `close` was called."""

    def session(self, record: Mapping[str, Any]) -> None:
        """A session begins."""
        self.sessions.append(Session(str(record["run"]), record.get("host")))

    def close(self) -> None:
        """All calls and windows are in. One that measured nothing shares no other's windows."""
        for session in self.sessions:
            if not session.windows:
                self.joules |= dict.fromkeys(session.spans)
        for together in at_once([session for session in self.sessions if session.windows]):
            windows = level([window for session in together for window in session.windows])
            self.joules |= attribute(windows, {id: span for one in together for id, span in one.spans.items()})

    def call(self, record: Mapping[str, Any]) -> None:
        """An attempt that ended."""
        self._now.spans[record["id"]] = (record["started"], record["ended"])
        self.keys.add(record["key"])
        answered, serves = record["status"] == "ok", record["serves"]
        tokens = [one.get("tokens") for one in record.get("completions", ())]
        spend = decode(Spend, record["spend"])
        usds = self._dollars(record["model"], spend, tokens) if tokens else [spend.usd] * len(serves)
        weights = _parts([float(count) for count in tokens if count is not None], len(serves))
        for served, usd, weight in zip(serves, usds, weights, strict=True):
            self.by_served.setdefault(served, []).append(Paid(record["id"], record["key"], usd, weight, answered))

    def window(self, record: Mapping[str, Any]) -> None:
        """A window that closed."""
        self._now.windows.append(Window(record["started"], record["ended"], record["joules"]))
        self.measured = True

    @property
    def _now(self) -> Session:
        """The session that is being read; one of an unknown machine where the line that begins it is damaged."""
        if not self.sessions:
            self.sessions.append(Session("", None))
        return self.sessions[-1]

    def share(self, draw: str, rows: Sequence[Candidate], at: int, verdicts: Mapping[str, Verdict]) -> Share:
        """What row `at` of a draw is to bear: the calls it lists, its part of those that no row lists, its verdicts.

        Unknown where a call that it or a verdict lists is not in the journal any more.
        """
        listed = [*rows[at].calls, *(key for verdict in verdicts.values() for key in verdict.calls)]
        if not self.keys.issuperset(listed):
            return Share(None, None)
        parts: list[tuple[Paid, int]] = []
        for paid in self.by_served.get(draw, ()):
            bearers = [place for place, row in enumerate(rows) if paid.key in row.calls] or range(len(rows))
            if at in bearers:
                parts.append((paid, len(bearers)))
        parts += [(paid, 1) for id in verdicts for paid in self.by_served.get(id, ())]
        answered = [(paid.usd, among) for paid, among in parts if paid.answered]
        usd = total(None if usd is None else usd / among for usd, among in answered).value
        shares = [(self.joules.get(paid.call), paid.weight / among) for paid, among in parts]
        joules = total(None if joules is None else joules * part for joules, part in shares).value
        return Share(None if parts and not answered else usd, joules if self.measured else None)

    def _dollars(self, model: str, spend: Spend, tokens: Sequence[int | None]) -> list[float | None]:
        if spend.usd is None:
            return [None] * len(tokens)
        by_itself = [alone(self.plan, model, spend, one, len(tokens)).usd for one in tokens]
        known = [usd for usd in by_itself if usd is not None]
        if len(known) < len(tokens):
            return [spend.usd / len(tokens)] * len(tokens)
        mean = sum(known) / len(known)
        return [spend.usd / len(tokens) + usd - mean for usd in known]


def _parts(tokens: Sequence[float], count: int) -> list[float]:
    if len(tokens) < count or not sum(tokens):
        return [1 / count] * count
    return [one / sum(tokens) for one in tokens]
