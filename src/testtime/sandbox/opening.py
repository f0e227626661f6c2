"""Which sandbox: the strongest that works here; never a weak one that nobody asked for."""

from __future__ import annotations

from testtime.core.errors import BadInput
from testtime.core.protocols import Sandbox
from testtime.core.registry import find

STRONG = ("bubblewrap", "docker")


def strongest(slots: int | None = None) -> Sandbox:
    """bubblewrap, else docker. Raises BadInput, saying what each lacks."""
    lacks = []
    for kind in STRONG:
        try:
            chosen: Sandbox = find("sandbox", kind)(slots)
        except BadInput as error:
            lacks.append(f"{kind}: {error.what}")
            continue
        return chosen
    what = f"no sandbox for foreign programs works here ({'; '.join(lacks)})"
    raise BadInput(what, mend="install bubblewrap, or give --sandbox subprocess, which has limits but no walls")
