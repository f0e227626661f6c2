"""A run's folder, what lies where in it, and the lock that keeps a second writer out.

D/R/spec.yaml  lock  journal/  candidates.parquet  calls.parquet  verdicts/  summary.csv  …
D/R.jsonl      its outcomes, beside it: `D/*.jsonl` finds outcomes and nothing else
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from testtime.core.errors import BadInput
from testtime.store.atomic import lock, slug, whole, writer

JOB = "TESTTIME_JOB"
"""Variable that names the part of a cluster's job: started again elsewhere, it takes over what it held itself."""


def default_name(dataset: str, provider: str, model: str, config_hash: str) -> str:
    """What a run is called if nobody names it.

    >>> default_name("gsm8k", "openai", "org/model:free", "0123456789ab")
    'gsm8k_openai_org-model-free_01234567'
    """
    front = f"{slug(dataset)}_{slug(provider)}_{slug(model)}"
    return f"{front[:100]}_{config_hash[:8]}"


@dataclass(frozen=True)
class RunFolder:
    """Where one run keeps its files. Making one touches no disk: see `create`, `open` and `runs`."""

    path: Path
    outcomes: Path
    """The outcome file, beside the folder."""

    @classmethod
    def at(cls, out_dir: Path | str, name: str) -> RunFolder:
        """The run of this name in a folder of runs."""
        out_dir = Path(out_dir)
        return cls(out_dir / slug(name), out_dir / f"{slug(name)}.jsonl")

    @classmethod
    def beside(cls, output: Path | str) -> RunFolder:
        """The run whose output was named as one file, P.parquet or P.jsonl: its folder is P.run/."""
        output = Path(output)
        return cls(output.with_suffix(".run"), output.with_suffix(".jsonl"))

    @classmethod
    def open(cls, path: Path | str) -> RunFolder:
        """A run that is there. Raises BadInput where there is none."""
        path = Path(path)
        if not is_run(path):
            mend = "a run folder holds spec.yaml, a journal or candidates.parquet"
            raise BadInput("no run here" if path.exists() else "no such folder", where=str(path), mend=mend)
        stem = path.with_suffix("") if path.suffix == ".run" else path
        return cls(path, stem.with_name(f"{stem.name}.jsonl"))

    @property
    def name(self) -> str:
        """The run's name."""
        return self.path.name.removesuffix(".run")

    @property
    def spec(self) -> Path:
        """The resolved configuration."""
        return self.path / "spec.yaml"

    @property
    def candidates(self) -> Path:
        """One row a candidate."""
        return self.path / "candidates.parquet"

    @property
    def retries(self) -> Path:
        """One row a marked retry, where there are any: they are not among the N."""
        return self.path / "retries.parquet"

    @property
    def calls(self) -> Path:
        """One row an attempt at a call."""
        return self.path / "calls.parquet"

    @property
    def verdicts(self) -> Path:
        """Folder of verdicts given later, by stage and digest."""
        return self.path / "verdicts"

    @property
    def summary(self) -> Path:
        """The table of policies."""
        return self.path / "summary.csv"

    @property
    def lock(self) -> Path:
        """Who writes here now: host, pid, start; empty when nobody does."""
        return self.path / "lock"

    @property
    def blank(self) -> bool:
        """Whether nothing is here but what a run leaves that is starting now, or was killed as it started."""
        if not self.path.is_dir():
            return not self.path.exists()
        return all(one.name == self.lock.name or writer(one) is not None for one in self.path.iterdir())

    @property
    def busy(self) -> bool:
        """Whether somebody writes here now; a process of another machine is taken at its lock's word."""
        if not self.lock.exists():
            return False
        handle = _opened(self.lock)
        try:
            holder = _holder(handle)
        finally:
            os.close(handle)
        return holder is not None and (holder["host"] != socket.gethostname() or _alive(holder["pid"]))

    def create(self) -> RunFolder:
        """Makes the folder where it is not there yet; what it holds stays. Raises BadInput."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(f"cannot be made: {error.strerror}", where=str(self.path)) from error
        return self

    def refuse_foreign(self) -> None:
        """Raises BadInput where what is here is somebody's, and no run's."""
        if not self.blank and not (self.path.is_dir() and is_run(self.path)):
            raise BadInput("is there, and is no run", where=str(self.path), mend="give another --run or --out_dir")

    def write_spec(self, spec: Mapping[str, Any]) -> None:
        """Writes the resolved configuration, nulls kept, so that the folder alone can run again."""
        import yaml  # nothing that only reads a pool needs it

        with whole(self.spec) as part, part.open("w", encoding="utf-8", newline="\n") as file:
            yaml.safe_dump(dict(spec), file, sort_keys=False, allow_unicode=True)

    def read_spec(self) -> dict[str, Any]:
        """The configuration the run was last started with. Raises BadInput where it is missing or broken."""
        import yaml

        try:
            spec = yaml.safe_load(self.spec.read_bytes())
        except FileNotFoundError as error:
            raise BadInput("no such file", where=str(self.spec)) from error
        except (OSError, yaml.YAMLError) as error:
            raise BadInput(f"cannot be read: {error}", where=str(self.spec)) from error
        if not isinstance(spec, dict):
            raise BadInput("holds no configuration", where=str(self.spec))
        return spec

    def set_aside(self) -> Path | None:
        """Renames the folder and its outcomes out of the way (`--fresh`): what was paid for is never deleted.

        Under the lock, which goes with the folder: nobody is at work in it. Raises BadInput where somebody is, or
        where it is no run's.
        """
        if not self.path.exists():
            return None
        self.refuse_foreign()
        with self.held():
            if os.name == "posix":
                return self._aside()
        return self._aside()  # Windows renames no folder with an open file in it, so nobody is at work there

    def _aside(self) -> Path:
        number = next(n for n in range(1, 10**6) if not self.path.with_name(f".{self.path.name}.{n}").exists())
        aside = self.path.with_name(f".{self.path.name}.{number}")
        self.path.rename(aside)
        if self.outcomes.exists():
            self.outcomes.rename(aside / self.outcomes.name)
        return aside

    @contextmanager
    def held(self) -> Iterator[str | None]:
        """Holds the run for this process; yields a note where a dead process had left its lock.

        The system drops the hold with the process, however it ends. Raises BadInput where another lives.
        """
        handle = _opened(self.create().lock)
        try:
            holder, here, job = _holder(handle), socket.gethostname(), os.environ.get(JOB)
            ended = None if holder and job and holder.get("job") == job else holder  # a job is in one place at a time
            if not _take(handle, ended) or (ended and ended["host"] != here):
                raise self._busy(_holder(handle))
            if not self._is_lock(handle):  # set aside between the opening and the taking
                raise self._busy(None)
            start = datetime.now(UTC).isoformat(timespec="seconds")
            mine = {"host": here, "pid": os.getpid(), "start": start, **({"job": job} if job else {})}
            _say(handle, json.dumps(mine))
            self._sweep()
            try:
                yield f"took over from process {holder['pid']}, which has ended" if holder else None
            finally:
                _say(handle, "")
        finally:
            os.close(handle)

    def _is_lock(self, handle: int) -> bool:
        """Whether an open file is still this folder's lock, and not one that went with a folder that was set aside."""
        try:
            return os.path.samestat(os.fstat(handle), self.lock.stat())
        except FileNotFoundError:
            return False

    def _sweep(self) -> None:
        """Removes the halves of files that killed processes left: nobody reads them, and they may be large."""
        for part in self.path.rglob(".*.part"):
            if (pid := writer(part)) is not None and not _alive(pid):
                part.unlink(missing_ok=True)

    def _busy(self, holder: Mapping[str, Any] | None) -> BadInput:
        who = f"process {holder['pid']} on {holder['host']} since {holder['start']}" if holder else "another process"
        return BadInput(
            f"in use by {who}", where=str(self.path), mend=f"wait for it, or if it is gone delete {self.lock}"
        )


