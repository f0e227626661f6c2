"""How a request samples: its params, read and checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from testtime.core.records import Request


@dataclass(frozen=True)
class Params:
    """The params of a request that a pocket model knows."""

    max_tokens: int | None = None
    """None: to the end of the context."""
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    """0: all tokens."""
    stops: tuple[str, ...] = ()
    logprobs: int | None = None

    @classmethod
    def of(cls, request: Request) -> Params:
        """The params of a request that `why_not` has passed."""
        given = _given(request)
        stop = given.pop("stop", ())
        return cls(stops=(stop,) if isinstance(stop, str) else tuple(stop), **given)


def why_not(request: Request, who: str = "pocket models") -> str | None:
    """What is wrong with a request's params, in one line, or None."""
    given = _given(request)
    if request.n < 1:
        return f"n must be 1 or more, not {request.n}"
    for name, value in given.items():
        if name not in _RULES:
            return f"{who} have no {name}; they know {', '.join(_RULES)}"
        wanted, fits = _RULES[name]
        if not fits(value):
            return f"{name} must be {wanted}, not {value!r}"
    return None


def _given(request: Request) -> dict[str, Any]:
    return {name: value for name, value in request.params.items() if value is not None}


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _real(value: Any, most: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= most


def _strings(value: Any) -> bool:
    listed = [value] if isinstance(value, str) else value
    return isinstance(listed, (list, tuple)) and all(isinstance(stop, str) and stop for stop in listed)


_RULES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "max_tokens": ("a whole number of 1 or more", lambda value: _whole(value, 1)),
    "temperature": ("between 0 and 100", lambda value: _real(value, 100)),
    "top_p": ("above 0, at most 1", lambda value: _real(value, 1) and value > 0),
    "top_k": ("a whole number of 0 (all) or more", lambda value: _whole(value, 0)),
    "stop": ("a text, or a list of texts", _strings),
    "logprobs": ("how many alternatives, 0 or more", lambda value: _whole(value, 0)),
}
