"""Files that appear whole or not at all, locks on open ones, and names that are safe as files."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from testtime.core.errors import BadInput

if sys.platform != "win32":
    import fcntl

_UNSAFE = re.compile(r"[^A-Za-z0-9._=+-]+")
_LONGEST = 120
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/")


def slug(name: str) -> str:
    """A name as a file name: what is not a letter, a digit or one of ._=+- becomes "-" (ids hold ":" and "/").

    >>> slug("openai:meta-llama/Llama-3.1-8B")
    'openai-meta-llama-Llama-3.1-8B'
    """
    return _UNSAFE.sub("-", name).strip("-.")[:_LONGEST] or "unnamed"


def sync_folder(folder: Path) -> None:
    """Makes a new name in the folder survive a power cut; does nothing where folders cannot be opened (Windows)."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


_FAR = 2**30
"""Where the byte lies that Windows locks: past the text, which others must be able to read."""


def lock(handle: int) -> bool | None:
    """Locks an open file for as long as it is open: whether it could; None on a disk that knows no locks."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(handle, _FAR, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return None
    return True


def writable(paths: Iterable[Path], inputs: Iterable[Path] = ()) -> None:
    """Raises BadInput where these files could not all be written, before the first one is.

    A path must not be a folder, lie under what is no folder that can be written, be named twice, or be an input.
    """
    taken = {path.resolve() for path in inputs}
    for path in paths:
        if path.is_dir():
            raise BadInput("is a folder", where=str(path), mend="name a file in it")
        if path.resolve() in taken:
            raise BadInput("would overwrite what is read, or be written twice", where=str(path), mend="name another")
        there = next((parent for parent in path.parents if parent.exists()), Path())
        if not (there.is_dir() and os.access(there, os.W_OK)):
            raise BadInput(f"cannot be written: {there} is no folder that can be written", where=str(path))
        taken.add(path.resolve())


_PART = re.compile(r"\..+\.(\d+)\.part")


def writer(path: Path) -> int | None:
    """The process that writes, or wrote, a file which has not taken its name yet (`whole`); None for any other file.

    >>> writer(Path("r/.spec.yaml.4711.part"))
    4711
    """
    named = _PART.fullmatch(path.name)
    return int(named[1]) if named else None


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its name once the block ends well; else nothing is left.

    Raises BadInput where the folder cannot be written.
    """
    if _ADDRESS.match(path.as_posix()):
        mend = "name a file of this machine; outputs of run may lie in a store"
        raise BadInput("is an address, and this is written to a file", where=str(path), mend=mend)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        with part.open("rb+") as written:
            os.fsync(written.fileno())
        part.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise BadInput(f"cannot be written: {error.strerror or error}", where=str(path)) from error
    finally:
        with suppress(OSError):  # not there, or no folder to hold it: the error that matters is on its way
            part.unlink()
