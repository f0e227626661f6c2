"""Guided runs as a person asks for them: one prompt, a data set, a grid; rows in the documented form; calibration.

Everything is a run with the decoding `guided`: the same engine, pool and resume as `testtime run`.
"""

from __future__ import annotations

import json
import re
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from testtime.analysis.guidance import DIALS, turn
from testtime.backends import open_models
from testtime.build import resolve
from testtime.core.errors import BadInput
from testtime.core.protocols import Opens
from testtime.core.records import Candidate, Part, Problem
from testtime.core.settings import settings_of
from testtime.core.strings import parse, said, setting, text_of
from testtime.decoding.guided import NO_LIMIT, Guided
from testtime.engine.plan import Plan
from testtime.engine.run import fill
from testtime.lanes import in_common, lanes_of
from testtime.models.naming import open_model
from testtime.runspec import RunSpec
from testtime.session import Drawn, carry_out, complete
from testtime.store.atomic import whole
from testtime.store.codec import decode
from testtime.store.journal import read_journal
from testtime.store.parquet import read_frame
from testtime.watching import Watch

BASE, ORACLE = "guided:trigger=never,c=0,k=0", "guided:trigger=always,c=inf,k=inf"
"""The two ends of the scale, as arms; whatever trigger they are asked for with."""
ROUNDS = 6
"""Of calibration: dials are set to within 1/64."""


def normal(text: str) -> str:
    """A guided decoding as text, with one text for each end of the scale.

    >>> normal("guided:c=0,k=7"), normal("guided:c=5,k=10")
    ('guided:trigger=never,c=0,k=0', 'guided:trigger=random,cheat_probability=0.3:1.0')
    """
    made: Guided = parse("decoding", text)
    if not made.c or not made.k:
        return _under(BASE, made.budget)
    return _under(ORACLE, made.budget) if made.c == made.k == NO_LIMIT else text_of(made)


def _under(end: str, budget: int | None) -> str:
    return end if budget is None else f"{end},budget={budget}"


def settled(spec: RunSpec) -> RunSpec:
    """A resolved spec of a guided run: each setting once, and both ends besides where there are several.

    Raises BadInput where no oracle is named or another decoding is asked for.
    """
    if spec.oracle_model is None:
        raise BadInput("no oracle is named", mend="add --oracle_model")
    asked = resolve(spec)
    texts = list(dict.fromkeys(normal(text) for text in asked.decoding))
    budgets = dict.fromkeys(_guided(text).budget for text in texts)
    ends = [_under(end, budget) for budget in budgets for end in (BASE, ORACLE)] if len(texts) > 1 else []
    return asked.model_copy(update={"decoding": tuple(dict.fromkeys([*texts, *ends]))})