def is_run(path: Path) -> bool:
    """Whether a folder is a run's."""
    return any((path / name).exists() for name in ("spec.yaml", "journal", "candidates.parquet"))


def runs(out_dir: Path | str) -> list[RunFolder]:
    """The runs of a folder, by name; those set aside are not among them. Raises BadInput where it is no folder."""
    out_dir = Path(out_dir)
    if not out_dir.is_dir():
        raise BadInput("no such folder", where=str(out_dir))
    found = sorted(path for path in out_dir.iterdir() if not path.name.startswith(".") and is_run(path))
    return [RunFolder.open(path) for path in found]


def _opened(lock: Path) -> int:
    try:
        return os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise BadInput(f"cannot be written: {error.strerror}", where=str(lock)) from error


def _take(handle: int, holder: Mapping[str, Any] | None) -> bool:
    """Locks the file for as long as it is open; on a disk that knows no locks, whether the holder has ended."""
    taken = lock(handle)
    return holder is None or not _alive(holder["pid"]) if taken is None else taken


def _alive(pid: object) -> bool:
    """Whether a process of this machine runs; one that cannot be told counts as running."""
    if os.name != "posix" or not isinstance(pid, int) or pid <= 0:
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _holder(handle: int) -> dict[str, Any] | None:
    """Who wrote the lock; None where it is empty. One that cannot be read counts as an unknown holder's."""
    os.lseek(handle, 0, os.SEEK_SET)
    text = os.read(handle, 4096)
    unknown = {"host": "an unknown host", "pid": "?", "start": "?"}
    try:
        return {**unknown, **json.loads(text)} if text else None
    except (ValueError, TypeError):
        return unknown


def _say(handle: int, text: str) -> None:
    """What the lock says from now on; nothing when it is given back."""
    os.ftruncate(handle, 0)
    os.lseek(handle, 0, os.SEEK_SET)
    os.write(handle, text.encode())
