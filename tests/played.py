"""Hosted models as the documents name them, played: no key, no network, no library of a provider.

`PLAYERS` are put in place of the backends of the same names. The player calls a tool once where it has any, judges
where it is held to a schema, and says 7 to everything else; and what the hub would hold lies in files (`lay_out`).
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from testtime.core.records import Completion, Request
from testtime.models.scripted import ALL, Scripted

WEATHER = {
    "name": "get_weather_forecast",
    "description": "The weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
SHEEP = {"question": "Ann has 3 sheep and buys 4. How many has she?", "answer": "3 + 4 = 7\n#### 7"}
AREA = {
    "name": "calculate_triangle_area",
    "description": "The area of a triangle.",
    "parameters": {
        "type": "dict",
        "properties": {"base": {"type": "integer"}, "height": {"type": "integer"}},
        "required": ["base", "height"],
    },
}


NEMOTRON, BFCL, GSM8K = "nemotron", "BFCL_v4_simple_python.json.gz", "gsm8k.jsonl"
HUB = "nvidia/Nemotron-Post-Training-Dataset"
ROWS = {"gsm8k": GSM8K, f"{HUB}-v1": NEMOTRON, f"{HUB}-v2": NEMOTRON, "bfcl": BFCL}
"""Dataset → where `lay_out` puts rows of it."""


def lay_out(folder: Path) -> None:
    """Writes ROWS: one or a few of each benchmark, in its own layout."""
    (folder / NEMOTRON).mkdir()
    tools = json.dumps({"tools": [{"type": "function", "function": WEATHER}]})
    for split, asked, told, more in (
        ("tool_calling", "Will it rain in Graz?", "It will.", tools),
        ("math", "What is 3 + 4?", r"It is \boxed{7}.", "{}"),
        ("code", "Write a loop.", "```python\npass\n```", "{}"),
    ):
        talk = [{"role": "user", "content": asked}, {"role": "assistant", "content": told}]
        row = {"uuid": split, "license": "CC BY 4.0", "version": "v1", "category": split, "metadata": more}
        (folder / NEMOTRON / f"{split}.jsonl").write_text(json.dumps({**row, "messages": talk}) + "\n")
    (folder / GSM8K).write_text((json.dumps(SHEEP) + "\n") * 8)
    question = {"id": "simple_python_0", "question": [[{"role": "user", "content": "A triangle of 4 by 5?"}]]}
    right = {"id": "simple_python_0", "ground_truth": [{"calculate_triangle_area": {"base": [4], "height": [5]}}]}
    for name, one in ((BFCL, {**question, "function": [AREA]}), (f"possible_answer_{BFCL}", right)):
        with gzip.open(folder / name, "wt", encoding="utf-8") as file:
            file.write(json.dumps(one) + "\n")


def said(request: Request, seed: int) -> str | Completion:
    """What the player replies; a token is a word."""
    if schema := request.params.get("schema"):
        return json.dumps({key: _value(kind) for key, kind in schema["properties"].items()})
    tools = request.params.get("tools")
    if tools and all(one["role"] != "tool" for one in request.messages):
        wanted = {"get_weather_forecast": {"city": "Graz"}, "calculate_triangle_area": {"base": 4, "height": 5}}
        name = tools[0].get("function", tools[0])["name"]
        call = {"id": "c1", "name": name, "arguments": wanted[name]}
        return Completion("I look.", "tools", 2, tool_calls=[call])
    return "It is so.\nFinal Answer: 7"


def _value(kind: dict[str, Any]) -> Any:
    return {"boolean": True, "number": 0.9, "integer": 3}.get(kind.get("type", ""), "it fits")


class Player(Scripted):
    """A model of any provider that is played."""

    provider = ""

    def __init__(self, name: str) -> None:
        super().__init__(said, name=f"{self.provider}:{name}", can=ALL)


class Claude(Player):
    """Anthropic's."""

    provider = "anthropic"


class OpenAI(Player):
    """OpenAI's."""

    provider = "openai"


class HF(Player):
    """Models of the hub."""

    provider = "hf"


PLAYERS = {"anthropic": "played:Claude", "openai": "played:OpenAI", "hf": "played:HF"}
