"""Energy of NVIDIA GPUs: all that this process may see, by the best that the machine has.

First the counter that NVML keeps of each GPU (Volta and later), else NVML's power looked at ten times a second, else
what the command nvidia-smi prints, once a second. Slices of a GPU (MIG) cannot be measured. What a GPU takes while
nothing runs is measured once before, and said beside the source. The extra `energy` brings NVML.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from testtime.core.records import Map
from testtime.meters.trace import integral, rise

VISIBLE = "CUDA_VISIBLE_DEVICES"
EVERY, EVERY_BY_COMMAND = 0.1, 1.0
"""Seconds between looks at power."""
IDLE_SECONDS = 1.0
COMMAND = ("nvidia-smi", "--query-gpu=uuid,power.draw", "--format=csv,noheader,nounits")


@dataclass(frozen=True)
class Counted:
    """The energy counters of GPUs."""

    read: Callable[[], Sequence[int | None]]
    """Millijoules of each GPU since its driver was loaded."""
    source: str

    def window(self) -> AbstractAsyncContextManager[Map]:
        """Joules by which the counters rose while it was open; None where one could not be read, or began anew."""
        return self._window()

    @asynccontextmanager
    async def _window(self) -> AsyncIterator[Map]:
        seen: dict[str, float | None] = {}
        before = self.read()
        yield seen
        rises = [rise(start, end) for start, end in zip(before, self.read(), strict=True)]
        seen["joules"] = None if None in rises else sum(one for one in rises if one is not None) / 1e3


@dataclass(frozen=True)
class Sampled:
    """The power of GPUs, looked at now and then, and at both ends of a window."""

    read: Callable[[], float | None]
    """Watts of all GPUs together; it may block, and is called in a thread."""
    source: str
    every: float = EVERY

    def window(self) -> AbstractAsyncContextManager[Map]:
        """Joules by trapezoids; None where power could not be read once."""
        return self._window()

    @asynccontextmanager
    async def _window(self) -> AsyncIterator[Map]:
        seen: dict[str, float | None] = {}
        looks: list[tuple[float, float | None]] = [await self._look()]
        watch = asyncio.create_task(self._watch(looks))
        try:
            yield seen
        finally:
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch
        looks.append(await self._look())
        known = [(at, watts) for at, watts in looks if watts is not None]
        seen["joules"] = integral(known) if len(known) == len(looks) else None

    async def _watch(self, looks: list[tuple[float, float | None]]) -> None:
        while True:
            await asyncio.sleep(self.every)
            looks.append(await self._look())

    async def _look(self) -> tuple[float, float | None]:
        watts = await asyncio.to_thread(self.read)
        return time.perf_counter(), watts


@dataclass
class Nvml:
    """NVML, by the module pynvml, over the GPUs that may be seen."""

    library: Any
    handles: Sequence[Any] = field(default_factory=tuple)

    @classmethod
    def here(cls, library: Any = None) -> Nvml | None:
        """None where there is no library, no driver, or no GPU that can be measured."""
        try:
            library = library or importlib.import_module("pynvml")
        except ModuleNotFoundError:
            return None
        try:
            library.nvmlInit()
            handles = [library.nvmlDeviceGetHandleByIndex(at) for at in range(library.nvmlDeviceGetCount())]
            chosen = visible([_text(library.nvmlDeviceGetUUID(handle)) for handle in handles])
        except library.NVMLError:
            return None
        return cls(library, [handles[at] for at in chosen]) if chosen else None

    @property
    def names(self) -> str:
        """What the GPUs are."""
        return ", ".join(
            f"{_text(self.library.nvmlDeviceGetName(one))} {_text(self.library.nvmlDeviceGetUUID(one))[:12]}"
            for one in self.handles
        )

    def millijoules(self) -> list[int | None]:
        """The counter of each GPU; None where it cannot be read."""
        return [self._ask(self.library.nvmlDeviceGetTotalEnergyConsumption, one) for one in self.handles]

    def watts(self) -> float | None:
        """The power of all GPUs together; None where one cannot be read."""
        each = [self._ask(self.library.nvmlDeviceGetPowerUsage, one) for one in self.handles]
        return None if None in each else sum(one for one in each if one is not None) / 1e3

    def free_bytes(self) -> list[int]:
        """Memory that is free on each GPU."""
        return [int(self.library.nvmlDeviceGetMemoryInfo(one).free) for one in self.handles]

    def _ask(self, verb: Callable[[Any], Any], handle: Any) -> int | None:
        try:
            return int(verb(handle))
        except self.library.NVMLError:
            return None


def here(library: Any = None, idle_seconds: float = IDLE_SECONDS) -> Counted | Sampled | None:
    """The best meter of this machine's GPUs, its idle power measured; None where there is none."""
    nvml = Nvml.here(library)
    if nvml is not None and None not in nvml.millijoules():
        return Counted(nvml.millijoules, f"NVML counter of {nvml.names}{_idle(nvml.watts, idle_seconds)}")
    if nvml is not None and nvml.watts() is not None:
        return Sampled(nvml.watts, f"NVML power of {nvml.names}{_idle(nvml.watts, idle_seconds)}")
    if shutil.which(COMMAND[0]) and by_command() is not None:
        return Sampled(by_command, f"nvidia-smi{_idle(by_command, idle_seconds)}", EVERY_BY_COMMAND)
    return None


def by_command() -> float | None:
    """Watts of all visible GPUs by nvidia-smi; None where it does not say."""
    try:
        said = subprocess.run(COMMAND, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    rows = [line.split(",") for line in said.splitlines() if line.strip()]
    try:
        watts = {uuid.strip(): float(power) for uuid, power in rows}
    except ValueError:
        return None
    chosen = visible(list(watts))
    return sum(list(watts.values())[at] for at in chosen) if chosen else None


def visible(uuids: Sequence[str], environment: Mapping[str, str] = os.environ) -> list[int]:
    """Which GPUs this process may see, as CUDA reads $CUDA_VISIBLE_DEVICES: up to the first entry that is none.

    >>> visible(["GPU-a", "GPU-b", "GPU-c"], {VISIBLE: "2,GPU-a"})
    [2, 0]
    """
    said = environment.get(VISIBLE)
    if said is None:
        return list(range(len(uuids)))
    chosen: list[int] = []
    for entry in (one.strip() for one in said.split(",")):
        found = [at for at, uuid in enumerate(uuids) if entry and (entry == str(at) or uuid.startswith(entry))]
        if len(found) != 1:
            break
        chosen += found
    return chosen


def _idle(watts: Callable[[], float | None], seconds: float) -> str:
    """What they take while nothing runs, in words: the mean of a few looks."""
    looks = []
    for _ in range(5):
        looks.append(watts())
        time.sleep(seconds / 5)
    known = [one for one in looks if one is not None]
    return f", idle {sum(known) / len(known):.0f} W" if known else ", idle unknown"


def _text(said: Any) -> str:
    return said.decode() if isinstance(said, bytes) else str(said)
