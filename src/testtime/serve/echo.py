"""A raw prompt said again with its log-probabilities: teacher forcing on the completions wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from testtime.core.records import Completion, Request
from testtime.serve import told
from testtime.serve.asked import Refusal


@dataclass(frozen=True)
class Echo:
    """A prompt as the model reads it."""

    tokens: Sequence[str]
    laws: Sequence[Mapping[str, float] | None]
    """Of each token the log-probabilities, its own first; None for the first token, or where none are wanted."""

    @property
    def text(self) -> str:
        """The prompt."""
        return "".join(self.tokens)


async def echoed(model: Any, request: Request, most: int | None) -> Echo:
    """The prompt of a request, with `most` alternatives for each token (None: no log-probabilities).

    Raises Refusal where the model cannot score.
    """
    ids = model.ids(request)
    tokens = model.pieces(ids)
    if most is None:
        return Echo(tokens, [None] * len(tokens))
    if "score" not in model.can:
        raise Refusal(f"{model.name} cannot score a text", param="echo")
    (scored,) = await model.score(Request((), tuple(ids[:1])), [tuple(ids[1:])], full=most > 0)
    laws: list[Mapping[str, float] | None] = [None]
    for token, row in zip(ids[1:], scored, strict=True):
        best = np.argsort(-row, kind="stable")[:most].tolist() if most else []
        values = row if most else {token: row}
        named = zip(model.pieces([token, *best]), [token, *best], strict=True)
        law: dict[str, float] = {}
        for name, index in named:
            law.setdefault(name, float(values[index]))
        laws.append(law)
    return Echo(tokens, laws)


def logprobs_of(before: Echo | None, said: Completion) -> dict[str, Any]:
    """The logprobs object of a choice, an echoed prompt in front."""
    pieces = [piece for piece in told.pieces(said, None) if piece.logprobs is not None]
    tokens, laws = [piece.text for piece in pieces], [piece.logprobs for piece in pieces]
    if before is not None:
        tokens, laws = [*before.tokens, *tokens], [*before.laws, *laws]
    return told.text_logprobs(tokens, laws)
