"""The entry of one training in LOG.md."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

import torch

from training.recipe import Recipe

LINES = 12
"""Lines of losses that are kept, spread evenly."""


def entry(recipe: Recipe, out: Path) -> str:
    """Markdown: when, where, what, its losses and its accuracies."""
    losses = (out / f"{recipe.name}.log").read_text(encoding="utf-8").split("\n")[:-1]
    every = max(1, len(losses) // LINES)
    kept = [*losses[:1], *losses[every:-1:every], *losses[-1:]]
    found = [line for part in ("validation", "test") for line in _lines(out / f"{recipe.name}.{part}.txt")]
    machine = (
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}"
    )
    return "\n".join([
        f"## {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}: {recipe.name}", "", machine, "", f"    {recipe}", "",
        *(f"    {line}" for line in kept), "", *(f"- {line}" for line in found), "", "",
    ])  # fmt: skip


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n")[:-1] if path.is_file() else []
