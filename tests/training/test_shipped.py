"""The shipped models: standard Llama files that agree with the vocabulary, small enough for the wheel."""

from __future__ import annotations

import json
import math
from importlib.resources import files
from pathlib import Path

import pytest
from training.traces import Mix, example
from training.vocabulary import ASSISTANT, END, SPECIAL, USER, Vocabulary, tokenizer, tokens

from testtime.tasks.pocket_story import Dice, tell

WEIGHTS = Path(str(files("testtime") / "models" / "pocket_weights"))
NAMES = ("pocket-s", "pocket-m")


def read(name: str, file: str) -> dict:
    return json.loads((WEIGHTS / name / file).read_text(encoding="utf-8"))


def header(name: str) -> dict:
    """What the safetensors file says it holds."""
    data = (WEIGHTS / name / "model.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    told = json.loads(data[8 : 8 + length])
    told.pop("__metadata__", None)
    assert max(tensor["data_offsets"][1] for tensor in told.values()) == len(data) - 8 - length
    return told


def parameters(name: str) -> int:
    return sum(math.prod(tensor["shape"]) for tensor in header(name).values())


@pytest.mark.parametrize("name", NAMES)
def test_the_tokenizer_is_the_one_that_was_trained_with(name: str) -> None:
    assert read(name, "tokenizer.json") == tokenizer()
    assert list(read(name, "tokenizer.json")["model"]["vocab"]) == tokens()
    config = read(name, "tokenizer_config.json")
    assert config["eos_token"] == END
    assert USER in config["chat_template"]
    assert ASSISTANT in config["chat_template"]


@pytest.mark.parametrize("name", NAMES)
def test_the_tokenizers_library_reads_texts_as_training_does(name: str) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    theirs, ours = tokenizers.Tokenizer.from_file(str(WEIGHTS / name / "tokenizer.json")), Vocabulary()
    for seed in range(200):
        dice = Dice(seed)
        asked, pieces = example(dice, tell(dice, 1 + seed % 8), Mix())
        text = asked + "".join(piece for piece, _ in pieces)
        assert theirs.encode(text).ids == ours.encode(text)
        assert theirs.decode(ours.encode(text), skip_special_tokens=False) == text


@pytest.mark.parametrize("name", NAMES)
def test_thinking_tags_are_ordinary_tokens_that_no_decoder_drops(name: str) -> None:
    special = {token["content"] for token in read(name, "tokenizer.json")["added_tokens"] if token["special"]}
    assert special == set(SPECIAL)
    assert not special & {"<think>", "</think>", "\\boxed{"}


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_those_of_the_config(name: str) -> None:
    config, told = read(name, "config.json"), header(name)
    width, inner, layers = (config[key] for key in ("hidden_size", "intermediate_size", "num_hidden_layers"))
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["tie_word_embeddings"]
    assert told["model.embed_tokens.weight"]["shape"] == [len(tokens()), width]
    assert config["vocab_size"] == len(tokens())
    assert config["eos_token_id"] == tokens().index(END)
    keys = config["num_key_value_heads"] * config["head_dim"]
    for layer in range(layers):
        assert told[f"model.layers.{layer}.mlp.gate_proj.weight"]["shape"] == [inner, width]
        assert told[f"model.layers.{layer}.self_attn.q_proj.weight"]["shape"] == [width, width]
        assert told[f"model.layers.{layer}.self_attn.k_proj.weight"]["shape"] == [keys, width]
    assert len(told) == 9 * layers + 2
    assert {tensor["dtype"] for tensor in told.values()} == {"F32"}


def test_the_oracle_is_several_times_the_base_and_both_fit_the_wheel() -> None:
    assert parameters("pocket-m") >= 3 * parameters("pocket-s")
    size = sum(file.stat().st_size for file in WEIGHTS.rglob("*") if file.is_file())
    assert size <= 12_000_000
