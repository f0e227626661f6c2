"""Statistics of guided texts by the base's own weights: at each consultation, or at every token.

A backend that shows its states (`pocket`, `hf`) gives all eight; another one names a few most probable tokens, and what
can be said from these is marked `truncated`: entropy is a lower bound then, and attention is null. The weights that a
server of this machine holds are opened here, by `hf`, where a device is named.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from testtime import sources
from testtime.analysis.positions import Text, effect, parting
from testtime.backends import HOSTED_HERE
from testtime.core import rows
from testtime.core.closing import closing
from testtime.core.errors import BadInput, ModelError
from testtime.core.progress import Tick, counting
from testtime.core.protocols import Model
from testtime.core.records import Request, Vocabulary
from testtime.core.seeds import digest
from testtime.core.signals import ATTENTION, LISTED, STATISTICS, left_over, listed
from testtime.guide import documented, rows_of
from testtime.models.naming import open_model, resolve, settings_of_provider
from testtime.session import complete
from testtime.store.atomic import whole
from testtime.store.folder import RunFolder, is_run

Mode = Literal["corrected", "original"]
AT_ONCE = 16
"""Texts under way at once."""


def read_texts(path: Path) -> list[dict[str, Any]]:
    """The rows of an output file of `testtime guide`, or of a run's folder. Raises BadInput."""
    path = sources.place(path)
    if path.is_dir():
        if not is_run(path):
            raise BadInput(
                "is no run", where=str(path), mend="give the output file of testtime guide, or a run's folder"
            )
        top_p = float(RunFolder.open(path).read_spec().get("top_p", 1.0))
        return [documented(row, top_p) for row in rows_of(path).iter_rows(named=True)]
    found = [dict(row) for row in rows.read(path)]
    for row in found:
        if "interleaved_outputs" not in row:
            raise BadInput("a row has no interleaved_outputs", where=str(path), mend="give a file of testtime guide")
    return found


@dataclass(frozen=True)
class Reader:
    """Reads texts with one model."""

    model: Model
    mode: Mode = "corrected"

    @classmethod
    def open(cls, name: str, device: str | None, mode: Mode) -> Reader:
        """Raises BadInput for a device the backend does not have, or a mode it does not know."""
        whole_name = resolve(name)
        provider, _, model_name = whole_name.partition(":")
        if device is not None and provider in HOSTED_HERE:
            provider, whole_name = "hf", f"hf:{model_name}"
        has_device = "device" in settings_of_provider(provider)
        if device not in (None, "cpu") and not has_device:
            mend = "leave out --device, or name the weights: --model hf:ORG/NAME"
            raise BadInput(f"{provider} models do not run on {device}", mend=mend)
        model = open_model(whole_name, {"device": device} if device and has_device else {})
        if mode == "original" and provider != "pocket":
            raise BadInput(f"--stats_mode original is not known of {provider} models", mend="use it with pocket models")
        return cls(model, mode)

    async def at(self, request: Request, positions: Sequence[int]) -> list[dict[str, Any]]:
        """Statistics where so many tokens of the request's prefix have been read, a mapping each. Raises BadInput."""
        if "states" in self.model.can:
            model: Any = self.model
            more = {"mode": self.mode} if self.mode == "original" else {}
            found = await model.states(request, positions, **more)
            return [
                {name: _number(found[name][at]) if name in found else None for name in STATISTICS}
                | {"truncated": False, "tail": 0.0}
                for at in range(len(positions))
            ]
        if not {"logprobs", "continuation"} <= self.model.can:
            raise BadInput(f"{self.model.name} shows neither states nor logprobs", mend="read with another model")
        return [await self._listed(request, position) for position in positions]

    async def length(self, request: Request) -> int:
        """Tokens of a request's prefix, as the model counts them; 0 where it does not, and is asked by text alone."""
        if not request.prefix or "score" not in self.model.can:
            return 0
        model: Any = self.model
        (scores,) = await model.score(Request(request.messages), [request.prefix])
        return len(scores)

    async def _listed(self, request: Request, position: int) -> dict[str, Any]:
        prefix = request.prefix[:position] if isinstance(request.prefix, tuple) else request.prefix
        params = {"max_tokens": 1, "temperature": 0.0, "logprobs": LISTED}
        got = await self.model.generate(Request(request.messages, prefix, params=params))
        laws = got.completions[0].logprobs
        if not laws:  # the turn ends here, and its end has no listed tokens
            return dict.fromkeys(STATISTICS) | {"truncated": True, "tail": None}
        return listed(laws[0]) | dict.fromkeys(ATTENTION) | {"truncated": True, "tail": left_over(laws[0])}


