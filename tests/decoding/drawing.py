"""Draws candidates by decodings over the shipped pocket models, through the engine, and reads them back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from testtime.core.records import Arm, Candidate, Problem
from testtime.core.strings import parse
from testtime.engine.plan import Lane, Plan
from testtime.engine.run import fill
from testtime.models.pocket.backend import PocketModel
from testtime.store.codec import decode
from testtime.store.journal import read_journal
from testtime.tasks.pocket_math import PROMPT, PocketMath

GREEDY = {"temperature": 0.0, "top_p": 1.0, "max_tokens": 400}


@cache
def model(name: str) -> PocketModel:
    return PocketModel(name, threads=1)


def decoding(text: str, sampling: Mapping[str, Any] = GREEDY, shared: bool = True) -> Any:
    """A decoding as text; `shared`: base and oracle go on by token ids."""
    by_ids = {"vocabulary": model("pocket-s").vocabulary} if shared else {}
    return parse("decoding", text, sampling=sampling, **by_ids)


def problems(count: int, split: str = "validation-medium") -> list[Problem]:
    return list(islice(PocketMath().problems(split), count))


def asked(problem: Problem) -> list[dict[str, str]]:
    return [{"role": "user", "content": PROMPT.format(question=problem.question)}]


def drawn(
    folder: Path,
    decodings: Mapping[str, Any],
    count: int = 6,
    due: int = 1,
    models: Mapping[str, Any] | None = None,
    roles: Mapping[str, str] | None = None,
    beside: Mapping[str, str] | None = None,
    **how: Any,
) -> dict[str, list[Candidate]]:
    """Label → candidates by problem, then by draw; `beside`: roles that every arm has besides its own."""
    here = models or {"pocket:pocket-s": model("pocket-s"), "pocket:pocket-m": model("pocket-m")}
    players = dict(roles or {"base": "pocket:pocket-s", "oracle": "pocket:pocket-m", "model": "pocket:pocket-s"})
    arms = {
        label: Arm(label, {role: players[role] for role in made.roles}, decoding={"kind": label})
        for label, made in decodings.items()
    }
    lanes = [Lane((arms[label],), made, asked, due) for label, made in decodings.items()]
    task = how.pop("task", problems(count))
    plan = Plan(
        "drawing", "pocket-math", how.pop("seed", 0), task, lanes, here, PocketMath().answer, roles=beside or {}, **how
    )
    asyncio.run(fill(plan, folder))
    found: dict[str, list[Candidate]] = {label: [] for label in decodings}
    labels = {arm.id: label for label, arm in arms.items()}
    for record in read_journal(folder).records:
        if record["kind"] == "draw":
            for one in record["candidates"]:
                made = decode(Candidate, one)
                found[labels[made.arm]].append(made)
    order = {problem.query_id: at for at, problem in enumerate(task)}
    for candidates in found.values():
        candidates.sort(key=lambda one: (order[one.query_id], one.candidate_idx))
    return found


def tokens(candidate: Candidate) -> tuple[int, ...]:
    return tuple(token for part in candidate.parts for token in part.token_ids or ())
