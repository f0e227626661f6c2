"""What settings, runs and arms are called on the page: as short as tells them apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from testtime.figures.tables import made
from testtime.report.material import Material

DIALS = ("n", "max_n", "mean_n")
"""Settings of policies that make them dearer: what differs along one line."""
STRICT = ("threshold", "agreement", "epsilon", "p1", "error", "delta")
"""Settings that make them surer, and so dearer too."""
_ARM_DIALS = ("budget", "c", "k", "cheat_probability", "threshold", "every")
"""The same of decodings."""


def setting_of(row: Mapping[str, Any]) -> str:
    """A policy with its settings."""
    return f"{row['policy']}:{row['setting']}" if row["setting"] else str(row["policy"])


def short(model: object) -> str:
    """A model without its provider, which the conditions name.

    >>> short("pocket:pocket-m"), short("vllm:org/base+vllm:org/oracle")
    ('pocket-m', 'org/base + org/oracle')
    """
    return " + ".join(part.partition(":")[2] or part for part in str(model or "unknown model").split("+"))


def places(material: Material) -> dict[str, str]:
    """Run → what tells it from the page's other runs: its model, or its own name where two have one model."""
    models = {run.pool.run: short(run.meta.get("model") or run.inspected[0].model or run.name) for run in material.runs}
    return {run: model if list(models.values()).count(model) == 1 else run for run, model in models.items()}


def arm_words(row: Mapping[str, Any]) -> str:
    """How a row's candidates were made, where it was not plainly."""
    decoding, label = str(row["decoding"] or "plain"), made(row)
    return label if number_of(label) == number_of(decoding) else decoding


def without_dials(text: str, dials: Sequence[str]) -> str:
    """`name:key=value,…` without these keys.

    >>> without_dials("bayes:max_n=8,agreement=0.99", DIALS)
    'bayes:agreement=0.99'
    """
    name, _, rest = text.partition(":")
    kept = [part for part in rest.split(",") if part and part.partition("=")[0] not in dials]
    return f"{name}:{','.join(kept)}" if kept else name


def family_of_arm(decoding: str) -> str:
    """A decoding without what only makes it dearer."""
    return without_dials(decoding, _ARM_DIALS)


def number_of(text: str, dials: Sequence[str] = _ARM_DIALS) -> int:
    """How many dials a decoding has turned."""
    return sum(part.partition("=")[0] in dials for part in text.partition(":")[2].split(","))
