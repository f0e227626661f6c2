"""Batched sampling with a cache of keys and values, for evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from training.llama import Llama, Memory


@torch.inference_mode()
def sample(
    model: Llama, prompts: Sequence[list[int]], n: int, end: int, temperature: float, most: int, seed: int
) -> list[list[int]]:
    """`n` completions of each prompt, side by side, without `end`; temperature 0 is greedy.

    Prompts are padded on the left and read once. Rows that have ended are dropped once they are half of all.
    """
    chance = torch.Generator().manual_seed(seed)
    ids, mask = _left(prompts)
    places = (mask.cumsum(1) - 1).clamp(min=0)
    memory = Memory(model.shape, len(prompts), ids.shape[1] + most)
    last = model(ids, places, memory, _see(mask))[:, -1].repeat_interleave(n, 0)
    alive = torch.arange(len(prompts)).repeat_interleave(n)
    memory.keep(alive)
    mask, place = mask[alive], places[alive, -1:]
    mask = torch.cat((mask, torch.ones(len(mask), most, dtype=torch.bool)), 1)
    going, rows = torch.ones(len(alive), dtype=torch.bool), torch.arange(len(alive))
    done: list[list[int]] = [[] for _ in rows]
    for _ in range(most):
        chosen = _choose(model.logits(last).float(), temperature, chance)
        going &= chosen != end
        for row, token in zip(rows[going].tolist(), chosen[going].tolist(), strict=True):
            done[row].append(token)
        if not going.any():
            break
        place = place + 1
        if 2 * int(going.sum()) < len(going):
            memory.keep(going)
            rows, chosen, place, mask, going = rows[going], chosen[going], place[going], mask[going], going[going]
        seen = mask[:, None, None, : memory.filled + 1]
        last = model(chosen.unsqueeze(1), place, memory, seen)[:, -1]
    return done


def _left(prompts: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
    width = max(map(len, prompts))
    ids = torch.zeros(len(prompts), width, dtype=torch.long)
    mask = torch.zeros(len(prompts), width, dtype=torch.bool)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = True
    return ids, mask


def _see(mask: Tensor) -> Tensor:
    """[row, 1, position, position]: what may be attended to. Padding sees itself, so that no row is empty."""
    width = mask.shape[1]
    causal = torch.ones(width, width, dtype=torch.bool).tril()
    return ((mask.unsqueeze(1) & causal) | torch.eye(width, dtype=torch.bool)).unsqueeze(1)


def _choose(logits: Tensor, temperature: float, chance: torch.Generator) -> Tensor:
    if temperature == 0:
        return logits.argmax(-1)
    return torch.multinomial((logits / temperature).softmax(-1), 1, generator=chance).squeeze(1)