def _number(value: float) -> float | None:
    return float(value) if value == value else None


def places_of(row: Mapping[str, Any], every: bool) -> list[int]:
    """The positions to look at: before each consultation, or before every token; of a text nobody was asked, all."""
    pieces = row["interleaved_outputs"]
    asked = any(piece["model_type"] == "oracle" for piece in pieces)
    if every or not asked:
        return list(range(sum(map(_tokens, pieces))))
    return [int(place) for place in row["cheat_positions"]]


def _tokens(piece: Mapping[str, Any]) -> int:
    """Tokens of a piece's text; an end of turn is none of them, where ids are known."""
    ids = piece.get("token_ids")
    return int(piece.get("tokens") or 0) if ids is None else len(ids)


def request_of(row: Mapping[str, Any]) -> Request:
    """A row's conversation, with its text to be read: by token ids where all pieces have them."""
    said = row.get("input_messages")
    messages = json.loads(said) if said else [{"role": "user", "content": row["prompt"]}]
    pieces = row["interleaved_outputs"]
    if all(piece.get("token_ids") is not None for piece in pieces):
        return Request(messages, tuple(token for piece in pieces for token in piece["token_ids"]))
    return Request(messages, "".join(piece["output"] for piece in pieces))


async def analysed(reader: Reader, row: Mapping[str, Any], every: bool) -> dict[str, Any]:
    """The row with `analysis_result`, an entry a position, and `acc`: 1, 0, or null where nothing is known.

    Raises BadInput where every token is to be looked at and none is known.
    """
    request, total = request_of(row), int(row["total_tokens_generated"])
    if isinstance(request.prefix, tuple):
        places = [place for place in places_of(row, every) if place <= len(request.prefix)]
        found = await reader.at(request, places)
    else:
        places, found = await _by_text(reader, row, request, every)
    spans = {at: tokens for at, tokens in _spans(row)}
    entries = [
        {"position": place, "normalized_position": place / max(total, 1), **stats,
         "oracle_tokens": spans.get(place), "oracle_tokens_normalized": _share(spans.get(place), total)}
        for place, stats in zip(places, found, strict=True)
    ]  # fmt: skip
    if every and isinstance(request.prefix, tuple) and (known := getattr(reader.model, "vocabulary", None)):
        row = {**row, "interleaved_outputs": [_spelled(piece, known) for piece in row["interleaved_outputs"]]}
    read_by = {"analysis_model": reader.model.name, "stats_mode": reader.mode}
    return {**row, **read_by, "analysis_result": entries, "acc": _acc(row)}


def _acc(row: Mapping[str, Any]) -> int | None:
    """1 for a right text, 0 for a wrong one, None where nothing is known."""
    right = row.get("correct", None if row.get("ground_truth") is None else row["ground_truth"] == row["parsed_answer"])
    return None if right is None else int(bool(right))


async def _by_text(
    reader: Reader, row: Mapping[str, Any], request: Request, every: bool
) -> tuple[list[int], list[dict[str, Any]]]:
    """(Positions, statistics) of a text whose tokens the row does not know: the reader's own where all are wanted."""
    asked = [(Request(request.messages, text), at) for text, at in _before_each(row)]
    if every or not asked:
        if "states" not in reader.model.can:
            raise BadInput(f"{reader.model.name} does not tell the tokens of a text", mend="leave out --every")
        places = list(range(await reader.length(request)))
        return places, await reader.at(request, places)
    several = [one for before, _ in asked for one in await reader.at(before, [await reader.length(before)])]
    return [at for _, at in asked], several


