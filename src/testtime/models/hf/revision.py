"""Which weights a folder holds, in a word that a pool can keep beside its candidates."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

COMMIT = re.compile(r"[0-9a-f]{40}")
READ = (
    "config.json", "generation_config.json", "tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.*",
    "merges.txt", "*.model", "chat_template*", "*.safetensors.index.json",
)  # fmt: skip
"""Files beside the weights that say what is read and how it is written."""
ENDS = 4096
"""Bytes of a tensor's beginning and of its end that are looked at."""
LONGEST_HEADER = 100 * 2**20
"""Bytes; safetensors itself takes no longer one."""


def revision(folder: Path) -> str:
    """The commit of a snapshot in the hub's cache, by its name; of any other folder "files-" and twelve hex digits.

    The digits are a digest over the names and bytes of the files of `READ`, and of each `.safetensors` file its size,
    its header (names, types and shapes of the tensors) and the first and last 4 KiB of each tensor: some thousands of
    short reads, however large the model. It finds out another or a further trained model, merged or quantized
    weights, another tokenizer or chat template. It does not find out numbers that were changed in the midst of a
    large tensor alone, and a snapshot's name is believed. Two copies of a folder have one digest.
    """
    place = folder.absolute()
    if place.parent.name == "snapshots" and COMMIT.fullmatch(place.name):
        return place.name
    seen = sha256()
    beside = {path for pattern in READ for path in folder.glob(pattern) if path.is_file()}
    for path in sorted(beside):
        _take(seen, path.name.encode(), path.read_bytes())
    for path in sorted(folder.glob("*.safetensors")):
        _take(seen, path.name.encode(), *_weights(path))
    return f"files-{seen.hexdigest()[:12]}"


def _take(seen: Any, *parts: bytes) -> None:
    """Adds parts so that no two lists of them are one text."""
    for part in parts:
        seen.update(len(part).to_bytes(8, "little") + part)


def _weights(path: Path) -> Iterator[bytes]:
    """What is looked at of a file of weights; of one without a header that can be read, its size and its ends."""
    size = path.stat().st_size
    yield str(size).encode()
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(length) if length <= min(size, LONGEST_HEADER) else b"{}"
        yield header
        try:
            told = [one["data_offsets"] for name, one in json.loads(header).items() if name != "__metadata__"]
            spans = sorted((8 + length + int(low), 8 + length + int(high)) for low, high in told)
        except (AttributeError, KeyError, TypeError, ValueError):
            spans = []
        for low, high in spans or [(0, size)]:
            for at in (low, max(low, high - ENDS)):
                file.seek(at)
                yield file.read(min(ENDS, high - at))
