"""`testtime pack`: a run as one file to hand on."""

from __future__ import annotations

import getpass
import shlex
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from testtime.store.pack import Places

NOBODY = frozenset({"root", "user", "admin", "ubuntu", "runner", "nobody", "localhost"})
"""Names that tell nobody apart, and are words besides."""


def pack(
    run: Annotated[Path, Parameter(help="A run folder.")],
    /,
    *,
    out: Annotated[Path, Parameter(help="The zip to write; every command that reads a pool takes it.")],
    no_text: Annotated[
        bool,
        Parameter(
            show_default=False,
            help="Leave out questions, prompts and texts; answers, verdicts and tokens stay, so that it replays.",
        ),
    ] = False,
) -> None:
    """Pack a run to be handed on: nothing in it says whose machine it was made on."""
    from testtime.cli import show
    from testtime.models import keys
    from testtime.sources import brought
    from testtime.store import pack as packing

    keys.hide()
    files = packing.pack(brought(run), out, here(), texts=not no_text)
    show.console().print(f"packed {', '.join(files)}", soft_wrap=True)
    show.wrote(out)
    show.next_step(f"testtime inspect {shlex.quote(str(out))}")


def here() -> Places:
    """What would tell this user, machine and folder apart."""
    from testtime.store.pack import Places

    host = socket.gethostname()
    names = {getpass.getuser(): "USER", host: "HOST", host.partition(".")[0]: "HOST"}
    told = {name: word for name, word in names.items() if len(name) > 2 and name.casefold() not in NOBODY}
    return Places(told, [str(folder) for folder in dict.fromkeys((Path.cwd(), Path.home())) if len(folder.parts) > 1])
