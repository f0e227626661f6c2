"""Statistics of guided texts by the base's own weights: at each consultation, or at every token.

A backend that shows its states (`pocket`, `hf`) gives all eight; another one names a few most probable tokens, and what
can be said from these is marked `truncated`: entropy is a lower bound then, and attention is null.
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
from testtime.core import rows
from testtime.core.errors import BadInput
from testtime.core.progress import Tick, counting
from testtime.core.protocols import Model
from testtime.core.records import Request, Vocabulary
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
        provider = whole_name.partition(":")[0]
        has_device = "device" in settings_of_provider(provider)
        if device not in (None, "cpu") and not has_device:
            raise BadInput(f"{provider} models do not run on {device}", mend="leave out --device")
        model = open_model(whole_name, {"device": device} if device and has_device else {})
        if mode == "original" and provider != "pocket":
            raise BadInput(f"--stats_mode original is not known of {provider} models", mend="use it with pocket models")
        return cls(model, mode)

    async def at(self, request: Request, positions: Sequence[int]) -> list[dict[str, Any]]:
        """Statistics where so many tokens of the request's prefix have been read, a mapping each."""
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
    """The row with `analysis_result`, an entry a position, and `acc`: 1, 0, or null where nothing is known."""
    places, request = places_of(row, every), request_of(row)
    total = int(row["total_tokens_generated"])
    if isinstance(request.prefix, str) and "states" not in reader.model.can:
        pieces = _before_each(row)
        several = [(Request(request.messages, text), at) for text, at in pieces if not every]
        found = [one for asked, at in several for one in await reader.at(asked, [at])]
        places = [at for _, at in several]
    else:
        kept = [place for place in places if place <= len(request.prefix)]
        found, places = await reader.at(request, kept), kept
    spans = {at: tokens for at, tokens in _spans(row)}
    entries = [
        {"position": place, "normalized_position": place / max(total, 1), **stats,
         "oracle_tokens": spans.get(place), "oracle_tokens_normalized": _share(spans.get(place), total)}
        for place, stats in zip(places, found, strict=True)
    ]  # fmt: skip
    if every and isinstance(request.prefix, tuple) and (known := getattr(reader.model, "vocabulary", None)):
        row = {**row, "interleaved_outputs": [_spelled(piece, known) for piece in row["interleaved_outputs"]]}
    right = row.get("correct", None if row.get("ground_truth") is None else row["ground_truth"] == row["parsed_answer"])
    acc = None if right is None else int(bool(right))
    return {
        **row,
        "analysis_model": reader.model.name,
        "stats_mode": reader.mode,
        "analysis_result": entries,
        "acc": acc,
    }


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
    texts: Sequence[Mapping[str, Any]], *, device: str | None = None, mode: Mode = "corrected", every: bool = False
) -> list[dict[str, Any]]:
    """All rows, analysed by the base model that wrote them, many at once. Raises BadInput."""
    readers = {name: Reader.open(name, device, mode) for name in dict.fromkeys(row["base_model_id"] for row in texts)}

    async def work() -> list[dict[str, Any]]:
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(row: Mapping[str, Any], tick: Tick) -> dict[str, Any]:
            async with gate:
                found = await analysed(readers[row["base_model_id"]], row, every)
            tick()
            return found

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
def labelled_steps(path: Path) -> Iterator[tuple[str, str, str, str, int]]:
    """(Problem's name, problem, text before the step, step, rating −1, 0 or 1) of data in PRM800K's format.

    Earlier steps are those that were chosen, or written by a person; steps are joined by line ends. Raises BadInput.
    """
    for number, row in enumerate(rows.read(path)):
        question, label = row.need("question"), row.need("label")
        problem, before = str(question["problem"]), ""
        for step in label["steps"]:
            for one in step["completions"] or ():
                if one.get("rating") is not None:
                    yield f"{number}", problem, before, str(one["text"]), int(one["rating"])
            chosen = step.get("chosen_completion")
            taken = step["completions"][chosen] if chosen is not None else step.get("human_completion")
            if taken is None:
                break
            before += str(taken["text"]) + "\n"


def read_steps(
    path: Path, model: str, prompt: str = "{question}", *, device: str | None = None
) -> list[dict[str, Any]]:
    """Statistics at the start and the end of every labelled step: rows {query_id, at, rating, statistic: value, …}."""
    reader = Reader.open(model, device, "corrected")

    async def work() -> list[dict[str, Any]]:
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(step: tuple[str, str, str, str, int], at: str) -> dict[str, Any]:
            query, problem, before, text, rating = step
            messages = [{"role": "user", "content": prompt.format(question=problem)}]
            request = Request(messages, before if at == "start" else before + text)
            async with gate:
                (stats,) = await reader.at(request, [await _length(reader, request)])
            return {"query_id": query, "at": at, "rating": rating, **stats}

        steps = list(labelled_steps(path))
        return await asyncio.gather(*(one(step, at) for step in steps for at in ("start", "end")))

    return complete(work)


async def _length(reader: Reader, request: Request) -> int:
    """Tokens of a request's prefix, as the model counts them."""
    if not request.prefix or "score" not in reader.model.can:
        return 0
    model: Any = reader.model
    (scores,) = await model.score(Request(request.messages), [request.prefix])
    return len(scores)
