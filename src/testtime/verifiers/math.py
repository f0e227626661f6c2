"""A mathematical answer against the reference: by keys, as numbers or measures, else by math-verify in another process.

The first rule that can tell decides, and its name is the verdict's method:

| method | when | value | confidence |
|---|---|---|---|
| no answer | the draw failed, refused, was cut or empty | false | 1 |
| units | both are measures, in different units: equal once converted, or not | either | 1 |
| key | the task's answer keys are equal | true | 1 |
| number | both are numbers: equal to six decimals where one is no integer, else not equal; of any base | either | 1 |
| choice | the problem has options, and it is another one | false | 1 |
| word | both are words, and not the same | false | 0.8 |
| math-verify | equal by algebra, or not | either | 0.95, 0.9 |
| unreadable | two numbers stand beside each other; math-verify could not parse it, or was killed over it | false | 0 |
| no reference | there is nothing to compare with | null | 0 |
| not installed, failed | only math-verify could tell, and it is not there, or does not start | null | 0 |
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from testtime.answers import expression, final, numbers, units
from testtime.answers.extract import last_box, marked, unthink
from testtime.core.errors import BadInput
from testtime.core.protocols import Ask, Task
from testtime.core.records import Candidate, Problem, Verdict
from testtime.core.seeds import digest
from testtime.verifiers.said import shown, unjudgeable, verdict
from testtime.verifiers.workers import Died, Overdue, Unready, Workers, python

VERSION = 4
"""Of the rules; with another, stored verdicts are not reused."""
MEMORY = 2 * 2**30
"""Bytes of a worker's address space."""
SECONDS = 8
"""Of processor time, of one comparison: beyond it the system ends its worker, where it counts that (POSIX)."""
PATIENCE = 120 if os.name == "posix" else SECONDS
"""Seconds by the clock until a worker is killed: a busy machine must not make a right answer unreadable."""
LONGEST = 2_000
"""Characters of an answer that is compared."""
KINDS = ("latex", "expr", "string")
"""What `extract` may name."""
OPTIONS: Mapping[str, type] = {
    "strict": bool, "allow_set_relation_comp": bool, "symmetric": bool,
    "float_rounding": int, "numeric_precision": int, "precision": int,
}  # fmt: skip
"""Other options of a pair, and what each is (`equality` says what they do)."""
INSTALL = 'pip install "testtime[math]"'

_WORD = re.compile(r"[a-z][a-z' \-]{2,}")
_BESIDE = re.compile(r"[0-9] [0-9]")
_BASED = re.compile(r"([0-9]{1,300})_([0-9]{1,2})")


@dataclass(frozen=True)
class Finding:
    """What a comparison found."""

    value: bool | None
    confidence: float
    method: str
    why: str = ""


@dataclass(frozen=True)
class Math:
    """The stage: the task says what an answer is, and which answers its own rule already knows to be equal."""

    task: Task

    stage: ClassVar[str] = "math"
    gold: ClassVar[bool] = True

    @property
    def digest(self) -> str:
        """Of the stage's version and the task whose rule it is."""
        return digest(self.stage, VERSION, self.task.name)

    def refuses(self, problem: Problem) -> str | None:
        """Why it cannot judge a problem: an expression needs math-verify, a number or a letter does not."""
        gold = problem.reference
        simple = gold is None or "choices" in problem.fields or numbers.canonical(gold) is not None
        return None if simple or installed() else f"math-verify is not installed; {INSTALL}"

    async def verify(self, problem: Problem, candidate: Candidate, ask: Ask) -> Verdict:
        """The verdict. Raises nothing: a worker that is lost over an answer makes it unreadable."""
        if (none := unjudgeable(self, problem, candidate)) is not None:
            return none
        printed, key = candidate.facts.get("answer"), candidate.facts.get("answer_key")
        right = self.task.right(problem, key)
        if right is None or problem.reference is None:
            return verdict(self, None, 0.0, "no reference", "there is no reference to compare with")
        measured = None if printed is None else units.same(problem.reference, str(printed))
        if measured is not None:
            found = Finding(measured, 1.0, "units")
        elif right:
            found = Finding(True, 1.0, "key")
        elif "choices" in problem.fields:
            found = Finding(False, 1.0, "choice")
        else:
            found = await compare(problem.reference, str(printed))
        told = f"{shown(printed)} against {shown(problem.reference)}"
        return verdict(self, found.value, found.confidence, found.method, f"{told}; {found.why}" if found.why else told)


