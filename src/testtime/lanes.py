"""From a resolved spec to lanes: each decoding with its arms, the models it needs by role, and its prompt."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path

from testtime.answers import structured
from testtime.answers.persona import Marks
from testtime.core.errors import BadInput, Refused, mend_of
from testtime.core.protocols import Decoding, Model, Policy
from testtime.core.records import Arm, Map, Problem
from testtime.core.strings import parse, said, text_of
from testtime.decoding.budget import Budget
from testtime.decoding.forced import Forced
from testtime.decoding.native_budget import NativeBudget
from testtime.engine.plan import Lane
from testtime.models.openai.hosts import Api
from testtime.models.usual import USUAL, unsent
from testtime.runspec import RunSpec
from testtime.spec import read_yaml

ROLES = {"model": "model", "base": "model", "oracle": "oracle_model"}
"""Role of a decoding → key of the spec that names its model."""
BESIDE = {"judge": "judge_model", "mock": "mock_model"}
"""Role of judges and tools, which every arm has → key of the spec; the run's own model where that is not given."""


def lanes_of(spec: RunSpec, due: int, tool_prompt: str | None = None) -> list[Lane]:
    """A lane for each decoding; `tool_prompt` is that of decodings with tools, where it is another one.

    A policy over a small and a large model has a lane for each; the large one draws only when it is asked.
    Raises BadInput for what is not there, Refused for a role without a model.
    """
    lanes = [_lane(spec, text, due, tool_prompt) for text in spec.decoding]
    policies: list[Policy] = [parse("policy", text) for text in spec.policies]
    over = next((policy for policy in policies if policy.arms), None)
    return lanes if over is None else _of_two(spec, lanes, over, policies)


def _of_two(spec: RunSpec, lanes: Sequence[Lane], over: Policy, policies: Sequence[Policy]) -> list[Lane]:
    """The one lane as the first arm of a policy, and that of the larger model as its second."""
    other = next((policy.name for policy in policies if policy.arms != over.arms), None)
    if other is not None:
        raise Refused(f"{over.name} draws from two models, and {other} from one", mend=f"run {over.name} alone")
    if len(lanes) > 1 or len(lanes[0].arms) > 1 or set(lanes[0].decoding.roles) != {"model"}:
        raise Refused(f"{over.name} draws from two models, and with one decoding", mend="use --decoding plain")
    if not spec.oracle_model:
        raise Refused(f"{over.name} needs a second, larger model", mend="add --oracle_model")
    (lane,), (small, large) = lanes, over.arms
    arm = lane.arms[0]
    second = replace(arm, label=large, models={"model": spec.oracle_model})
    return [replace(lane, arms=(replace(arm, label=small),)), replace(lane, arms=(second,), due=0)]


def _lane(spec: RunSpec, text: str, due: int, tool_prompt: str | None) -> Lane:
    asked = {"temperature": spec.temperature, "top_p": spec.top_p, "max_tokens": spec.max_tokens}
    sampling: Map = {name: value for name, value in asked.items() if value is not None}
    if spec.structured_output:
        sampling = {**sampling, "schema": structured.SCHEMA}
    decoding: Decoding = parse("decoding", text, sampling=sampling)
    models = {role: _model_of(spec, text, role) for role in decoding.roles}
    persona = persona_of(spec.persona)
    with_tools = hasattr(decoding, "opening")
    prompt = tool_prompt if with_tools and tool_prompt else str(spec.prompt)
    messages = messages_of(prompt, persona, bare=with_tools)
    arms = [
        Arm(label, models, prompt, persona, {"kind": decoding.name, **settings}, sampling)
        for label, settings in zip(labels(decoding), decoding.settings, strict=True)
    ]
    return Lane(tuple(arms), decoding, messages, due)


def labels(decoding: Decoding) -> list[str]:
    """What a decoding's arms are called: the decoding as text, or its name and the settings of each arm."""
    if len(decoding.settings) == 1:
        return [text_of(decoding)]
    return [
        f"{decoding.name}:{','.join(f'{key}={said(value)}' for key, value in settings.items())}"
        for settings in decoding.settings
    ]


def _model_of(spec: RunSpec, decoding: str, role: str) -> str:
    if role not in ROLES:
        raise Refused(f"the decoding {decoding} needs a model for the role {role!r}", mend=f"roles: {', '.join(ROLES)}")
    if not (name := getattr(spec, ROLES[role])):
        raise Refused(f"the decoding {decoding} needs a model for the role {role!r}", mend=f"add --{ROLES[role]}")
    return str(name)


def natively(lane: Lane, models: Mapping[str, Model], problem: Problem) -> Lane:
    """The lane of `budget` by its provider's own thinking budget, where its model thinks and goes on from no text.

    Its arm keeps its label and says `native_budget`; nothing is measured where the answer is asked for. Raises Refused
    where more is asked for than a provider's own budget can give.
    """
    decoding = lane.decoding
    if not isinstance(decoding, Forced):
        return lane
    arm = lane.arms[0]
    model = models[arm.models["model"]]
    probes = decoding.probes(lane.messages(problem))
    goes_on = "continuation" in model.can and not any(model.refuses(request) for _, request in probes)
    if goes_on and decoding.score != "none" and "score" not in model.can:
        raise Refused(f"{model.name} gives no probability of an answer", mend="add --score none, or use another model")
    if goes_on or "thinking" not in model.can:
        return lane
    more = arm.decoding.keys() - {"kind", "budget", "score", "final_answer_budget"}
    if more or not isinstance(decoding, Budget):
        what = f"{model.name} goes on from no text, which {min(more, default=decoding.name)} needs"
        raise Refused(what, mend="its own thinking budget is --decoding budget, with nothing but --budgets")
    answers = arm.decoding.get("final_answer_budget")
    sampling = {**arm.sampling, **({"max_tokens": answers} if answers is not None else {})}
    made = NativeBudget(sampling, budget=decoding.budget)
    arms = [replace(arm, decoding={"kind": made.name, **made.settings[0]}, sampling=sampling)]
    return replace(lane, decoding=made, arms=tuple(arms))


