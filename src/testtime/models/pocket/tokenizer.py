"""Text to token ids and back, as a word-level `tokenizer.json` says, and the prompt as its chat template says.

Only the kind the pocket models ship is read: special tokens first, then one pattern that cuts a text into
pieces, then a table of pieces. Joining tokens gives the text back. Another kind is refused in one line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from testtime.core.errors import BadInput, ModelError

CHAT_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'assistant' %}<|assistant|>{{ message['content'] }}<|end|>"
    "{% elif message['role'] == 'system' %}<|system|>{{ message['content'] }}"
    "{% else %}<|user|>{{ message['content'] }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
"""The one template known here, so that no template engine is needed and none runs a downloaded program."""
_ROLES = {"assistant": ("<|assistant|>", "<|end|>"), "system": ("<|system|>", "")}
_USER = ("<|user|>", "")


SHORT = 8
"""Characters of texts whose ids are kept: those of solution sets, which are encoded again for every draw."""


class Tokenizer:
    """A table of pieces. Build it with `Tokenizer.load`."""

    def __init__(self, tokens: Sequence[str], special: Iterable[str], pattern: str, unknown: str | None) -> None:
        self.tokens = tokens
        self.ids = {token: index for index, token in enumerate(tokens)}
        self.special = frozenset(special)
        self.unknown = None if unknown is None else self.ids[unknown]
        longest_first = sorted(self.special, key=len, reverse=True)
        self._special = re.compile("(" + "|".join(map(re.escape, longest_first)) + ")") if self.special else None
        self._pattern = re.compile(pattern)
        self._short = lru_cache(maxsize=4096)(lambda text: tuple(self._exactly(text)))

    @classmethod
    def load(cls, folder: Path) -> Tokenizer:
        """Reads tokenizer.json and the chat template beside it. Raises BadInput for any other kind."""
        path = folder / "tokenizer.json"
        raw = _object(path)
        _same_template(folder)
        try:
            return cls(*_parts(raw, path))
        except (KeyError, TypeError, ValueError, AttributeError, re.error) as error:
            raise BadInput(f"unusable tokenizer ({error!r})", where=str(path)) from error

    def encode(self, text: str) -> list[int]:
        """Ids of a text, unknown pieces as the unknown token, exactly as `tokenizers` gives them.

        Raises ModelError, naming the piece, where the vocabulary has no unknown token.
        """
        return [self._id(piece) for piece in self._pieces(text)]

    def encode_exactly(self, text: str) -> list[int]:
        """Ids whose joined tokens are this very text: what a model is to go on from, or to be scored on.

        A piece that is not in the table is cut into known tokens, longest first (a model may have joined
        words in a way that the pattern does not). Raises ModelError, naming the piece, where that fails.
        """
        return list(self._short(text)) if len(text) <= SHORT else self._exactly(text)

    def _exactly(self, text: str) -> list[int]:
        return [index for piece in self._pieces(text) for index in self._cut(piece)]

    def decode(self, ids: Iterable[int]) -> str:
        """The tokens joined."""
        return "".join(self.tokens[index] for index in ids)

    def prompt(self, messages: Iterable[Mapping[str, Any]]) -> list[int]:
        """Ids of a conversation, up to where the assistant speaks."""
        return self.encode(render(messages))

    def _pieces(self, text: str) -> Iterator[str]:
        for part in self._special.split(text) if self._special else [text]:
            if part in self.special:
                yield part
                continue
            end = 0
            for match in self._pattern.finditer(part):
                yield from (piece for piece in (part[end : match.start()], match.group()) if piece)
                end = match.end()
            if end < len(part):
                yield part[end:]

    def _id(self, piece: str) -> int:
        index = self.ids.get(piece, self.unknown)
        if index is None:
            raise ModelError(f"unknown token {piece!r}")
        return index

    def _cut(self, piece: str) -> list[int]:
        cut: list[int] = []
        rest = piece
        while rest:
            head = next((rest[:end] for end in range(len(rest), 0, -1) if rest[:end] in self.ids), None)
            if head is None:
                raise ModelError(f"unknown token {piece!r}: the model cannot write it")
            cut.append(self.ids[head])
            rest = rest[len(head) :]
        return cut


def render(messages: Iterable[Mapping[str, Any]]) -> str:
    """What CHAT_TEMPLATE gives for a conversation with a generation prompt.

    >>> render([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1 + 1?"}])
    '<|system|>Be brief.<|user|>1 + 1?<|assistant|>'
    """
    said = []
    for message in messages:
        before, after = _ROLES.get(str(message.get("role")), _USER)
        said.append(f"{before}{message.get('content', '')}{after}")
    return "".join(said) + "<|assistant|>"


def _parts(raw: Mapping[str, Any], path: Path) -> tuple[list[str], list[str], str, str | None]:
    """(Tokens by id, special tokens, pattern, unknown token) of a tokenizer.json of this kind."""
    model, split, decoder = raw["model"], raw["pre_tokenizer"] or {}, raw["decoder"] or {}
    pattern = split.get("pattern", {}).get("Regex")
    added = raw.get("added_tokens") or []
    fits = {
        f"model {model.get('type')}": model.get("type") == "WordLevel",
        f"pre-tokenizer {split.get('type')}": split.get("type") == "Split" and split.get("behavior") == "Isolated",
        "an inverted pattern": not split.get("invert"),
        f"pattern {pattern!r}": isinstance(pattern, str) and not re.search(r"\\p|\[\[|\(\?", pattern),
        f"decoder {decoder.get('type')}": decoder.get("type") == "Fuse",
        "a normalizer": not raw.get("normalizer"),
        "a post-processor": not raw.get("post_processor"),
        "stripping special tokens": not any(t["lstrip"] or t["rstrip"] or t["single_word"] for t in added),
    }
    for what, is_known in fits.items():
        if not is_known:
            raise BadInput(
                f"a foreign tokenizer ({what})", where=str(path), mend="the pocket runtime reads word tables"
            )
    table = {**model["vocab"], **{token["content"]: token["id"] for token in added}}
    tokens = sorted(table, key=table.__getitem__)
    if [table[token] for token in tokens] != list(range(len(tokens))):
        raise BadInput("token ids are not 0, 1, 2, …", where=str(path))
    unknown = model.get("unk_token")
    return tokens, [token["content"] for token in added], pattern, unknown if unknown in table else None


def _same_template(folder: Path) -> None:
    separate = folder / "chat_template.jinja"
    if separate.exists():
        path, template = separate, separate.read_text(encoding="utf-8").removesuffix("\n")
    else:
        path = folder / "tokenizer_config.json"
        template = str(_object(path).get("chat_template"))
    if template != CHAT_TEMPLATE:
        raise BadInput("a chat template that the pocket runtime does not know", where=str(path))


def _object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise BadInput(f"cannot be read ({error.strerror})", where=str(path)) from error
    except ValueError as error:
        raise BadInput(f"not JSON ({error})", where=str(path)) from error
    if not isinstance(value, dict):
        raise BadInput("not a JSON object", where=str(path))
    return value
