"""Verdicts given anew: on the candidates of a pool, nothing being drawn, or on pairs of a reference and an answer.

A pool's new verdicts are an overlay in its folder `verdicts/`, one file a stage and digest, with the old verdict beside
the new: texts and first verdicts are never rewritten. Where a stage is the first to say anything of a pool that was
imported, what it says is put into the pool as well, votes of programs with it, so that all that reads pools finds it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, cast

import polars as pl
import pyarrow.parquet as pq

from testtime.analysis.audit import LABELS
from testtime.build import local_name, open_task
from testtime.core import rows
from testtime.core.closing import closing
from testtime.core.errors import BadInput, BoundaryError, Refused, unknown_name
from testtime.core.progress import Tick, counting
from testtime.core.protocols import Ask, Task, Verifier
from testtime.core.records import ABSTAIN, Candidate, Finish, Map, Part, Problem
from testtime.core.registry import find, names
from testtime.core.strings import parse
from testtime.importers import candidates
from testtime.importers.write import import_to
from testtime.lanes import marks_of, persona_of
from testtime.solo import Solo, solo_of
from testtime.sources import place
from testtime.store.atomic import slug, whole, writable
from testtime.store.codec import decode
from testtime.store.folder import RunFolder
from testtime.store.kept import Kept
from testtime.store.pack import is_pack
from testtime.store.parquet import fill, read_meta, readable, written_from
from testtime.store.rows import verdict_columns
from testtime.store.schema import CANDIDATES, arrow
from testtime.verifiers.asking import Keeps
from testtime.verifiers.code import Code
from testtime.verifiers.each import Each
from testtime.verifiers.judge import Judge
from testtime.verifiers.math import judge_pair, strange
from testtime.verifiers.outputs import Outputs
from testtime.verifiers.persona import Persona
from testtime.verifiers.refusal import Refusal
from testtime.verifiers.said import verdict

SHOWN = ("question", "ground_truth_answer", "answer")
"""What a person needs to label a verdict."""
AT_ONCE = 256
"""Candidates in work at once."""
READ = (
    "arm", "query_id", "candidate_idx", "split", "question", "ground_truth_answer", "candidate_text", "parts", "answer",
    "answer_key", "finish_reason", "error", "is_verified", "verification_method", "refusal_is_refusal", "persona_score",
    "persona_markers",
)  # fmt: skip
KEY = ("arm", "query_id", "candidate_idx")
VERDICT = (
    "is_verified", "verification_confidence", "verification_explanation", "verification_method",
    "verification_verifier_name", "verification_saw_reference", "verification_llm_judge_used",
    "verification_llm_judge_failed", "answer_key",
)  # fmt: skip
FILLS: Mapping[str, tuple[str, ...]] = {
    "refusal": ("refusal_is_refusal", "refusal_confidence", "refusal_type", "refusal_matched_patterns"),
    "persona": (
        "persona_markers", "persona_constraint_violations", "persona_score", "persona_confidence",
        "persona_judge_reasoning", "persona_judge_model",
    ),
}  # fmt: skip
"""Stage → the columns it fills, its word first; all others fill `VERDICT`."""


@dataclass(frozen=True, eq=False)
class Reverified:
    """New verdicts beside the old ones."""

    frame: pl.DataFrame
    """KEY, the stage's columns, what its first one said before as `was_…`, SHOWN."""
    path: Path
    """Where they are kept."""
    judge: Solo
    """The model that was asked, if any, and what it took."""
    word: str = "is_verified"
    """The column of the stage's word."""
    first: bool = False
    """Whether nobody had said anything before, so that the pool holds them now."""

    @property
    def unasked(self) -> str | None:
        """Why no judge said anything of answers that wanted one; None where none did, or one spoke."""
        methods = self.frame["verification_method"] if "verification_method" in self.frame.columns else ()
        return self.judge.note if "no judge" in methods else None

    @property
    def flips(self) -> pl.DataFrame:
        """The rows of which another thing is said now; null is one of its own."""
        return self.frame.filter(pl.col(was(self.word)).ne_missing(pl.col(self.word)))


def was(word: str) -> str:
    """The name of a stage's word as it was before.

    >>> was("is_verified"), was("refusal_is_refusal")
    ('was_verified', 'was_refusal')
    """
    return f"was_{word.split('_is_')[0].removeprefix('is_')}"


