"""`testtime` with a model `fake:NAME` that adds numbers, now and then wrong, and counts its calls in a file.

Run as a script it is the whole command line, so that a process of it can be killed; $FAKE_COUNT names the
file (one byte a call), $FAKE_SECONDS how long a call takes.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

from testtime.core.errors import ModelError
from testtime.core.records import Request
from testtime.core.seeds import digest
from testtime.models import BUILTIN
from testtime.models.scripted import ALL, Scripted

PLACE = "fake_model:Fake"


def reply(request: Request, seed: int) -> str | ModelError:
    """Right three times in five, else off by one, without an answer, or (one in twenty) a failure for good."""
    left, right = map(int, re.findall(r"\d+", str(request.messages[0]["content"]))[:2])
    luck = int(digest(seed, length=6), 16)
    if luck % 20 == 7:
        return ModelError("filtered")
    said = [left + right, left + right, left + right, left + right + 1, None][luck % 5]
    thought = f"I add {'so ' * (luck % 4)}"
    return f"{thought}\nFinal Answer: {said}" if said is not None else f"{thought}and do not know"


class Fake(Scripted):
    """The model; `fake:one` sends one completion a request."""

    def __init__(self, name: str) -> None:
        count = os.environ.get("FAKE_COUNT")
        super().__init__(
            reply,
            name=f"fake:{name}",
            can=ALL - {"n"} if name == "one" else ALL,
            seconds=float(os.environ.get("FAKE_SECONDS", "0")),
            count_file=Path(count) if count else None,
        )


def sums(path: Path, count: int) -> Path:
    """A dataset in the form of GSM8K."""
    rows = [{"question": f"What is {at} plus {at % 7}?", "answer": f"so #### {at + at % 7}"} for at in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


if __name__ == "__main__":
    from testtime.cli import main

    BUILTIN["fake"] = PLACE
    sys.exit(main())
