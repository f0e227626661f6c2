"""Teacher forcing: the log-probabilities of given texts, and what the model's states say at positions of a text.

Texts that begin alike are computed once as far as they do: the set 000 … 999 costs 1 + 10 + 100 steps, not 3,000.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

import numpy as np

from testtime.models.pocket.cache import BLOCK
from testtime.models.pocket.kept import Kept
from testtime.models.pocket.original import original_stats
from testtime.models.pocket.runtime import ROWS, Runtime
from testtime.models.pocket.sampling import Ids, Reals, log_law
from testtime.models.pocket.weights import Array

Tokens = tuple[int, ...]


def laws_after(runtime: Runtime, kept: Kept, start: Tokens, texts: Sequence[Tokens]) -> list[Reals]:
    """For each text [token, vocabulary]: the log-law from which each of its tokens would be drawn after `start`."""
    parts: list[list[Reals]] = [[] for _ in texts]
    for rows, _, texts_here in _walk(runtime, kept, start, tuple(texts)):
        for index in texts_here.tolist():
            parts[index].append(rows)
    return [
        np.concatenate([*rows, np.zeros((0, runtime.config.vocab_size))])[: len(text)]
        for rows, text in zip(parts, texts, strict=True)
    ]


def scores_after(runtime: Runtime, kept: Kept, start: Tokens, texts: Sequence[Tokens]) -> list[Reals]:
    """For each text [token]: the log-probabilities of its tokens after `start`."""
    tokens, lengths = _padded(tuple(texts))
    scores = np.zeros(tokens.shape)
    for rows, first, texts_here in _walk(runtime, kept, start, tuple(texts)):
        for step, law in enumerate(rows[: tokens.shape[1] - first], start=first):
            scores[texts_here, step] = law[tokens[texts_here, step]]
    return [row[:length] for row, length in zip(scores, lengths, strict=True)]


SLOTS = 32
"""Room for branches to begin with: a branch of ten digits at each of three depths takes 28."""


@dataclass(frozen=True, eq=False)
class _Branch:
    """Texts that agree on their first `depth` tokens."""

    depth: int
    run: Tokens
    """The last of these tokens: those by which it differs from the branch above."""
    texts: Ids
    below: Sequence[_Branch]
    """Where they go on with different tokens; a text's last token needs no step."""


@lru_cache(maxsize=32)
def _tree(texts: tuple[Tokens, ...]) -> _Branch:
    """Where texts part; kept, since one solution set is scored many times."""
    return _branch(0, (), sorted(range(len(texts)), key=texts.__getitem__), texts)


def _branch(depth: int, run: Tokens, members: Sequence[int], texts: Sequence[Tokens]) -> _Branch:
    below = [
        _branch(depth + len(further), further, group, texts) for further, group in _children(depth, members, texts)
    ]
    return _Branch(depth, run, np.array(members, dtype=np.int64), below)


def _children(depth: int, members: Sequence[int], texts: Sequence[Tokens]) -> Iterator[tuple[Tokens, Sequence[int]]]:
    """(Tokens they go on with alike, texts) of the branches below; the texts are sorted by their tokens."""
    longer = [index for index in members if len(texts[index]) > depth + 1]
    for _, several in groupby(longer, key=lambda index: texts[index][depth]):
        group = list(several)
        first, last = texts[group[0]], texts[group[-1]]  # sorted: what these two share, all share
        end = depth + 1
        most = min(len(texts[index]) for index in group) - 1
        while end < most and first[end] == last[end]:
            end += 1
        yield first[depth:end], group


@lru_cache(maxsize=32)
def _padded(texts: tuple[Tokens, ...]) -> tuple[Ids, tuple[int, ...]]:
    """[text, token] with zeros at the end, and how long each text is."""
    lengths = tuple(map(len, texts))
    tokens = np.zeros((len(texts), max(lengths, default=0)), dtype=np.int64)
    for row, text in zip(tokens, texts, strict=True):
        row[: len(text)] = text
    return tokens, lengths


def _walk(runtime: Runtime, kept: Kept, start: Tokens, texts: tuple[Tokens, ...]) -> Iterator[tuple[Reals, int, Ids]]:
    """Yields log-laws [step, vocabulary], the place in the texts of the first token they are of, and these texts.

    For each text its laws come in the order of its tokens.
    """
    cache, slots = runtime.cache, SLOTS
    cache.clear()
    cache.reserve(slots)
    top = _tree(texts)
    yield log_law(kept.fill(runtime, 0, start)), 0, top.texts
    free = list(range(1, slots))
    open_branches = [(top, 0)]
    while open_branches:
        branch, slot = open_branches.pop()
        while len(free) < len(branch.below) - 1:
            cache.reserve(2 * slots)
            free.extend(range(slots, 2 * slots))
            slots *= 2
        room = [slot, *(free.pop() for _ in branch.below[1:])]
        if len(room) > 1:
            cache.copy(slot, room[1:], len(start) + branch.depth)
        moves = [(at, len(start) + branch.depth, child.run) for at, child in zip(room, branch.below, strict=False)]
        for at, child, laws in zip(room, branch.below, _advance(runtime, moves), strict=False):
            yield laws, branch.depth + 1, child.texts
            open_branches.append((child, at))
        if not branch.below:
            cache.release(slot)
            free.append(slot)