def reverify(
    pool: Path,
    verifier: str,
    *,
    dataset: str | None = None,
    dataset_path: Path | None = None,
    judge_model: str | None = None,
    base_url: Sequence[str] = (),
    persona: str | None = None,
    sandbox: str | None = None,
    concurrency: int = 16,
    prices: Path | None = None,
) -> Reverified:
    """Judges a pool's candidates by another stage. Raises BadInput: no pool, an unknown stage or dataset."""
    packed, opened = is_pack(pool), place(pool)
    folder = opened if opened.is_dir() else None
    file = RunFolder.open(opened).candidates if folder else opened
    meta = read_meta(file)
    spec = _spec(folder) or meta.get("config") or {}
    said = spec.get("dataset_path")  # which is of the folder where the run was made
    task = _task(
        dataset or str(spec.get("dataset") or meta.get("dataset") or ""),
        dataset_path or (said if said and Path(said).exists() else None),
        needs_rows=verifier not in FILLS,
    )
    table = _table(file)
    judge = solo_of(verifier, judge_model, base_url, meta, concurrency, prices)
    beside = pool.parent if packed else (folder or file).parent
    kept: Keeps = Kept(beside, judge.model.name) if judge.model else dict[str, Map]()
    problems = _problems(task, table, spec)
    stages = _stages(
        _stage(verifier, task, judge, kept, persona or spec.get("persona"), sandbox or spec.get("sandbox") or "auto"),
        problems,
    )
    if why := next(filter(None, map(stages[0].refuses, problems.values())), None):
        raise Refused(f"{verifier} cannot judge these: {why}")
    said = asyncio.run(_judge(stages, task, problems, table, judge))
    columns = FILLS.get(verifier, VERDICT)
    frame = _frame(table, said, columns)
    kept_at = folder / "verdicts" if folder and not packed else pool.with_suffix(".verdicts")
    path = kept_at / f"{slug(verifier)}-{stages[0].digest}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as part:
        frame.write_parquet(part)
    first = not packed and written_from(file) is None
    if first:
        with RunFolder.open(folder).held() if folder else nullcontext():  # another stage may have spoken since
            if first := not any(_spoken(row, columns) for row in _table(file)):
                fill(file, frame.select(columns))
    return Reverified(frame, path, judge, columns[0], first)


def _spoken(row: Map, columns: Sequence[str]) -> bool:
    """Whether a stage that fills these columns has said anything of a row."""
    told = ("verification_method", "is_verified") if columns is VERDICT else columns
    return any(row.get(name) is not None for name in told)


def verify_pairs(file: Path, verifier: str, output: Path) -> Map:
    """Judges rows `{gold, prediction, options?}` and writes each with its verdict; gives counts of the values.

    Raises BadInput: no such file, a row without a gold or a prediction, a stage that compares no pairs.
    """
    if verifier != "math":
        raise BadInput(f"{verifier} does not compare pairs", mend="use --verifier math")
    writable([output], [file])
    several = list(rows.read(file))
    for row in several:
        for key, also in (("gold", ()), ("prediction", (type(None),))):
            if not isinstance(row.need(key), (str, int, Decimal, *also)) or isinstance(row[key], bool):
                row.bad(f"{key!r} is not a text")
        if (why := strange(row.get("options"))) is not None:
            row.bad(why)

    async def work() -> list[Any]:
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(row: rows.Row) -> Any:
            async with gate:
                said = "" if row["prediction"] is None else str(row["prediction"])
                return await judge_pair(str(row["gold"]), said, row.get("options"))

        return await asyncio.gather(*map(one, several))

    found = asyncio.run(work())
    with whole(output) as part, part.open("w", encoding="utf-8", newline="\n") as out:
        for row, one in zip(several, found, strict=True):
            said = {
                "is_verified": one.value,
                "verification_confidence": one.confidence,
                "verification_method": one.method,
            }
            out.write(json.dumps({**row, **said}, ensure_ascii=False, default=float) + "\n")
    return {"right": sum(one.value for one in found), "rows": len(found)}


def import_candidates(
    file: Path, out: Path, known: Mapping[str, str], dataset_path: Path | None, splits: Sequence[str]
) -> Path:
    """A run folder of anyone's outputs for a benchmark, to be judged next. Raises BadInput."""
    if "dataset" not in known:
        raise BadInput(
            "whose ids these are is not said", mend="add --dataset NAME, and --dataset_path where it is local"
        )
    task = open_task(known["dataset"], dataset_path)
    made = candidates.read(file, task, splits, known["dataset"], dataset_path)
    told: dict[str, Any] = dict(known)
    if "model" in told:
        told["arms"] = [{**arm, "models": {"model": told["model"]}} for arm in made.meta["arms"]]
    return import_to(replace(made, meta={**made.meta, **told}), out)


