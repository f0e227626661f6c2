"""From a spec to a plan: every component is opened, and every pair that cannot work is refused, before any call.

resolve   RunSpec → RunSpec   names made whole, the grid made texts of components, the prompt filled in
plan_of   RunSpec → Plan      a resolved spec with its models, problems, lanes, verifiers and policies at hand
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

from testtime import answers
from testtime.answers.structured import final_answer
from testtime.backends import open_models
from testtime.core.errors import BadInput, Refused
from testtime.core.protocols import Meter, Mixed, Model, Policy, Task, Verifier
from testtime.core.records import Candidate, Part, Problem, Verdict
from testtime.core.registry import find
from testtime.core.seeds import digest, seed_of
from testtime.core.spend import Spend
from testtime.core.strings import fields_of, parse, text_of
from testtime.engine.caps import Caps
from testtime.engine.plan import Lane, Plan
from testtime.engine.rows import columns_of, row_of
from testtime.grid import DEFAULT_GRID, grid
from testtime.lanes import as_sent, in_common, lanes_of, marks_of, natively, persona_of, refuse_requests, roles_of
from testtime.meters.price import catalogue
from testtime.models.naming import digest_of_files, is_local
from testtime.models.naming import resolve as whole_name
from testtime.models.usual import usual
from testtime.places import commit_here
from testtime.runspec import RunSpec, digest_of, resolved_yaml
from testtime.spec import DEFAULT_POLICIES
from testtime.stages import asks_judge, scorer, stages_of
from testtime.tasks import HUB
from testtime.toolbox import equipped, executor, usual_decoding, usual_mock
from testtime.verifiers.asking import Keeps


def resolve(spec: RunSpec) -> RunSpec:
    """The spec with nothing left to be guessed: what `spec.yaml` holds. Raises BadInput."""
    dataset, path = local_name(spec.dataset, spec.dataset_path)
    texts, task = _chosen(spec, dataset, path)
    policies: list[Policy] = [parse("policy", text) for text in texts["policy"]]
    if spec.live and (len(policies) != 1 or spec.num_candidates is not None):
        given = f"{len(policies)} policies are" if len(policies) != 1 else "num_candidates is"
        raise BadInput(f"--live executes one policy alone, and {given} given", mend="name one policy and nothing more")
    named = {"model": whole_name(spec.model, spec.provider, spec.generator)}
    mock = usual_mock(spec, named["model"], texts["decoding"])
    others = {**{key: getattr(spec, key) for key in OTHER_MODELS}, "mock_model": mock}
    named |= {key: whole_name(name) for key, name in others.items() if name}
    writers = [named[key] for key in ("model", "oracle_model") if key in named]
    return spec.model_copy(
        update={
            **named,
            "mock_model": named.get("mock_model"),
            **usual(writers, {"temperature": spec.temperature, "top_p": spec.top_p}, spec.api),
            "provider": None,
            "generator": None,
            "dataset": text_of(task),
            "dataset_path": path,
            "policies": tuple(dict.fromkeys(map(text_of, policies))),
            "decoding": tuple(dict.fromkeys(text_of(parse("decoding", text)) for text in texts["decoding"])),
            "settings": {},
            "model_digest": files_of(spec),
            "prompt": task.prompt if spec.prompt is None else spec.prompt,
        }
    )


PICKED = ("best_of_n:by=oracle(is_verified)",)
"""The policies of a run on programs where none is given: pass@n."""


def _chosen(spec: RunSpec, dataset: str, path: Path | None) -> tuple[Mapping[str, Sequence[str]], Task]:
    """Policies, decodings and the task as texts, and the task opened; where nobody names policies, its usual ones."""
    by_hand = "policies" in spec.model_fields_set
    programs = getattr(find("task", dataset.partition(":")[0].strip()), "verifier", "") == "code"
    while True:
        asked = spec.policies if by_hand else PICKED if programs else DEFAULT_POLICIES
        chosen = {"policy": asked, "decoding": usual_decoding(spec), "task": (dataset,)}
        texts = grid(chosen, spec.settings if by_hand else {**_up_to(spec, asked), **spec.settings})
        if len(texts["task"]) != 1:
            raise BadInput(
                f"a run has one dataset, and {', '.join(texts['task'])} are given", mend="give one value each"
            )
        task = open_task(texts["task"][0], path)
        if by_hand or programs or not (isinstance(task, Mixed) and task.programs(spec.splits)):
            return texts, task
        programs = True


def _up_to(spec: RunSpec, policies: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
    """The usual settings of policies that nobody chose, none above the candidates that were asked for."""
    if spec.num_candidates is None:
        return {}
    names = {text.partition(":")[0] for text in policies}
    needed = {key for name in names for key in fields_of("policy", name)}
    few = {key: [value for value in usual if int(value) < spec.num_candidates] for key, usual in DEFAULT_GRID.items()}
    return {key: (*values, str(spec.num_candidates)) for key, values in few.items() if key in needed}


def _policies_of(task: Task, spec: RunSpec, problems: Sequence[Problem]) -> list[Policy]:
    """The policies. Raises Refused for one that counts votes which answers to these problems cannot have.

    Programs are one vote where they do the same on examples that the prompt shows: without any, none gets a second.
    Of a shard the whole dataset is asked.
    """
    policies: list[Policy] = [parse("policy", text) for text in spec.policies]
    if spec.shard is not None:
        refuse_split(spec.policies, int(spec.shard.partition("/")[2]))
    votes = next((policy for policy in policies if not getattr(policy, "picks", False)), None)
    silent = votes is not None and _silent(task, problems)
    if silent and spec.shard is not None:
        silent = _silent(task, problems_of(task, spec.model_copy(update={"shard": None})))
    if votes is not None and silent:
        what = f"no problem of {task.name} shows an example to run programs on, so {votes.name} has no votes"
        raise Refused(what, mend=f"use best_of_n or pass@k ({PICKED[0]})")
    return policies


PROGRAMS = ("code", "no_tests")
"""Stages of problems whose answers are programs."""


def refuse_split(policies: Iterable[str], parts: int) -> None:
    """Raises Refused for a policy across problems where each part of a run sees but some of them."""
    split = [text for text in policies if parse("policy", text).across]
    if split and parts > 1:
        what = f"policies: {split[0]} spends one budget across all questions, and a shard sees 1/{parts} of them"
        raise Refused(what, mend="leave it out of the shards, and replay it over the merged run")


def _silent(task: Task, problems: Sequence[Problem]) -> bool:
    """Whether all answers are programs of which no problem shows an example."""
    fields = [problem.fields for problem in problems]
    return all(one.get("verifier", task.verifier) in PROGRAMS and not one.get("public") for one in fields)


def local_name(dataset: str, path: Path | None) -> tuple[str, Path | None]:
    """The task that reads a dataset of the hub, and where from, where the dataset is named by its id."""
    name, colon, settings = dataset.partition(":")
    return (f"{HUB[name]}{colon}{settings}", path or Path(name)) if name in HUB else (dataset, path)


def files_of(spec: RunSpec) -> str | None:
    """Digest of the files of its local models: with others under the same name, nothing is reused."""
    named = [whole_name(spec.model, spec.provider, spec.generator)]
    named += [whole_name(name) for key in OTHER_MODELS if (name := getattr(spec, key))]
    found = [digest for name in named if (digest := digest_of_files(name)) is not None]
    return "+".join(dict.fromkeys(found)) or None


OTHER_MODELS = ("oracle_model", "judge_model", "mock_model")


Replies: TypeAlias = Callable[[str], Keeps]
"""Model → what it replied as judge before."""


def plan_of(spec: RunSpec, run: str, meter: Meter | None = None, kept: Replies = lambda model: {}) -> Plan:
    """The plan of a resolved spec. Raises BadInput for what is not there, Refused for a pair that cannot work.

    Draws that a policy makes whatever comes out are due at once; only what it may want beyond them, or a
    policy that is executed live, is left to be asked for. `kept` gives what a model replied as judge before.
    """
    task = open_task(spec.dataset, spec.dataset_path)
    problems = problems_of(task, spec)
    policies = _policies_of(task, spec, problems)
    due = 0 if spec.live else max([spec.num_candidates or 0, *(policy.floor for policy in policies)])
    lanes = lanes_of(spec, due, _tool_prompt(task, spec))
    scorers = {name for lane in lanes if (name := getattr(lane.decoding, "scorer", None))}
    roles = roles_of(spec, judged=asks_judge(spec, {task.verifier, *scorers}))
    models = open_models(spec, list(dict.fromkeys([*_named(lanes), *roles.values()])))
    lanes = [as_sent(in_common(natively(lane, models, problems[0]), models), models, spec.api) for lane in lanes]
    persona = persona_of(spec.persona), marks_of(spec.persona)
    allowed = persona[1].not_refusals if persona[1] else ()
    lanes = [equipped(spec, lane, models, roles["mock"], problems, allowed) for lane in lanes]
    elsewhere = [name for name, model in models.items() if getattr(model, "elsewhere", False)]
    prices = catalogue(own=spec.prices, batch=spec.batch, elsewhere=elsewhere)
    _refuse_batch(spec, models)
    judge, replies = models[roles["judge"]], kept(roles["judge"])
    verifiers = stages_of(task, spec, problems, judge, replies, persona)
    for lane in lanes:
        _refuse_decoding(lane, problems)
        refuse_requests(lane, models, problems[0])
        _refuse_columns(policies, columns_here(problems[0], lane, verifiers, meter))
    return Plan(
        run=run,
        dataset=task.name,
        seed=spec.seed,
        problems=problems,
        lanes=lanes,
        models=models,
        answer=_structured(task) if spec.structured_output else task.answer,
        policies=[policy for policy in policies if spec.live or policy.most is None or policy.most > due],
        verifiers=verifiers,
        roles=roles,
        tools=executor(spec, lanes, models, roles["mock"]),
        judges={name: scorer(task, name, problems, spec, judge, replies) for name in sorted(scorers)},
        price=prices.of(models) if spec.max_cost is None else prices,
        meter=meter,
        idle=IDLE,
        about={
            **_about(spec),
            "prices": prices.source if prices.of(models) else None,
            "energy": meter.source if meter else None,
        },
        concurrency=spec.concurrency,
        batch=BATCH if spec.batch else None,
        parser=parser_of(task),
        timeout=spec.timeout or (None if all(map(is_local, models)) else TIMEOUT),
        requests_per_minute=spec.requests_per_minute,
        tokens_per_minute=spec.tokens_per_minute,
        retry_failed=spec.retry_failed,
        caps=Caps(spec.max_cost, spec.max_total_tokens, spec.max_seconds),
    )


def _about(spec: RunSpec) -> dict[str, Any]:
    """What a pool says of the spec it was drawn by."""
    config = {"config": resolved_yaml(spec), "config_hash": digest_of(spec), "policies": list(spec.policies)}
    whence = {"config_file": spec.config_file, "git_commit": commit_here()}
    return {**config, **whence, "notes": spec.notes or "", "vote": "answer key"}


def _tool_prompt(task: Task, spec: RunSpec) -> str | None:
    """The dataset's prompt where tools are told otherwise; None where it has none, or another prompt is given."""
    return getattr(task, "tool_prompt", None) if spec.prompt == task.prompt else None


