"""What a plan will ask for and cost, before it asks anything: queries, candidates, requests and dollars, by part.

    low        the draws that are due whatever comes out, each of half the tokens expected (one where nobody says)
    expected   midway between low and high draws, at the tokens expected (null where nobody says how many)
    high       the most draws that policies may make, all bytes read and all tokens written: what caps count with

Unknown is null: requests of a decoding that asks as it goes, dollars without a price. What judges, mocks and refusal
checks will be asked, components say themselves (`core.needs`); how often within its bounds, nobody knows: midway.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from testtime.core.needs import Foresees, Need
from testtime.core.records import Request
from testtime.core.spend import Spend, total
from testtime.engine.costs import priced, reads, text_of
from testtime.engine.live import floors_of
from testtime.engine.plan import Lane, Plan

BYTES_A_TOKEN = 4.0
"""Of a prompt, about."""
SHORT = 0.5
"""Of the tokens expected: what completions have at least, as whoever expects may be wrong by so much."""


@dataclass(frozen=True)
class Range:
    """A number that is not known yet."""

    low: float | None
    expected: float | None
    high: float | None

    def times(self, factor: Range | float) -> Range:
        """The product; unknown where a factor is."""
        other = factor if isinstance(factor, Range) else Range(factor, factor, factor)
        pairs = [(self.low, other.low), (self.expected, other.expected), (self.high, other.high)]
        return Range(*(None if a is None or b is None else a * b for a, b in pairs))


def together(ranges: Sequence[Range]) -> Range:
    """Their sum."""
    columns = zip(*[(one.low, one.expected, one.high) for one in ranges], strict=True) if ranges else ((0.0,),) * 3
    return Range(*(total(column).value for column in columns))


@dataclass(frozen=True)
class Part:
    """What one model is asked for one purpose."""

    name: str
    """generation, judge, mock, …"""
    model: str
    requests: Range
    prompt: Range
    """Tokens."""
    completion: Range
    usd: Range


@dataclass(frozen=True)
class Forecast:
    """All parts."""

    queries: int
    candidates: Range
    parts: Sequence[Part]
    there: int = 0
    """Draws that the output holds already; they are not asked for again."""

    @property
    def requests(self) -> Range:
        """Of all parts."""
        return together([part.requests for part in self.parts])

    @property
    def usd(self) -> Range:
        """Of all parts."""
        return together([part.usd for part in self.parts])

    def lines(self) -> Iterator[str]:
        """For reading: the whole in one line, then a line a part."""
        known = f" ({self.there:,} draws are there already)" if self.there else ""
        yield (
            f"{self.queries:,} queries, {_said(self.candidates)} candidates{known}, {_said(self.requests)} requests, "
            f"{dollars(self.usd)}"
        )
        for part in self.parts:
            tokens = f"{_said(part.prompt)} tokens in, {_said(part.completion)} out"
            yield f"  {part.name}, {part.model}: {_said(part.requests)} requests, {tokens}, {dollars(part.usd)}"


def forecast(plan: Plan, there: int = 0, tokens: float | None = None) -> Forecast:
    """Of a plan whose output holds so many draws; `tokens`: of one completion, on average, where somebody knows."""
    floors = floors_of(plan)
    parts, drawn = list[Part](), list[Range]()
    share = _left(plan, floors, there)
    beside = list[Part]()
    for lane in plan.lanes:
        draws = _draws(plan, lane, floors).times(share * len(plan.problems))
        drawn.append(draws)
        parts += _generation(plan, lane, draws, tokens)
        for component in (lane.decoding, *plan.verifiers):
            if isinstance(component, Foresees):
                beside += _beside(plan, lane, component, draws, tokens)
    return Forecast(len(plan.problems), together(drawn), [*parts, *_joined(beside)], there)


def _draws(plan: Plan, lane: Lane, floors: dict[str, int]) -> Range:
    """Of one problem."""
    labels = {arm.label for arm in lane.arms}
    low = max(floors[label] for label in labels)
    using = [policy for policy in plan.policies if not policy.arms or labels & set(policy.arms)]
    most = [policy.most for policy in using]
    high = None if None in most else float(max([low, *(one for one in most if one is not None)]))
    return Range(float(low), None if high is None else (low + high) / 2, high)


def _left(plan: Plan, floors: dict[str, int], there: int) -> float:
    """The share of what is due that is still to be drawn."""
    due = len(plan.problems) * sum(max(floors[arm.label] for arm in lane.arms) for lane in plan.lanes)
    return max(0.0, 1.0 - there / due) if due else 1.0


def _generation(plan: Plan, lane: Lane, draws: Range, tokens: float | None) -> Iterator[Part]:
    """A part for each model that the decoding asks."""
    chunk, calls = plan.chunk(lane), lane.decoding.calls
    asked = draws.times(1.0 / chunk if chunk > 1 else 1.0)
    if asked.low is not None and chunk > 1:  # a problem has a request of its own, however few its draws
        asked = replace(asked, low=max(asked.low, float(len(plan.problems)) if draws.low else 0.0))
        asked = Range(
            *(None if one is None else max(one, asked.low or 0.0) for one in (asked.low, asked.expected, asked.high))
        )
    requests = Range(asked.low, None, None) if calls is None else asked.times(float(calls))
    sampling = dict(lane.arms[0].sampling)
    sizes = [reads(text_of(Request(lane.messages(problem), params=sampling))) for problem in plan.problems]
    read = sum(sizes) / len(sizes)
    most = sampling.get("max_tokens")
    for role in lane.decoding.roles:
        name = plan.name_of(lane.arms[0], role)
        prompt = requests.times(Range(read / BYTES_A_TOKEN, read / BYTES_A_TOKEN, read))
        longest = None if most is None or calls is None else float(most * calls)
        written = Range(max(1.0, (tokens or 0.0) * SHORT), tokens, longest)
        what = "generation" if len(lane.decoding.roles) == 1 else f"generation ({role})"
        yield _priced(plan, what, name, requests, prompt, draws.times(written))


def _beside(plan: Plan, lane: Lane, component: Foresees, draws: Range, tokens: float | None) -> Iterator[Part]:
    """What a decoding or a verifier asks for besides, for so many draws: each kind by its mean over the problems."""
    found: dict[tuple[str, str], list[Need]] = {}
    for problem in plan.problems:
        for need in component.foresees(problem):
            found.setdefault((need.part, need.role), []).append(need)
    for (part, role), needs in found.items():
        asked = together([_asked(need) for need in needs]).times(1 / len(plan.problems))
        prompt = together([_asked(need).times(_read(need, tokens)) for need in needs]).times(1 / len(plan.problems))
        written = together([_asked(need).times(_written(need)) for need in needs]).times(1 / len(plan.problems))
        requests, left = draws.times(asked), _within(draws.times(asked), needs[0].most)
        name = plan.name_of(lane.arms[0], role)
        yield _priced(
            plan, part, name, requests.times(left), *(draws.times(each).times(left) for each in (prompt, written))
        )


def _within(requests: Range, most: int | None) -> Range:
    """The share of so many requests that a limit leaves."""
    bounds = (requests.low, requests.expected, requests.high)
    return Range(*(1.0 if most is None or one is None or one <= most else most / one for one in bounds))


def _asked(need: Need) -> Range:
    """Requests for one candidate; expected is midway."""
    return Range(need.low, None if need.high is None else (need.low + need.high) / 2, need.high)


def _read(need: Need, length: float | None) -> Range:
    """Tokens of one request's prompt: bytes at most, about a quarter of them expected."""
    shown = None if length is None and need.shows else min(float(need.shows), (length or 0.0) * BYTES_A_TOKEN)
    expected = None if shown is None else (need.reads + shown) / BYTES_A_TOKEN
    return Range(need.reads / BYTES_A_TOKEN, expected, float(need.reads + need.shows))