def stage_of(run: Path) -> str:
    """The stage that judges a run's dataset."""
    spec = _spec(run)
    return _task(str(spec.get("dataset") or ""), spec.get("dataset_path")).verifier


# ---- what is judged ----
def _spec(folder: Path | None) -> dict[str, Any]:
    spec = RunFolder.open(folder).spec if folder else None
    return RunFolder.open(folder).read_spec() if folder and spec and spec.exists() else {}


def _task(dataset: str, path: Path | str | None, *, needs_rows: bool = True) -> Task:
    """The task, also where its rows are not at hand: what an answer is does not depend on them."""
    dataset, path = local_name(dataset, Path(path) if path is not None else None)
    name = dataset.partition(":")[0]
    if name not in names("task"):
        raise BadInput(f"the dataset {dataset or 'of this pool'!r} is not known", mend="name it: --dataset math")
    reads = "path" in {f.name for f in fields(find("task", name))}
    if path is None and reads:
        task: Task = parse("task", dataset, path="")
        if needs_rows and task.verifier != "math":
            raise BadInput(f"{name} is judged by what its rows hold, and they are not here", mend="add --dataset_path")
        return task
    return open_task(dataset, path)


def _problems(task: Task, table: Sequence[Map], spec: Map) -> dict[str, Problem]:
    """The problems by query_id: of the dataset where it is at hand, else what the rows say of them."""
    splits = dict.fromkeys(row["split"] for row in table if row["split"]) or dict.fromkeys(spec.get("splits") or ())
    known: dict[str, Problem] = {}
    if str(getattr(task, "path", "bundled")):
        wanted = {row["query_id"] for row in table}
        known = {one.query_id: one for split in splits for one in task.problems(split) if one.query_id in wanted}
    said = {
        row["query_id"]: Problem(
            row["query_id"],
            row["split"] or "",
            row["question"] or "",
            row["ground_truth_answer"],
            {"verifier": "judge"},
        )
        for row in table
    }
    return said | known


def _table(file: Path) -> list[dict[str, Any]]:
    with readable(file), pq.ParquetFile(file, page_checksum_verification=True) as parquet:
        have = [name for name in READ if name in parquet.schema_arrow.names]
        table = parquet.read(have).replace_schema_metadata(None)
    return [{**dict.fromkeys(READ), **row} for row in table.to_pylist()]


def _candidate(task: Task, problem: Problem, row: Map) -> Candidate:
    """A row as the candidate it was; its answer is read anew where its text is there, and it ended by itself."""
    text = row["candidate_text"]
    finish: Finish = row["finish_reason"] or "stop"
    if row["error"] is not None or finish in ABSTAIN:
        printed, key = None, None
    elif text is None:
        printed, key = row["answer"], row["answer_key"]
    else:
        printed, key = task.answer(problem, text)
    parts = [decode(Part, part) for part in json.loads(row["parts"] or "[]")] or [Part("answer", text or printed or "")]
    facts = {"answer": printed, "answer_key": key}
    idx, error = row["candidate_idx"], row["error"]
    return Candidate(row["arm"], problem.query_id, idx, parts, finish, facts=facts, error=error)


# ---- who judges ----
def _stage(verifier: str, task: Task, solo: Solo, kept: Keeps, persona: str | None, sandbox: str) -> Verifier:
    if verifier not in names("verifier"):
        raise unknown_name("verifier", verifier, names("verifier"))
    asking = solo.asking(kept)
    judge = Judge(task, asking)
    if verifier == "judge":
        return judge
    if verifier == "likelihood":
        raise BadInput(
            "likelihood asks the model that answers", mend="name it while a run draws: --decoding likelihood"
        )
    if verifier == "refusal":
        return Refusal(task, asking=asking)
    if verifier == "persona":
        marks = marks_of(persona)
        if marks is None and asking is None:
            raise BadInput("no persona's marks, and no model to judge it", mend="add --persona FILE, or --judge_model")
        return Persona(task, persona_of(persona) or "", marks, asking)
    if verifier == "code":
        return Code(task, sandbox)
    stage: Verifier = find("verifier", verifier)(task)
    if isinstance(stage, Each):
        stage.opened.update(judge=judge, code=Code(task, sandbox))
    return stage


