"""Reading JSON that others wrote: plain or gzipped, line by line, and never past the first bad line.

Lines end at a newline only: texts may hold U+2028 and its kin, at which `str.splitlines` would cut them.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from testtime.core.errors import BadInput

_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"


def open_bytes(path: Path | str) -> BufferedIOBase:
    """The file's bytes, unpacked if it is gzipped (told by its first bytes, not its name). Raises BadInput."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            packed = file.read(2) == _GZIP
        return gzip.open(path) if packed else path.open("rb")
    except FileNotFoundError as error:
        raise BadInput("no such file", where=str(path)) from error
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", where=str(path)) from error


def read_lines(path: Path | str) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers from 1; a byte order mark and carriage returns are taken off.

    Raises BadInput for a file that is missing or damaged.
    """
    with open_bytes(path) as file:
        number = 0
        try:
            for number, line in enumerate(file, 1):
                bare = (line.removeprefix(_BOM) if number == 1 else line).rstrip(b"\r\n")
                if bare.strip():
                    yield number, bare
        except (EOFError, zlib.error, OSError) as error:
            raise BadInput(f"damaged: {error}", where=f"{path}:{number + 1}", mend="is it whole?") from error


def read_jsonl(path: Path | str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSONL file, with their line numbers. Raises BadInput that names the file and the line."""
    for number, line in read_lines(path):
        value = parse(line, f"{path}:{number}")
        if not isinstance(value, dict):
            raise BadInput("a line that is no JSON object", where=f"{path}:{number}")
        yield number, value


def read_json(path: Path | str) -> Any:
    """The value of a JSON file. Raises BadInput."""
    with open_bytes(path) as file:
        try:
            data = file.read()
        except (EOFError, zlib.error, OSError) as error:
            raise BadInput(f"damaged: {error}", where=str(path), mend="is it whole?") from error
    return parse(data.removeprefix(_BOM), str(path))


def parse(data: bytes, where: str) -> Any:
    """A JSON text's value. Raises BadInput for what is no JSON, no UTF-8, or nested or long beyond reason."""
    try:
        return json.loads(data.decode("utf-8"))
    except json.JSONDecodeError as error:
        at = f"line {error.lineno} " if error.lineno > 1 else ""
        raise BadInput(f"not JSON: {error.msg} at {at}column {error.colno}", where=where) from error
    except UnicodeDecodeError as error:
        raise BadInput(f"not UTF-8: byte {error.start + 1}", where=where) from error
    except (RecursionError, ValueError) as error:
        raise BadInput("a value nested too deeply or a number too long", where=where) from error
