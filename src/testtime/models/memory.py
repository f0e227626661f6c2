"""How much memory a model is going to take, guessed from its files or its name: for a look before it is loaded."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

BYTES = {"float32": 4.0, "float16": 2.0, "bfloat16": 2.0, "8bit": 1.0, "4bit": 0.5}
"""Bytes of a weight, by its type or quantization."""
BESIDE = 1.2
"""What a runtime takes beside weights, as a factor: activations, buffers, fragments."""
CONTEXT, BATCH = 4096, 16
"""Tokens of a text and texts at once, for which keys and values are kept where nobody says otherwise."""


@dataclass(frozen=True)
class Estimate:
    """Bytes that a model takes."""

    weights: float
    cache: float | None
    """Keys and values of a batch; None where the sizes of the model are not known."""
    of: str
    """What it was guessed from."""

    @property
    def total(self) -> float:
        """All together."""
        return self.weights * BESIDE + (self.cache or 0.0)


def estimate(model: str, dtype: str = "bfloat16", context: int = CONTEXT, batch: int = BATCH) -> Estimate | None:
    """By a folder's files, or the size in the name (7B, 0.5B, 360M); None where neither tells.

    >>> found = estimate("meta-llama/Llama-3.1-8B-Instruct")
    >>> round(found.weights / 1e9), found.cache is None
    (16, True)
    """
    folder = Path(model)
    if (folder / "config.json").is_file():
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        stored = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
        if stored:
            kept = BYTES.get(str(config.get("dtype") or config.get("torch_dtype")), 4.0)
            weights = stored * BYTES[dtype] / kept
            return Estimate(weights, _cache(config, context, batch), f"the files in {model}")
    found = re.search(r"(?<![\w.])(\d+(?:\.\d+)?)([BM])(?![a-z])", model, re.IGNORECASE)
    if found is None:
        return None
    size = float(found[1]) * (1e9 if found[2].upper() == "B" else 1e6)
    return Estimate(size * BYTES[dtype], None, f"the size {found[0]} in its name")


def _cache(config: Mapping[str, int], context: int, batch: int) -> float:
    """Keys and values, two bytes a number."""
    heads = config["num_attention_heads"]
    width = config.get("head_dim") or config["hidden_size"] // heads
    layers, kept = config["num_hidden_layers"], config.get("num_key_value_heads", heads)
    return 2.0 * 2 * layers * kept * width * context * batch