def _stages(stage: Verifier, problems: Mapping[str, Problem]) -> list[Verifier]:
    """A stage, and beside one that runs programs what gives them their votes, where a problem shows examples."""
    if not isinstance(stage, Code | Each) or not any(one.fields.get("public") for one in problems.values()):
        return [stage]
    code = stage if isinstance(stage, Code) else stage.opened["code"]
    assert isinstance(code, Code)
    return [stage, Outputs(code.task, code.sandbox)]


async def _judge(
    stages: Sequence[Verifier], task: Task, problems: Mapping[str, Problem], table: Sequence[Map], solo: Solo
) -> list[Map]:
    """What the stages say of all rows, so many at once, by column."""
    right, judged = 0, 0

    async def one(row: Map, tick: Tick) -> Map:
        nonlocal right, judged
        problem = problems[row["query_id"]]
        candidate = _candidate(task, problem, row)
        try:
            said = [await stage.verify(problem, candidate, cast(Ask, solo)) for stage in stages]
        except BoundaryError as error:
            said = [verdict(stages[0], None, 0.0, "failed", str(error))]
        columns = verdict_columns(said)
        right, judged = right + (columns.get("is_verified") is True), judged + (columns.get("is_verified") is not None)
        tick(" · ".join([*([f"{100 * right / judged:.1f} % right"] if judged else []), *solo.running()]))
        return {"answer_key": candidate.facts["answer_key"], **columns}

    found: list[Map] = []
    several: Iterator[Map] = iter(table)
    async with closing([solo.model]):
        with counting("verdicts", len(table)) as tick:
            while part := list(islice(several, AT_ONCE)):
                found += await asyncio.gather(*(one(row, tick) for row in part))
    return found


def _frame(table: Sequence[Map], said: Sequence[Map], columns: Sequence[str]) -> pl.DataFrame:
    kinds = pl.DataFrame(arrow({name: CANDIDATES[name] for name in columns}).empty_table()).schema
    old = was(columns[0])
    return pl.DataFrame(
        {
            **{name: [row[name] for row in table] for name in KEY},
            old: [row[columns[0]] for row in table],
            **{name: [one.get(name) for one in said] for name in columns},
            **{name: [row[name] for row in table] for name in SHOWN},
        },
        schema_overrides={**kinds, old: kinds[columns[0]], **dict.fromkeys(SHOWN, pl.String())},
    )


# ---- labels by hand ----
def verdicts(path: Path) -> pl.DataFrame:
    """The verdicts of a run folder, a candidates.parquet or an overlay, with what a person needs to label them.

    Raises BadInput.
    """
    path = place(path)
    file = RunFolder.open(path).candidates if path.is_dir() else path
    wanted = (
        *KEY,
        "question",
        "ground_truth_answer",
        "answer",
        "is_verified",
        "verification_method",
        "verification_confidence",
    )
    with readable(file), pq.ParquetFile(file, page_checksum_verification=True) as parquet:
        names_ = parquet.schema_arrow.names
        if missing := [name for name in (*KEY, "is_verified") if name not in names_]:
            raise BadInput(f"has no column {missing[0]!r}", where=str(file), mend="name a pool or an overlay")
        table = parquet.read([name for name in wanted if name in names_]).replace_schema_metadata(None)
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    absent = [pl.lit(None, pl.String).alias(name) for name in wanted if name not in frame.columns]
    return frame.with_columns(*absent).with_columns(pl.col("verification_confidence").cast(pl.Float64))


def write_labels(path: Path, chosen: pl.DataFrame) -> None:
    """Writes a sample as CSV, its last column `label` empty."""
    shown = chosen.select(*KEY, "question", "ground_truth_answer", "answer", "is_verified", "verification_method")
    with whole(path) as part:
        shown.with_columns(label=pl.lit("")).write_csv(part)


def read_labels(path: Path) -> dict[tuple[str, str, int], str]:
    """(arm, query_id, candidate_idx) → label. Raises BadInput: no such file, a column missing, an unknown label."""
    try:
        table = pl.read_csv(path, infer_schema=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise BadInput(f"cannot be read as CSV ({error})", where=str(path)) from None
    if missing := [name for name in (*KEY, "label") if name not in table.columns]:
        raise BadInput(f"has no column {missing[0]!r}", where=str(path), mend="start from --out_csv")
    found = {}
    for line, row in enumerate(table.iter_rows(named=True), start=2):
        label = (row["label"] or "").strip().lower()
        if label and label not in LABELS:
            raise BadInput(
                f"the label {label!r} is not known", where=f"{path}:{line}", mend=f"labels are {', '.join(LABELS)}"
            )
        if label:
            found[row["arm"], row["query_id"], int(row["candidate_idx"])] = label
    return found