def _structured(task: Task) -> Callable[[Problem, str], tuple[str | None, str | None]]:
    """How the task reads a structured text: its final answer alone."""
    return lambda problem, text: task.answer(problem, final_answer(text))


IDLE = 1.0
"""Seconds for which the idle machine is measured before the first call, where energy is."""
BATCH = 5_000
"""Requests of one batch file, at most; providers take 50,000 or 200 MB and more."""


def _refuse_batch(spec: RunSpec, models: Mapping[str, Model]) -> None:
    if spec.batch and not any("batch" in model.can for model in models.values()):
        raise Refused(f"--batch is asked for, and {', '.join(models)} takes no batches", mend="leave it out")


TIMEOUT = 600.0
"""Seconds after which a call over a network is given up."""


def parser_of(task: Task) -> str:
    """Digest of the code that reads answers: the task's own file, and all of `answers`."""
    own = str(sys.modules[type(task).__module__].__file__)
    files = [*sorted(Path(answers.__file__).parent.glob("*.py")), Path(own)]
    return digest(*[file.read_bytes() for file in files])


def open_task(dataset: str, path: Path | None = None) -> Task:
    """The dataset. Raises BadInput: not known, its file is not named, or a file is named that it has no use for."""
    dataset, path = local_name(dataset, path)
    kind = find("task", dataset.partition(":")[0].strip())
    reads = {f.name: f for f in fields(kind)}.get("path")
    if reads is None and path is not None:
        raise BadInput(f"{dataset} is bundled and reads no file", mend="leave out --dataset_path")
    if reads is not None and path is None and reads.default is MISSING:
        raise BadInput(f"{dataset} is read from a file, and none is named", mend="add --dataset_path FILE")
    task: Task = parse("task", dataset, **({"path": path} if path is not None else {}))
    return task


