"""What every stage says alike: a verdict in full, the two cases that need no judgement, and what a model replied."""

from __future__ import annotations

import json
import re
from typing import Any

from testtime.answers import structured
from testtime.answers.extract import unthink
from testtime.core.protocols import Verifier
from testtime.core.records import Candidate, Problem, Verdict

SHOWN = 200
"""Characters of an answer in an explanation."""
UNSAID = 0.5
"""The confidence of a model that gives none from 0 to 1."""
_ESCAPE = re.compile(r'\\(?!["\\/bfnrtu])')


def verdict(
    stage: Verifier, value: bool | None, confidence: float, method: str, explanation: str, **more: Any
) -> Verdict:
    """A verdict of a stage: the confidence is in the value that is given, 0 where nobody can say."""
    return Verdict(
        stage.stage,
        stage.digest,
        value=value,
        confidence=confidence,
        method=method,
        explanation=explanation,
        gold=stage.gold,
        **more,
    )


def unjudgeable(stage: Verifier, problem: Problem, candidate: Candidate) -> Verdict | None:
    """The verdict where there is no answer: it is not a right one, whatever the reason; None where there is one."""
    if candidate.error is not None:
        return verdict(stage, False, 1.0, "no answer", f"the draw failed: {candidate.error}")
    if candidate.facts.get("answer") is not None:
        return None
    reasons = {"length": "the text was cut at its token limit", "refusal": "the model refused", "filter": "filtered"}
    why = reasons.get(candidate.finish, "the text gives none" if candidate.text.strip() else "the text is empty")
    return verdict(stage, False, 1.0, "no answer", f"no answer was found: {why}")


def spoken(candidate: Candidate) -> str:
    """What a candidate says to the one who asked: without thinking, calls and results; of JSON steps the sentences."""
    silent = ("call", "result", "member", "thinking")
    text = unthink("".join(part.text for part in candidate.parts if part.kind not in silent))
    if (found := structured.parts(text)) is None:
        return text
    steps, answer = found
    return "\n".join([*(step["explanation"] for step in steps), answer])


def shown(text: object) -> str:
    """A text for an explanation."""
    said = str(text)
    return repr(said if len(said) <= SHOWN else f"{said[:SHOWN]}…")


def object_of(text: str) -> dict[str, Any] | None:
    r"""The JSON object of a reply, fenced or amid other text, its LaTeX escaped or not; None where there is none.

    Its "confidence" is a number from 0 to 1, `UNSAID` where the reply gives no such.

    >>> object_of(r'So: {"right": true, "reasoning": "\frac12"}')["confidence"]
    0.5
    """
    start, end = text.find("{"), text.rfind("}")
    for body in (text[start : end + 1], _ESCAPE.sub(r"\\\\", text[start : end + 1])):
        try:
            said = json.loads(body)
        except (ValueError, RecursionError):
            continue
        if isinstance(said, dict):
            sure = said.get("confidence")
            if isinstance(sure, bool) or not isinstance(sure, (int, float)) or not 0 <= sure <= 1:
                sure = UNSAID
            return {**said, "confidence": float(sure)}
    return None
