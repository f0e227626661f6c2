"""A folder of a standard `LlamaForCausalLM` → arrays in the order and layout the runtime multiplies them.

Everything that can be wrong with the files is found here, before the first token: another architecture,
a missing tensor, a wrong shape, a truncated file. The files are untrusted: nothing in them is executed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from testtime.core.errors import BadInput

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Config:
    """The sizes of a model, named as in its config.json where the names agree."""

    vocab_size: int
    width: int
    hidden: int
    """Width of the gated layer."""
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    context: int
    """The most tokens a text may have, prompt included."""
    epsilon: float
    theta: float
    """Base of the rotary frequencies."""
    tied: bool
    """The output layer is the embedding, transposed."""
    eos: frozenset[int]
    """Token ids that end a text."""


@dataclass(frozen=True, eq=False)
class Layer:
    """One block: each matrix [in, out], query-key-value and gate-up side by side."""

    norm: Array
    qkv: Array
    out: Array
    norm_gated: Array
    gate_up: Array
    down: Array


@dataclass(frozen=True, eq=False)
class Weights:
    """A model: float32, C-contiguous."""

    config: Config
    embedding: Array
    """[vocabulary, width]"""
    layers: Sequence[Layer]
    norm: Array
    head: Array
    """[width, vocabulary]"""
    digest: str
    """Of the weight file: which model this is, whatever its name."""

    @property
    def parameters(self) -> int:
        """Numbers that take part in computing a token: twice as many operations. The table of embeddings is read."""
        inside = sum(getattr(layer, f.name).size for layer in self.layers for f in fields(layer))
        return int(inside + self.norm.size + self.head.size)


def load(folder: Path) -> Weights:
    """Reads config.json and model.safetensors. Raises BadInput, one line, for anything that does not fit."""
    config = read_config(folder)
    path = folder / "model.safetensors"
    raw = _bytes(path)
    take = _Taker(path, read_safetensors(raw, path))
    c, heads, keys = config, config.heads * config.head_dim, config.kv_heads * config.head_dim
    embedding = take("model.embed_tokens.weight", c.vocab_size, c.width)
    layers = []
    for index in range(c.layers):
        name = f"model.layers.{index}."
        q, k, v = (
            take(f"{name}self_attn.{x}_proj.weight", n, c.width)
            for x, n in zip("qkv", (heads, keys, keys), strict=True)
        )
        gate, up = (take(f"{name}mlp.{x}_proj.weight", c.hidden, c.width) for x in ("gate", "up"))
        layers.append(
            Layer(
                norm=take(f"{name}input_layernorm.weight", c.width),
                qkv=_columns(q, k, v),
                out=_columns(take(f"{name}self_attn.o_proj.weight", c.width, heads)),
                norm_gated=take(f"{name}post_attention_layernorm.weight", c.width),
                gate_up=_columns(gate, up),
                down=_columns(take(f"{name}mlp.down_proj.weight", c.width, c.hidden)),
            )
        )
    norm = take("model.norm.weight", c.width)
    head = embedding if c.tied else take("lm_head.weight", c.vocab_size, c.width)
    return Weights(config, embedding, layers, norm, _columns(head), hashlib.sha256(raw).hexdigest()[:12])


def read_config(folder: Path) -> Config:
    """The sizes from config.json, in the old or the new spelling of the rotary parameters.

    Raises BadInput for another architecture, or sizes that do not fit.
    """
    path = folder / "config.json"
    raw = _json(path)
    for key, wanted in _FIXED.items():
        if raw.get(key, wanted) != wanted:
            raise BadInput(f"{key} is {raw[key]!r}; the pocket runtime knows {wanted!r}", where=str(path))
    if raw.get("architectures") != ["LlamaForCausalLM"]:
        raise BadInput(f"architecture {raw.get('architectures')}, not LlamaForCausalLM", where=str(path))
    rope = raw.get("rope_parameters") or raw.get("rope_scaling") or {}
    if rope.get("rope_type", "default") != "default":
        raise BadInput(f"rotary scaling {rope['rope_type']!r} is not supported", where=str(path))
    try:
        heads, width = int(raw["num_attention_heads"]), int(raw["hidden_size"])
        config = Config(
            vocab_size=int(raw["vocab_size"]),
            width=width,
            hidden=int(raw["intermediate_size"]),
            layers=int(raw["num_hidden_layers"]),
            heads=heads,
            kv_heads=int(raw.get("num_key_value_heads") or heads),
            head_dim=int(raw.get("head_dim") or width // heads),
            context=int(raw["max_position_embeddings"]),
            epsilon=float(raw["rms_norm_eps"]),
            theta=float(rope.get("rope_theta") or raw.get("rope_theta") or 10000.0),
            tied=bool(raw.get("tie_word_embeddings", False)),
            eos=_eos(folder, raw),
        )
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise BadInput(f"unusable model configuration ({error!r})", where=str(path)) from error
    sizes = (config.vocab_size, width, config.hidden, config.layers, heads, config.kv_heads, config.head_dim)
    if min(*sizes, config.context) < 1 or heads % config.kv_heads or config.head_dim % 2:
        raise BadInput(f"sizes that do not fit together: {sizes}", where=str(path))
    return config


_FIXED = {"model_type": "llama", "hidden_act": "silu", "attention_bias": False, "mlp_bias": False}


def _eos(folder: Path, raw: Mapping[str, Any]) -> frozenset[int]:
    """The ids that end a text: generation_config.json goes before config.json, as in transformers."""
    path = folder / "generation_config.json"
    ids = _json(path).get("eos_token_id") if path.exists() else None
    ids = raw.get("eos_token_id") if ids is None else ids
    return frozenset(ids if isinstance(ids, list) else [] if ids is None else [int(ids)])


def read_safetensors(raw: bytes, path: Path) -> dict[str, Array]:
    """Tensors by name, as float32 (from F32, F16 or BF16).

    The format: 8 bytes, little-endian, the length of a JSON header {name: {dtype, shape, data_offsets}},
    then the data. Raises BadInput for a file that ends early or a header that contradicts itself.
    """
    length = int.from_bytes(raw[:8], "little")
    try:
        header = json.loads(raw[8 : 8 + length]) if 0 < length <= len(raw) - 8 else None
        if not isinstance(header, dict):
            raise ValueError("no header")
        header.pop("__metadata__", None)
        return {name: _tensor(raw, 8 + length, name, entry) for name, entry in header.items()}
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"not a whole safetensors file ({error})", where=str(path)) from error


_DTYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def _tensor(raw: bytes, start: int, name: str, entry: Mapping[str, Any]) -> Array:
    dtype = np.dtype(_DTYPES[entry["dtype"]])
    low, high = entry["data_offsets"]
    count = int(np.prod(entry["shape"], dtype=np.int64))
    if not 0 <= low <= high <= len(raw) - start or high - low != count * dtype.itemsize:
        raise ValueError(f"tensor {name} lies outside the file or has another size than its shape")
    values = np.frombuffer(raw, dtype, count, start + low).reshape(entry["shape"])
    if entry["dtype"] == "BF16":  # the upper half of a float32
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32)


class _Taker:
    """Takes a tensor by name and shape, or says which one is wrong."""

    def __init__(self, path: Path, tensors: Mapping[str, Array]) -> None:
        self.path, self.tensors = path, tensors

    def __call__(self, name: str, *shape: int) -> Array:
        tensor = self.tensors.get(name)
        if tensor is None:
            raise BadInput(f"tensor {name} is missing", where=str(self.path))
        if tensor.shape != shape:
            raise BadInput(f"tensor {name} has shape {tensor.shape}, config.json says {shape}", where=str(self.path))
        if not np.isfinite(tensor).all():
            raise BadInput(f"tensor {name} holds values that are not finite", where=str(self.path))
        return tensor


def _columns(*matrices: Array) -> Array:
    """[out, in] matrices side by side as one [in, out]."""
    return np.ascontiguousarray(np.concatenate(matrices).T)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot be read ({error.strerror})", where=str(path)) from error


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(_bytes(path))
    except ValueError as error:
        raise BadInput(f"not JSON ({error})", where=str(path)) from error
    if not isinstance(value, dict):
        raise BadInput("not a JSON object", where=str(path))
    return value
