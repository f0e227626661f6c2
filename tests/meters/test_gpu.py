"""GPUs by a fake NVML: the counter where each GPU has one, else power looked at, else nvidia-smi; only those that may
be seen; unknown where one cannot be read or its counter began anew, never 0. No GPU is needed.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from testtime.meters import gpu, here
from testtime.meters.constant import Constant
from testtime.meters.gpu import Counted, Sampled, visible


class NVMLError(Exception):
    pass


@dataclass
class Fake:
    """NVML of GPUs whose counters rise by their watts between two readings."""

    watts: dict[str, float | None]
    counters: bool = True
    driver: bool = True
    jump: int = 0
    """Added to the first GPU's counter at each reading."""
    readings: int = 0
    NVMLError: type[Exception] = field(default=NVMLError)

    def nvmlInit(self) -> None:
        if not self.driver:
            raise NVMLError

    def nvmlDeviceGetCount(self) -> int:
        return len(self.watts)

    def nvmlDeviceGetHandleByIndex(self, at: int) -> str:
        return list(self.watts)[at]

    def nvmlDeviceGetUUID(self, handle: str) -> str:
        return handle

    def nvmlDeviceGetName(self, handle: str) -> bytes:
        return b"H1"

    def nvmlDeviceGetPowerUsage(self, handle: str) -> float:
        watts = self.watts[handle]
        if watts is None:
            raise NVMLError
        return watts * 1000

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
        if not self.counters:
            raise NVMLError
        self.readings += 1
        return 10_000 + 1500 * self.readings + (self.jump * self.readings if handle == next(iter(self.watts)) else 0)

    def nvmlDeviceGetMemoryInfo(self, handle: str) -> Any:
        return type("Info", (), {"free": 8 * 2**30})


def measured(meter: Any, seconds: float = 0.0) -> float | None:
    async def once() -> float | None:
        async with meter.window() as seen:
            await asyncio.sleep(seconds)
        joules: float | None = seen["joules"]
        return joules

    return asyncio.run(once())


@pytest.fixture(autouse=True)
def _all_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(gpu.VISIBLE, raising=False)
    monkeypatch.setenv("PATH", "")


def test_counters_add_up_over_all_gpus_and_the_idle_power_is_said() -> None:
    meter = gpu.here(Fake({"GPU-a": 60.0, "GPU-b": 40.0}), idle_seconds=0)
    assert isinstance(meter, Counted)
    assert meter.source == "NVML counter of H1 GPU-a, H1 GPU-b, idle 100 W"
    assert measured(meter) == pytest.approx((2 * 1500 * 2) / 1e3)


def test_a_counter_that_began_anew_makes_joules_unknown() -> None:
    meter = gpu.here(Fake({"GPU-a": 60.0, "GPU-b": 40.0}, jump=-4000), idle_seconds=0)
    assert meter is not None
    assert measured(meter) is None


def test_without_a_counter_power_is_looked_at_and_integrated() -> None:
    meter = gpu.here(Fake({"GPU-a": 60.0, "GPU-b": 40.0}, counters=False), idle_seconds=0)
    assert isinstance(meter, Sampled)
    assert meter.source.startswith("NVML power of H1 GPU-a, H1 GPU-b, idle 100 W")
    joules = measured(meter, 0.25)
    assert joules is not None
    assert joules >= 100 * 0.25


def test_power_that_cannot_be_read_makes_joules_unknown() -> None:
    fake = Fake({"GPU-a": 60.0}, counters=False)
    meter = gpu.here(fake, idle_seconds=0)
    assert meter is not None
    fake.watts["GPU-a"] = None
    assert measured(meter) is None
    assert gpu.here(Fake({"GPU-a": None}, counters=False), idle_seconds=0) is None
    assert gpu.here(Fake({"GPU-a": 60.0}, driver=False), idle_seconds=0) is None
    assert gpu.here(Fake({}), idle_seconds=0) is None


@pytest.mark.parametrize(
    ("said", "chosen"),
    [
        (None, [0, 1, 2]), ("1", [1]), ("2,0", [2, 0]), ("GPU-b", [1]), ("GPU-", []), ("", []), ("-1", []),
        ("0,9,1", [0]), ("MIG-x", []), (" 1 , 2 ", [1, 2]),
    ],
)  # fmt: skip
def test_only_gpus_that_may_be_seen_are_measured(said: str | None, chosen: list[int]) -> None:
    assert visible(["GPU-a", "GPU-b", "GPU-c"], {} if said is None else {gpu.VISIBLE: said}) == chosen


def test_the_command_is_asked_where_there_is_no_nvml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = tmp_path / "nvidia-smi"
    command.write_text("#!/bin/sh\necho 'GPU-a, 61.5'\necho 'GPU-b, 38.5'\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    meter = gpu.here(Fake({}, driver=False), idle_seconds=0)
    assert isinstance(meter, Sampled)
    assert meter.source == "nvidia-smi, idle 100 W"
    monkeypatch.setenv(gpu.VISIBLE, "1")
    assert gpu.by_command() == 38.5
    command.write_text("#!/bin/sh\necho 'GPU-a, [N/A]'\n")
    assert gpu.by_command() is None
    command.write_text("#!/bin/sh\nexit 9\n")
    assert gpu.by_command() is None


def test_parts_of_a_machine_add_up_and_one_unknown_makes_all_unknown() -> None:
    fake = Fake({"GPU-a": 60.0, "GPU-b": 40.0})
    counted = gpu.here(fake, idle_seconds=0)
    assert counted is not None
    both = here.Together([counted, Constant(0.0)])
    assert both.source == f"{counted.source}; declared 0 W"
    assert measured(both) == pytest.approx(6.0)
    fake.jump = -4000
    assert measured(both) is None


def test_a_machine_without_either_has_no_meter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(here.gpu, "here", lambda: None)
    monkeypatch.setattr(here.Rapl, "here", lambda: None)
    assert here.meter() is None
    monkeypatch.setattr(here.Rapl, "here", lambda: Constant(1.0))
    assert here.meter() == Constant(1.0)