def _spelled(piece: Mapping[str, Any], vocabulary: Vocabulary) -> dict[str, Any]:
    """A piece with the texts of its tokens."""
    return {**piece, "spelled": [vocabulary.tokens[token] for token in piece["token_ids"]]}


def _before_each(row: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """(Text before it, tokens before it) of each consultation."""
    text, at = "", 0
    for piece in row["interleaved_outputs"]:
        if piece["model_type"] == "oracle":
            yield text, at
        text, at = text + piece["output"], at + int(piece.get("tokens") or 0)


def _spans(row: Mapping[str, Any]) -> Iterator[tuple[int, int]]:
    """(Position, tokens) of each consultation."""
    asked = [piece for piece in row["interleaved_outputs"] if piece["model_type"] == "oracle"]
    for place, piece in zip(row["cheat_positions"], asked, strict=False):
        yield int(place), int(piece.get("tokens") or 0)


def _share(tokens: int | None, total: int) -> float | None:
    return None if tokens is None else tokens / max(total, 1)


def analyse(
    texts: Sequence[Mapping[str, Any]],
    *,
    model: str | None = None,
    device: str | None = None,
    mode: Mode = "corrected",
    every: bool = False,
) -> list[dict[str, Any]]:
    """All rows, analysed by the base model that wrote them, or by the one that is named, many at once.

    A text that its reader cannot read keeps its row, with `analysis_error` and no entries. Raises BadInput.
    """
    bases = dict.fromkeys(row["base_model_id"] for row in texts)
    readers = {name: Reader.open(model or name, device, mode) for name in bases}

    async def work() -> list[dict[str, Any]]:
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(row: Mapping[str, Any], tick: Tick) -> dict[str, Any]:
            async with gate:
                try:
                    found = await analysed(readers[row["base_model_id"]], row, every)
                except ModelError as error:
                    found = {**row, "analysis_result": [], "analysis_error": str(error), "acc": _acc(row)}
            tick()
            return found

        async with closing(reader.model for reader in readers.values()):
            with counting("texts", len(texts)) as tick:
                return await asyncio.gather(*(one(row, tick) for row in texts))

    return complete(work)


def write_lines(lines: Sequence[Mapping[str, Any]], output: Path) -> None:
    """Rows as JSON Lines, whole or not at all."""
    with whole(output) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        for line in lines:
            file.write(json.dumps(line, ensure_ascii=False, default=float) + "\n")


# ---- what the analyses take ----
def texts_at_consultations(found: Sequence[Mapping[str, Any]]) -> list[Text]:
    """The texts for which somebody was asked, with the statistics where."""
    return [_text(row, set(row["cheat_positions"])) for row in found if _asked(row) and row["base_model_generations"]]


def errors_of(found: Sequence[Mapping[str, Any]]) -> tuple[list[Text], dict[str, int]]:
    """(The base's own texts, query_id → first wrong token) of problems that the oracle solves and the base does not."""
    alone = {row["query_id"]: row for row in found if not _asked(row)}
    oracle = {row["query_id"]: row for row in found if _asked(row) and not row["base_model_generations"]}
    texts, errors = [], {}
    for query, row in alone.items():
        if query in oracle and row["acc"] == 0 and oracle[query]["acc"] == 1:
            place = parting(_ids(row), _ids(oracle[query]))
            if place is not None:
                texts.append(_text(row, None))
                errors[query] = place
    return texts, errors


def consulted_once(found: Sequence[Mapping[str, Any]]) -> list[tuple[Text, str]]:
    """Greedy texts with one consultation, each with what it changed against the base's own text of the problem."""
    alone = {row["query_id"]: row for row in found if not _asked(row) and row["temperature"] == 0}
    pairs = []
    for row in found:
        own = alone.get(row.get("query_id"))
        if own is None or row["acc"] is None or own["acc"] is None or row["temperature"] != 0:
            continue
        if len(row["cheat_positions"]) == 1 and row["base_model_generations"]:
            pairs.append((_text(row, set(row["cheat_positions"])), effect(row["acc"], own["acc"])))
    return pairs


def _asked(row: Mapping[str, Any]) -> bool:
    return bool(row["cheat_positions"])


def _text(row: Mapping[str, Any], places: set[int] | None) -> Text:
    entries = [one for one in row["analysis_result"] if places is None or one["position"] in places]
    right = None if row["acc"] is None else float(row["acc"])
    return Text(str(row.get("query_id")), right, [one["position"] for one in entries], entries)


def _ids(row: Mapping[str, Any]) -> list[Any]:
    """Token ids of a text; its characters where the backend gave none."""
    pieces = row["interleaved_outputs"]
    if all(piece.get("token_ids") is not None for piece in pieces):
        return [token for piece in pieces for token in piece["token_ids"]]
    return list("".join(piece["output"] for piece in pieces))


# ---- labelled steps ----
@dataclass(frozen=True)
class LabelledStep:
    """One completion of a step that somebody rated."""

    query_id: str
    """Of its problem: rows of one problem share it."""
    row: int
    """From 0, in the file."""
    step: int
    problem: str
    before: str
    """The text that it follows."""
    text: str
    rating: int
    """-1, 0 or 1."""
    finish_reason: str | None
    """Of the whole solution: solution, found_error, give_up, bad_problem."""


def labelled_steps(path: Path) -> tuple[list[LabelledStep], int]:
    """The rated completions of data in PRM800K's format, and how many rows were left out.

    Left out are questions for quality control and for screening, which were given to many labelers. Earlier steps are
    those that were chosen, or where none was, what a person wrote; where neither is there the solution ends. A
    completion without a rating is none that was rated. Steps are joined by line ends. Raises BadInput.
    """
    found, left_out = list[LabelledStep](), 0
    for number, row in enumerate(rows.read(path)):
        question, label = row.need("question"), row.need("label")
        if row.get("is_quality_control_question") or row.get("is_initial_screening_question"):
            left_out += 1
            continue
        try:
            found += _steps_of(number, str(question["problem"]), label)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            row.bad(f"the row is not in PRM800K's format ({type(error).__name__}: {error})")
    return found, left_out


def _steps_of(number: int, problem: str, label: Mapping[str, Any]) -> Iterator[LabelledStep]:
    before, query = "", digest(problem)
    for at, step in enumerate(label["steps"]):
        completions = step["completions"] or ()
        for one in completions:
            if one.get("rating") is not None:
                rating, ended = int(one["rating"]), label.get("finish_reason")
                yield LabelledStep(query, number, at, problem, before, str(one["text"]), rating, ended)
        chosen = step.get("chosen_completion")
        taken = completions[chosen] if chosen is not None else step.get("human_completion")
        if taken is None:
            return
        before += str(taken["text"]) + "\n"


def read_steps(
    steps: Sequence[LabelledStep], model: str, prompt: str = "{question}", *, device: str | None = None
) -> list[dict[str, Any]]:
    """Statistics at the start and the end of every labelled step: rows {query_id, at, rating, statistic: value, …}.

    A step that the model cannot read keeps its rows, with `analysis_error` and no values. Raises BadInput.
    """
    reader = Reader.open(model, device, "corrected")

    async def work() -> list[dict[str, Any]]:
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(step: LabelledStep, at: str) -> dict[str, Any]:
            messages = [{"role": "user", "content": prompt.format(question=step.problem)}]
            request = Request(messages, step.before if at == "start" else step.before + step.text)
            told = {key: getattr(step, key) for key in ("query_id", "row", "step", "rating", "finish_reason", "text")}
            told |= {"at": at, "analysis_model": reader.model.name}
            async with gate:
                try:
                    (stats,) = await reader.at(request, [await reader.length(request)])
                except ModelError as error:
                    return {**told, **dict.fromkeys(STATISTICS), "analysis_error": str(error)}
            return {**told, **stats}

        async with closing([reader.model]):
            return await asyncio.gather(*(one(step, at) for step in steps for at in ("start", "end")))

    return complete(work)
