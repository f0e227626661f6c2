"""From a spec to a plan: every component is opened, and every pair that cannot work is refused, before any call.

resolve   RunSpec → RunSpec   names made whole, the grid made policy strings, the prompt filled in
plan_of   RunSpec → Plan      a resolved spec with its model, problems, lane, verifiers and policies at hand
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from itertools import islice
from typing import Any

from testtime.core.errors import BadInput, Refused, unknown_name
from testtime.core.protocols import Meter, Model, Policy, Task, Verifier
from testtime.core.records import Arm, Candidate, Map, Part, Problem, Request, Verdict
from testtime.core.registry import find, names
from testtime.core.seeds import seed_of
from testtime.core.spend import Spend
from testtime.decoding.plain import Plain
from testtime.engine.plan import Lane, Plan
from testtime.engine.rows import columns_of, row_of
from testtime.models.naming import open_model
from testtime.models.naming import resolve as whole_name
from testtime.policies.strings import parse, setting
from testtime.runspec import RunSpec, digest_of, resolved_yaml
from testtime.spec import grid


def resolve(spec: RunSpec) -> RunSpec:
    """The spec with nothing left to be guessed: what `spec.yaml` holds. Raises BadInput."""
    policies = [parse(text) for text in grid(spec.policies, spec.settings)]
    if spec.live and (len(policies) != 1 or spec.num_candidates is not None):
        given = f"{len(policies)} policies are" if len(policies) != 1 else "num_candidates is"
        raise BadInput(f"--live executes one policy alone, and {given} given", mend="name one policy and nothing more")
    task = find("task", spec.dataset)
    return spec.model_copy(
        update={
            "model": whole_name(spec.model, spec.provider, spec.generator),
            "provider": None,
            "generator": None,
            "policies": tuple(dict.fromkeys(map(text_of, policies))),
            "settings": {},
            "prompt": task.prompt if spec.prompt is None else spec.prompt,
        }
    )


def text_of(policy: Policy) -> str:
    """A policy as text that can be parsed again."""
    settings = setting(policy)
    return f"{policy.name}:{settings}" if settings else policy.name


def plan_of(spec: RunSpec, run: str, meter: Meter | None = None) -> Plan:
    """The plan of a resolved spec. Raises BadInput for what is not there, Refused for a pair that cannot work.

    Draws that a policy makes whatever comes out are due at once; only what it may want beyond them, or a
    policy that is executed live, is left to be asked for.
    """
    task = open_task(spec)
    model = open_model(spec.model)
    problems = problems_of(task, spec)
    sampling = {"temperature": spec.temperature, "top_p": spec.top_p, "max_tokens": spec.max_tokens}
    policies = [parse(text) for text in spec.policies]
    due = 0 if spec.live else max([spec.num_candidates or 0, *(policy.floor for policy in policies)])
    arm = Arm("plain", {"model": spec.model}, str(spec.prompt), sampling=sampling)
    lane = Lane((arm,), Plain(sampling), messages_of(str(spec.prompt)), due)
    verifiers = [_verifier(task)]
    _refuse_request(model, lane, problems[0], sampling)
    _refuse_columns(policies, columns_here(problems[0], arm, verifiers, meter))
    return Plan(
        run=run,
        dataset=spec.dataset,
        seed=spec.seed,
        problems=problems,
        lanes=[lane],
        models={spec.model: model},
        answer=task.answer,
        policies=[policy for policy in policies if spec.live or policy.most is None or policy.most > due],
        verifiers=verifiers,
        meter=meter,
        about={
            "config": resolved_yaml(spec),
            "config_hash": digest_of(spec),
            "policies": list(spec.policies),
            "notes": spec.notes,
            "vote": "answer key",
        },
        concurrency=spec.concurrency,
    )


def open_task(spec: RunSpec) -> Task:
    """The dataset. Raises BadInput: not known, its file is not named, or a file is named that it has no use for."""
    kind = find("task", spec.dataset)
    reads = "path" in {f.name for f in fields(kind)}
    if reads and spec.dataset_path is None:
        raise BadInput(f"{spec.dataset} is read from a file, and none is named", mend="add --dataset_path FILE")
    if spec.dataset_path is not None and not reads:
        raise BadInput(f"{spec.dataset} is bundled and reads no file", mend="leave out --dataset_path")
    task: Task = kind(spec.dataset_path) if reads else kind()
    return task


def problems_of(task: Task, spec: RunSpec) -> list[Problem]:
    """The problems of all splits in dataset order: the first of each, or random ones under `sample`.

    A larger max_queries is a superset. Raises BadInput where there is none.
    """
    chosen: list[Problem] = []
    for split in spec.splits:
        if spec.sample is None:
            chosen += islice(task.problems(split), spec.max_queries)
            continue
        every = list(task.problems(split))
        ranked = sorted(every, key=lambda problem: seed_of(int(spec.sample or 0), "sample", problem.query_id))
        taken = {problem.query_id for problem in ranked[: spec.max_queries]}
        chosen += [problem for problem in every if problem.query_id in taken]
    if spec.shard is not None:
        chosen = _part(chosen, spec.shard)
    if not chosen:
        raise BadInput(f"no problem in {', '.join(spec.splits)}", where=spec.dataset, mend="name another split")
    return chosen


def _part(problems: Sequence[Problem], shard: str) -> list[Problem]:
    """The problems of shard i/N: a problem's part depends on its id alone. Raises BadInput."""
    part, parts = map(int, shard.split("/"))
    if part > parts:
        raise BadInput(f"there is no shard {part} of {parts}", mend=f"shards are 1/{parts} to {parts}/{parts}")
    chosen = [problem for problem in problems if seed_of(0, "shard", problem.query_id) % parts == part - 1]
    if not chosen:
        raise BadInput(f"the shard {shard} holds none of {len(problems)} problems", mend="use fewer shards")
    return chosen


