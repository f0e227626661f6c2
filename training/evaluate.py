"""Accuracy of one candidate and of majority votes, with bootstrap intervals over problems, by the package's runtime."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from testtime.core.records import Completion, Problem, Request
from testtime.models.pocket.backend import PocketModel
from testtime.tasks.pocket_math import PROMPT, PocketMath

MOST = 880
"""Tokens of a completion: what the context holds after the longest question."""
TOGETHER = 64
"""Problems asked at once."""
TEMPERATURE = 0.8


@dataclass(frozen=True)
class Accuracy:
    """How often majority votes are right."""

    ns: tuple[int, ...]
    right: np.ndarray
    """[problem, n]: probability that the majority of n is right, the mean over disjoint groups; ties are shared."""
    tokens: float
    """Of a completion, on average."""
    waits: float
    """Share of completions that say `Wait`."""
    answered: float

    def line(self) -> str:
        """One line: accuracy with its 95 % interval for each n, then what the completions are like."""
        cells = ", ".join(f"n={n} {mean:.1%} [{low:.1%}, {high:.1%}]" for n, (mean, low, high) in self.found().items())
        gain = "; gain {:+.1%} [{:+.1%}, {:+.1%}]".format(*_interval(self.right[:, -1] - self.right[:, 0]))
        like = f"{self.tokens:.0f} tokens, {self.waits:.1%} say Wait, {self.answered:.1%} answer"
        return f"{len(self.right)} problems, {cells}{gain if len(self.ns) > 1 else ''}; {like}"

    def found(self) -> dict[int, tuple[float, float, float]]:
        """N → (accuracy, low, high)."""
        return {n: _interval(self.right[:, index]) for index, n in enumerate(self.ns)}


@dataclass(frozen=True)
class Way:
    """How a candidate is drawn."""

    temperature: float = TEMPERATURE
    forced: int = 0
    """How many times the end of thinking becomes a `Wait`."""
    budget: int | None = None
    """Thinking tokens after which `</think>` is forced; None: as many as it likes."""


PLAIN = Way()


def evaluate(model: PocketModel, split: str, problems: int, ns: tuple[int, ...], way: Way = PLAIN) -> Accuracy:
    """Accuracy on the first problems of a split."""
    task, most = PocketMath(), max(ns)
    asked = list(islice(task.problems(split), problems))
    texts = asyncio.run(_texts(model, asked, most, way))
    keys = [[task.answer(problem, text)[1] for text in some] for problem, some in zip(asked, texts, strict=True)]
    right = [_right(task, problem, some, ns) for problem, some in zip(asked, keys, strict=True)]
    every = [text for some in texts for text in some]
    return Accuracy(
        ns, np.array(right), sum(len(model.tokenizer.encode(text)) for text in every) / len(every),
        sum("Wait" in text for text in every) / len(every),
        sum(key is not None for some in keys for key in some) / len(every),
    )  # fmt: skip


async def _texts(model: PocketModel, asked: Sequence[Problem], n: int, way: Way) -> list[list[str]]:
    texts: list[list[str]] = []
    for low in range(0, len(asked), TOGETHER):
        some = list(enumerate(asked[low : low + TOGETHER], low))
        texts += await asyncio.gather(*(_drawn(model, problem, n, index, way) for index, problem in some))
    return texts


async def _drawn(model: PocketModel, problem: Problem, n: int, index: int, way: Way) -> list[str]:
    """`n` candidates of a problem."""
    messages = [{"role": "user", "content": PROMPT.format(question=problem.question)}]
    first = 1000 * index
    if not way.forced and way.budget is None:
        return [done.text for done in await _asked(model, messages, (), n, first, way, MOST)]
    return list(await asyncio.gather(*(_shaped(model, messages, first + child, way) for child in range(n))))


async def _shaped(model: PocketModel, messages: list[dict[str, str]], seed: int, way: Way) -> str:
    """One candidate whose thinking is ended early, or goes on after each end."""
    tokenizer = model.tokenizer
    end, wait = tokenizer.ids["</think>"], tokenizer.ids["Wait"]
    ids: tuple[int, ...] = ()
    for turn in range(way.forced + 1):
        most = MOST if way.budget is None else way.budget - len(ids)
        room = max(1, model.config.context - len(tokenizer.prompt(messages)) - len(ids) - 20)
        (more,) = await _asked(model, messages, ids, 1, seed, way, min(most, room), stop="</think>")
        ids = (*ids, *(more.token_ids or ()))
        if turn < way.forced:
            ids = (*ids, wait)
    (last,) = await _asked(model, messages, (*ids, end), 1, seed, way, 20)
    return tokenizer.decode((*ids, end)) + last.text


async def _asked(
    model: PocketModel, messages: list[dict[str, str]], prefix: tuple[int, ...], n: int, seed: int, way: Way, most: int,
    **params: Any,
) -> Sequence[Completion]:  # fmt: skip
    settings = {"temperature": way.temperature, "max_tokens": most, **params}
    return (await model.generate(Request(messages, prefix, n, seed, settings))).completions


def _right(task: PocketMath, problem: Problem, keys: Sequence[str | None], ns: tuple[int, ...]) -> list[float]:
    groups = {n: [keys[start : start + n] for start in range(0, len(keys) - n + 1, n)] for n in ns}
    return [float(np.mean([majority(task, problem, group) for group in groups[n]])) for n in ns]


def majority(task: PocketMath, problem: Problem, keys: Sequence[str | None]) -> float:
    """Probability that the most frequent key is right, ties shared."""
    counts = Counter(key for key in keys if key is not None)
    best = [key for key, count in counts.items() if count == max(counts.values())]
    return sum(bool(task.right(problem, key)) for key in best) / len(best) if best else 0.0


def _interval(right: np.ndarray) -> tuple[float, float, float]:
    """(Mean, low, high) by 2,000 bootstrap samples of the problems, seeded."""
    draws = np.random.default_rng(0).integers(0, len(right), (2000, len(right)))
    low, high = np.quantile(right[draws].mean(1), [0.025, 0.975])
    return float(right.mean()), float(low), float(high)
