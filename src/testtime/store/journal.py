"""The journal: what a run did, one line a record, so that nothing paid for is ever lost.

Only ever appended to, by one writer a file. A line is written with one `write` call before `append`
returns (a killed process loses none) and synced to the disk within a tenth of a second (a power cut
loses no more than that). Each line ends in a checksum of the rest: a torn or damaged line is dropped
and reported, and takes no other with it.

A line is JSON with `id` first, then `kind`, its fields, `v` (the version) and `sum` last:
`{"id":"c1","kind":"call","usd":0.5,"v":1,"sum":"…"}`, where `sum` is the CRC-32 of the bytes before `,"sum"`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, BinaryIO, Literal, TypeAlias, get_args
from zlib import crc32

from testtime.core.errors import BadInput
from testtime.core.secret import struck_line
from testtime.store.atomic import lock, slug, sync_folder
from testtime.store.codec import dumps, loads

Kind = Literal["run", "sent", "call", "draw", "verdict", "window", "batch", "end"]
"""What a line records: a run opened; a request about to leave, a call that came back; a draw's candidates;
a verdict; an energy window; a provider's batch; a run that ended."""
KINDS: frozenset[Kind] = frozenset(get_args(Kind))
VERSION = 1
SYNC_SECONDS = 0.1
_OURS = frozenset({"id", "kind", "v", "sum"})


def seal(kind: Kind, id: str, fields: dict[str, Any]) -> bytes:
    """One line of the journal, without secrets, with its checksum and its newline."""
    if kind not in KINDS:
        raise ValueError(f"no journal kind {kind!r}")
    if taken := fields.keys() & _OURS:
        raise ValueError(f"a journal field cannot be called {sorted(taken)[0]!r}")
    body = struck_line(dumps({"id": id, "kind": kind, **fields, "v": VERSION}))[:-1]
    return body + _tail(body) + b"\n"


def _tail(body: bytes) -> bytes:
    return b',"sum":"%08x"}' % crc32(body)


_TAIL = len(_tail(b""))
_END = b',"v":%d' % VERSION + b',"sum":"%08x"}'
"""How a line of this version ends."""
_KIND = b'","kind":"'
"""What stands before a line's kind. Quotes within an id are escaped, so it is found at its place."""
_MARK = len(_KIND)
_NAMES: dict[bytes, Kind] = {kind.encode(): kind for kind in KINDS}
_BLOCK = 2**20
"""Bytes of a file that are read at once."""
View = Callable[[bytes], dict[str, Any]]
"""A line without its newline → what of it is wanted. Raises ValueError where it is none."""


