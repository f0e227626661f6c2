"""Weights, tokenizer and device of a model of the hub, of a folder, or of a shipped pocket model."""

from __future__ import annotations

import importlib.util
import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testtime.core.errors import BadInput, ModelError
from testtime.core.records import Map
from testtime.models import keys
from testtime.models.hf.revision import revision
from testtime.models.pocket.backend import SHIPPED

Tokens = tuple[int, ...]
BITS = ("8bit", "4bit")
WRITES = "AutoModelForCausalLM"
SMALL = 20_000_000
"""Parameters: the processor's products take tens of microseconds, less than handing them to other cores."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model that is ready to be asked."""

    model: Any
    tokenizer: Any
    device: Any
    ends: frozenset[int]
    """Tokens that end a text."""
    context: int
    """The most tokens of prompt and text together."""
    cache_name: str
    """What this version of transformers calls the cache that `forward` takes."""
    keeps: bool
    """Whether `forward` can leave out the logits of all but the last positions."""
    revision: str | None
    """The commit of the hub that the weights are of, or what tells a folder's weights from others (revision.py)."""

    @property
    def small(self) -> bool:
        """Whether one core writes as fast as all."""
        parameters: int = sum(one.numel() for one in self.model.parameters())
        return str(self.device.type) == "cpu" and parameters < SMALL

    def prompt(self, messages: Sequence[Map]) -> Tokens:
        """The ids of a conversation, up to where the assistant speaks. Raises ModelError where it cannot be said.

        A model without a chat template reads the one message there is as raw text.
        """
        if not messages:
            return ()
        if self.tokenizer.chat_template is None:
            if len(messages) > 1:
                raise ModelError("the model has no chat template, and so no form for several messages")
            return tuple(self.tokenizer.encode(str(messages[0]["content"])))
        listed = [dict(one) for one in messages]
        made = self.tokenizer.apply_chat_template(listed, add_generation_prompt=True, tokenize=True, return_dict=False)
        return tuple(made)

    def encode(self, text: str) -> Tokens:
        """The ids of a text to go on from."""
        return tuple(self.tokenizer.encode(text, add_special_tokens=False))

    def decode(self, ids: Sequence[int]) -> str:
        """The text of tokens, special ones too."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def forward(self, ids: Any, mask: Any, places: Any, cache: Any = None, last: int = 0) -> Any:
        """Logits [row, position, vocabulary] of ids [row, position]: of the last positions, or all (0)."""
        more = {} if cache is None else {self.cache_name: cache, "use_cache": True}
        kept = {"logits_to_keep": last} if last and self.keeps else {}
        out = self.model(input_ids=ids, attention_mask=mask, position_ids=places, **more, **kept)
        return out.logits[:, -last:] if last else out.logits


def load(
    name: str, dtype: str, device: str, quantization: str | None, head: Callable[[Any], str] = lambda config: WRITES
) -> Loaded:
    """Loads a model by the class of transformers that `head` names for its configuration.

    Raises BadInput, in one line: no such model, gated, no such device, a package is missing.
    """
    import torch
    import transformers

    place = SHIPPED / name if (SHIPPED / name / "config.json").exists() else Path(name).expanduser()
    source = str(place) if place.is_dir() else name
    if not place.is_dir() and (name.startswith((".", "/", "~")) or name.count("/") != 1):
        raise BadInput(f"hf: no folder {name}, and no name of the hub", mend="write hf:ORG/NAME or hf:FOLDER")
    chosen = _device(torch, device)
    how: dict[str, Any] = {"dtype": _dtype(torch, dtype), "token": keys.value("HF_TOKEN")}
    how["use_safetensors"] = True  # weights of the older form are pickles, which are programs
    if quantization is not None:
        how["quantization_config"] = _fewer_bits(transformers, torch, quantization)
    spread = (device == "auto" and torch.cuda.device_count() > 1) or quantization is not None
    if spread:
        how["device_map"] = "auto" if device == "auto" else chosen
        if importlib.util.find_spec("accelerate") is None:
            raise BadInput("several GPUs, and fewer bits, need the package accelerate", mend="pip install accelerate")
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # else each try to reach it is two lines, before ours
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(source, token=how["token"])
        kind = head(transformers.AutoConfig.from_pretrained(source, token=how["token"]))
        model = getattr(transformers, kind).from_pretrained(source, **how)
    except (OSError, ValueError, KeyError) as error:
        raise _why(name, error) from None
    model = (model if spread else model.to(chosen)).eval()
    return _ready(model, tokenizer, model.device if spread else chosen, _which(name, place))


def _which(name: str, place: Path) -> str | None:
    """What the weights say they are; of the hub, the commit in whose folder of the cache they lie."""
    import huggingface_hub

    if place.is_dir():
        return revision(place)
    found = huggingface_hub.try_to_load_from_cache(name, "config.json")  # transformers 5 keeps no commit itself
    return revision(Path(found).parent) if isinstance(found, str) else None


def _ready(model: Any, tokenizer: Any, device: Any, which: str | None) -> Loaded:
    said = getattr(getattr(model, "generation_config", None), "eos_token_id", None)  # one that writes none has neither
    ends = [*(said if isinstance(said, list) else [said]), tokenizer.eos_token_id]
    config = model.config.get_text_config()
    parameters = inspect.signature(model.forward).parameters
    return Loaded(
        model,
        tokenizer,
        device,
        frozenset(end for end in ends if end is not None),
        int(getattr(config, "max_position_embeddings", 0) or 2**31),
        "cache" if "cache" in parameters else "past_key_values",
        "logits_to_keep" in parameters,
        which,
    )


def _device(torch: Any, device: str) -> Any:
    """Raises BadInput for a device that is not there."""
    if device == "auto":
        mps = getattr(torch.backends, "mps", None)
        device = "cuda" if torch.cuda.is_available() else "mps" if mps and mps.is_available() else "cpu"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        what = f"no device {device!r} here ({_line(error)})"
        raise BadInput(what, mend="give --device cpu, or leave it out") from None
    return torch.device(device)


def _dtype(torch: Any, dtype: str) -> Any:
    named: Mapping[str, Any] = {"auto": "auto", "bfloat16": torch.bfloat16, "float16": torch.float16}
    named = {**named, "float32": torch.float32}
    if dtype not in named:
        raise BadInput(f"dtype {dtype!r} is not known", mend=f"one of {', '.join(named)}")
    return named[dtype]


def _fewer_bits(transformers: Any, torch: Any, quantization: str) -> Any:
    """What transformers is told of fewer bits. Raises BadInput where bitsandbytes is missing."""
    if quantization not in BITS:
        raise BadInput(f"quantization {quantization!r} is not known", mend=f"one of {', '.join(BITS)}")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise BadInput(f"{quantization} needs the package bitsandbytes", mend='run: pip install "testtime[bits]"')
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # else each product of 8 bits says that it casts
    if quantization == "8bit":
        return transformers.BitsAndBytesConfig(load_in_8bit=True)
    return transformers.BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=torch.bfloat16)


def _why(name: str, error: Exception) -> BadInput:
    """What a failed load means, in one line."""
    said = _line(error)
    if "gated" in said.lower():
        return keys.gated(name)
    if "connect" in said.lower():
        return BadInput(f"hf: {name} is not on this machine, and the hub cannot be reached", mend="check the network")
    return BadInput(f"hf: {name} cannot be loaded ({said})", mend="check the name at huggingface.co/models")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
