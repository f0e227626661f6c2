"""A tiny random Llama in a folder, and a plain float64 forward pass that shares no code with the runtime."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from testtime.models.pocket.tokenizer import CHAT_TEMPLATE

WORDS = ["Tom", "has", "gives", "apples", "pears", "How", "many", "So", "Wait", "is", "the", "a"]
SPECIAL = ["<|pad|>", "<unk>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
MARKS = ["<think>", "</think>", "\\boxed{", "}", "\n", " ", "+", "=", ",", ".", "?"]
TOKENS = [*SPECIAL, *MARKS, *"0123456789", *WORDS, *(f" {word}" for word in WORDS)]
PATTERN = r"<\|[a-z]+\|>|</?think>|\\boxed\{| ?[A-Za-z]+|[0-9]|[^A-Za-z0-9]"
SIZES = {
    "vocab_size": len(TOKENS), "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 6, "max_position_embeddings": 256,
}  # fmt: skip
FORMATS = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def config() -> dict:
    return SIZES | {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0, "tie_word_embeddings": True, "eos_token_id": 2, "bos_token_id": None, "pad_token_id": 0,
        "attention_bias": False, "mlp_bias": False, "torch_dtype": "float32",
    }  # fmt: skip


def tensors(seed: int = 0, spread: float = 0.5) -> dict[str, np.ndarray]:
    rng, c = np.random.default_rng(seed), config()
    width, inner, kv = c["hidden_size"], c["intermediate_size"], c["num_key_value_heads"] * c["head_dim"]
    heads = c["num_attention_heads"] * c["head_dim"]
    shapes = {"model.embed_tokens.weight": (c["vocab_size"], width), "model.norm.weight": (width,)}
    for layer in range(c["num_hidden_layers"]):
        p = f"model.layers.{layer}."
        shapes |= {f"{p}self_attn.q_proj.weight": (heads, width), f"{p}self_attn.k_proj.weight": (kv, width)}
        shapes |= {f"{p}self_attn.v_proj.weight": (kv, width), f"{p}self_attn.o_proj.weight": (width, heads)}
        shapes |= {f"{p}mlp.gate_proj.weight": (inner, width), f"{p}mlp.up_proj.weight": (inner, width)}
        shapes |= {f"{p}mlp.down_proj.weight": (width, inner)}
        shapes |= {f"{p}input_layernorm.weight": (width,), f"{p}post_attention_layernorm.weight": (width,)}
    return {
        name: (1 + 0.1 * rng.standard_normal(shape) if len(shape) == 1 else spread * rng.standard_normal(shape)).astype(
            np.float32
        )
        for name, shape in shapes.items()
    }


def safetensors(values: dict[str, np.ndarray], kind: str = "F32") -> bytes:
    header, data = {}, b""
    for name, value in values.items():
        raw = value.astype("<f4").view("<u4") >> 16 if kind == "BF16" else value
        packed = raw.astype(FORMATS[kind]).tobytes()
        header[name] = {"dtype": kind, "shape": list(value.shape), "data_offsets": [len(data), len(data) + len(packed)]}
        data += packed
    head = json.dumps(header).encode()
    return len(head).to_bytes(8, "little") + head + data


def tokenizer() -> dict:
    added = [
        {"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
         "special": True}
        for i, t in enumerate(SPECIAL)
    ]  # fmt: skip
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Isolated", "invert": False},
        "post_processor": None, "decoder": {"type": "Fuse"},
        "model": {"type": "WordLevel", "vocab": {t: i for i, t in enumerate(TOKENS)}, "unk_token": "<unk>"},
    }  # fmt: skip


def write(folder: Path, seed: int = 0, spread: float = 0.5) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config()))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer()))
    roles = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|end|>", "pad_token": "<|pad|>"}
    roles |= {"unk_token": "<unk>", "clean_up_tokenization_spaces": False, "chat_template": CHAT_TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(roles))
    (folder / "model.safetensors").write_bytes(safetensors(tensors(seed, spread)))
    return folder


def reference(values: dict[str, np.ndarray], ids: list[int]) -> np.ndarray:
    """[position, vocabulary] logits by the textbook, in float64, with no cache."""
    c, w = config(), {name: value.astype(float) for name, value in values.items()}
    dim, heads, group = c["head_dim"], c["num_attention_heads"], c["num_attention_heads"] // c["num_key_value_heads"]
    angles = np.arange(len(ids))[:, None] / 10000.0 ** (np.arange(0, dim, 2) / dim)
    turn = np.exp(1j * angles)[:, None]
    causal = np.triu(np.full((len(ids), len(ids)), -np.inf), 1)

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        return x / np.sqrt((x**2).mean(1, keepdims=True) + c["rms_norm_eps"]) * w[name]

    def rotated(x: np.ndarray) -> np.ndarray:
        pairs = (x[..., : dim // 2] + 1j * x[..., dim // 2 :]) * turn
        return np.concatenate([pairs.real, pairs.imag], -1)

    x = w["model.embed_tokens.weight"][ids]
    for layer in range(c["num_hidden_layers"]):
        p = f"model.layers.{layer}."
        normed = norm(x, f"{p}input_layernorm.weight")
        q, k, v = ((normed @ w[f"{p}self_attn.{n}_proj.weight"].T).reshape(len(ids), -1, dim) for n in "qkv")
        k, v = rotated(k).repeat(group, 1), v.repeat(group, 1)
        scores = np.einsum("qhd,khd->hqk", rotated(q), k) / np.sqrt(dim) + causal
        alpha = np.exp(scores - scores.max(-1, keepdims=True))
        alpha /= alpha.sum(-1, keepdims=True)
        x = x + np.einsum("hqk,khd->qhd", alpha, v).reshape(len(ids), heads * dim) @ w[f"{p}self_attn.o_proj.weight"].T
        normed = norm(x, f"{p}post_attention_layernorm.weight")
        gate, up = (normed @ w[f"{p}mlp.{n}_proj.weight"].T for n in ("gate", "up"))
        x = x + (gate / (1 + np.exp(-gate)) * up) @ w[f"{p}mlp.down_proj.weight"].T
    return norm(x, "model.norm.weight") @ w["model.embed_tokens.weight"].T
