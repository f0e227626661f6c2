"""What a call costs: its dollars, what one of its completions would cost alone, what a lost one can cost at most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from testtime.core.records import Request, canonical
from testtime.core.spend import Spend
from testtime.engine.plan import Plan

TOOL = "tool"
"""The role of a call that runs a tool."""
FREE = Spend(prompt=0, cached=0, completion=0, reasoning=0, usd=0.0)
"""What a tool costs, and an attempt that the provider refused."""


def text_of(request: Request) -> str:
    """A request without its seed and n, as text to be digested."""
    return canonical([request.messages, request.prefix, request.params])


def reads(text: str) -> int:
    """The most tokens that a prompt can have: its bytes, as no token is shorter; JSON's marks are room for roles."""
    return len(text.encode("utf-8", "surrogatepass"))


def at_most(plan: Plan, role: str, model: str, asked: Mapping[str, Any]) -> Spend:
    """What a request can cost at most, from what its `sent` line says: all its bytes read, all its tokens written.

    Tokens are None where it had no limit, dollars too where the price is not known. A tool costs nothing itself.
    """
    if role == TOOL:
        return FREE
    if asked.get("most") is None:
        return Spend()
    return priced(
        plan, model, Spend(prompt=asked["reads"], cached=0, completion=asked["n"] * asked["most"], reasoning=0)
    )


def priced(plan: Plan, model: str, spend: Spend) -> Spend:
    """The spend with its dollars, where the backend gave none and the price is known."""
    if spend.usd is not None or plan.price is None:
        return spend
    return replace(spend, usd=plan.price(model, spend))


def alone(plan: Plan, model: str, paid: Spend, tokens: int | None, children: int) -> Spend:
    """What one of a call's completions would have cost by itself: all of the prompt, and its own tokens."""
    if children == 1:
        return paid
    reasoning = 0 if paid.reasoning == 0 else None
    return priced(plan, model, Spend(paid.prompt, paid.cached, tokens, reasoning, paid.seconds))
