r"""The closed vocabulary: words with and without the space before them, single digits, signs.

A text is split by one pattern, and every token is the very characters it stands for, so that joining tokens
gives the text back and a text cut between lines or words encodes like its parts. Whatever the vocabulary
lacks is `<unk>`. The same pattern and table are written as a `tokenizer.json` of the Hugging Face format.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from testtime.tasks.pocket_story import WORDS

PAD, UNK, END, SYSTEM, USER, ASSISTANT = "<|pad|>", "<unk>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"
SPECIAL = (PAD, UNK, END, SYSTEM, USER, ASSISTANT)
MARKS = ("<think>", "</think>", "\\boxed{", "}", "{", "\n", " ", ":", "+", "-", "*", "=", ",", ".", "?", "!", ")", "(")
OTHERS = ("Wait", "again", "Answer", "answer", "is", "Final", "So", "A", "B", "C", "D")
PATTERN = r"<\|[a-z]+\|>|<unk>|</?think>|\\boxed\{| ?[A-Za-z]+|[0-9]|[^A-Za-z0-9]"
TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'assistant' %}<|assistant|>{{ message['content'] }}<|end|>"
    "{% elif message['role'] == 'system' %}<|system|>{{ message['content'] }}"
    "{% else %}<|user|>{{ message['content'] }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def tokens() -> list[str]:
    """Every token, in the order of its id."""
    words = dict.fromkeys((*WORDS, *OTHERS))
    return [*SPECIAL, *MARKS, *"0123456789", *words, *(f" {word}" for word in words)]


class Vocabulary:
    """Text to ids and back.

    >>> vocabulary = Vocabulary()
    >>> vocabulary.decode(vocabulary.encode("Tom has 36 apples."))
    'Tom has 36 apples.'
    """

    def __init__(self) -> None:
        self.tokens = tokens()
        self.ids = {token: index for index, token in enumerate(self.tokens)}
        self._split = re.compile(PATTERN, re.DOTALL)

    def split(self, text: str) -> list[str]:
        """The pieces of a text."""
        return self._split.findall(text)

    def encode(self, text: str) -> list[int]:
        """Ids of a text."""
        unknown = self.ids[UNK]
        return [self.ids.get(piece, unknown) for piece in self.split(text)]

    def decode(self, ids: list[int]) -> str:
        """The text of ids."""
        return "".join(self.tokens[index] for index in ids)


def save(folder: Path, longest: int) -> None:
    """Writes tokenizer.json and tokenizer_config.json, which `PreTrainedTokenizerFast` and vLLM load."""
    _write(folder / "tokenizer.json", tokenizer())
    _write(folder / "tokenizer_config.json", tokenizer_config(longest))


def tokenizer() -> dict[str, Any]:
    """The tokenizer as data: a WordLevel model over the pattern's pieces, joined without anything between."""
    added = [
        {"id": index, "content": token, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True}
        for index, token in enumerate(SPECIAL)
    ]  # fmt: skip
    split = {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Isolated", "invert": False}
    model = {"type": "WordLevel", "vocab": {token: i for i, token in enumerate(tokens())}, "unk_token": UNK}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
        "pre_tokenizer": split, "post_processor": None, "decoder": {"type": "Fuse"}, "model": model,
    }  # fmt: skip


def tokenizer_config(longest: int) -> dict[str, Any]:
    """Roles of the tokens, and the chat template."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END, "pad_token": PAD, "unk_token": UNK,
        "bos_token": None, "add_bos_token": False, "clean_up_tokenization_spaces": False,
        "model_max_length": longest, "padding_side": "left", "chat_template": TEMPLATE,
    }  # fmt: skip


def _write(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8", newline="\n")
