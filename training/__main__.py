"""`python -m training`: trains both models at once, evaluates them, and writes weights and LOG.md."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from testtime.models.pocket.backend import PocketModel
from training.evaluate import PLAIN, Way, evaluate
from training.export import export, restore
from training.llama import Llama
from training.log import entry
from training.recipe import RECIPES, Recipe
from training.train import trained

HERE = Path(__file__).parent
OUT = HERE / "out"
"""Checkpoints and logs, ignored by git."""
WEIGHTS = HERE.parent / "src" / "testtime" / "models" / "pocket_weights"
VOTES = {"medium": (1, 2, 4, 8, 16), "medium-choice": (1, 4), "easy": (1,), "hard": (1,)}
"""Level → numbers of votes."""
FORCED, BUDGETS = (1, 2), (8, 32, 64, 128, 192, 384)
"""How many times `Wait` is forced, and the thinking tokens it is cut to, on medium problems."""
STAGES = ("train", "validate", "test", "publish")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("--stage", choices=STAGES, action="append", help="this stage only; default: all, in this order")
    parser.add_argument("--only", choices=RECIPES, action="append", help="this model only")
    parser.add_argument("--resume", action="store_true", help="go on with a training that was cut off")
    options = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    recipes = [RECIPES[name] for name in options.only or RECIPES]
    for stage in options.stage or STAGES:
        if stage == "train":  # a core each: two threads of one would wait for each other
            with ProcessPoolExecutor(len(recipes), get_context("spawn")) as pool:
                list(pool.map(partial(trained, out=OUT, resume=options.resume), recipes))
            continue
        for recipe in recipes:
            DO[stage](recipe)


def validated(recipe: Recipe) -> None:
    """Accuracy on some validation problems: what the recipe is chosen by."""
    measured(recipe, "validation", 200)


def tested(recipe: Recipe) -> None:
    """Accuracy on all test problems, once all is chosen."""
    measured(recipe, "test", 1000)


def measured(recipe: Recipe, part: str, problems: int) -> None:
    """Writes accuracies at temperature 0.8 to OUT, a line each: of votes, of forced `Wait`s, of cut thinking.

    They are those of the model trained last, or of the shipped one where none was trained here.
    """
    here = OUT / recipe.name
    model = PocketModel(recipe.name, folder=here if here.exists() else WEIGHTS / recipe.name)
    with (OUT / f"{recipe.name}.{part}.txt").open("w", encoding="utf-8") as file:

        def note(name: str, level: str, ns: tuple[int, ...], way: Way = PLAIN) -> None:
            found = evaluate(model, f"{part}-{level}", problems, ns, way).line()
            print(f"{part}-{level}{name}: {found}", file=file, flush=True)

        for level, ns in VOTES.items():
            note("", level, ns)
        for forced in FORCED:
            note(f", {forced} forced Wait", "medium", (1,), Way(forced=forced))
        for budget in BUDGETS:
            note(f", thinking cut at {budget} tokens", "medium", (1,), Way(budget=budget))


def published(recipe: Recipe) -> None:
    """Writes the weights into the package and an entry into LOG.md."""
    export(restore(Llama(recipe.shape), OUT / recipe.name), WEIGHTS / recipe.name)
    with (HERE / "LOG.md").open("a", encoding="utf-8", newline="\n") as file:
        file.write(entry(recipe, OUT))


DO: dict[str, Callable[[Recipe], None]] = {"validate": validated, "test": tested, "publish": published}


if __name__ == "__main__":
    main()