async def compare(gold: str, answer: str, options: Mapping[str, Any] | None = None) -> Finding:
    """Whether an answer is equal to the reference; null where math-verify is needed and not there."""
    options = options or {}
    if not options.get("extract") and (known := _at_once(gold, answer)) is not None:
        return known
    if len(answer) > LONGEST and not options.get("extract"):
        return Finding(False, 0.0, "unreadable", f"an answer of {len(answer):,} characters")
    if not installed():
        return Finding(None, 0.0, "not installed", f"only math-verify could tell, and it is not there; run: {INSTALL}")
    try:
        said = await workers().ask({**options, "gold": gold, "prediction": answer})
    except (Overdue, Died) as error:
        return Finding(False, 0.0, "unreadable", f"the comparison was stopped: {error}")
    except Unready as error:
        return Finding(None, 0.0, "failed", f"math-verify could not be started: {error}")
    if not isinstance(same := said.get("same"), bool):
        return Finding(False, 0.0, "unreadable", str(said.get("why", ""))[:200])
    return Finding(same, 0.95 if same else 0.9, "math-verify")


def strange(options: object) -> str | None:
    """What is wrong with the options of a pair; None where they can be honoured.

    >>> strange({"extract": ["latex"], "strict": True, "precision": 4}), strange(None)
    (None, None)
    >>> strange({"extract": ["tex"]}), strange({"rounding": 2})
    ("'extract' is no list of latex, expr, string", "the option 'rounding' is not known")
    """
    if options is not None and not isinstance(options, Mapping):
        return "'options' is not a mapping"
    for name, value in (options or {}).items():
        if name == "extract":
            if not isinstance(value, list) or not value or not set(map(str, value)) <= set(KINDS):
                return f"'extract' is no list of {', '.join(KINDS)}"
        elif name not in OPTIONS:
            return f"the option {name!r} is not known"
        elif type(value) is not OPTIONS[name]:
            return f"the option {name!r} is no {'whole number' if OPTIONS[name] is int else 'true or false'}"
    return None


async def judge_pair(gold: str, prediction: str, options: Mapping[str, Any] | None = None) -> Finding:
    """A text against a reference, both as found: boxes opened, thinking stripped, where `extract` does not say how.

    Raises BadInput where only math-verify could tell, and it is not there or does not start.
    """
    options = options or {}
    prediction = unthink(prediction)
    if options.get("extract"):
        return _told(await compare(gold, prediction, options))
    box = last_box(gold)
    printed = final.mathematics(prediction)[0] if marked(prediction) else prediction.strip()
    if not printed:
        return Finding(False, 1.0, "no answer", "no answer was found")
    return _told(await compare(box.text if box else gold, printed, options))


def _told(found: Finding) -> Finding:
    """What was found. Raises BadInput where nothing could be."""
    if found.value is None:
        raise BadInput(
            "math-verify, which compares expressions, is not installed or does not start", mend=f"run: {INSTALL}"
        )
    return found


def installed() -> bool:
    """Whether math-verify is there."""
    return find_spec("math_verify") is not None


@lru_cache(maxsize=1)
def workers() -> Workers:
    """The processes that run math-verify, shared by all stages."""
    script = Path(__file__).with_name("equality.py")
    count = max(1, min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1))
    return Workers(python(str(script), MEMORY, SECONDS), count, PATIENCE)


def _at_once(gold: str, answer: str) -> Finding | None:
    """What the keys alone can tell."""
    if (measured := units.same(gold, answer)) is not None:
        return Finding(measured, 1.0, "units")
    one, two = expression.key(gold), expression.key(answer)
    if one is not None and one == two:
        return Finding(True, 1.0, "key")
    if one is None or two is None:
        return None
    if _BESIDE.search(two) and not _BESIDE.search(one):  # math-verify adds them or multiplies, as it likes
        return Finding(False, 0.0, "unreadable", "it has two numbers beside each other")
    first, second = numbers.parse(one), numbers.parse(two)
    if first is not None and second is not None and "%" not in gold + answer:
        whole = first.denominator == 1
        same = not whole and abs(first - second) * 2 * 10**6 <= 1
        return Finding(same, 1.0, "number")
    first_based, second_based = _of_base(one), _of_base(two)
    if first_based is not None and second_based is not None:
        return Finding(first_based == second_based, 1.0, "number")
    if _WORD.fullmatch(one) and _WORD.fullmatch(two):
        return Finding(False, 0.8, "word")
    return None


def _of_base(key: str) -> int | None:
    """The value of a numeral that names its base, as 1011_2 does."""
    found = _BASED.fullmatch(key)
    base = int(found[2]) if found else 0
    return int(found[1], base) if found and 2 <= base <= 10 and max(map(int, found[1])) < base else None