def messages_of(prompt: str) -> Callable[[Problem], Sequence[Map]]:
    """The messages of a problem: the template, filled in, as the user's. Raises BadInput for a broken template."""
    try:
        sees_question = prompt.format(question="\0") != prompt.format(question="")
    except (KeyError, ValueError, IndexError) as error:
        what = f"the prompt cannot be filled in ({type(error).__name__}: {error})"
        raise BadInput(what, mend="write {question} where it goes, and other braces twice") from None
    if not sees_question:
        raise BadInput("the prompt does not hold the question", mend="write {question} where it goes")
    return lambda problem: [{"role": "user", "content": prompt.format(question=problem.question)}]


def columns_here(problem: Problem, arm: Arm, verifiers: Sequence[Verifier], meter: Meter | None) -> frozenset[str]:
    """What this run's rows will tell policies, by the names they ask for it."""
    spend = Spend(prompt=1, cached=0, completion=1, reasoning=0, seconds=1.0)
    probe = Candidate(arm.label, problem.query_id, 0, [Part("answer", "0", 1)], "stop", {"model": spend}, seed=0)
    said = [Verdict(stage.stage, stage.digest, value=True, confidence=1.0, gold=stage.gold) for stage in verifiers]
    known: Mapping[str, Any] = columns_of(row_of(problem, arm, probe, said))
    return frozenset(known) - _NAMES | ({"joules"} if meter else frozenset())


_NAMES = frozenset({"candidate_idx", "generation_seed", "max_tokens", "temperature"})
"""Numbers of a row that say which draw it is, not how good."""


def _verifier(task: Task) -> Verifier:
    if task.verifier not in names("verifier"):
        raise unknown_name("verifier", task.verifier, names("verifier"))
    stage: Verifier = find("verifier", task.verifier)(task)
    return stage


def _refuse_request(model: Model, lane: Lane, problem: Problem, sampling: Map) -> None:
    """Asks the model whether it would honour what the lane is going to send."""
    probe = Request(lane.messages(problem), seed=0 if "seed" in model.can else None, params=sampling)
    if why := model.refuses(probe):
        raise Refused(f"{model.name} would refuse the first request: {why}", mend="change what it is asked")


def _refuse_columns(policies: Sequence[Policy], known: frozenset[str]) -> None:
    for policy in policies:
        if missing := policy.needs - known:
            raise Refused(
                f"no column {min(missing)!r}, which {text_of(policy)} needs",
                mend=f"a run has: {', '.join(sorted(known))}",
            )
