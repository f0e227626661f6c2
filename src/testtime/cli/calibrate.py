"""`testtime calibrate`: does a model decline what has no answer, and nothing else?"""

from __future__ import annotations

import shlex
from typing import Annotated, Any

from cyclopts import Parameter

from testtime.cli import Json
from testtime.cli.flags import flags_of
from testtime.cli.run import HOW, JUDGING, WHERE, carry_out
from testtime.core.errors import BadInput, StoppedEarly
from testtime.runspec import HIDDEN, RunSpec

NOT_HERE = HIDDEN | {"decoding", "policies", "live", "shard", "variant", "sample", "start_index"}
"""Keys of a run that have no place here."""
Flags: Any = flags_of(RunSpec, frozenset(NOT_HERE), {**dict.fromkeys(HOW, WHERE), **JUDGING})
NO_FLAGS = Flags()


def calibrate(
    *,
    asked: Annotated[Flags, Parameter(name="*")] = NO_FLAGS,
    corruptions: Annotated[
        list[str] | None, Parameter(help="How problems are broken; by default in every way.")
    ] = None,
    json: Json = False,
) -> None:
    """Break solvable problems, draw answers to them and to the originals, and say how often each are declined."""
    from testtime import api, calibrating
    from testtime.cli import show
    from testtime.figures.calibration import rates

    given = {key: value for key, value in vars(asked).items() if value is not None}
    if several := next((key for key, value in given.items() if isinstance(value, list) and len(value) > 1), None):
        raise BadInput(f"{several} takes one value here", mend="calibrate one at a time")
    plain = {key: value[0] if isinstance(value, list) else value for key, value in given.items()}
    spec = calibrating.spec_of(plain, corruptions)
    if json:
        drawn = (ran := api.run(spec)).drawn
        show.json(calibrating.rates_of(ran.path, spec.seed).to_dicts())
        if drawn.finished is None:
            raise KeyboardInterrupt
        if drawn.finished.stopped:
            raise StoppedEarly(drawn.finished.stopped)
        return
    (ran,) = carry_out([spec])
    table = calibrating.rates_of(ran.path, spec.seed)
    show.tables([rates(table)])
    show.notes(calibrating.notes_of(table))
    show.next_step(f"testtime inspect {shlex.quote(str(ran.path))}")
