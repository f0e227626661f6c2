"""What `budget` and `prefix` share: how the end of thinking is forced, and what is asked and measured there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from testtime.core.protocols import Ask, Cap
from testtime.core.records import Candidate, Finish, Map, Part, Problem, Request
from testtime.core.settings import check, setting, setting_fields
from testtime.core.spend import Spend
from testtime.decoding import measure, thinking
from testtime.decoding.thinking import Marks, Trace


@dataclass(frozen=True)
class Answer:
    """What came where a thought was asked to answer."""

    parts: Sequence[Part]
    """The thought, what asks, and the answer."""
    finish: Finish
    spend: Spend
    """Of the answer's request alone."""
    told: Map
    """What was measured."""
    calls: Sequence[str]


@dataclass(frozen=True)
class Forced:
    """The settings that both have."""

    sampling: Map = field(default_factory=dict, repr=False)
    """Parameters of every request: temperature, top_p; token limits are the budgets'."""
    final_answer_budget: int = setting("tokens of the answer after the thinking, at most", 10, least=1)
    force_continue: str = setting(
        "what replaces an end of thinking before the budget: none lets it end, wait and hmm are usual texts, "
        "anything else is the text itself",
        "none",
    )
    continuations: int = setting("how often an end may be replaced, at most", 8, least=0)
    repetition_threshold: int = setting(
        "a piece between two continuations of at most so many tokens ends the thinking", 0, least=0
    )
    force_end: str = setting("what asks for the answer after the thinking; model is what the model is used to", "model")
    score: Literal["set", "gold", "none"] = setting(
        "what is measured by teacher forcing where the answer is asked for: the law over the solution set, the gold "
        "answer's own probability, or nothing",
        "set",
    )
    distribution: int = setting("the most probable answers that are noted of a measured law, at most", 10, least=0)

    calls: ClassVar[int | None] = None
    notes: ClassVar[frozenset[str]] = frozenset(
        {"budget", "thinking_tokens", "n_continuations", "forced", "stopped_early", "repeated", "control_error"}
    )

    def __post_init__(self) -> None:
        check(self)

    @property
    def roles(self) -> Mapping[str, frozenset[Cap]]:
        """The one model goes on from a given text, and scores answers where they are measured."""
        needs: set[Cap] = {"continuation"} if self.score == "none" else {"continuation", "score"}
        return {"model": frozenset(needs)}

    def begun(self, messages: Sequence[Map], ask: Ask) -> Trace:
        """A thought that has not begun."""
        marks = thinking.marks_of(next(iter(ask.arms[0].models.values())))
        if self.force_end != "model":
            marks = replace(marks, ask=self.force_end)
        wait, least = self._wait(marks), self.repetition_threshold
        return Trace(messages, ask, marks, self.sampling, wait, self.continuations, least)

    async def answered(self, trace: Trace, problem: Problem) -> Answer:
        """Asks for the answer where the thought now stands, and measures it. Raises ModelError."""
        asked = trace.asked()
        told = await measure.measured(trace.ask, problem, asked, self.score, self.distribution)
        params = {**self.sampling, "max_tokens": self.final_answer_budget}
        got = await trace.ask.generate("model", replace(asked, params=params))
        (said,) = got.completions
        text = thinking.closed(said.text) if trace.marks.ask.endswith("{") else said.text
        asking = Part("forced", trace.marks.close + trace.marks.ask)
        part = Part("answer", text, said.tokens, next(iter(got.calls), None))
        told = {**told, **measure.distance(problem, text.removesuffix("}"))}
        cut = said.finish == "length" and text == said.text and not text.endswith("}")
        return Answer([*trace.parts, asking, part], "length" if cut else "stop", got.spend, told, got.calls)

    def probes(self, messages: Sequence[Map]) -> Sequence[tuple[str, Request]]:
        """A request that thinks on after the continuation."""
        marks = thinking.Marks()
        params = {**self.sampling, "max_tokens": 1, "stop": [marks.close]}
        return [("model", Request(messages, self._wait(marks) or "\n", params=params))]

    def arm(self, budget: int) -> Map:
        """What shapes the draws of one budget: the settings that are not the usual ones."""
        own = {f.name: (getattr(self, f.name), f.default) for f, _ in setting_fields(type(self)) if f.name != "budget"}
        return {"budget": budget, **{name: value for name, (value, usual) in own.items() if value != usual}}

    def candidate(self, trace: Trace, answer: Answer, problem: Problem, arm: str, idx: int, budget: int) -> Candidate:
        """The row of one budget."""
        facts: dict[str, Any] = {**trace.facts(budget), **answer.told}
        alone = {"model": trace.cost(answer.spend)}
        calls = tuple(dict.fromkeys([*trace.calls, *answer.calls]))
        return Candidate(arm, problem.query_id, idx, answer.parts, answer.finish, alone, calls, facts=facts)

    def _wait(self, marks: Marks) -> str:
        named = {"none": "", "wait": marks.wait, "hmm": thinking.DOCUMENTED}
        return named.get(self.force_continue, self.force_continue)
