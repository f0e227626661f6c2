"""Weights at 8 and 4 bits: what transformers is asked for, that real ones write and score on a processor, quietly, and
that a package that is missing is one line with what installs it.
"""

from __future__ import annotations

import asyncio
import importlib.util
from typing import Any

import numpy as np
import pytest

from testtime.core.errors import BadInput
from testtime.core.records import Request

torch = pytest.importorskip("torch", reason="torch is not installed: make check-hf runs these")
transformers = pytest.importorskip("transformers", reason="transformers is not installed: make check-hf runs these")

from testtime.models.hf.backend import HF  # noqa: E402

ASK = [{"role": "user", "content": "Every day in May 12 cups are sold. How many in 3 days?"}]
KINDS = {"8bit": "Linear8bitLt", "4bit": "Linear4bit"}


def without(monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
    """Packages that are not there, all others there."""
    finds = importlib.util.find_spec
    there = {name: finds("json") for name in ("bitsandbytes", "accelerate")}
    known = {name: None if name in missing else spec for name, spec in there.items()}
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: known[name] if name in known else finds(name, *more)
    )


@pytest.mark.parametrize("bits", KINDS)
@pytest.mark.parametrize(("device", "placed"), [("cpu", "cpu"), ("auto", "auto")])
def test_what_is_asked_of_transformers(monkeypatch: pytest.MonkeyPatch, bits: str, device: str, placed: str) -> None:
    asked: dict[str, Any] = {}

    class Asked(Exception):
        """It has all that this test needs."""

    def from_pretrained(source: str, **how: Any) -> Any:
        asked.update(how)
        raise Asked

    without(monkeypatch)
    monkeypatch.setattr(transformers.BitsAndBytesConfig, "post_init", lambda self: None)  # it looks for the package
    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", from_pretrained)
    with pytest.raises(Asked):
        HF("pocket-m", dtype="bfloat16", device=device, quantization=bits).open()
    config = asked["quantization_config"]
    assert (config.load_in_8bit, config.load_in_4bit) == (bits == "8bit", bits == "4bit")
    assert bits == "8bit" or config.bnb_4bit_compute_dtype == torch.bfloat16
    assert str(asked["device_map"]) == placed, "the library puts the weights in their place while it loads them"
    assert asked["dtype"] == torch.bfloat16
    assert asked["use_safetensors"] is True


@pytest.mark.parametrize(
    ("missing", "line"),
    [
        ("bitsandbytes", '4bit needs the package bitsandbytes; run: pip install "testtime[bits]"'),
        ("accelerate", "several GPUs, and fewer bits, need the package accelerate; pip install accelerate"),
    ],
)
def test_a_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch, missing: str, line: str) -> None:
    without(monkeypatch, missing)
    monkeypatch.setattr(transformers.BitsAndBytesConfig, "post_init", lambda self: None)
    with pytest.raises(BadInput) as caught:
        HF("pocket-m", quantization="4bit", device="cpu").open()
    assert str(caught.value) == line


@pytest.mark.parametrize("bits", KINDS)
def test_fewer_bits_write_and_score_nearly_as_all(capfd: pytest.CaptureFixture[str], bits: str) -> None:
    for package in ("bitsandbytes", "accelerate"):
        pytest.importorskip(package, reason=f"{package} is not installed: make check-hf runs this")
    fewer, whole = HF("pocket-m", quantization=bits, device="cpu"), HF("pocket-m", device="cpu")
    request = Request(ASK, n=3, seed=1, params={"max_tokens": 40, "temperature": 0.8})
    got, again = (asyncio.run(fewer.generate(request)) for _ in range(2))
    assert got.completions == again.completions, "a seed is a candidate, at any number of bits"
    assert type(fewer._loaded.model.model.layers[0].mlp.up_proj).__name__ == KINDS[bits]
    prompt = Request(ASK, prefix="<think>\n")
    laws = [asyncio.run(model.score(prompt, [(0, 1, 2)], full=True))[0] for model in (fewer, whole)]
    apart = 0.5 * np.abs(np.exp(laws[0]) - np.exp(laws[1])).sum(axis=-1).max()
    assert 0 < apart < (0.2 if bits == "8bit" else 0.6), "other numbers, nearly the same law"
    assert "MatMul8bitLt" not in capfd.readouterr().err
