"""The training loop: Muon for the matrices, AdamW for the rest, bfloat16 products."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from training.batches import batches
from training.export import export, restore
from training.llama import Llama
from training.recipe import Recipe

Log = Callable[[str], None]
Keep = Callable[[Llama, int], None]
Begun = tuple[Llama, int]
"""A model and the steps it has had."""
EVERY = 100
"""Steps between two lines of the log."""


def trained(recipe: Recipe, out: Path, resume: bool) -> None:
    """Trains one model on one thread; the log, the weights so far and the steps they took are in `out`."""
    torch.set_num_threads(1)
    began, steps = time.monotonic(), out / f"{recipe.name}.steps"
    begun = (restore(Llama(recipe.shape), out / recipe.name), int(steps.read_text())) if resume else None
    with (out / f"{recipe.name}.log").open("a" if resume else "w", encoding="utf-8") as file:

        def log(text: str) -> None:
            line = f"{time.monotonic() - began:7.0f} s  {text}"
            print(line, file=file, flush=True)
            if sys.stderr.isatty():
                sys.stderr.write(f"{line}\n")

        def keep(model: Llama, done: int) -> None:
            export(model, out / recipe.name)
            steps.write_text(str(done))

        train(recipe, log, keep, begun)


def train(recipe: Recipe, log: Log, keep: Keep, begun: Begun | None = None) -> Llama:
    """A trained model. `keep(model, steps)` is called every so often, and at the end.

    With `begun` it goes on from there: on the same batches, with optimizers that begin anew.
    """
    torch.manual_seed(recipe.seed)
    model, first = begun or (Llama(recipe.shape), 0)
    log(f"{recipe}, {sum(weight.numel() for weight in model.parameters()):,} parameters, from step {first}")
    optimizers = _optimizers(model)
    began, losses, seen = time.monotonic(), [], 0
    for step, (ids, taught) in enumerate(_batches(recipe)):
        if step < first:
            continue
        losses.append(_step(model, optimizers, recipe.rate_at(step, first), ids, taught))
        seen += ids.numel()
        if (step + 1) % EVERY == 0 or step + 1 == recipe.steps:
            loss, speed = sum(losses[-EVERY:]) / len(losses[-EVERY:]), seen / (time.monotonic() - began)
            left = (recipe.steps - step - 1) * (time.monotonic() - began) / (step + 1 - first)
            log(
                f"{recipe.name} step {step + 1} of {recipe.steps}: loss {loss:.4f}, {seen:,} tokens, {speed:,.0f}/s, "
                f"{left / 60:.0f} min left"
            )
            keep(model, step + 1)
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
        states = model(ids[:, :-1])
        logits = model.logits(states[taught[:, 1:]])
    return F.cross_entropy(logits.float(), ids[:, 1:][taught[:, 1:]])
