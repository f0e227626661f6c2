"""Rows of a JSON Lines or JSON file, gzipped or not, each with the line it begins on.

The file is untrusted: it may be empty, torn, binary, nested without end, hold NaN or numbers of a
million digits. Every fault is one BadInput that names file and line. Lines end at a line feed only.
Numbers with a point or exponent come as Decimal, exactly as written.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

from testtime.core.errors import BadInput
from testtime.core.progress import steps

MOST_DIGITS = 400
"""Longer numbers, and exponents beyond ± this, are refused: no dataset needs them and they can take minutes."""

_GZIP = b"\x1f\x8b"
_SPACE = re.compile(r"[ \t\r\n]*")


class Row(dict[str, Any]):
    """One row: a mapping that knows where it stands."""

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        super().__init__(values)
        self.where = where
        """`file:line`, for errors."""

    def need(self, key: str) -> Any:
        """The value of a key that must be there. Raises BadInput naming file and line."""
        if key not in self:
            have = ", ".join(map(repr, list(self)[:12])) or "none"
            raise BadInput(f"the row has no {key!r}", where=self.where, mend=f"it has: {have}")
        return self[key]

    def bad(self, what: str, mend: str | None = None) -> NoReturn:
        """Raises BadInput for this row."""
        raise BadInput(what, where=self.where, mend=mend)


def read(path: Path | str) -> Iterator[Row]:
    """The rows of a file: JSON Lines, or one JSON array of objects; blank lines are skipped.

    Raises BadInput: no such file, not UTF-8, not JSON, a row that is not an object, or no rows at all.
    """
    path = Path(path)
    data = read_bytes(path).removeprefix(b"\xef\xbb\xbf")
    empty = True
    for line, value in steps(_array(data, path) if data.lstrip()[:1] == b"[" else _lines(data, path), "rows read"):
        where = f"{path}:{line}"
        if not isinstance(value, dict):
            raise BadInput(f"a row is {_kind(value)}, not an object", where=where, mend='write rows as {"key": …}')
        empty = False
        yield Row(value, where)
    if empty:
        raise BadInput("the file holds no rows", where=str(path))


def first(path: Path | str) -> Row:
    """The first row of a file: what kind of rows it holds. Raises BadInput like `read`."""
    return next(read(path))


def read_bytes(path: Path | str) -> bytes:
    """A file's bytes, unpacked if it is gzipped (told by its first bytes, not its name). Raises BadInput."""
    path = Path(path)
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if data.startswith(_GZIP) else data
    except FileNotFoundError:
        raise BadInput("no such file", where=str(path), mend="check the path") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(f"a damaged gzip file ({error})", where=str(path)) from None
    except OSError as error:
        raise BadInput(error.strerror or str(error), where=str(path)) from None


def _lines(data: bytes, path: Path) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(data.split(b"\n"), start=1):
        if line.strip():
            where = f"{path}:{number}"
            text = _text(line, where)
            value, end = _value(text, _skip(text, 0), where)
            if _skip(text, end) < len(text):
                raise BadInput("more than one JSON value on the line", where=where, mend="write one row a line")
            yield number, value


def _array(data: bytes, path: Path) -> Iterator[tuple[int, Any]]:
    text = _text(data, str(path))
    at, line = 0, 1

    def move(to: int) -> str:
        nonlocal at, line
        line += text.count("\n", at, to)
        at = _skip(text, to)
        line += text.count("\n", to, at)
        return text[at : at + 1]

    sign = move(_skip(text, 0) + 1)
    while sign != "]":
        where = f"{path}:{line}"
        value, end = _value(text, at, where)
        yield line, value
        sign = move(end)
        if sign == ",":
            move(at + 1)
        elif sign != "]":
            raise BadInput("the array breaks off" if not sign else f"not JSON at {sign!r}", where=f"{path}:{line}")
    if move(at + 1):
        raise BadInput("something follows the array", where=f"{path}:{line}")


def _text(data: bytes, where: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise BadInput("not UTF-8 text", where=where) from None


def _skip(text: str, start: int) -> int:
    space = _SPACE.match(text, start)
    return space.end() if space else start


def _value(text: str, start: int, where: str) -> tuple[Any, int]:
    try:
        value, end = _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise BadInput(f"not JSON ({error.msg})", where=where, mend="rows are JSON objects, one a line") from None
    except RecursionError:
        raise BadInput("JSON nested too deeply", where=where) from None
    except _BadNumber as error:
        raise BadInput(str(error), where=where) from None
    return (_mended(value) if "\\ud" in text[start:end].lower() else value), end


class _BadNumber(ValueError):
    """A number that is refused; carries its start."""


def _refuse(literal: str) -> NoReturn:
    raise _BadNumber(f"{literal[:20]!r} is not a number that can be used")


def _integer(literal: str) -> int:
    return int(literal) if len(literal) <= MOST_DIGITS else _refuse(literal)


def _decimal(literal: str) -> Decimal:
    if len(literal) > MOST_DIGITS:
        _refuse(literal)
    value = Decimal(literal)
    return value if abs(value.adjusted()) <= MOST_DIGITS else _refuse(literal)


_DECODER = json.JSONDecoder(parse_int=_integer, parse_float=_decimal, parse_constant=_refuse)


def _mended(value: Any) -> Any:
    """Strings without lone surrogates, which JSON can spell and no file can hold."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_mended(item) for item in value]
    if isinstance(value, dict):
        return {_mended(key): _mended(item) for key, item in value.items()}
    return value


def _kind(value: Any) -> str:
    kinds = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")
