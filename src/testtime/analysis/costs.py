"""What a policy would have cost: the ways of sending its draws, any price, and joules from a batch's curve.

A replay knows which draws a policy made and in how many rounds it asked. What that costs depends on how they are
sent, and one call a draw sends the prompt again with every draw: adaptive sampling then saves tokens written and
can still cost more dollars than forty draws at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from testtime.core.errors import BadInput
from testtime.core.history import Floats
from testtime.meters.price import Price

Way = Literal["n", "calls", "cache", "batch"]
WAYS: Mapping[Way, str] = {
    "n": "n-sampling: a round sends its prompt once",
    "calls": "one call a draw: every draw sends the prompt",
    "cache": "one call a draw, prompts after the first read from the provider's cache",
    "batch": "one call a draw in a batch file, at the batch price",
}
"""How draws can be sent, in words."""
BATCH_SHARE = 0.5
"""What a batch file costs of the usual price: the discount that all large providers give."""


def prompt_tokens(way: Way, prompt: Floats, draws: Floats, rounds: Floats) -> tuple[Floats, Floats]:
    """(Prompt tokens billed, of which cached) for so many draws in so many rounds, elementwise."""
    sent = prompt * (rounds if way == "n" else draws)
    cached = np.maximum(sent - prompt, 0.0) if way == "cache" else np.zeros_like(sent)
    return sent, cached


def dollars(
    way: Way,
    price: Price,
    prompt: Floats,
    completion: Floats,
    draws: Floats,
    rounds: Floats,
) -> Floats:
    """US dollars, elementwise: `prompt` tokens of one call, `completion` tokens of all draws together.

    Raises BadInput for the way `cache` at a price without one for cached tokens.

    >>> one = np.ones(1)
    >>> dollars("calls", Price(30.0, 60.0), 576 * one, 3994 * one, 11100 / 576 * one, one).round(5).tolist()
    [0.57264]
    """
    if way == "cache" and price.cached is None:
        raise BadInput("the price says nothing of cached tokens", mend="write prompt:completion:cached")
    sent, cached = prompt_tokens(way, prompt, draws, rounds)
    read = price.prompt if price.cached is None else price.cached
    usd: Floats = ((sent - cached) * price.prompt + cached * read + completion * price.completion) / 1e6
    return usd * BATCH_SHARE if way == "batch" else usd


def parse_price(text: str) -> Price:
    """`prompt:completion` or `prompt:completion:cached`, dollars a million tokens. Raises BadInput.

    >>> parse_price("0.15:0.60").usd(Spend(prompt=1_000_000, completion=0))
    0.15
    """
    parts = text.split(":")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) not in (2, 3) or any(not 0 <= number < np.inf for number in numbers):
        raise BadInput(f"price {text!r} cannot be", mend="write prompt:completion[:cached] in dollars a million tokens")
    return Price(*numbers)


def priced(outcomes: pl.DataFrame, price: Price, way: Way, prompt: float | None = None) -> pl.DataFrame:
    """The outcomes with `usd` at this price and way of sending, null where tokens or rounds are unknown.

    `prompt` tokens of one call stand for those that the pool does not know. Raises BadInput for no number of them.
    """
    if prompt is not None and not 0 <= prompt < np.inf:
        raise BadInput(f"{prompt:g} prompt tokens cannot be", mend="give 0 or more")
    draws = pl.col("candidates")
    known = (pl.col("total_tokens") - pl.col("gen_tokens")) / draws
    each = known if prompt is None else pl.lit(float(prompt))
    columns = outcomes.select(each.alias("prompt"), "gen_tokens", "candidates", "rounds").cast(pl.Float64)
    arrays = [columns[name].fill_null(np.nan).to_numpy() for name in columns.columns]
    usd = dollars(way, price, arrays[0], arrays[1], arrays[2], arrays[3])
    return outcomes.with_columns(usd=pl.Series(usd, nan_to_null=True))


# ---- joules ----
_POWERS = tuple(0.6 + 0.02 * step for step in range(41))
"""Values of c that are tried."""


@dataclass(frozen=True)
class EnergyCurve:
    """Joules a token by how many sequences are decoded together: a + b / batch^c.

    What a batch shares (weights read once a step, idle power) is b, what each token costs by itself is a.
    """

    alone: float
    """a"""
    shared: float
    """b"""
    power: float = 1.0
    """c"""

    @classmethod
    def fit(cls, batches: Sequence[float], joules: Sequence[float]) -> EnergyCurve:
        """Least squares of relative errors, a ≥ 0; c = 1 for fewer than four batches. Raises BadInput for one."""
        known = all(0 < number < np.inf for number in (*batches, *joules))
        if not known or len(set(batches)) < 2 or len(batches) != len(joules):
            raise BadInput("an energy curve needs two batches or more, with joules above 0")
        b, y = np.asarray(batches, dtype=float), np.asarray(joules, dtype=float)
        fits = [_fit(b, y, power) for power in (_POWERS if len(b) >= 4 else (1.0,))]
        return cls(*min(fits)[1:])

    @classmethod
    def parse(cls, texts: Sequence[str]) -> EnergyCurve:
        """The curve through `batch:joules` a token, two or more. Raises BadInput.

        >>> round(EnergyCurve.parse(["8:0.455", "512:0.070"]).at(8), 3)
        0.455
        """
        pairs = [text.split(":") for text in texts]
        try:
            points = [(float(batch), float(joules)) for batch, joules in pairs]
        except ValueError:
            raise BadInput(
                f"joules {' '.join(texts)!r} cannot be", mend="write batch:joules a token, as in 8:0.455 512:0.07"
            ) from None
        return cls.fit([batch for batch, _ in points], [joules for _, joules in points])

    def at(self, batch: float) -> float:
        """Joules a token at this batch."""
        return float(self.alone + self.shared / batch**self.power)

    def joules(self, tokens: Floats, draws_at_once: Floats, others: float = 0.0) -> Floats:
        """Joules of tokens written by so many draws side by side, with `others` sequences in the batch besides."""
        batch = np.maximum(draws_at_once + others, 1.0)
        spent: Floats = tokens * (self.alone + self.shared / batch**self.power)
        return spent


def powered(outcomes: pl.DataFrame, curve: EnergyCurve, others: float = 0.0) -> pl.DataFrame:
    """The outcomes with `joules` of the tokens written, the draws of a round side by side; null where unknown.

    `others` are sequences that share the batch besides. Raises BadInput for fewer than none.
    """
    if not 0 <= others < np.inf:
        raise BadInput(f"{others:g} other sequences cannot be", mend="give 0 or more")
    columns = outcomes.select("gen_tokens", pl.col("candidates") / pl.col("rounds")).cast(pl.Float64)
    tokens, at_once = (columns[name].fill_null(np.nan).to_numpy() for name in columns.columns)
    return outcomes.with_columns(joules=pl.Series(curve.joules(tokens, at_once, others), nan_to_null=True))


def _fit(batch: Floats, joules: Floats, power: float) -> tuple[float, float, float, float]:
    """(Squared relative error, a, b, c) at this c."""
    design = np.stack([1 / joules, 1 / (batch**power * joules)], axis=1)
    alone, shared = np.linalg.lstsq(design, np.ones(len(joules)), rcond=None)[0]
    if alone < 0:
        alone, shared = 0.0, float(design[:, 1].sum() / (design[:, 1] ** 2).sum())
    error = float(((design @ np.array([alone, shared]) - 1) ** 2).sum())
    return error, float(alone), float(shared), power
