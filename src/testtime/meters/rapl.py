"""Energy of the processor by its own counter (RAPL), where Linux lets it be read.

Each package, and the memory beside it, counts microjoules up to a range and begins again at 0. A counter that
cannot be read gives unknown joules, never 0.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from testtime.core.records import Map
from testtime.meters.trace import rise

POWERCAP = Path("/sys/class/powercap")
COUNTED = ("package", "dram")
"""Zones that add up. Cores and graphics are part of their package, psys of them all."""


@dataclass(frozen=True)
class Zone:
    """One counter."""

    name: str
    file: Path
    range: int
    """Microjoules after which it begins again."""

    def read(self) -> int | None:
        """Microjoules now; None where the file cannot be read."""
        return _number(self.file)


@dataclass(frozen=True)
class Rapl:
    """The counters of this machine's packages and memory."""

    zones: Sequence[Zone]

    @classmethod
    def here(cls, root: Path = POWERCAP) -> Rapl | None:
        """The counters under `root`; None where there is none, or one of them must not be read."""
        zones = [zone for folder in sorted(root.glob("intel-rapl:*")) if (zone := _zone(folder)) is not None]
        return cls(zones) if zones and all(zone.read() is not None for zone in zones) else None

    @property
    def source(self) -> str:
        """Which counters."""
        return f"RAPL {', '.join(zone.name for zone in self.zones)}"

    def window(self) -> AbstractAsyncContextManager[Map]:
        """Joules by which the counters went up while it was open; None where one could not be read.

        A window is to be shorter than the quarter of an hour in which a counter may come round twice.
        """
        return self._window()

    @asynccontextmanager
    async def _window(self) -> AsyncIterator[Map]:
        seen: dict[str, float | None] = {}
        before = self._read()
        yield seen
        seen["joules"] = self._between(before, self._read())

    def _read(self) -> Mapping[Path, int | None]:
        return {zone.file: zone.read() for zone in self.zones}

    def _between(self, before: Mapping[Path, int | None], after: Mapping[Path, int | None]) -> float | None:
        rises = [rise(before[zone.file], after[zone.file], zone.range) for zone in self.zones]
        return None if None in rises else sum(one for one in rises if one is not None) / 1e6


def _zone(folder: Path) -> Zone | None:
    """The zone of a folder, if it is one that is counted and says its range."""
    try:
        name = (folder / "name").read_text().strip()
    except OSError:
        return None
    span = _number(folder / "max_energy_range_uj")
    if span is None or not name.startswith(COUNTED):
        return None
    return Zone(name, folder / "energy_uj", span)


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None