def answer(spec: RunSpec, prompt: str) -> list[tuple[str, Candidate]]:
    """One prompt under each setting: (decoding as text, candidate). Nothing is kept. Raises BadInput."""
    asked = spec.model_copy(update={"dataset": "pocket-math", "prompt": "{question}"})
    spec = settled(asked)
    problem = Problem("prompt", "prompt", prompt)
    lanes = lanes_of(spec, 1)
    models = open_models(spec, list(dict.fromkeys(name for lane in lanes for name in lane.arms[0].models.values())))
    for model in models.values():
        if isinstance(model, Opens):
            model.open()  # a package or a key that is missing is said before anything is asked
    lanes = [in_common(lane, models) for lane in lanes]
    plan = Plan("guide", "prompt", spec.seed, [problem], lanes, models, lambda problem, text: (None, None))
    with tempfile.TemporaryDirectory() as room:
        complete(lambda: fill(plan, Path(room)))
        drawn = [record for record in read_journal(Path(room)).records if record["kind"] == "draw"]
    made = [decode(Candidate, one) for record in drawn for one in record["candidates"]]
    for one in made:
        if one.error is not None:
            mend = f"see whether they answer: testtime doctor --model {shlex.join(models)}"
            raise BadInput(one.error, mend=mend)
    labels = {arm.id: arm.label for lane in lanes for arm in lane.arms}
    return [(labels[one.arm], one) for one in made]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A guided run and its rows."""

    drawn: Drawn
    rows: pl.DataFrame
    """One a candidate: see `rows_of`."""


def evaluate(spec: RunSpec, *, fresh: bool = False, watch: Watch | None = None) -> Evaluation:
    """Runs a grid of guided settings over a data set. What is there is not drawn again. Raises BadInput."""
    spec = settled(spec)
    drawn = carry_out(spec, fresh=fresh, watch=watch)
    if not drawn.folder.candidates.exists():
        return Evaluation(drawn, pl.DataFrame())
    every = rows_of(drawn.folder.path)
    wanted = every.filter(pl.col("decoding").is_in(spec.decoding))
    return Evaluation(drawn, wanted)


@lru_cache(maxsize=256)
def _guided(text: str) -> Guided:
    """A decoding of many rows, read once."""
    made: Guided = parse("decoding", text)
    return made


def named_of(text: str) -> dict[str, str]:
    """c, k and trigger of a guided decoding, as a table shows them; the trigger with its own settings.

    >>> named_of("guided:trigger=entropy,threshold=0.5,c=inf,k=3")
    {'c': 'inf', 'k': '3', 'trigger': 'entropy threshold=0.5'}
    """
    made = _guided(text)
    own = sorted(setting(made.trigger).split(","), key=len)  # where a table cuts, what tells two apart is still there
    step = f" step_size={made.step_size}" if made.step_size != Guided.step_size else ""
    warm = f" oracle_temperature={said(made.oracle_temperature)}" if made.oracle_temperature is not None else ""
    trigger = " ".join([made.trigger.name, *own]).strip()
    budget = f" budget={made.budget}" if made.budget is not None else ""
    return {"c": said(made.c), "k": said(made.k), "trigger": f"{trigger}{step}{warm}{budget}"}


def rows_of(folder: Path) -> pl.DataFrame:
    """The guided candidates of a run: what they wrote, who wrote what, what it cost, whether it is right.

    `flops` are 2 · parameters · tokens that a model reads or writes, each once (its keys kept); null where a model's
    number of parameters is not known. A failed draw counts as wrong. Raises BadInput where there are none.
    """
    table = read_frame(folder / "candidates.parquet")
    guided = table.filter(pl.col("arm").str.starts_with("guided") & ~pl.col("is_retry"))
    if guided.is_empty():
        raise BadInput("holds no guided candidates", where=str(folder), mend="run it with --decoding guided")
    sizes: dict[str, int | None] = {}
    found = []
    for row in guided.iter_rows(named=True):
        base, _, oracle = str(row["model"]).partition("+")
        models = {"base": base, "oracle": oracle or base}
        for name in models.values():
            if name not in sizes:
                sizes[name] = parameters(name)
        found.append(_row(row, models, sizes))
    return pl.DataFrame(found, infer_schema_length=None)


def _row(row: Mapping[str, Any], models: Mapping[str, str], sizes: Mapping[str, int | None]) -> dict[str, Any]:
    facts, wrong = json.loads(row["facts"] or "{}"), row["error"] is not None
    work = [_operations(sizes[name], facts.get(f"{role}_processed", 0)) for role, name in models.items()]
    right = False if wrong and row["ground_truth_answer"] is not None else row["is_verified"]
    return {
        "decoding": row["arm"], **named_of(row["arm"]),
        "base_model_id": models["base"], "oracle_model_id": models["oracle"],
        "query_id": row["query_id"], "candidate_idx": row["candidate_idx"], "split": row["split"],
        "prompt": row["question"], "input_messages": row["input_messages"],
        "result": row["candidate_text"], "ground_truth": row["ground_truth_answer"], "parsed_answer": row["answer"],
        "parsed": row["answer_key"] is not None, "correct": None if right is None else float(right),
        "finish_reason": row["finish_reason"], "error": row["error"],
        "parts": row["parts"], "cheat_positions": facts.get("cheat_positions", []),
        "max_new_tokens": row["max_tokens"], "temperature": row["temperature"], "seed": row["generation_seed"],
        "consultations": facts.get("consultations"), "base_tokens": facts.get("base_tokens"),
        "oracle_tokens": facts.get("oracle_tokens"), "dropped_tokens": facts.get("dropped_tokens"),
        "base_processed": facts.get("base_processed"), "oracle_processed": facts.get("oracle_processed"),
        "flops": None if None in work else float(sum(one for one in work if one is not None)),
        "usd": row["cost_usd"], "seconds": row["latency_s"],
    }  # fmt: skip


def _operations(parameters: int | None, tokens: int | None) -> int | None:
    return None if parameters is None or tokens is None else 2 * parameters * tokens


def parameters(model: str) -> int | None:
    """How many parameters a model has: as its backend says, or as its name does (8B); None where neither does.

    >>> parameters("vllm:meta-llama/Llama-3.1-8B-Instruct")
    8000000000
    """
    if model.startswith("pocket:"):
        return int(getattr(open_model(model), "parameters", 0)) or None
    told = re.search(r"(?<![A-Za-z0-9.])(\d+(?:\.\d+)?)[bB](?![A-Za-z])", model)
    return round(float(told[1]) * 1e9) if told else None


# ---- rows as documented ----
def documented(row: Mapping[str, Any], top_p: float | None) -> dict[str, Any]:
    """A row of the output file: the documented keys first, ours after them."""
    parts = [decode(Part, part) for part in json.loads(row["parts"])]
    made = _guided(row["decoding"])
    pieces = [
        {"output": part.text, "model_type": part.kind, "tokens": part.tokens, "token_ids": part.token_ids}
        for part in parts
    ]
    config = {"max_gen_len": row["max_new_tokens"], "temperature": row["temperature"], "top_p": top_p}
    ours = ("query_id", "candidate_idx", "split", "decoding", "correct", "finish_reason", "error", "seed",
            "consultations", "base_tokens", "oracle_tokens", "dropped_tokens", "base_processed", "oracle_processed",
            "flops", "usd", "seconds", "input_messages")  # fmt: skip
    limits = {name: said(limit) if (limit := getattr(made, name)) == NO_LIMIT else int(limit) for name in ("c", "k")}
    return {
        **limits, "max_new_tokens": row["max_new_tokens"], "temperature": row["temperature"], "top_p": top_p,
        "base_model_id": row["base_model_id"], "oracle_model_id": row["oracle_model_id"],
        "prompt": row["prompt"], "interleaved_outputs": pieces,
        "base_model_generations": [part.text for part in parts if part.kind == "base"],
        "oracle_model_generations": [part.text for part in parts if part.kind == "oracle"],
        "cheat_positions": list(row["cheat_positions"]),
        "total_tokens_generated": sum(part.tokens or 0 for part in parts), "eval_config": config,
        "result": row["result"], "ground_truth": row["ground_truth"], "parsed_answer": row["parsed_answer"],
        "analysis": None, **settings_of(made.trigger), "trigger": made.trigger.name, "step_size": made.step_size,
        "budget": made.budget,
        **{name: row[name] for name in ours},
    }  # fmt: skip


def write_rows(evaluation: Evaluation, output: Path) -> None:
    """The rows as JSON Lines, whole or not at all."""
    top_p = evaluation.drawn.spec.top_p
    with whole(output) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        for row in evaluation.rows.iter_rows(named=True):
            file.write(json.dumps(documented(row, top_p), ensure_ascii=False) + "\n")


# ---- calibration ----
def calibrated(
    spec: RunSpec, targets: Sequence[float], split: str, count: int = 60, watch: Watch | None = None
) -> list[str]:
    """The spec's decodings, each with its dial set so that it takes each target of oracle tokens a problem on a split.

    By bisection, on problems that the spec does not evaluate. Raises BadInput where it does, and for a trigger
    that has no dial.
    """
    asked = resolve(spec)
    if split in asked.splits:
        raise BadInput(f"{split} is evaluated itself", mend="calibrate on another split, as validation-medium")
    made: list[Guided] = [parse("decoding", text) for text in dict.fromkeys(asked.decoding)]
    if unknown := [one.trigger.name for one in made if one.trigger.name not in DIALS]:
        raise BadInput(f"trigger={unknown[0]} cannot be calibrated", mend=f"use {', '.join(DIALS)}")
    goals = [(one, target) for one in made for target in targets]
    tried: list[list[tuple[float, float]]] = [[] for _ in goals]
    with tempfile.TemporaryDirectory() as room:
        for _ in range(ROUNDS):
            places = [turn(points, target) for points, (_, target) in zip(tried, goals, strict=True)]
            texts = [dialled(one, place) for place, (one, _) in zip(places, goals, strict=True)]
            trial = asked.model_copy(
                update={"decoding": tuple(dict.fromkeys(texts)), "splits": (split,), "max_queries": count,
                        "start_index": 0, "run": "calibration", "out_dir": Path(room)}
            )  # fmt: skip
            drawn = carry_out(trial, watch=watch)
            means = dict(
                rows_of(drawn.folder.path).group_by("decoding").agg(pl.col("oracle_tokens").mean()).iter_rows()
            )
            for points, place, text in zip(tried, places, texts, strict=True):
                points.append((place, float(means[text])))
    return [
        dialled(one, min(points, key=lambda point: abs(point[1] - target))[0])
        for points, (one, target) in zip(tried, goals, strict=True)
    ]


def dialled(made: Guided, place: float) -> str:
    """A guided decoding as text, with its trigger's dial at a position from 0 to 1."""
    dial = DIALS[made.trigger.name]
    value = dial.value(place)
    short = f"{value:.4g}"
    kept = short if isinstance(getattr(made.trigger, dial.key), str) else type(value)(short)
    trigger = replace(made.trigger, **{dial.key: kept})  # type: ignore[type-var]
    return text_of(replace(made, trigger=trigger))
