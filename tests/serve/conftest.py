"""A server over pocket-m on loopback, and the official client that believes nothing: it validates every reply."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from testtime.models.pocket.backend import PocketModel
from testtime.serve.server import running


@pytest.fixture(scope="session")
def pocket() -> PocketModel:
    return PocketModel("pocket-m")


@pytest.fixture(scope="session")
def url(pocket: PocketModel) -> Iterator[str]:
    with running(pocket) as address:
        yield address


@pytest.fixture
def client(url: str) -> Iterator[Any]:
    openai = pytest.importorskip("openai", reason="the openai package is not installed")
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0, _strict_response_validation=True) as one:
        yield one
