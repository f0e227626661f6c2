"""Accuracy of one candidate and of majority votes, with bootstrap intervals over problems."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from testtime.core.records import Problem
from testtime.tasks.pocket_math import PROMPT, PocketMath
from training.llama import Llama
from training.sample import sample
from training.vocabulary import ASSISTANT, END, USER, Vocabulary

MOST = 640
"""Tokens of a completion."""
ROWS = 512
"""Completions sampled together."""


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


def evaluate(
    model: Llama, split: str, problems: int, ns: tuple[int, ...], temperature: float = 0.8, forced: int = 0
) -> Accuracy:
    """Accuracy on the first problems of a split; with `forced`, each end of thinking becomes a `Wait` so many times."""
    task, vocabulary, most = PocketMath(), Vocabulary(), max(ns)
    asked = sorted(islice(task.problems(split), problems), key=lambda problem: len(problem.question))
    texts: list[str] = []
    for start in range(0, len(asked), max(1, ROWS // most)):
        some = asked[start : start + max(1, ROWS // most)]
        prompts = [
            vocabulary.encode(f"{USER}{PROMPT.format(question=problem.question)}{ASSISTANT}") for problem in some
        ]
        texts += _texts(model, prompts, most, temperature, start, forced)
    keys = [task.answer(asked[index // most], text)[1] for index, text in enumerate(texts)]
    right = [_right(task, problem, keys[index * most :][:most], ns) for index, problem in enumerate(asked)]
    return Accuracy(
        ns, np.array(right), sum(len(vocabulary.encode(text)) for text in texts) / len(texts),
        sum("Wait" in text for text in texts) / len(texts), sum(key is not None for key in keys) / len(keys),
    )  # fmt: skip


def _texts(model: Llama, prompts: Sequence[list[int]], n: int, temperature: float, seed: int, forced: int) -> list[str]:
    vocabulary = Vocabulary()
    end, wait = vocabulary.ids[END], vocabulary.encode("Wait")
    texts = sample(model, prompts, n, end, temperature, MOST, seed)
    stop = vocabulary.ids["</think>"]
    for turn in range(forced):
        cut = [ids[: ids.index(stop)] if stop in ids else ids for ids in texts]
        begun = [prompts[index // n] + ids + wait for index, ids in enumerate(cut)]
        more = sample(model, begun, 1, end, temperature, MOST // 2, seed + turn + 1)
        texts = [ids + wait + rest for ids, rest in zip(cut, more, strict=True)]
    return [vocabulary.decode(ids) for ids in texts]


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
