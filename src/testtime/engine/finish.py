"""The pool's files, written from its journal alone: candidates.parquet, calls.parquet, and where draws were tried
again retries.parquet: marked retries are rows of their own file, so that every count of the others is of the N.

Two passes. The first takes numbers and places (what each call cost, where each draw and verdict stands:
some 0.2 kB a candidate, however long its text); the second reads each draw again from its place, in the order of the
table. So memory does not grow with the texts.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from testtime.core.records import Arm, Call, Candidate, Map, Problem, Verdict, canonical
from testtime.core.seeds import digest
from testtime.core.spend import Spend
from testtime.engine.costs import at_most
from testtime.engine.ledger import Ledger
from testtime.engine.places import Key, Ordered, Places
from testtime.engine.plan import Plan
from testtime.engine.roster import Roster
from testtime.engine.rows import row_of, scores_of_facts, scores_of_verdict
from testtime.engine.state import candidate_of, verdict_id
from testtime.store.codec import decode, encode
from testtime.store.journal import Dropped, Place, Reader, journal_folder, scan
from testtime.store.parquet import Row, write_calls, write_candidates, written_from
from testtime.store.rows import call_row, model_of
from testtime.store.schema import CALLS, CANDIDATES, METADATA


@dataclass
class Index:
    """Where everything stands in a journal."""

    plan: Plan
    roster: Roster
    ledger: Ledger
    draws: Places = field(default_factory=Places)
    retries: Places = field(default_factory=Places)
    """Marked ones."""
    verdicts: Places = field(default_factory=Places)
    lost: dict[str, Place] = field(default_factory=dict)
    """Requests that left and of which nothing came back, by call id."""
    scores: set[str] = field(default_factory=set)
    attempts: int = 0
    served: dict[tuple[str, str], dict[str, None]] = field(default_factory=dict)
    """(Role, model asked) → the names under which the provider says it answered, in order of appearance."""
    dropped: list[Dropped] = field(default_factory=list)

    @classmethod
    def of(cls, plan: Plan, folder: Path) -> Index:
        """The first pass."""
        index = cls(plan, Roster(plan, folder), Ledger(plan))
        for place, record in scan(folder, index.dropped):
            index._enter(place, record)
        index.ledger.close()
        index.attempts += len(index.lost)
        return index

    def _enter(self, place: Place, record: Mapping[str, Any]) -> None:
        match record["kind"]:
            case "run":
                self.roster.run(record)
                self.ledger.session(record)
            case "sent":
                self.lost[record["id"]] = place
            case "call":
                self.lost.pop(record["id"], None)
                self.attempts += 1
                self.ledger.call(record)
                if name := record.get("answered"):
                    self.served.setdefault((record["role"], record["model"]), {})[name] = None
            case "window":
                self.ledger.window(record)
            case "draw":
                self.roster.draw(place, record)
                for at, one in enumerate(record["candidates"]):
                    kind = self.draws if one.get("retry_of") is None else self.retries
                    kind.add(one["arm"], one["query_id"], one["candidate_idx"], place, at)
                    self.scores |= scores_of_facts(one["facts"]).keys()
            case "verdict":
                self.verdicts.add(record["arm"], record["query"], record["idx"], place)
                self.scores |= scores_of_verdict(decode(Verdict, record["verdict"])).keys()


def write_pool(plan: Plan, folder: Path) -> bool:
    """Writes the files, each whole or not there; False where they hold all that the journal does already.

    They hold the union of what all plans of this folder drew, whatever this one asks for.
    """
    source, paths = _source(plan, folder), (folder / "candidates.parquet", folder / "calls.parquet")
    if all(written_from(path) == source for path in paths):
        return False
    index = Index.of(plan, folder)
    meta = {**plan.about, **_meta(plan, index), "written_from": source}
    scores, roster, problems = sorted(index.scores), index.roster, index.roster.problems
    arms_again = {id: roster.arms.get(id, arm) for id, arm in roster.again.items()}
    drawn, again = index.draws.ordered([*roster.arms], problems), index.retries.ordered([*arms_again], problems)
    with Reader() as reader:
        if len(again):
            about = {**meta, **_meta_of_retries(index)}
            rows = _rows(index, reader, arms_again, problems, again)
            write_candidates(folder / "retries.parquet", rows, about, count=len(again), scores=scores)
            meta = {**meta, "caveats": [*meta["caveats"], f"{len(again)} draws were tried again: see retries.parquet"]}
        else:
            (folder / "retries.parquet").unlink(missing_ok=True)
        rows = _rows(index, reader, roster.arms, problems, drawn)
        write_candidates(paths[0], rows, meta, count=len(drawn), scores=scores)
        write_calls(paths[1], _calls(index, folder, reader), meta, count=index.attempts)
    return True


def _meta_of_retries(index: Index) -> Map:
    """What is another in the metadata of retries: none of them was due."""
    arms = [index.roster.arms.get(id) or index.roster.again[id] for id in index.retries.arms]
    return {"arms": arms, "floor": {arm.label: 0 for arm in arms}, "num_candidates": 0}


def _source(plan: Plan, folder: Path) -> str:
    """Digest of all that the files are made from: the journal only grows, so its sizes tell it."""
    lanes = [[encode(arm) for arm in lane.arms] for lane in plan.lanes]
    problems = [[encode(problem), list(lane.messages(problem))] for lane in plan.lanes for problem in plan.problems]
    stages = [[stage.stage, stage.digest] for stage in plan.verifiers]
    columns = [*CANDIDATES, *CALLS, *METADATA]
    sizes = [[path.name, path.stat().st_size] for path in sorted(journal_folder(folder).glob("*.jsonl"))]
    return digest(canonical([plan.run, plan.dataset, plan.about, plan.parser, lanes, problems, stages, sizes, columns]))


def _meta(plan: Plan, index: Index) -> Map:
    arms = list(index.roster.arms.values())
    splits = [problem.split for problem in plan.problems] + list(index.roster.others.values())
    temperatures = {arm.sampling.get("temperature") for arm in arms}
    floor = {arm.label: index.roster.floor(id) for id, arm in index.roster.arms.items()}
    return {
        "run": plan.run,
        "dataset": plan.dataset,
        "splits": list(dict.fromkeys(splits)),
        "provider": "+".join(dict.fromkeys(filter(None, map(_provider, arms)))),
        "model": "+".join(dict.fromkeys(map(model_of, arms))),
        "num_candidates": max(floor.values(), default=0),
        "temperature": temperatures.pop() if len(temperatures) == 1 else None,
        "seed": plan.seed,
        "total_queries": len(index.roster.problems),
        "arms": arms,
        "floor": floor,
        "grouped": {arm.label: index.roster.grouped.get(id, False) for id, arm in index.roster.arms.items()},
        "served": [[role, model, *names] for (role, model), names in index.served.items()],
        "energy_windows": index.ledger.energy(),
        "caveats": [f"a journal line was dropped: {one}" for one in index.dropped],
    }


def _rows(
    index: Index, reader: Reader, arms: Mapping[str, Arm], problems: Sequence[str], found: Ordered
) -> Iterator[Row]:
    """Arm by arm, problem by problem, by number."""
    named = list(arms.items())
    said = _beside(index.verdicts.ordered([*arms], problems))
    next(said)
    asked: tuple[tuple[int, int], Problem, str] | None = None
    for key, places in found:
        (arm, query, _), (place, at) = key, places[-1]  # a draw that was made again is the last
        record = reader.read(place)
        if asked is None or asked[0] != (arm, query):
            problem, messages = index.roster.asked(record["scope"], problems[query], reader)
            asked = (arm, query), problem, canonical(messages)
        yield _row(index, *named[arm], *asked[1:], record, at, [reader.read(one) for one in said.send(key)])


def _beside(verdicts: Ordered) -> Generator[list[Place], Key, None]:
    """Sent rows in their order, gives the places of each one's verdicts; the first it gives is for nobody."""
    rows = iter(verdicts)
    here = next(rows, None)
    key = yield []
    while True:
        while here is not None and here[0] < key:
            here = next(rows, None)
        key = yield [place for place, _ in here[1]] if here is not None and here[0] == key else []


