"""What all tests share: hypothesis without a clock (timing belongs in benchmarks/), and where the real data lies."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("laws", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("laws")

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real recorded samples; skips where it is absent, as on a user's machine."""
    if not DATA.is_dir():
        pytest.skip("real data absent: no ../shared/data beside the project")
    return DATA


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The pages first: the longest of them takes two minutes, which a worker should not be left with at the end."""
    items.sort(key=lambda item: "test_pages" not in item.nodeid)
