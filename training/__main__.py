"""`python -m training`: trains both models, evaluates them, and writes weights and LOG.md."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch

from training.evaluate import evaluate
from training.export import export, flattened, restore
from training.llama import Llama
from training.log import entry
from training.recipe import RECIPES, Recipe
from training.train import train

HERE = Path(__file__).parent
OUT = HERE / "out"
"""Checkpoints and logs, ignored by git."""
WEIGHTS = HERE.parent / "src" / "testtime" / "models" / "pocket_weights"
VOTES = {"medium": (1, 2, 4, 8, 16), "easy": (1,), "hard": (1,), "medium-choice": (1,)}
"""Level → numbers of votes."""
STAGES = ("train", "validate", "test", "publish")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("--stage", choices=STAGES, action="append", help="this stage only; default: all, in this order")
    parser.add_argument("--only", choices=RECIPES, action="append", help="this model only")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    OUT.mkdir(exist_ok=True)
    for name in options.only or RECIPES:
        for stage in options.stage or STAGES:
            DO[stage](RECIPES[name])


def trained(recipe: Recipe) -> None:
    """Trains one model; the log and the weights so far are in OUT."""
    began = time.monotonic()
    with (OUT / f"{recipe.name}.log").open("w", encoding="utf-8") as file:

        def log(text: str) -> None:
            print(f"{time.monotonic() - began:7.0f} s  {text}", file=file, flush=True)

        train(recipe, log, lambda model: export(model, OUT / recipe.name))


def finished(recipe: Recipe) -> Llama:
    """The trained model as it ships."""
    return flattened(restore(Llama(recipe.shape), OUT / recipe.name), recipe.flat)


def validated(recipe: Recipe) -> None:
    """Accuracy on some validation problems: what the recipe is chosen by."""
    measured(recipe, "validation", 100)


def tested(recipe: Recipe) -> None:
    """Accuracy on the first test problems, once all is chosen."""
    measured(recipe, "test", 400)


def measured(recipe: Recipe, part: str, problems: int) -> None:
    """Writes accuracies at temperature 0.8 to OUT, a line each: of votes, and with `Wait` forced at the end."""
    model = finished(recipe)
    with (OUT / f"{recipe.name}.{part}.txt").open("w", encoding="utf-8") as file:
        for level, ns in VOTES.items():
            print(f"{part}-{level}: {evaluate(model, f'{part}-{level}', problems, ns).line()}", file=file, flush=True)
        for forced in (1, 2):
            found = evaluate(model, f"{part}-medium", problems, (1,), forced=forced).line()
            print(f"{part}-medium, {forced} forced Wait: {found}", file=file, flush=True)


def published(recipe: Recipe) -> None:
    """Writes the weights into the package and an entry into LOG.md."""
    export(finished(recipe), WEIGHTS / recipe.name)
    with (HERE / "LOG.md").open("a", encoding="utf-8", newline="\n") as file:
        file.write(entry(recipe, OUT))


DO: dict[str, Callable[[Recipe], None]] = dict(zip(STAGES, (trained, validated, tested, published), strict=True))


if __name__ == "__main__":
    main()
