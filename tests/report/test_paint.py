"""Figures' colours are told apart by colour-blind readers, in light and in dark, and stand out from their ground."""

from __future__ import annotations

import itertools
import re
from importlib.resources import files

import numpy as np
import pytest

CSS = (files("testtime.report") / "assets" / "page.css").read_text(encoding="utf-8")
SIGHTS = {
    "all cones": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]]
    ),
}
"""Linear light as it is seen (Machado, Oliveira and Fernandes 2009, severity 1)."""
FIRST = 8
"""Of a series each; the ninth is the legend's ink."""


def paint(scheme: int) -> dict[str, np.ndarray]:
    """Name → linear RGB of the custom properties with a colour for each scheme."""
    found = re.findall(r"--(\w+): light-dark\(#([0-9a-f]{6}), #([0-9a-f]{6})\)", CSS)
    return {name: linear(pair[scheme]) for name, *pair in found}


def linear(colour: str) -> np.ndarray:
    values = np.array([int(colour[at : at + 2], 16) for at in (0, 2, 4)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(colour: np.ndarray) -> np.ndarray:
    """CIE L*a*b* under D65."""
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ np.clip(
        colour, 0, 1
    )
    t = xyz / np.array([0.9505, 1.0, 1.089])
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def luminance(colour: np.ndarray) -> float:
    return float(colour @ np.array([0.2126, 0.7152, 0.0722]))


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_every_paint_stands_out_from_the_panel(scheme: int) -> None:
    colours = paint(scheme)
    for at in range(9):
        high, low = sorted((luminance(colours[f"c{at}"]), luminance(colours["panel"])), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 3


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_paints_are_told_apart_by_every_eye(scheme: int, sight: str) -> None:
    """At least 10 apart in L*a*b*, about ten times what is just noticed; marks and dashes say the same again."""
    seen = [lab(SIGHTS[sight] @ paint(scheme)[f"c{at}"]) for at in range(FIRST)]
    for one, other in itertools.combinations(seen, 2):
        assert np.linalg.norm(one - other) >= 10
