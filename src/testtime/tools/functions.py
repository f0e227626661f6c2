"""Python functions as tools: what a function says of itself, and a call of it that cannot hurt the run.

The function is code of the user's own; its arguments come from a model. A call that raises, takes too long, or gives
something that is no JSON or too much of it becomes an error that the model is told of.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from testtime.core.definitions import Definition
from testtime.core.errors import ToolError
from testtime.core.records import Map

SECONDS = 30.0
"""That a call may take."""
LARGEST = 100_000
"""Characters of a result as JSON."""
UNANSWERED = 8
"""Calls of one function that may hang; then it is not called any more."""
_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", dict: "object", list: "array"}


@dataclass(frozen=True, slots=True)
class _Guarded:
    """`with _Guarded(name):` around what a function does: whatever it raises is a ToolError."""

    name: str

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if isinstance(error, (Exception, SystemExit)) and not isinstance(error, ToolError):
            said = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": ")
            raise ToolError(f"{self.name} failed: {said[:500]}") from error


@dataclass(eq=False)
class Function:
    """One function under the name of a tool."""

    name: str
    call: Callable[..., Any]
    """Also a coroutine function."""
    seconds: float = SECONDS
    _open: list[threading.Thread] = field(default_factory=list)

    @property
    def definition(self) -> Definition:
        """What a model is told of it: its first paragraph of documentation, its parameters with their types."""
        about = (inspect.getdoc(self.call) or "").partition("\n\n")[0].replace("\n", " ")
        taken = inspect.signature(self.call).parameters.values()
        hints = _hints(self.call)
        needed = [one.name for one in taken if one.default is inspect.Parameter.empty]
        properties = {one.name: _schema(hints.get(one.name)) for one in taken}
        schema = {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}
        return Definition(self.name, about, schema)

    async def run(self, arguments: Map) -> Any:
        """Its result as JSON, computed beside the run in a thread that nothing waits for. Raises ToolError."""
        self._open = [thread for thread in self._open if thread.is_alive()]
        if len(self._open) >= UNANSWERED:
            raise ToolError(f"{self.name} has not answered {UNANSWERED} earlier calls")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[str] = loop.create_future()

        def tell(text: str, error: ToolError | None) -> None:
            if not answer.done():
                answer.set_result(text) if error is None else answer.set_exception(error)

        def work() -> None:
            text, failed = "", None
            try:
                text = self._text(arguments)
            except ToolError as error:
                failed = error
            with suppress(RuntimeError):  # the loop has ended, and nobody listens
                loop.call_soon_threadsafe(tell, text, failed)

        thread = threading.Thread(target=work, name=f"tool-{self.name}", daemon=True)
        self._open.append(thread)
        thread.start()
        try:
            async with asyncio.timeout(self.seconds):
                return json.loads(await answer)
        except TimeoutError:
            raise ToolError(f"{self.name} gave no result within {self.seconds:g} s") from None

    def _text(self, arguments: Map) -> str:
        """Calls it. Raises ToolError."""
        with _Guarded(self.name):
            value = self.call(**arguments)
            if inspect.iscoroutine(value):
                value = asyncio.run(value)
        try:
            text = json.dumps(value, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise ToolError(f"{self.name} gave what is no JSON: {error}") from None
        if len(text) > LARGEST:
            raise ToolError(f"{self.name} gave {len(text):,} characters; at most {LARGEST:,} are taken")
        return text


def _hints(call: Callable[..., Any]) -> Mapping[str, Any]:
    """Parameter → type; none where the annotations cannot be read."""
    try:
        return get_type_hints(call)
    except (NameError, TypeError):
        return {}


def _schema(hint: Any) -> dict[str, Any]:
    """The schema of a parameter by its annotation; anything where that says nothing."""
    kinds = [one for one in get_args(hint) if one is not type(None)]
    if len(kinds) == 1 and type(None) in get_args(hint):
        return _schema(kinds[0])
    if get_origin(hint) is Literal:
        return {"enum": list(get_args(hint))}
    origin = get_origin(hint) or hint
    if origin in (Mapping, Sequence):
        origin = dict if origin is Mapping else list
    if origin is list and kinds:
        return {"type": "array", "items": _schema(kinds[0])}
    return {"type": _TYPES[origin]} if origin in _TYPES else {}
