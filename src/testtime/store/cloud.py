"""Runs in object storage (s3://, gs://), through fsspec: worked on in a copy on this machine, and sent when they stop.

A journal needs a disk that syncs and locks, which no object store is. So `s3://BUCKET/A/R` is worked on in its copy,
`copies()/s3/BUCKET/A/R`; what the store holds is brought there before a run begins or a reader reads, and what has
changed here is sent when a run ends or is stopped, a report or a verdict is written, or shards are merged.

What a killed machine takes with it is what it drew since the run began there. Journals are never written over: of one
that went on in two places both are kept, and readers take each line once.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from glob import has_magic
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

from testtime.core.errors import BadInput
from testtime.core.secret import keep, struck
from testtime.store.atomic import whole

STORES = {"s3": "s3fs", "gs": "gcsfs", "memory": "fsspec", "file": "fsspec"}
"""What an address begins with → the package that reads such a store."""
HOME = "TESTTIME_COPIES"
"""Variable that names the folder of copies."""
BESIDE = (".jsonl", ".parquet", ".retries.parquet")
"""What a run writes beside its folder."""
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/+(.+)", re.DOTALL)
_SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_RAISED = {
    "botocore.exceptions": ("BotoCoreError", "ClientError"),
    "google.auth.exceptions": ("GoogleAuthError",),
    "gcsfs.retry": ("HttpError",),
    "aiohttp": ("ClientError",),
}
"""Module → what a store raises of it beside OSError."""


# ---- where ----
def address(path: Path | str) -> str | None:
    """The address that is meant, also where its slashes were joined as a path's are; None for a path of this machine.

    Raises BadInput for a store of no known kind, and for one that leads out of itself.

    >>> address(Path("s3://bucket/a/P.parquet")), address("results/P.parquet")
    ('s3://bucket/a/P.parquet', None)
    """
    found = _ADDRESS.fullmatch(path if isinstance(path, str) else path.as_posix())
    if found is None:
        return None
    kind, parts = found[1], found[2].rstrip("/").split("/")
    if kind not in STORES:
        raise BadInput(f"no store of kind {kind}", where=str(path), mend=f"there are {', '.join(STORES)}")
    if not all(map(_safe, parts)):
        raise BadInput("this address has a part that is no name", where=str(path), mend="write KIND://BUCKET/NAME")
    return f"{kind}://{'/' if kind == 'file' else ''}{'/'.join(parts)}"


def _safe(part: str) -> bool:
    return part not in ("", ".", "..") and not set(part) & {"\0", "\\"}


def copies() -> Path:
    """The folder of copies: $TESTTIME_COPIES, by default ~/.local/share/testtime/copies."""
    return Path(os.path.abspath(os.environ.get(HOME) or Path.home() / ".local/share/testtime/copies"))


def here(path: Path) -> Path:
    """Where a path lies on this machine: the copy of an address, else the path itself. Raises BadInput."""
    there = address(path)
    return path if there is None else _copy(there)


def _copy(there: str) -> Path:
    kind, _, rest = there.partition("://")
    return copies() / kind / rest.lstrip("/")


def address_of(path: Path) -> str | None:
    """The address that a path of this machine is a copy of; None where it is none."""
    try:
        kind, *parts = Path(os.path.abspath(path)).relative_to(copies()).parts
    except ValueError:
        return None
    return f"{kind}://{'/' if kind == 'file' else ''}{'/'.join(parts)}" if kind in STORES and parts else None


# ---- from there to here ----
def fetched(there: str) -> list[Path]:
    """The copies of what an address, or a glob of addresses, means, brought now. Raises BadInput: nothing is there."""
    if has_magic(there):
        with _asked(there):
            found = sorted(_store(there).glob(there))
        copied = [_copy(f"{there.partition('://')[0]}://{name}") for name in found]
    else:
        copied = [_copy(there)]
    if not [path for path in copied if pull(path)]:
        raise BadInput("nothing is there", where=there, mend="check the address")
    return copied


def pull(copy: Path) -> bool:
    """Brings what the store has and this machine has not, of a file or a folder with the files beside it.

    Gives whether the store holds anything of it. Raises BadInput.
    """
    listed = _listed(copy)
    for path, info in listed.items():
        _bring(path, info)
    return bool(listed)


def _bring(path: Path, info: Mapping[str, Any]) -> None:
    if path.exists() and _seen(path).get("there") == _version(info):
        return
    there = str(address_of(path))
    equal = True
    if _is_journal(path) and path.exists():
        equal = _joined(path, there)
    else:
        with whole(path) as part:
            _get(there, part)
    _note(path, info, equal=equal)


def _get(there: str, part: Path) -> None:
    with _asked(there):
        _store(there).get_file(there, str(part))


def _is_journal(path: Path) -> bool:
    return path.parent.name == "journal" and path.suffix == ".jsonl"


def _joined(path: Path, there: str) -> bool:
    """Keeps the longer journal where one goes on from the other, else both; whether it is now as it is there."""
    theirs = path.with_name(f".{path.name}.theirs")
    try:
        _get(there, theirs)
        if _begins(theirs, path):
            return theirs.stat().st_size == path.stat().st_size
        longer = _begins(path, theirs)
        theirs.replace(path if longer else _other(path, theirs))
        return longer
    finally:
        theirs.unlink(missing_ok=True)


def _begins(first: Path, longer: Path) -> bool:
    """Whether the second file begins with all of the first."""
    if longer.stat().st_size < first.stat().st_size:
        return False
    with first.open("rb") as one, longer.open("rb") as other:
        while piece := one.read(2**20):
            if other.read(len(piece)) != piece:
                return False
    return True


def _other(path: Path, theirs: Path) -> Path:
    with theirs.open("rb") as file:
        digest = sha256()
        while piece := file.read(2**20):
            digest.update(piece)
    return path.with_name(f"{path.stem}.{digest.hexdigest()[:12]}.jsonl")


# ---- from here to there ----
def push(copy: Path) -> list[str]:
    """Sends what has changed here of a file or a folder with the files beside it, and says so; nothing of no copy.

    Journals that have grown there meanwhile are brought first. Raises BadInput.
    """
    there = address_of(copy)
    if there is None:
        return []
    listed = _listed(copy)
    for path, info in listed.items():
        if _is_journal(path):
            _bring(path, info)
    changed = [path for path in _files(copy) if path not in listed or not _is_sent(path, listed[path])]
    for path in changed:
        name = str(address_of(path))
        with _asked(name):
            _store(name).put_file(str(path), name)
    listed = _listed(copy) if changed else {}
    for path in changed:
        _note(path, listed[path])
    return [f"sent to {there}: {len(changed)} files that had changed"] if changed else []


def set_aside(copy: Path, name: str) -> None:
    """Renames a folder of the store out of the way, as its copy was: what was paid for is never deleted."""
    if (there := address_of(copy)) is None:
        return
    with _asked(there):
        store, parent = _store(there), there.rpartition("/")[0]
        store.invalidate_cache()
        held = store.find(there)
        aside = next(one for one in (f"{parent}/{name}{'.' * n}" for n in range(100)) if not store.exists(one))
        front = len(store._strip_protocol(there))
        for one in held:
            store.cp_file(one, f"{aside}{one[front:]}")
        for one in held:
            store.rm_file(one)


def _files(copy: Path) -> Iterator[Path]:
    """What a copy holds that is to be sent; locks and files that are being written stay here."""
    inside = sorted(copy.rglob("*")) if copy.is_dir() else [copy]
    for path in (*inside, *_beside(copy)):
        if path.is_file() and path.name != "lock" and not path.name.startswith("."):
            yield path


def _beside(copy: Path) -> list[Path]:
    stem = copy.name.removesuffix(".run")
    return [] if copy.suffix in (".jsonl", ".parquet") else [copy.with_name(f"{stem}{ending}") for ending in BESIDE]


# ---- what is known of a file ----
def _listed(copy: Path) -> dict[Path, Mapping[str, Any]]:
    """What the store holds of a copy: where each file lies here → what the store says of it. Raises BadInput."""
    there = str(address_of(copy))
    with _asked(there):
        store = _store(there)
        store.invalidate_cache()
        found = dict(store.find(there, detail=True))
        for path in _beside(copy):
            with suppress(FileNotFoundError):
                info = store.info(str(address_of(path)))
                found |= {info["name"]: info} if info["type"] == "file" else {}
        kind = there.partition("://")[0]
        named = {name: info or store.info(name) for name, info in found.items()}
    return {_copy(f"{kind}://{_inside(name)}"): info for name, info in named.items() if not name.endswith("/")}


def _inside(name: str) -> str:
    """A name of a store, if it stays inside the folder of copies. Raises BadInput."""
    if not all(map(_safe, name.strip("/").split("/"))):
        raise BadInput("the store holds a name that is no file's", where=name)
    return name


def _version(info: Mapping[str, Any]) -> str:
    """What changes with a file's content, as the store says it."""
    said = next((info[key] for key in ("ETag", "md5Hash", "etag", "mtime", "created") if info.get(key)), None)
    return f"{said} {info.get('size')}"


