"""Joules are the sum of the counters' rises, whatever the range they wrap at, over packages and memory alone;
and a counter that is missing or must not be read makes them unknown, never 0. The counters are files of a made-up tree.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testtime.meters.rapl import Rapl

RANGE = 1_000_000


def tree(root: Path, zones: Mapping[str, tuple[str, int]]) -> Path:
    for folder, (name, value) in zones.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for file, text in (("name", name), ("energy_uj", value), ("max_energy_range_uj", RANGE)):
            (root / folder / file).write_text(f"{text}\n")
    return root


def rise(root: Path, after: Mapping[str, int | None]) -> float | None:
    """Joules of a window during which the counters became `after`; None takes a counter away."""

    async def measure() -> float | None:
        meter = Rapl.here(root)
        assert meter is not None
        async with meter.window() as seen:
            for folder, value in after.items():
                if value is None:
                    (root / folder / "energy_uj").unlink()
                else:
                    (root / folder / "energy_uj").write_text(str(value))
        joules: float | None = seen["joules"]
        return joules

    return asyncio.run(measure())


@given(start=st.integers(0, RANGE), used=st.integers(0, RANGE))
def test_joules_are_the_rise_also_across_the_end_of_the_range(
    tmp_path_factory: pytest.TempPathFactory, start: int, used: int
) -> None:
    root = tree(tmp_path_factory.mktemp("powercap"), {"intel-rapl:0": ("package-0", start)})
    assert rise(root, {"intel-rapl:0": (start + used) % (RANGE + 1)}) == pytest.approx(used / 1e6)


def test_packages_and_memory_add_up_and_parts_of_them_are_left_out(tmp_path: Path) -> None:
    zones = {
        "intel-rapl:0": ("package-0", 0),
        "intel-rapl:0:0": ("core", 0),
        "intel-rapl:0:1": ("dram", 0),
        "intel-rapl:1": ("package-1", 0),
        "intel-rapl:2": ("psys", 0),
    }
    root = tree(tmp_path, zones)
    joules = rise(root, {folder: 10**at for at, folder in enumerate(zones)})
    assert joules == pytest.approx((10**0 + 10**2 + 10**3) / 1e6)
    meter = Rapl.here(root)
    assert meter is not None
    assert meter.source == "RAPL package-0, dram, package-1"


def test_what_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    assert Rapl.here(tmp_path / "none") is None
    assert Rapl.here(tree(tmp_path / "psys", {"intel-rapl:0": ("psys", 1)})) is None
    root = tree(tmp_path / "torn", {"intel-rapl:0": ("package-0", 5), "intel-rapl:1": ("package-1", 5)})
    assert rise(root, {"intel-rapl:0": 9, "intel-rapl:1": None}) is None
    assert Rapl.here(root) is None
    (root / "intel-rapl:1" / "energy_uj").write_text("no number")
    assert Rapl.here(root) is None
