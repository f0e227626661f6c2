"""A language model as judge: asked once about an answer, held to a schema, believed only where it can be read.

What it is asked depends on what is judged (judge_prompts): mathematics and other answers against the reference, code
as a program, tool calls for appropriateness with the reference left out, a free answer against true and false ones, and
a chat for quality. The same question and answer is asked once, whichever candidates give it. Without a model for the
role `judge` the verdict is null.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from testtime.core.needs import Need
from testtime.core.protocols import Ask, Task
from testtime.core.records import Candidate, Problem, Verdict
from testtime.core.seeds import digest
from testtime.verifiers.asking import Asking
from testtime.verifiers.judge_prompts import FLAGS, PROMPTS, RETURN, RETURN_TOOLS, schema
from testtime.verifiers.said import unjudgeable, verdict

VERSION = 1
"""Of the prompts and rules; with another, stored verdicts are not reused."""
LONGEST = 12_000
"""Characters of an answer that the judge is shown; of a longer one, its beginning and end."""
EXTRACTED, SHORT = ("math", "code"), 200
"""Kinds of which the judge is shown the extracted answer alone, and about how many characters that has at most."""
TOKENS = 1024
"""Of the judge's reply, at most."""


@dataclass(frozen=True)
class Judge:
    """The stage. Without a model to ask there is no judge."""

    task: Task
    asking: Asking | None = field(default_factory=Asking, compare=False)

    stage: ClassVar[str] = "judge"
    gold: ClassVar[bool] = True

    @property
    def digest(self) -> str:
        """Of the stage's version, the task, and whether there is a judge at all."""
        return digest(self.stage, VERSION, self.task.name, self.asking is None)

    def refuses(self, problem: Problem) -> str | None:
        """Nothing: without a judge its verdicts are null."""
        return None

    def foresees(self, problem: Problem) -> Iterator[Need]:
        """One question, about what is not the same as before."""
        if self.asking is not None:
            kind = _kind(problem)
            empty = Candidate("", problem.query_id, 0, (), "stop")
            reads = len(prompt_of(kind, problem, empty).encode("utf-8", "surrogatepass"))
            yield Need("judge", "judge", 1, 1, reads, SHORT if kind in EXTRACTED else LONGEST, TOKENS)

    async def verify(self, problem: Problem, candidate: Candidate, ask: Ask) -> Verdict:
        """The verdict: null where there is no judge, or it cannot be asked or read."""
        if (none := unjudgeable(self, problem, candidate)) is not None:
            return none
        if self.asking is None:
            return verdict(self, None, 0.0, "no judge", "no model is there to judge; name one with --judge_model")
        kind = _kind(problem)
        told = await self.asking.about(prompt_of(kind, problem, candidate), schema(kind), TOKENS, ask)
        said = told.said
        if said is None or not isinstance(said.get("right"), bool):
            why = told.why or "the judge's reply cannot be read"
            return replace(self._failed(why), calls=told.calls)
        method = "appropriateness" if kind == "tool_calling" else kind
        why = f"{told.model}: {said.get('reasoning') or 'no reason given'}"
        columns: dict[str, Any] = {"verification_llm_judge_used": True, "verification_llm_judge_failed": False}
        columns |= {f"judge_{name}": float(said[name]) for name in FLAGS if isinstance(said.get(name), bool)}
        return verdict(
            self, said["right"], said["confidence"], f"judge {method}", why, columns=columns, calls=told.calls
        )

    def _failed(self, why: str) -> Verdict:
        columns = {"verification_llm_judge_used": True, "verification_llm_judge_failed": True}
        return verdict(self, None, 0.0, "judge failed", why, columns=columns)


def _kind(problem: Problem) -> str:
    """What is judged, of an answer that may have no reference."""
    kind = kind_of(problem)
    return "quality" if kind == "math" and problem.reference is None else kind


def kind_of(problem: Problem) -> str:
    """What is judged."""
    split = problem.split.casefold()
    if "correct" in problem.fields and "incorrect" in problem.fields:
        return "truth"
    if "tool" in split:
        return "tool_calling"
    if "code" in split or problem.fields.get("language"):
        return "code"
    if problem.fields.get("verifier", "math") == "math":
        return "math"
    return "quality" if problem.reference is None or split == "chat" else "reference"


def prompt_of(kind: str, problem: Problem, candidate: Candidate) -> str:
    """The judge's prompt: of a mathematical answer only what was extracted, of others the text."""
    answer = str(candidate.facts.get("answer") or "") if kind in EXTRACTED else candidate.text
    trace = [f"{part.kind}: {part.text}" for part in candidate.parts if part.kind in ("call", "result")]
    told = next((part.text for part in candidate.parts if part.kind == "tools"), None)
    fields = {
        "question": problem.fields.get("asked", problem.question),
        "answer": _cut(answer),
        "reference": problem.reference if problem.reference is not None else "(none)",
        "tools": told or json.dumps(problem.fields.get("tools") or [], ensure_ascii=False),
        "trace": _cut("\n".join(trace)) or "(no calls)",
        "correct": "\n".join(problem.fields.get("correct") or ()),
        "incorrect": "\n".join(problem.fields.get("incorrect") or ()),
    }
    return (PROMPTS[kind] + (RETURN_TOOLS if kind == "tool_calling" else RETURN)).format(**fields)


def _cut(text: str) -> str:
    """A text as the judge is shown it."""
    half = LONGEST // 2
    return text if len(text) <= LONGEST else f"{text[:half]}\n[… {len(text) - LONGEST:,} characters …]\n{text[-half:]}"