def problems_of(task: Task, spec: RunSpec) -> list[Problem]:
    """The problems of all splits in dataset order: the first of each, or random ones under `sample`.

    A larger max_queries is a superset. Raises BadInput where there is none.
    """
    chosen: list[Problem] = []
    for split in spec.splits:
        if spec.sample is None:
            end = None if spec.max_queries is None else spec.start_index + spec.max_queries
            chosen += islice(task.problems(split), spec.start_index, end)
            continue
        every = list(islice(task.problems(split), spec.start_index, None))
        ranked = sorted(every, key=lambda problem: seed_of(int(spec.sample or 0), "sample", problem.query_id))
        taken = {problem.query_id for problem in ranked[: spec.max_queries]}
        chosen += [problem for problem in every if problem.query_id in taken]
    if spec.shard is not None:
        chosen = _part(chosen, spec.shard)
    if not chosen:
        raise BadInput(f"no problem in {', '.join(spec.splits)}", where=spec.dataset, mend="name another split")
    return chosen


def _part(problems: Sequence[Problem], shard: str) -> list[Problem]:
    """The problems of shard i/N. Raises BadInput."""
    part, parts = map(int, shard.split("/"))
    if part > parts:
        raise BadInput(f"there is no shard {part} of {parts}", mend=f"shards are 1/{parts} to {parts}/{parts}")
    chosen = [problem for problem in problems if part_of(problem.query_id, parts) == part]
    if not chosen:
        raise BadInput(f"the shard {shard} holds none of {len(problems)} problems", mend="use fewer shards")
    return chosen