def in_common(lane: Lane, models: Mapping[str, Model]) -> Lane:
    """The lane with the vocabulary its models have in common, where its decoding goes on by token ids.

    Without one it goes on by text.
    """
    if "vocabulary" not in {f.name for f in fields(lane.decoding)}:  # type: ignore[arg-type]
        return lane
    first, *others = (getattr(models[name], "vocabulary", None) for name in lane.arms[0].models.values())
    shared = first if all(other == first for other in others) else None
    return replace(lane, decoding=replace(lane.decoding, vocabulary=shared))  # type: ignore[type-var]


def as_sent(lane: Lane, models: Mapping[str, Model], api: Api | None) -> Lane:
    """The lane with its arms' sampling as it is recorded: null what no model is sent, beside what was asked."""
    sampling = lane.arms[0].sampling
    left_out = frozenset.intersection(*(_unsent(models[name], sampling, api) for name in lane.arms[0].models.values()))
    asked = {name: sampling[name] for name in USUAL if name in left_out and sampling.get(name) is not None}
    if not asked:
        return lane
    recorded = {**dict.fromkeys(asked), **{f"{name}_requested": value for name, value in asked.items()}}
    return replace(lane, arms=tuple(replace(arm, sampling={**arm.sampling, **recorded}) for arm in lane.arms))


def _unsent(model: Model, sampling: Map, api: Api | None) -> frozenset[str]:
    return unsent(model.name, sampling, api) if "temperature" in model.can else frozenset(USUAL)


def roles_of(spec: RunSpec, *, judged: bool = True) -> dict[str, str]:
    """The roles that every arm has besides its own; where nothing asks a judge, that is the run's own model too."""
    named = {role: getattr(spec, key) if judged or role != "judge" else None for role, key in BESIDE.items()}
    return {role: name or spec.model for role, name in named.items()}


def refuse_requests(lane: Lane, models: Mapping[str, Model], problem: Problem) -> None:
    """Asks each model whether it would honour what the lane is going to send it. Raises Refused."""
    for role, probe in lane.decoding.probes(lane.messages(problem)):
        model = models[lane.arms[0].models[role]]
        if why := model.refuses(probe):
            what = f"{model.name} would refuse the first request: {why}"
            raise Refused(what, mend=mend_of(why) or "change what it is asked")


def persona_of(persona: str | None) -> str | None:
    """The text of a persona, which is given as itself or as a file. Raises BadInput, for an empty file too."""
    if persona is None:
        return None
    path, words = Path(persona), persona.split()
    if len(words) != 1 or not (path.suffix or "/" in persona or os.path.exists(persona)):
        return persona
    try:
        text = path.read_bytes().decode("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise BadInput(f"the persona cannot be read ({why})", where=persona, mend="name a text file") from None
    if not text:
        raise BadInput("the persona is empty", where=persona, mend="write who the model is to be")
    return text


def marks_of(persona: str | None) -> Marks | None:
    """The marks that stand beside a persona's file, under its name with the ending .yaml; None without them.

    Raises BadInput for a file that holds anything but patterns by name.
    """
    if persona is None or persona_of(persona) == persona or not (path := Path(persona).with_suffix(".yaml")).is_file():
        return None
    document = read_yaml(path)
    for key, value in document.values.items():
        if key not in ("markers", "constraints", "not_refusals"):
            mend = "marks are markers, constraints and not_refusals"
            raise BadInput(f"{key} is no part of a persona's marks", where=document.at(key), mend=mend)
        kind = list if key == "not_refusals" else dict
        texts = [*value, *value.values()] if isinstance(value, dict) else value
        if not isinstance(value, kind) or not all(isinstance(text, str) for text in texts):
            raise BadInput(f"{key} cannot be read", where=document.at(key), mend="write texts, patterns by name")
        for pattern in value.values() if isinstance(value, dict) else ():
            try:
                re.compile(pattern)
            except re.error as error:
                raise BadInput(f"{pattern!r} is no pattern ({error})", where=document.at(key)) from None
    said = document.values
    return Marks(said.get("markers", {}), said.get("constraints", {}), tuple(said.get("not_refusals", ())))


def messages_of(prompt: str, persona: str | None = None, bare: bool = False) -> Callable[[Problem], Sequence[Map]]:
    """The messages of a problem: the persona as the system's, the template, filled in, as the user's.

    `bare`: of a problem with tools what is asked alone, as the tools are told otherwise. Raises BadInput for a broken
    template.
    """
    try:
        sees_question = prompt.format(question="\0") != prompt.format(question="")
    except (KeyError, ValueError, IndexError) as error:
        what = f"the prompt cannot be filled in ({type(error).__name__}: {error})"
        raise BadInput(what, mend="write {question} where it goes, and other braces twice") from None
    if not sees_question:
        raise BadInput("the prompt does not hold the question", mend="write {question} where it goes")
    system = [{"role": "system", "content": persona}] if persona else []

    def messages(problem: Problem) -> Sequence[Map]:
        alone = bare and problem.fields.get("tools")
        question = problem.fields.get("asked", problem.question) if alone else problem.question
        return [*system, {"role": "user", "content": prompt.format(question=question)}]

    return messages
