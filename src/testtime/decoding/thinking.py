"""Thinking under a budget, by continuation: one trace that grows to exactly so many tokens, and is asked to answer.

What is inserted counts towards the budget like what is drawn. How many tokens an inserted text has is known from
the prompt tokens of the request after it; until then it counts as its bytes, of which no token has less than one,
so that no budget is ever exceeded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from testtime.core.protocols import Ask
from testtime.core.records import Completion, Generation, Map, Part, Request
from testtime.core.spend import Spend, add


@dataclass(frozen=True)
class Marks:
    """The texts that a model's thinking stands between."""

    open: str = ""
    """What begins it, where the model's template has not done so."""
    close: str = "</think>"
    """What ends it: the model stops there, and it is put there at the budget."""
    ask: str = "\n\nFinal answer: \\boxed{"
    """What asks for the answer, after `close`."""
    wait: str = "Wait"
    """What makes it go on thinking."""


MARKS: Mapping[str, Marks] = {
    r"pocket": Marks(open="<think>\n", ask="\n\\boxed{"),
    r"deepseek-r1|r1-distill|qwq|phi-4-.*reasoning|s1": Marks(open="<think>\n"),
    r"qwen3|smollm3": Marks(open="<think>\n", close="\n</think>"),
}
"""Pattern of a model's name → its marks; the first that is found counts, else those of `Marks()`."""
DOCUMENTED = "Hmm, but let me keep thinking..."
"""The continuation of the described emergent-scaling experiments, the `hmm` of `force_continue`."""


def marks_of(model: str) -> Marks:
    r"""The marks of a model by its name.

    >>> marks_of("pocket:pocket-m").open, marks_of("vllm:meta/Llama-3.1-8B-Instruct").open
    ('<think>\n', '')
    """
    return next((marks for pattern, marks in MARKS.items() if re.search(pattern, model, re.IGNORECASE)), Marks())


@dataclass
class Trace:
    """A thought that grows. Its text is what the model is asked to go on from."""

    messages: Sequence[Map]
    ask: Ask
    marks: Marks
    sampling: Map
    wait: str = ""
    """What is put where it ends too early; "" lets it end."""
    most_waits: int = 0
    least: int = 0
    """A piece of thinking between two continuations of at most so many tokens is a repetition: it ends there."""
    parts: list[Part] = field(default_factory=list)
    tokens: int = 0
    """Of the thinking, what was inserted included."""
    ended: bool = False
    """The model closed its thinking itself, where it now stands."""
    waits: int = 0
    repeated: bool = False
    calls: list[str] = field(default_factory=list)
    costs: list[Spend] = field(default_factory=list)
    """Of the requests; what goes on from a smaller budget is one with what it goes on from."""
    _piece: int = 0
    """Tokens drawn since the last continuation."""
    _unsure: int = 0
    """What an inserted text is counted as, until its tokens are known."""
    _wait_tokens: int | None = None
    _read: int | None = None
    """Tokens of prompt and thinking, as the model last counted them."""
    _cut: bool = False
    """It was asked to answer here: a draw of a larger budget alone would not have stopped."""

    def __post_init__(self) -> None:
        if self.marks.open:
            self.parts.append(Part("forced", self.marks.open))

    @property
    def text(self) -> str:
        """All parts joined."""
        return "".join(part.text for part in self.parts)

    async def think(self, upto: int) -> None:
        """Grows to `upto` tokens of thinking, or to where the model ends it. Raises ModelError."""
        while self.tokens < upto and (not self.ended or self._go_on(upto)):
            params = {**self.sampling, "max_tokens": upto - self.tokens, "stop": [self.marks.close]}
            self._take(await self.ask.generate("model", Request(self.messages, self.text, params=params)))
        self._cut = not self.ended

    def _take(self, got: Generation) -> None:
        (said,) = got.completions
        drawn = _drawn(said)
        self._count(got.spend.prompt, drawn)
        self.tokens += drawn
        self._piece += drawn
        self.parts.append(Part("thinking", said.text, drawn, next(iter(got.calls), None), said.token_ids))
        self.calls += [call for call in got.calls if call not in self.calls]
        if self._cut and self.costs:
            self.costs[-1] = _joined(self.costs[-1], got.spend)
        else:
            self.costs.append(got.spend)
        self.ended, self._cut = said.finish != "length" or not drawn, False

    def _count(self, prompt: int | None, drawn: int) -> None:
        """What was inserted before this request, now that the model has counted it."""
        if self._unsure and prompt is not None and self._read is not None:
            self._wait_tokens = min(max(prompt - self._read, 0), self._unsure)
            self.tokens += self._wait_tokens - self._unsure
            self._unsure = 0
        self._read = None if prompt is None else prompt + drawn

    def _go_on(self, upto: int) -> bool:
        """Puts the continuation where the model ended, if it may and there is room for one token after it."""
        if not self.wait or self.waits >= self.most_waits or self.repeated:
            return False
        if self.waits and self._piece <= self.least:
            self.repeated = True
            return False
        size = self._wait_tokens if self._wait_tokens is not None else len(self.wait.encode())
        if self.tokens + size >= upto:
            return False
        self.parts.append(Part("forced", self.wait))
        self.tokens += size
        self._unsure = size
        self.waits += 1
        self._piece, self.ended = 0, False
        return True

    def facts(self, budget: int) -> dict[str, Any]:
        """What is noted of a draw that is asked to answer now."""
        return {
            "budget": budget,
            "thinking_tokens": self.tokens,
            "n_continuations": self.waits,
            "forced": not self.ended,
            "stopped_early": self.ended and self.tokens < budget,
            "repeated": self.repeated,
            "control_error": (self.tokens - budget) / budget,
        }

    def asked(self) -> Request:
        """The request that asks for the answer."""
        return Request(self.messages, self.text + self.marks.close + self.marks.ask, params=self.sampling)

    def cost(self, answer: Spend) -> Spend:
        """What a draw that ends here would have cost alone."""
        return add([*self.costs, answer])


def closed(text: str) -> str:
    r"""A text that follows an opening brace, up to the brace that closes it; whole where none does.

    >>> closed("083} and more"), closed("\\frac{1}{2}} is"), closed("08")
    ('083}', '\\frac{1}{2}}', '08')
    """
    depth = 1
    for at, sign in enumerate(text):
        depth += (sign == "{") - (sign == "}")
        if not depth:
            return text[: at + 1]
    return text


def _drawn(said: Completion) -> int:
    """Tokens that the text holds; all that were drawn, the end mark too, where the model does not say which."""
    if said.token_ids is not None:
        return len(said.token_ids)
    return said.tokens or 0


def _joined(first: Spend, more: Spend) -> Spend:
    """One request's worth of two, the second of which only went on: its prompt is not sent again."""
    whole = add([first, more])
    return Spend(first.prompt, first.cached, whole.completion, whole.reasoning, whole.seconds)