def part_of(query_id: str, parts: int) -> int:
    """Which of so many parts, from 1, a problem belongs to: that depends on its id alone."""
    return seed_of(0, "shard", query_id) % parts + 1


def columns_here(problem: Problem, lane: Lane, verifiers: Sequence[Verifier], meter: Meter | None) -> frozenset[str]:
    """What the rows of a lane will tell policies, by the names they ask for it."""
    arm, spend = lane.arms[0], Spend(prompt=1, cached=0, completion=1, reasoning=0, seconds=1.0)
    facts = dict.fromkeys(lane.decoding.notes, 0.0)
    alone = dict.fromkeys(lane.decoding.roles, spend)
    probe = Candidate(arm.label, problem.query_id, 0, [Part("answer", "0", 1)], "stop", alone, seed=0, facts=facts)
    said = [Verdict(stage.stage, stage.digest, value=True, confidence=1.0, gold=stage.gold) for stage in verifiers]
    known: Mapping[str, Any] = columns_of(row_of(problem, arm, probe, said))
    return frozenset(known) - _NAMES | ({"joules"} if meter else frozenset())


_NAMES = frozenset({"candidate_idx", "generation_seed", "max_tokens", "temperature", "temperature_requested"})
"""Numbers of a row that say which draw it is, not how good."""


def _named(lanes: Sequence[Lane]) -> list[str]:
    """The models that lanes name."""
    return [name for lane in lanes for name in lane.arms[0].models.values()]


def _refuse_decoding(lane: Lane, problems: Sequence[Problem]) -> None:
    """A measure that is defined by a decoding is not made by another one."""
    for problem in problems:
        needs = problem.fields.get("decoding")
        if needs not in (None, lane.decoding.name):
            what = f"{problem.split} is measured by the decoding {needs}, not {lane.decoding.name}"
            raise Refused(what, mend=f"add --decoding {needs}, or take another split")


def _refuse_columns(policies: Sequence[Policy], known: frozenset[str]) -> None:
    for policy in policies:
        if missing := policy.needs - known:
            raise Refused(
                f"no column {min(missing)!r}, which {text_of(policy)} needs",
                mend=f"a run has: {', '.join(sorted(known))}",
            )