def _advance(runtime: Runtime, moves: Sequence[tuple[int, int, Tokens]]) -> list[Reals]:
    """Computes (slot, first position, tokens) of each move in one pass; log-laws after each of their tokens."""
    if not moves:
        return []
    tokens = np.concatenate([np.array(run, dtype=np.int64) for _, _, run in moves])
    slots = np.concatenate([np.full(len(run), slot) for slot, _, run in moves])
    places = np.concatenate([np.arange(first, first + len(run)) for _, first, run in moves])
    laws = log_law(runtime.logits(runtime.forward(tokens, slots, places)))
    return np.split(laws, np.cumsum([len(run) for _, _, run in moves])[:-1])


def states_at(
    runtime: Runtime, kept: Kept, start: Tokens, text: Tokens, positions: Sequence[int], original: bool = False
) -> Mapping[str, Reals]:
    """Statistic → [position]; position p is where p tokens of the text after `start` have been read.

    Of the law of the next token (base 2): entropy in bits, varentropy = Var[−log2 p] in bits², top_prob,
    prob_top2_diff. Of the last layer's attention from the last token: see `attention_stats`. Only the keys of
    the text are held, and one row of scores at a time: memory grows with the length, not its square. With
    `original` as an earlier tool computed it (original.py), which needs all queries.
    """
    tokens = (*start, *text)
    wanted = {len(start) + position - 1 for position in positions}
    end = max(wanted, default=-1) + 1
    runtime.cache.clear()
    runtime.cache.reserve(1)
    known = 0 if original else kept.restore(runtime, 0, tokens, min(wanted, default=0))
    found: dict[int, dict[str, float]] = {}
    before: list[Array] = []
    for low in range(known, end, ROWS):
        places = np.arange(low, min(low + ROWS, end))
        states = runtime.forward(np.array(tokens[low : low + len(places)]), np.zeros_like(places), places)
        queries = runtime.last_queries(len(places))
        before += [query.copy() for query in queries] if original else []
        for place in sorted(wanted.intersection(places.tolist())):
            law = log_law(runtime.logits(states[place - low, None]))[0]
            if original:
                several = [_raw_scores(runtime, query, place) for query in before[: place + 1]]
                attention = original_stats(np.stack(several, axis=1))
            else:
                attention = attention_stats(_raw_scores(runtime, queries[place - low], place))
            found[place] = law_stats(law) | attention
    kept.note(runtime, 0, tokens[:end], known)
    rows = [found[len(start) + position - 1] for position in positions]
    names = ("entropy", "varentropy", "top_prob", "prob_top2_diff", *ATTENTION)
    return {name: np.array([row[name] for row in rows]) for name in names}


ATTENTION = ("attn_entropy", "attn_varentropy", "agreement", "interaction_strength")


def law_stats(law: Reals) -> dict[str, float]:
    """Of natural log-probabilities [token]: entropy (bits), varentropy (bits²), the largest, its lead."""
    bits, p = -law / np.log(2), np.exp(law)
    entropy = float(p @ bits)
    second, first = np.sort(p)[-2:]
    return {
        "entropy": entropy,
        "varentropy": float(p @ (bits - entropy) ** 2),
        "top_prob": float(first),
        "prob_top2_diff": float(first - second),
    }


def attention_stats(scores: Reals) -> dict[str, float]:
    """Of raw scores s = q·k / √dim [head, key] over valid keys, with α = softmax over keys (after entropix).

    attn_entropy = mean over heads of e_h = −Σ α log2 clip(α, 1e-10, 1); attn_varentropy = population variance of
    e_h over heads; agreement = mean |α − mean over heads of α| (0: all heads look alike);
    interaction_strength = mean |s|.
    """
    alpha = np.exp(scores - scores.max(axis=1, keepdims=True))
    alpha /= alpha.sum(axis=1, keepdims=True)
    entropies = -(alpha * np.log2(np.clip(alpha, 1e-10, 1))).sum(axis=1)
    values = (entropies.mean(), entropies.var(), np.abs(alpha - alpha.mean(axis=0)).mean(), np.abs(scores).mean())
    return {name: float(value) for name, value in zip(ATTENTION, values, strict=True)}


def _raw_scores(runtime: Runtime, query: Array, place: int) -> Reals:
    """[head, key] of the last layer, from the token at `place` in slot 0 to itself and all before."""
    c, pages = runtime.config, runtime.cache.pages[0, : place // BLOCK + 1]
    keys = runtime.cache.keys[-1, pages].transpose(1, 2, 0, 3).reshape(c.kv_heads, c.head_dim, -1)
    keys = keys[:, :, : place + 1].repeat(c.heads // c.kv_heads, axis=0)
    scores: Reals = np.einsum("hd,hdk->hk", query, keys, dtype=np.float64)
    scores /= np.sqrt(c.head_dim)
    return scores