def _row(
    index: Index, id: str, arm: Arm, problem: Problem, messages: str, record: Map, at: int, verdicts: Sequence[Map]
) -> Row:
    """One candidate with its verdicts, and what it and they cost."""
    candidate = candidate_of(index.plan, record, at)
    said = {line["id"]: decode(Verdict, line["verdict"]) for line in verdicts}
    listed = [one.get("calls", ()) for one in record["candidates"]]
    share = index.ledger.share(record["id"], listed, at, said)
    return row_of(problem, arm, candidate, _shown(index.plan, candidate, said)) | {
        "input_messages": messages,
        "provider": _provider(arm),
        "timestamp": datetime.fromtimestamp(record["at"], UTC).isoformat(timespec="milliseconds"),
        "paid_usd": share.usd,
        "joules": share.joules,
    }


def _shown(plan: Plan, candidate: Candidate, said: Mapping[str, Verdict]) -> list[Verdict]:
    """The verdicts of the plan's verifiers, in its order, then the last word of each stage that they lack.

    So a verdict of a former version of a stage stands until that stage speaks anew. A failed draw is judged by none:
    it has no answer, which is wrong.
    """
    if candidate.error is not None and plan.verifiers:
        first, why = plan.verifiers[0], f"the draw failed: {candidate.error}"
        return [Verdict(first.stage, first.digest, False, None, 1.0, "no answer", why, first.gold)]
    own = [said[id] for stage in plan.verifiers if (id := verdict_id(candidate, stage, plan)) in said]
    lacking = {verdict.stage: verdict for verdict in said.values()}
    for verdict in own:
        lacking.pop(verdict.stage, None)
    return [*own, *lacking.values()]


def _provider(arm: Arm) -> str | None:
    """Who serves an arm's models; several are joined by +."""
    served = [name.partition(":")[0] for name in arm.models.values() if ":" in name]
    return "+".join(dict.fromkeys(served)) or None


def _calls(index: Index, folder: Path, reader: Reader) -> Iterator[Row]:
    """Every attempt in the order it ended, then those of which nothing came back, with what they can have cost."""
    bounds, number = dict[str, Spend](), 0
    for _, record in scan(folder, kinds={"sent", "call"}):
        if record["kind"] == "sent":
            bounds[record["id"]] = at_most(index.plan, record["role"], record["model"], record)
        else:
            call = decode(Call, record)
            spend, number = replace(call.spend, joules=index.ledger.joules_of(number)), number + 1
            lost = call.status == "cancelled" or bool(record.get("lost"))
            bound = bounds.pop(record["id"], Spend())
            yield call_row(replace(call, spend=spend)) | _bound(bound if lost else None)
    for id, place in index.lost.items():
        yield call_row(decode(Call, reader.read(place))) | _bound(bounds[id])


def _bound(bound: Spend | None) -> dict[str, Any]:
    """What a row says of an attempt that is lost; None: it is not."""
    if bound is None:
        return {"lost": False}
    tokens = None if bound.prompt is None or bound.completion is None else bound.prompt + bound.completion
    return {"lost": True, "tokens_at_most": tokens, "usd_at_most": bound.usd}