def _is_sent(path: Path, info: Mapping[str, Any]) -> bool:
    known = _seen(path)
    return known.get("there") == _version(info) and known.get("here") == _state(path)


def _state(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]


def _mark(path: Path) -> Path:
    """Where it is noted of which version of the store a file is the copy."""
    return copies() / ".seen" / path.relative_to(copies()).with_name(f"{path.name}.json")


def _seen(path: Path) -> dict[str, Any]:
    try:
        said = json.loads(_mark(path).read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def _note(path: Path, info: Mapping[str, Any], *, equal: bool = True) -> None:
    with whole(_mark(path)) as part:
        said = {"there": _version(info), "here": _state(path) if equal else None}
        part.write_text(json.dumps(said), encoding="utf-8")


# ---- the stores ----
def _store(there: str) -> Any:
    """The file system of an address. Raises BadInput where its package is not installed."""
    kind = there.partition("://")[0]
    for name in _SECRETS:
        keep(os.environ.get(name, ""))
    try:
        import_module(STORES[kind])
        told = {"auto_mkdir": True} if kind == "file" else {}
        return import_module("fsspec").filesystem(kind, use_listings_cache=False, **told)
    except ImportError as error:
        mend = 'run: pip install "testtime[cloud]"'
        raise BadInput(f"{error.name or STORES[kind]} is not installed", where=there, mend=mend) from None


@contextmanager
def _asked(there: str) -> Iterator[None]:
    """Whatever a store refuses is one line."""
    try:
        yield
    except _failures() as error:
        said = struck(" ".join(str(error).split())) or type(error).__name__
        mend = "are the address and the credentials right? They are those of the provider's own tools"
        raise BadInput(f"the store refuses: {said}", where=there, mend=mend) from error


def _failures() -> tuple[type[BaseException], ...]:
    loaded = [(sys.modules[place], names) for place, names in _RAISED.items() if place in sys.modules]
    return (OSError, *(getattr(module, name) for module, names in loaded for name in names))
