"""The stages that judge a run's candidates: the task's and a judge behind it, whether they decline, their persona.

Beside them runs what gives programs their votes, where a problem shows examples.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from testtime.answers.persona import Marks
from testtime.core.errors import Refused
from testtime.core.protocols import Model, Task, Verifier
from testtime.core.records import Problem, Request
from testtime.core.registry import find
from testtime.runspec import RunSpec
from testtime.verifiers.asking import Asking, Keeps
from testtime.verifiers.chain import Chain
from testtime.verifiers.code import Code
from testtime.verifiers.each import Each
from testtime.verifiers.judge import Judge
from testtime.verifiers.judge_prompts import schema
from testtime.verifiers.outputs import Outputs
from testtime.verifiers.persona import Persona
from testtime.verifiers.refusal import Refusal
from testtime.verifiers.step_judge import StepJudge

RULES = frozenset({"math", "choice", "tools", "steps"})
"""Stages that ask no model."""


def asks_judge(spec: RunSpec, stages: Collection[str]) -> bool:
    """Whether anything in a run may ask its judge: a stage of these names, or what the spec asks for beside them."""
    return bool(spec.llm_judge_fallback or spec.refusal_budget or spec.persona_judge or set(stages) - RULES)


def stages_of(
    task: Task,
    spec: RunSpec,
    problems: Sequence[Problem],
    model: Model,
    kept: Keeps,
    persona: tuple[str | None, Marks | None],
) -> list[Verifier]:
    """The run's stages, the one that says right or wrong first.

    `model` plays the role `judge`, `kept` holds what it replied before, `persona` is its text and its marks. Raises
    BadInput for a stage that is not known, Refused where one could not judge a problem, or a model that cannot judge is
    asked to.
    """
    asking = asking_of(model, kept, named=spec.judge_model is not None)
    text, marks = persona
    stages = [_judged(task, spec, model, asking, problems)]
    settles = _asked(asking, model, "refusal_budget") if spec.refusal_budget else None
    allowed = marks.not_refusals if marks else ()
    stages.append(Refusal(task, allowed, replace(settles, most=spec.refusal_budget) if settles else None))
    scores = _asked(asking, model, "persona_judge") if spec.persona_judge else None
    if marks is not None or scores is not None:
        stages.append(Persona(task, text or "", marks, scores))
    if any(problem.fields.get("public") for problem in problems):
        stages.append(Outputs(task, spec.sandbox))
    return stages


def _asked(asking: Asking | None, model: Model, key: str) -> Asking:
    if asking is None:
        raise Refused(
            f"{key}: {model.name} cannot judge, as it takes no schema", mend="name another with --judge_model"
        )
    return asking


def _judged(task: Task, spec: RunSpec, model: Model, asking: Asking | None, problems: Sequence[Problem]) -> Verifier:
    """The task's stage, and behind it the judge, where there is one. Raises like `stage`."""
    judge = Judge(task, asking)
    first = judge if task.verifier == "judge" else stage(task, task.verifier, problems, spec.sandbox)
    if isinstance(first, Each):
        first.opened.update(judge=judge, code=Code(task, spec.sandbox))
    if spec.llm_judge_fallback:
        _asked(asking, model, "llm_judge_fallback")
    ruled = task.verifier not in ("each", "code") and not spec.llm_judge_fallback
    if asking is None or first is judge or ruled:
        return first
    return Chain(first, judge, spec.llm_judge_fallback, spec.judge_threshold, spec.judge_audit)


def scorer(task: Task, name: str, problems: Sequence[Problem], spec: RunSpec, model: Model, kept: Keeps) -> Verifier:
    """A step scorer by name; `judge` asks the model of that role how good a beginning is.

    Raises BadInput for one that is not known, Refused for one that sees the reference or cannot judge.
    """
    if name in ("judge", StepJudge.stage):
        asking = asking_of(model, kept, named=spec.judge_model is not None)
        if asking is None:
            raise Refused(f"scorer={name}: {model.name} cannot judge", mend="name another with --judge_model")
        return StepJudge(task, asking)
    made = stage(task, name, problems)
    if made.gold:
        raise Refused(f"scorer={name} sees the reference", mend="score steps by steps, judge, likelihood or reward")
    return made


def asking_of(model: Model, kept: Keeps, *, named: bool) -> Asking | None:
    """How a model is asked to judge; None where it takes no schema, and nobody named it."""
    for sampling in ({"temperature": 0.0, "schema": True}, {"schema": True}, {"temperature": 0.0}, {}):
        params = {"max_tokens": 16, **sampling} | ({"schema": schema("math")} if "schema" in sampling else {})
        if model.refuses(Request([{"role": "user", "content": "?"}], params=params)) is None:
            return Asking(sampling, model.name, kept) if named or "schema" in sampling else None
    return None


def stage(task: Task, name: str, problems: Sequence[Problem], sandbox: str = "auto") -> Verifier:
    """A stage by name. Raises BadInput for one that is not known, Refused where it could not judge a problem."""
    made: Verifier = Code(task, sandbox) if name == "code" else find("verifier", name)(task)
    if why := next(filter(None, map(made.refuses, problems)), None):
        raise Refused(f"the answers of {task.name} cannot be judged: {why}")
    return made
