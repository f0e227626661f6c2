"""The training loop: Muon for the matrices, AdamW for the rest, bfloat16 products."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor

from training.batches import batches
from training.llama import Llama
from training.recipe import Recipe

Log = Callable[[str], None]
EVERY = 100
"""Steps between two lines of the log."""


def train(recipe: Recipe, log: Log, keep: Callable[[Llama], None]) -> Llama:
    """A trained model. `keep(model)` is called every so often, and at the end."""
    torch.manual_seed(recipe.seed)
    model = Llama(recipe.shape)
    log(f"{recipe.name}: {sum(weight.numel() for weight in model.parameters()):,} parameters, {recipe.steps} steps")
    optimizers = _optimizers(model)
    began, losses, seen = time.monotonic(), [], 0
    for step, (ids, taught) in enumerate(_batches(recipe)):
        losses.append(_step(model, optimizers, recipe.rate_at(step), ids, taught))
        seen += ids.numel()
        if (step + 1) % EVERY == 0:
            loss, speed = sum(losses[-EVERY:]) / EVERY, seen / (time.monotonic() - began)
            log(f"{recipe.name} step {step + 1}: loss {loss:.4f}, {seen:,} tokens, {speed:,.0f}/s")
            keep(model)
    keep(model)
    return model


def _batches(recipe: Recipe) -> Iterator[tuple[Tensor, Tensor]]:
    longest = recipe.shape.longest
    yield from islice(batches(recipe.seed, ("first", "easy"), recipe.size, longest), recipe.early)
    then = batches(recipe.seed + 100, ("easy", "medium", "hard"), recipe.size, longest)
    yield from islice(then, recipe.steps - recipe.early)


def _optimizers(model: Llama) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for embeddings and norms."""
    matrices = [weight for weight in model.layers.parameters() if weight.dim() == 2]
    others = [model.embed_tokens.weight, *(weight for weight in model.parameters() if weight.dim() != 2)]
    muon = torch.optim.Muon(matrices, weight_decay=0.05, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    return [muon, torch.optim.AdamW(others, betas=(0.9, 0.98), weight_decay=0.0)]


def _step(model: Llama, optimizers: list[torch.optim.Optimizer], rate: float, ids: Tensor, taught: Tensor) -> float:
    """One step on one batch; gives its loss."""
    loss = _loss(model, ids, taught)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad()
    return loss.item()


def _loss(model: Llama, ids: Tensor, taught: Tensor) -> Tensor:
    """Mean cross-entropy of the taught tokens, each predicted from those before it."""
    with torch.autocast("cpu", torch.bfloat16):
        states = model(ids[:, :-1], torch.arange(ids.shape[1] - 1).unsqueeze(0))
        logits = model.logits(states[taught[:, 1:]])
    return F.cross_entropy(logits.float(), ids[:, 1:][taught[:, 1:]])
