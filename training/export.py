"""Writes a model as `transformers` and vLLM load it: safetensors, configurations, tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from training import vocabulary
from training.llama import Llama, Shape
from training.vocabulary import END, PAD, Vocabulary


def export(model: Llama, folder: Path) -> None:
    """Writes the five files of a model: float32 weights under the names of `LlamaForCausalLM`."""
    folder.mkdir(parents=True, exist_ok=True)
    describe(model.shape, folder)
    weights = {f"model.{name}": weight.detach().float().contiguous() for name, weight in model.named_parameters()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)


def restore(model: Llama, folder: Path) -> Llama:
    """The model with the weights that `export` wrote."""
    weights = load_file(folder / "model.safetensors")
    model.load_state_dict({name.removeprefix("model."): weight for name, weight in weights.items()})
    return model


def describe(shape: Shape, folder: Path) -> None:
    """Writes everything but the weights."""
    vocabulary.save(folder, shape.longest)
    _write(folder / "config.json", config(shape))
    ids = Vocabulary().ids
    sampling = {"do_sample": True, "temperature": 0.8, "eos_token_id": ids[END], "pad_token_id": ids[PAD]}
    _write(folder / "generation_config.json", sampling)


def config(shape: Shape) -> dict[str, Any]:
    """The `config.json` of this shape."""
    ids = Vocabulary().ids
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": shape.vocabulary,
        "hidden_size": shape.width, "intermediate_size": shape.inner, "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads, "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.width // shape.heads, "hidden_act": "silu", "rms_norm_eps": 1e-5,
        "max_position_embeddings": shape.longest, "rope_theta": shape.theta, "rope_scaling": None,
        "attention_bias": False, "mlp_bias": False, "attention_dropout": 0.0, "tie_word_embeddings": True,
        "bos_token_id": None, "eos_token_id": ids[END], "pad_token_id": ids[PAD],
        "torch_dtype": "float32", "initializer_range": 0.02, "use_cache": True,
    }  # fmt: skip


def _write(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8", newline="\n")
