"""Teacher forcing, and what the model's states say at positions of a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from testtime.core.errors import ModelError
from testtime.models.hf.load import Loaded, Tokens
from testtime.models.pocket.scoring import ATTENTION, attention_stats, law_stats

Reals = NDArray[np.float64]
WATCHED = "testtime_watched"
"""Under this name transformers knows the attention that `states_at` looks through."""


def laws_after(loaded: Loaded, start: Tokens, texts: Sequence[Tokens], batch: int) -> list[Reals]:
    """For each text [token, vocabulary]: the log-law from which each of its tokens would be drawn after `start`."""
    return [law for laws in _laws(loaded, start, texts, batch) for law in laws]


def scores_after(loaded: Loaded, start: Tokens, texts: Sequence[Tokens], batch: int) -> list[Reals]:
    """For each text [token]: the log-probabilities of its tokens after `start`."""
    scores, at = [], 0
    for laws in _laws(loaded, start, texts, batch):
        for law in laws:
            text = texts[at]
            scores.append(law[np.arange(len(text)), list(text)])
            at += 1
    return scores


def _laws(loaded: Loaded, start: Tokens, texts: Sequence[Tokens], batch: int) -> Any:
    """Yields the log-laws of `batch` texts after another; the start is computed once."""
    import torch
    from transformers import DynamicCache

    with torch.inference_mode():
        for low in range(0, len(texts), batch):
            part = texts[low : low + batch]
            cache = DynamicCache(config=loaded.model.config)
            before = len(start) - 1
            if before:
                ids = torch.tensor([start[:-1]], device=loaded.device)
                loaded.forward(ids, torch.ones_like(ids), _places(ids, 0), cache, last=1)
                cache.batch_select_indices(torch.zeros(len(part), dtype=torch.long, device=loaded.device))
            longest = max(map(len, part), default=0)
            rows = [[start[-1], *text[:-1]] + [0] * (longest - max(len(text), 1)) for text in part]
            ids = torch.tensor(rows, device=loaded.device)
            mask = torch.ones((len(part), before + ids.shape[1]), dtype=torch.long, device=loaded.device)
            logits = loaded.forward(ids, mask, _places(ids, before), cache)
            yield [
                _log_law(logits[at, : len(text)]) if text else np.zeros((0, logits.shape[-1]))
                for at, text in enumerate(part)
            ]


def _places(ids: Any, before: int) -> Any:
    import torch

    return (torch.arange(ids.shape[1], device=ids.device) + before).expand(ids.shape[0], -1)


def _log_law(logits: Any) -> Reals:
    law: Reals = logits.float().log_softmax(-1).double().cpu().numpy()
    return law


def states_at(loaded: Loaded, prompt: Tokens, text: Tokens, positions: Sequence[int]) -> Mapping[str, Reals]:
    """Statistic → [position]; position p is where p tokens of the text after the prompt have been read.

    The names and formulas are those of pocket/scoring.py. Raises ModelError for an attention that they do not fit.
    """
    import torch

    wanted = sorted({len(prompt) + position - 1 for position in positions})
    watch = _Watch(loaded.model.config.get_text_config().num_hidden_layers - 1, wanted)
    ids = torch.tensor([[*prompt, *text]], device=loaded.device)
    usual = loaded.model.config._attn_implementation
    _register(watch)
    loaded.model.set_attn_implementation(WATCHED)
    try:
        with torch.inference_mode():
            laws = _log_law(loaded.forward(ids, torch.ones_like(ids), _places(ids, 0))[0, wanted])
    finally:
        loaded.model.set_attn_implementation(usual)
    found = {
        place: law_stats(law) | attention_stats(watch.scores[place]) for place, law in zip(wanted, laws, strict=True)
    }
    names = ("entropy", "varentropy", "top_prob", "prob_top2_diff", *ATTENTION)
    rows = [found[len(prompt) + position - 1] for position in positions]
    return {name: np.array([row[name] for row in rows]) for name in names}


class _Watch:
    """An attention that notes the raw scores of one layer at some places."""

    def __init__(self, layer: int, places: Sequence[int]) -> None:
        self.layer, self.places = layer, places
        self.scores: dict[int, Reals] = {}
        """Place → q·k / √dim [head, key], over the keys up to the place."""

    def __call__(
        self, module: Any, query: Any, key: Any, value: Any, attention_mask: Any, scaling: float, **more: Any
    ) -> Any:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        for name in ("softcap", "s_aux", "position_bias"):
            if more.get(name) is not None:
                raise ModelError(f"statistics of an attention with {name} are not defined")
        if module.layer_idx == self.layer:
            keys = key.repeat_interleave(query.shape[1] // key.shape[1], dim=1)
            for place in self.places:
                row = (query[0, :, place, None].float() * keys[0, :, : place + 1].float()).sum(-1) * scaling
                self.scores[place] = row.double().cpu().numpy()
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **more)


def _register(watch: _Watch) -> None:
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(WATCHED, watch)
    AttentionMaskInterface.register(WATCHED, sdpa_mask)
