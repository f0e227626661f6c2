"""Reward models through `transformers`: hf-reward:ORG/NAME, or a folder. They score texts, and write none.

A head over the sequence (ForSequenceClassification) scores an answer whose turn has ended; one over tokens
(ForTokenClassification, as process reward models have) scores a text at its last token.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from testtime.core.errors import BadInput, ModelError
from testtime.core.history import Floats
from testtime.core.protocols import Cap, Scored
from testtime.core.records import Generation, Request
from testtime.core.settings import check, setting
from testtime.core.spend import Spend
from testtime.models.hf.backend import INSTALL
from testtime.models.hf.load import Loaded, Tokens, load

HEADS = {"ForSequenceClassification": "AutoModelForSequenceClassification",
         "ForTokenClassification": "AutoModelForTokenClassification"}  # fmt: skip
"""Ending of an architecture's name → the class that loads it."""
NOTHING = "a reward model scores texts and writes none"


@dataclass(eq=False)
class Reward:
    """One reward model."""

    can: ClassVar[frozenset[Cap]] = frozenset({"score"})

    model: str
    dtype: str = setting("numbers of the weights: bfloat16, float16, float32; auto: as they are stored", "auto")
    device: str = setting("cpu, cuda, cuda:1, mps; auto: all GPUs, else the processor", "auto")
    _loaded: Loaded | None = field(default=None, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def __post_init__(self) -> None:
        check(self)

    @property
    def name(self) -> str:
        """The whole name."""
        return f"hf-reward:{self.model}"

    def refuses(self, request: Request) -> str | None:
        """Every request for a text."""
        return NOTHING

    async def generate(self, request: Request) -> Generation:
        """Raises ModelError."""
        raise ModelError(NOTHING)

    async def score(self, request: Request, texts: Sequence[str | Tokens], full: bool = False) -> Sequence[Floats]:
        """The natural logarithm of how good each text is, [1]: ln σ of a lone reward, ln p of the last of two labels.

        Raises ModelError for whole laws, token ids, and a text beyond the context.
        """
        if full:
            raise ModelError(f"{self.name} has no laws")
        found, spent = list[Floats](), 0
        for text in texts:
            value, read = await asyncio.to_thread(self._one, request, text)
            found.append(np.array([value]))
            spent += read
        return Scored(found, Spend(spent, 0, 0, 0))

    def open(self) -> None:
        """Loads the weights. Raises BadInput: a package is missing, no such model, or one that is no reward model."""
        with self._lock:
            if self._loaded is None:
                try:
                    self._loaded = load(self.model, self.dtype, self.device, None, _head_of)
                except ModuleNotFoundError as error:
                    raise BadInput(f"hf-reward: models need the package {error.name}", mend=INSTALL) from None

    def _one(self, request: Request, text: str | Tokens) -> tuple[float, int]:
        """(Logarithm of how good a text is, tokens that were read)."""
        import torch

        self.open()
        assert self._loaded is not None
        loaded, ids = self._loaded, self._ids(self._loaded, request, text)
        if len(ids) > loaded.context:
            raise ModelError(f"{len(ids)} tokens are more than the context of {loaded.context}")
        with self._lock, torch.inference_mode():
            logits = loaded.model(input_ids=torch.tensor([ids], device=loaded.device)).logits[0]
        last = (logits[-1] if logits.dim() == 2 else logits).float()
        law = torch.nn.functional.logsigmoid(last) if len(last) == 1 else last.log_softmax(-1)
        return float(law[-1]), len(ids)

    def _ids(self, loaded: Loaded, request: Request, text: str | Tokens) -> list[int]:
        if not isinstance(text, str) or not isinstance(request.prefix, str):
            raise ModelError(f"{self.name} reads texts, not the token ids of another model")
        said = request.prefix + text
        if _by_token(loaded.model) or loaded.tokenizer.chat_template is None:
            return [*loaded.prompt(request.messages), *loaded.encode(said)]
        whole = [*map(dict, request.messages), {"role": "assistant", "content": said}]
        return list(loaded.tokenizer.apply_chat_template(whole, tokenize=True, return_dict=False))


def _by_token(model: Any) -> bool:
    return type(model).__name__.endswith("ForTokenClassification")


def _head_of(config: Any) -> str:
    """The class that loads a model of this configuration. Raises BadInput for one that is no reward model."""
    built = next(iter(config.architectures or ()), "")
    head = next((loads for ending, loads in HEADS.items() if built.endswith(ending)), None)
    labels = int(getattr(config, "num_labels", 0))
    if head is None or labels not in (1, 2):
        what = f"{built or 'a model without a name'} with {labels} labels is no reward model"
        raise BadInput(what, mend=f"take one that is {' or '.join(HEADS)}, with one label or two")
    return head
