"""Files that come with the package and are yours to change: experiments and personas; `testtime init` copies them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from testtime.core.errors import BadInput
from testtime.store.atomic import whole

FOLDERS = ("experiments", "personas")
HERE = Path(__file__).parent


def folder(name: str) -> Path:
    """Where a shipped folder lies: in the package, or in the clone that it is run from. Raises BadInput."""
    for place in (HERE / name, HERE.parents[1] / name):
        if place.is_dir():
            return place
    raise BadInput(f"this installation lacks its {name}", mend="install testtime again")


def files() -> Iterator[tuple[Path, Path]]:
    """(Where it lies, where it goes) of every shipped file."""
    for name in FOLDERS:
        source = folder(name)
        for path in sorted(source.rglob("*")):
            if path.is_file() and path.suffix in (".yaml", ".txt", ".md", ".json"):
                yield path, Path(name) / path.relative_to(source)


def copy_to(target: Path) -> list[Path]:
    """Copies them into a folder, and makes a `results` folder in each of the experiments'. Gives the files written.

    Raises BadInput, with nothing written, where one of them is there already.
    """
    wanted = [(source, target / place) for source, place in files()]
    if there := next((place for _, place in wanted if place.exists()), None):
        raise BadInput("is there already", where=str(there), mend="give another folder, or move it away")
    for source, place in wanted:
        with whole(place) as part:
            part.write_bytes(source.read_bytes())
        if place.suffix == ".yaml" and "experiments" in place.parts:
            (place.parent / "results").mkdir(exist_ok=True)
    return [place for _, place in wanted]
