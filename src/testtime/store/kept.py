"""What judges replied before, by content, beside the runs of a folder: `judged/MODEL.jsonl`, one reply a line.

Nothing is read before the first question and nothing is there before the first reply. A line leaves in one write, so
that several processes may add to a file; a torn or foreign line is passed over. Delete the folder to ask anew.
"""

from __future__ import annotations

import json
import os
from functools import cached_property
from pathlib import Path
from typing import Any

from testtime.core.errors import BadInput
from testtime.core.records import Map
from testtime.store.atomic import slug

FOLDER = "judged"


class Kept:
    """Digest of a question → the reply to it, of one model."""

    def __init__(self, runs: Path, model: str) -> None:
        self.path = runs / FOLDER / f"{slug(model)}.jsonl"

    @cached_property
    def _replies(self) -> dict[str, Map]:
        try:
            lines = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise BadInput(f"cannot be read: {error.strerror}", where=str(self.path)) from error
        return dict(filter(None, map(_read, lines)))

    def get(self, key: str, /) -> Map | None:
        """The reply, {said, model}; None where it was not asked. Raises BadInput for a file that cannot be read."""
        return self._replies.get(key)

    def __setitem__(self, key: str, reply: Map, /) -> None:
        """Keeps a reply, here and in the file. Raises BadInput where it cannot be written."""
        self._replies[key] = reply
        line = b"\n" + json.dumps({"key": key, **reply}).encode() + b"\n"  # not at the end of a torn one
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(handle, line)
            finally:
                os.close(handle)
        except OSError as error:
            raise BadInput(f"cannot be written: {error.strerror}", where=str(self.path)) from error


def _read(line: bytes) -> tuple[str, dict[str, Any]] | None:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or not isinstance(said.get("said"), dict):
        return None
    key, model = said.get("key"), said.get("model")
    return (key, {"said": said["said"], "model": model}) if isinstance(key, str) and isinstance(model, str) else None
