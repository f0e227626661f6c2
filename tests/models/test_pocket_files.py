"""Proves that model files are read exactly, and that each way they can be bad gives one line that names it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pocket_tiny as tiny
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testtime.core.errors import BadInput, ModelError
from testtime.models.pocket.tokenizer import Tokenizer, render
from testtime.models.pocket.weights import load, read_safetensors


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny.write(tmp_path / "model")


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16"])
def test_tensors_come_back_in_each_number_format(kind: str) -> None:
    values = tiny.tensors(3)
    back = read_safetensors(tiny.safetensors(values, kind), Path("x"))
    lost = {"F32": 0, "F16": 2**-11, "BF16": 2**-7}[kind]
    for name, value in values.items():
        assert back[name].dtype == np.float32
        np.testing.assert_allclose(back[name], value, rtol=lost, atol=1e-7)


def _edit(path: Path, change: Callable[[dict], None]) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


BAD_CONFIG = {
    "another architecture": (lambda c: c.update(architectures=["MistralForCausalLM"]), "LlamaForCausalLM"),
    "another type": (lambda c: c.update(model_type="gpt2"), "model_type"),
    "biases": (lambda c: c.update(attention_bias=True), "attention_bias"),
    "scaled rotation": (lambda c: c.update(rope_scaling={"rope_type": "yarn"}), "yarn"),
    "no layers": (lambda c: c.pop("num_hidden_layers"), "num_hidden_layers"),
    "heads that do not divide": (lambda c: c.update(num_key_value_heads=3), "sizes"),
    "a size that is text": (lambda c: c.update(hidden_size="wide"), "unusable"),
    "another width": (lambda c: c.update(hidden_size=32), "has shape (51, 24), config.json says (51, 32)"),
    "more layers than tensors": (lambda c: c.update(num_hidden_layers=3), "layers.2"),
}


@pytest.mark.parametrize("what", BAD_CONFIG)
def test_a_bad_configuration_is_one_line(folder: Path, what: str) -> None:
    change, named = BAD_CONFIG[what]
    _edit(folder / "config.json", change)
    with pytest.raises(BadInput) as caught:
        load(folder)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.integers(min_value=0, max_value=len(tiny.safetensors(tiny.tensors())) - 1))
def test_a_file_that_ends_early_is_one_line_wherever_it_ends(size: int) -> None:
    with pytest.raises(BadInput, match="not a whole safetensors file"):
        read_safetensors(tiny.safetensors(tiny.tensors())[:size], Path("model.safetensors"))


def test_missing_tensors_strange_values_and_missing_files_are_named(folder: Path) -> None:
    values = tiny.tensors()
    del values["model.layers.1.mlp.up_proj.weight"]
    (folder / "model.safetensors").write_bytes(tiny.safetensors(values))
    with pytest.raises(BadInput, match=r"tensor model\.layers\.1\.mlp\.up_proj\.weight is missing"):
        load(folder)
    values = tiny.tensors()
    values["model.norm.weight"][3] = np.nan
    (folder / "model.safetensors").write_bytes(tiny.safetensors(values))
    with pytest.raises(BadInput, match=r"model\.norm\.weight holds values that are not finite"):
        load(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(BadInput, match="cannot be read"):
        load(folder)


FOREIGN = {
    "merges": lambda t: t.update(model={"type": "BPE", "vocab": {}, "merges": []}),
    "bytes": lambda t: t.update(pre_tokenizer={"type": "ByteLevel"}),
    "joining with spaces": lambda t: t.update(decoder=None),
    "a normalizer": lambda t: t.update(normalizer={"type": "NFC"}),
    "a pattern of another dialect": lambda t: t["pre_tokenizer"].update(pattern={"Regex": r"\p{L}+"}),
    "a hole in the ids": lambda t: t["model"]["vocab"].update(zebra=999),
    "no table": lambda t: t["model"].pop("vocab"),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_a_foreign_tokenizer_is_one_line(folder: Path, what: str) -> None:
    _edit(folder / "tokenizer.json", FOREIGN[what])
    with pytest.raises(BadInput, match=r"tokenizer\.json") as caught:
        Tokenizer.load(folder)
    assert "\n" not in str(caught.value)


def test_an_unknown_chat_template_is_refused(folder: Path) -> None:
    _edit(folder / "tokenizer_config.json", lambda c: c.update(chat_template="{{ messages }}"))
    with pytest.raises(BadInput, match="chat template"):
        Tokenizer.load(folder)


def test_text_the_model_can_write_survives_the_round_trip(folder: Path) -> None:
    tokenizer = Tokenizer.load(folder)

    @given(st.lists(st.integers(0, len(tiny.TOKENS) - 1), max_size=30))
    def survives(ids: list[int]) -> None:
        text = tokenizer.decode(ids)
        assert tokenizer.decode(tokenizer.encode_exactly(text)) == text

    survives()


def test_unknown_words_are_unknown_tokens_in_a_prompt_and_named_where_they_must_be_exact(folder: Path) -> None:
    tokenizer = Tokenizer.load(folder)
    assert tokenizer.encode("Tom sings") == [tokenizer.ids["Tom"], tokenizer.ids["<unk>"]]
    with pytest.raises(ModelError, match="unknown token ' sings'"):
        tokenizer.encode_exactly("Tom sings")


def _chat() -> st.SearchStrategy[list[dict]]:
    pieces = [*"aT 7\n<>|é{}\u2028", "<|end|>", "<unk>", " has", "Tom", "<think>", "\\boxed{", "Tomhas"]
    text = st.lists(st.sampled_from(pieces), max_size=8).map("".join)
    message = st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant", "tool"]), "content": text})
    return st.lists(message, min_size=1, max_size=4)


def test_ids_and_prompts_are_those_of_transformers(folder: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed: nothing to agree with")
    theirs, ours = transformers.AutoTokenizer.from_pretrained(folder), Tokenizer.load(folder)

    @given(_chat())
    def agree(messages: list[dict]) -> None:
        assert render(messages) == theirs.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        wanted = theirs.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"]
        assert ours.prompt(messages) == wanted
        assert ours.decode(wanted) == theirs.decode(wanted)

    agree()