class Journal:
    """One writer's file of a run's journal. `append` may be called from any thread."""

    def __init__(self, path: Path, handle: int, torn: bool) -> None:
        self.path = path
        self._handle = handle
        self._lock = threading.Lock()
        self._dirty = threading.Event()
        self._closing = threading.Event()
        self._torn = torn
        self._failed: BadInput | None = None
        self._syncer = threading.Thread(target=self._keep_synced, name=f"sync {path.name}", daemon=True)
        self._syncer.start()

    @classmethod
    def open(cls, folder: Path, writer: str = "main") -> Journal:
        """Opens `<folder>/journal/<writer>.jsonl` to append; a torn last line is left behind on a line of its own.

        Raises BadInput where it cannot be written, or another process has it open: one writer a file.
        """
        path = journal_folder(folder) / f"{slug(writer)}.jsonl"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
            if lock(handle) is False:
                os.close(handle)
                raise BadInput("another process writes this run", where=str(folder), mend="wait for it, or end it")
            torn = not _ends_line(handle)
            sync_folder(path.parent)
        except OSError as error:
            raise BadInput(f"cannot be written: {error.strerror}", where=str(path)) from error
        return cls(path, handle, torn)

    def append(self, kind: Kind, id: str, /, **fields: Any) -> None:
        """Writes one record; once this returns, a killed process loses it no more. Raises BadInput (disk full)."""
        line = seal(kind, id, fields)
        with self._lock:
            if self._failed is not None:
                raise self._failed
            try:
                self._write(b"\n" + line if self._torn else line)
            except OSError as error:
                raise self._refused(error) from error
        if not self._dirty.is_set():
            self._dirty.set()

    def _write(self, line: bytes) -> None:
        """One `write`; only a disk that takes part of a line needs more. What stays torn gets a newline next time."""
        self._torn = True
        while line:
            line = line[os.write(self._handle, line) :]
        self._torn = False

    def _keep_synced(self) -> None:
        while not self._closing.is_set():
            self._dirty.wait()
            self._dirty.clear()
            self._sync()
            self._closing.wait(SYNC_SECONDS)

    def _sync(self) -> None:
        try:
            os.fsync(self._handle)
        except OSError as error:
            self._failed = self._refused(error)

    def _refused(self, error: OSError) -> BadInput:
        mend = "make room and start again: it goes on from here"
        return BadInput(f"cannot be written: {error.strerror or error}", where=str(self.path), mend=mend)

    def sync(self) -> None:
        """Syncs what is written now. Raises BadInput where the disk refused it."""
        with self._lock:
            self._sync()
        if self._failed is not None:
            raise self._failed

    def close(self) -> None:
        """Syncs what is written and closes the file. Raises BadInput where the disk refused it. Twice is once."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._dirty.set()
        self._syncer.join()
        with self._lock:
            self._sync()
            os.close(self._handle)
            self._handle = -1  # the system deals the number out again: a late append must not reach another file
        if self._failed is not None:
            raise self._failed

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _ends_line(handle: int) -> bool:
    size = os.lseek(handle, 0, os.SEEK_END)
    if not size:
        return True
    os.lseek(handle, -1, os.SEEK_END)
    return os.read(handle, 1) == b"\n"


def journal_folder(folder: Path) -> Path:
    """Where a run keeps its journal."""
    return Path(folder) / "journal"


@dataclass(frozen=True)
class Dropped:
    """A line that could not be trusted."""

    file: Path
    line: int
    why: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.why}"


@dataclass(frozen=True)
class Replayed:
    """What a journal holds."""

    records: list[dict[str, Any]]
    """In file order, files by name; `v` and `sum` are taken off."""
    dropped: list[Dropped]


def read_journal(folder: Path) -> Replayed:
    """Every record of every writer of a run; none where there is no journal yet.

    Damaged lines are dropped and reported. Raises BadInput for a record of another version.
    """
    dropped: list[Dropped] = []
    return Replayed([record for _, record in scan(folder, dropped)], dropped)


Place: TypeAlias = tuple[Path, int]
"""Where a record stands, file and offset, so that it can be read again instead of being held."""


class Reader:
    """Reads records again from their places. Use it as a context: it keeps the files open meanwhile."""

    def __init__(self) -> None:
        self._files = ExitStack()
        self._open: dict[Path, BinaryIO] = {}

    def read(self, place: Place) -> dict[str, Any]:
        """The record. Raises ValueError where the file has changed since it was scanned."""
        path, offset = place
        if (file := self._open.get(path)) is None:
            file = self._open[path] = self._files.enter_context(path.open("rb"))
        file.seek(offset)
        return _unseal(file.readline().rstrip(b"\n"), path)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._files.close()


def scan(
    folder: Path,
    dropped: list[Dropped] | None = None,
    kinds: Set[Kind] = KINDS,
    views: Mapping[Kind, View] = MappingProxyType({}),
) -> Iterator[tuple[Place, dict[str, Any]]]:
    """The records of `read_journal` one at a time, with their places; damaged lines are added to `dropped`.

    Lines of other `kinds` than wanted are passed over unread, damaged or not. Of kinds with a view, records are what
    that gives of a line whose checksum and version are right.
    """
    for path in sorted(journal_folder(folder).glob("*.jsonl")):
        with path.open("rb", buffering=_BLOCK) as file:
            offset = 0
            for number, line in enumerate(file, 1):
                place, offset = (path, offset), offset + len(line)
                line = line.rstrip(b"\n")
                kind: Any = _NAMES.get(line[(start := line.find(_KIND) + _MARK) : line.find(b'"', start)])
                if not line or (kinds is not KINDS and kind not in kinds):
                    continue
                try:
                    view = views.get(kind)
                    if view is not None and line.endswith(_END % crc32(line[:-_TAIL])):
                        yield place, view(line)
                    else:
                        yield place, _unseal(line, path, number)
                except ValueError as error:
                    if dropped is not None:
                        dropped.append(Dropped(path, number, str(error)))


def _unseal(line: bytes, file: Path, number: int | None = None) -> dict[str, Any]:
    """The record of one line. Raises ValueError where it is torn or damaged, BadInput for another version."""
    body = line[:-_TAIL]
    if line[-_TAIL:] != _tail(body):
        raise ValueError("torn or damaged: its checksum does not fit")
    record: dict[str, Any] = loads(body + b"}")
    if not isinstance(record, dict) or record.pop("v", None) != VERSION:
        raise BadInput(
            f"a journal record of another version than {VERSION}",
            where=str(file) if number is None else f"{file}:{number}",
            mend="start with --fresh, or read it with the testtime that wrote it",
        )
    if record.get("kind") not in KINDS:
        raise ValueError(f"no journal kind {record.get('kind')!r}")
    return record
