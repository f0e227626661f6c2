"""What the fault suite shares; it is short by default (length.py)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

import fake_model
from testtime import api, session
from testtime.core.errors import BadInput
from testtime.models import BUILTIN


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with six sums and the fake model; no figures, and waits are hundredths of a second."""
    plan_of = session.plan_of

    def hasty(*given: Any, **named: Any) -> Any:
        return dataclasses.replace(plan_of(*given, **named), backoff=0.01, patience=0.3)

    def undrawn(*_: Any) -> None:
        raise BadInput("not drawn in these tests")

    monkeypatch.setattr(session, "plan_of", hasty)
    monkeypatch.setattr(api, "draw", undrawn)
    monkeypatch.setitem(BUILTIN, "fake", fake_model.PLACE)
    monkeypatch.setenv("FAKE_COUNT", str(tmp_path / "count"))
    monkeypatch.chdir(tmp_path)
    fake_model.sums(tmp_path / "sums.jsonl", 6)
    return tmp_path
