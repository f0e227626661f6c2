"""A model `tooled:NAME` that calls tools as told by what it is asked; by name with calls of its own or not."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from testtime.core.records import Completion, Request
from testtime.core.seeds import digest
from testtime.models.scripted import ALL, Scripted
from testtime.tasks.bfcl import Bfcl

PLACE, SOLVER = "tooled:Tooled", "tooled:Solver"
BFCL = Path(__file__).parents[3] / "shared" / "data" / "bfcl_v4" / "BFCL_v4_simple_python.json.gz"
CITIES = ("Graz", "Lima")


def calls(native: bool, *asked: tuple[str, Any]) -> Completion:
    """A message with these calls."""
    if native:
        listed = [{"id": f"c{at}", "name": name, "arguments": one} for at, (name, one) in enumerate(asked)]
        return Completion("I look.", "tools", 4, tool_calls=listed)
    tags = [f"<tool_call>{json.dumps({'name': name, 'arguments': one})}</tool_call>" for name, one in asked]
    return Completion("I look. " + " ".join(tags) + " and I imagine: 21 degrees", "stop", 4)


def results(request: Request) -> list[str]:
    """What came back so far."""
    native = [str(one["content"]) for one in request.messages if one["role"] == "tool"]
    texts = [str(one["content"]) for one in request.messages if one["role"] == "user"]
    return native or [part for text in texts for part in text.split("<tool_result>")[1:]]


def reply(request: Request, seed: int, native: bool) -> str | Completion:
    """Judges, plays a tool, or works on the question with tools."""
    first = str(request.messages[-1]["content"])
    if first.startswith("Decide whether"):
        right = "final answer:\nI" not in first
        said = {"reasoning": "it fits", "addresses_problem": True, "tools_reasonable": True, "answer_sensible": right}
        return json.dumps({**said, "right": right, "confidence": 0.9})
    if first.startswith("You play a tool"):
        return 'Here: {"told": "a quiet week", "by": "the stars"}'
    question = next(str(one["content"]) for one in request.messages if one["role"] == "user")
    came = results(request)
    if "weather" in question and not came:
        return calls(native, *(("get_weather", {"city": city}) for city in CITIES))
    if "horoscope" in question and not came:
        return calls(native, ("read.horoscope", {"sign": "crab"}))
    if "broken" in question and len(came) < 3:
        told: list[tuple[str, Any]] = [("get_weather", {"town": 3}), ("no_such_tool", {}), ("get_weather", "not json")]
        return calls(native, told[len(came)])
    if "for ever" in question:
        return calls(native, ("no_such_tool", {}))
    if "cannot" in question and (not came or "stars" not in "".join(came)):
        return (
            "I'm sorry, but I don't have access to that information."
            if came
            else calls(native, ("get_weather", {"city": "Graz"}))
        )
    if "schema" in request.params:
        return json.dumps({"steps": [{"explanation": "look", "output": "seen"}], "final_answer": "It is fine."})
    return f"So it is: {digest(*came, length=6) if came else 'no tool needed'} ({int(digest(seed, length=2), 16) % 2})"


class Tooled(Scripted):
    """`tooled:native` has tool calls, `tooled:text` none; both take a schema."""

    def __init__(self, name: str) -> None:
        native = name == "native"
        can = (ALL if native else ALL - {"tools"}) - {"n"}
        super().__init__(lambda request, seed: reply(request, seed, native), name=f"tooled:{name}", can=can)


class Solver(Scripted):
    """`solver:NAME` calls what BFCL's possible answers say, by whatever name the tool was sent under."""

    def __init__(self, name: str) -> None:
        self.right = {problem.fields["asked"]: problem.fields["possible"] for problem in Bfcl(BFCL).problems("test")}
        super().__init__(
            self.solved, name=f"solver:{name}", can=ALL - {"n"} if name == "native" else ALL - {"n", "tools"}
        )

    def solved(self, request: Request, seed: int) -> Completion:
        """The call; a model without tool calls is asked by text."""
        asked = str(request.messages[-1]["content"])
        ((name, values),) = self.right[asked][0].items()
        arguments = {key: options[0] for key, options in values.items() if options[0] != ""}
        if "tools" not in request.params:
            return calls(False, (name, arguments))
        (sent,) = request.params["tools"]
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", sent["function"]["name"])
        return calls(True, (sent["function"]["name"], arguments))


WEATHER: Mapping[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
        "returns": {"type": "object", "properties": {"temperature_c": {"type": "number"}, "city": {"type": "string"}}},
    },
}
HOROSCOPE: Mapping[str, Any] = {"name": "read.horoscope", "parameters": {"type": "dict", "properties": {"sign": {}}}}
QUESTIONS = (
    "What is the weather in Graz and Lima?",
    "What does the horoscope say?",
    "What of the broken calls?",
    "Go on for ever, please.",
    "Tell what you cannot tell.",
    "What is nice about tea?",
)


def rows(path: Any) -> Any:
    """A file in the layout of Nemotron's version 1, split tool_calling."""
    lines = []
    for at, question in enumerate(QUESTIONS):
        messages = [{"role": "user", "content": question}, {"role": "assistant", "content": "whatever was said"}]
        tools = json.dumps({"tools": [WEATHER, HOROSCOPE]})
        lines.append({"uuid": f"q{at}", "category": "tool_calling", "reasoning": "off", "messages": messages,
                      "generator": "g", "version": "v1", "license": "l", "metadata": tools})  # fmt: skip
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path
