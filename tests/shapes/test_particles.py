"""Particles: several partial texts grow step by step, and a step scorer decides which go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from harness import lane, plan, server, survives

from testtime.core.protocols import Ask
from testtime.core.records import Candidate, Part, Problem, Request, Verdict
from testtime.core.spend import add
from testtime.engine.plan import Plan
from testtime.meters.price import Price, Prices


@dataclass
class Particles:
    """Four particles, three steps; after each, four are drawn again in proportion to their scores."""

    calls: None = None
    settings: Sequence[Any] = ({},)
    roles: dict[str, frozenset[Any]] = field(default_factory=lambda: {"model": frozenset({"continuation"})})

    async def draw(self, problem: Problem, messages: Any, idx: int, ask: Ask) -> Sequence[Candidate]:
        texts, spends = [""] * 4, []
        for _ in range(3):
            grown = []
            for prefix in sorted(set(texts)):
                got = await ask.generate("model", Request(messages, prefix, n=texts.count(prefix)))
                grown += [prefix + one.text for one in got.completions]
                spends.append(got.spend)
            scores = np.array([verdict.score for verdict in await ask.judge("steps", problem, grown)])
            texts = [grown[at] for at in ask.rng.choice(4, 4, p=scores / scores.sum())]
        alone = {"model": add(spends)}
        return [Candidate(ask.arms[0].label, problem.query_id, idx, [Part("step", texts[0])], "stop", alone)]


class Steps:
    """Asks a model of its own how good a partial text is."""

    stage, digest, gold = "steps", "1", False

    async def verify(self, problem: Problem, candidate: Candidate, ask: Ask) -> Verdict:
        got = await ask.generate("scorer", Request([{"role": "user", "content": candidate.text}]))
        return Verdict(self.stage, self.digest, score=float(got.completions[0].text), calls=got.calls)


def shape(folder: Path) -> Plan:
    writer = server(folder, lambda request, seed: f"{seed % 10} ")
    scorer = server(folder, lambda request, seed: str(1 + sum(map(ord, request.messages[0]["content"])) % 9), "s:1")
    models, price = {writer.name: writer, scorer.name: scorer}, Prices({"s:1": Price(1, 1), writer.name: Price(2, 2)})
    made = lane(Particles(), 2, "particles", model=writer.name, scorer=scorer.name)
    return plan(writer, [made], models=models, judges={"steps": Steps()}, price=price)


def test_particles_grow_and_are_weighed_alike_after_any_kill(tmp_path: Path) -> None:
    whole = survives(shape, tmp_path)
    assert whole.calls.filter(role="scorer").height == 6 * 3 * 4
    assert whole.calls.filter(role="model")["completion_tokens"].sum() == 6 * 3 * 4
    assert whole.rows["candidate_text"].n_unique() == 6
    assert all(len(text.split()) == 3 for text in whole.rows["candidate_text"])