def _written(need: Need) -> Range:
    """Tokens of one reply: one at least, expected midway."""
    return Range(1.0, None if need.writes is None else (1 + need.writes) / 2, need.writes)


def _joined(parts: Sequence[Part]) -> list[Part]:
    """Parts of one name and model, of several lanes or verifiers, as one."""
    alike: dict[tuple[str, str], list[Part]] = {}
    for part in parts:
        alike.setdefault((part.name, part.model), []).append(part)
    return [
        Part(name, model, *(together([getattr(one, each) for one in several]) for each in _SUMMED))
        for (name, model), several in alike.items()
    ]


_SUMMED = ("requests", "prompt", "completion", "usd")


def _priced(plan: Plan, what: str, model: str, requests: Range, prompt: Range, completion: Range) -> Part:
    def usd(read: float | None, written: float | None) -> float | None:
        if read is None or written is None or plan.price is None:
            return None
        spend = Spend(prompt=round(read), cached=0, completion=round(written), reasoning=0)
        return priced(plan, model, spend).usd

    pairs = [(prompt.low, completion.low), (prompt.expected, completion.expected), (prompt.high, completion.high)]
    return Part(what, model, requests, prompt, completion, Range(*(usd(read, written) for read, written in pairs)))


def _said(range: Range) -> str:
    """A count: one number where it is known, else its bounds."""
    if range.low is None or range.high is None:
        return "unknown" if range.low is None else f"{range.low:,.0f} or more"
    return f"{range.low:,.0f}" if range.low == range.high else f"{range.low:,.0f} to {range.high:,.0f}"


def dollars(range: Range) -> str:
    """Low / expected / high."""
    if range.low is range.expected is range.high is None:
        return "dollars unknown"
    return (
        "$"
        + " / ".join(
            "?" if one is None else f"{one:.2f}" if one >= 1 else f"{one:.4f}"
            for one in (range.low, range.expected, range.high)
        )
        + " (low / expected / high)"
    )
