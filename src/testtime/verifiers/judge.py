"""A language model as judge: asked once about an answer, held to a schema, believed only where it can be read.

What it is asked depends on what is judged (judge_prompts): mathematics and other answers against the reference, code
as a program, tool calls for appropriateness with the reference left out, a free answer against true and false ones, and
a chat for quality. The same question and answer is asked once, whichever candidates give it. Without a model for the
role `judge` the verdict is null.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from testtime.core.errors import ModelError
from testtime.core.protocols import Ask, Task
from testtime.core.records import Candidate, Map, Problem, Request, Verdict
from testtime.core.seeds import digest
from testtime.verifiers.judge_prompts import PROMPTS, RETURN, RETURN_TOOLS, schema
from testtime.verifiers.said import unjudgeable, verdict

VERSION = 1
"""Of the prompts and rules; with another, stored verdicts are not reused."""
LONGEST = 12_000
"""Characters of an answer that the judge is shown; of a longer one, its beginning and end."""
UNSAID = 0.5
"""The confidence of a judge that gives none from 0 to 1."""
TOKENS = 1024
"""Of the judge's reply, at most."""

_ESCAPE = re.compile(r'\\(?!["\\/bfnrtu])')


@dataclass(frozen=True)
class Judge:
    """The stage. `sampling` is what the judge's model takes of temperature and schema; None: there is no judge."""

    task: Task
    sampling: Map | None = field(default_factory=lambda: {"temperature": 0.0, "schema": True})
    _asked: dict[str, asyncio.Future[Verdict]] = field(default_factory=dict, compare=False, repr=False)

    stage: ClassVar[str] = "judge"
    gold: ClassVar[bool] = True

    @property
    def digest(self) -> str:
        """Of the stage's version, the task, and whether there is a judge at all."""
        return digest(self.stage, VERSION, self.task.name, self.sampling is None)

    def refuses(self, problem: Problem) -> str | None:
        """Nothing: without a judge its verdicts are null."""
        return None

    async def verify(self, problem: Problem, candidate: Candidate, ask: Ask) -> Verdict:
        """The verdict: null where there is no judge, or it cannot be asked or read."""
        if (none := unjudgeable(self, problem, candidate)) is not None:
            return none
        if self.sampling is None:
            return verdict(self, None, 0.0, "no judge", "no model is there to judge; name one with --judge_model")
        kind = kind_of(problem)
        if kind == "math" and problem.reference is None:
            kind = "quality"
        text = prompt_of(kind, problem, candidate)
        key = digest(text, length=40)
        if key not in self._asked:
            self._asked[key] = asyncio.get_running_loop().create_future()
            try:
                self._asked[key].set_result(await self._ask(kind, text, ask))
            except BaseException:
                self._asked.pop(key).cancel()  # the next one asks anew
                raise
            return self._asked[key].result()
        return replace(await self._asked[key], calls=())

    async def _ask(self, kind: str, text: str, ask: Ask) -> Verdict:
        params = {"max_tokens": TOKENS, **(self.sampling or {})}
        if params.pop("schema", False):
            params["schema"] = schema(kind)
        try:
            got = await ask.generate("judge", Request([{"role": "user", "content": text}], params=params))
        except ModelError as error:
            return self._failed(f"the judge could not be asked: {error}")
        said = read(got.completions[0].text if got.completions else "")
        if said is None:
            return replace(self._failed("the judge's reply cannot be read"), calls=got.calls)
        right, confidence = said["right"], said["confidence"]
        method = "appropriateness" if kind == "tool_calling" else kind
        told = f"{got.model}: {said.get('reasoning') or 'no reason given'}"
        columns = {"verification_llm_judge_used": True, "verification_llm_judge_failed": False}
        return verdict(self, right, confidence, f"judge {method}", told, columns=columns, calls=got.calls)

    def _failed(self, why: str) -> Verdict:
        columns = {"verification_llm_judge_used": True, "verification_llm_judge_failed": True}
        return verdict(self, None, 0.0, "judge failed", why, columns=columns)


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
    answer = str(candidate.facts.get("answer") or "") if kind in ("math", "code") else candidate.text
    trace = [f"{part.kind}: {part.text}" for part in candidate.parts if part.kind in ("call", "result")]
    fields = {
        "question": problem.fields.get("asked", problem.question),
        "answer": _cut(answer),
        "reference": problem.reference if problem.reference is not None else "(none)",
        "tools": json.dumps(problem.fields.get("tools") or [], ensure_ascii=False),
        "trace": _cut("\n".join(trace)) or "(no calls)",
        "correct": "\n".join(problem.fields.get("correct") or ()),
        "incorrect": "\n".join(problem.fields.get("incorrect") or ()),
    }
    return (PROMPTS[kind] + (RETURN_TOOLS if kind == "tool_calling" else RETURN)).format(**fields)


def read(text: str) -> dict[str, Any] | None:
    r"""The judgement of a reply: a JSON object, fenced or amid other text, its LaTeX escaped or not; None for no such.

    >>> read('So:\n```json\n{"right": true, "confidence": 0.9, "reasoning": "\\frac12 is 0.5"}\n```')["right"]
    True
    >>> read("It is right."), read('{"right": "yes", "confidence": 1}')
    (None, None)
    """
    start, end = text.find("{"), text.rfind("}")
    for body in (text[start : end + 1], _ESCAPE.sub(r"\\\\", text[start : end + 1])):
        try:
            said = json.loads(body)
        except (ValueError, RecursionError):
            continue
        if isinstance(said, dict) and isinstance(said.get("right"), bool):
            sure = said.get("confidence")
            if isinstance(sure, bool) or not isinstance(sure, (int, float)) or not 0 <= sure <= 1:
                sure = UNSAID
            return {**said, "confidence": float(sure)}
    return None


def _cut(text: str) -> str:
    """A text as the judge is shown it."""
    half = LONGEST // 2
    return text if len(text) <= LONGEST else f"{text[:half]}\n[… {len(text) - LONGEST:,} characters …]\n{text[-half:]}"
