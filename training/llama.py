"""A plain Llama: RMSNorm, rotary positions, SwiGLU, tied embeddings; its weights carry the Hugging Face names."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Shape:
    """The size of a model."""

    vocabulary: int
    width: int
    layers: int
    heads: int
    inner: int
    longest: int = 1024
    theta: float = 10_000.0


class Memory:
    """Keys and values of each layer, [row, head, position, channel], in room reserved beforehand."""

    def __init__(self, shape: Shape, rows: int, most: int) -> None:
        size = (2, shape.layers, rows, shape.heads, most, shape.width // shape.heads)
        self.room = torch.empty(size)
        self.filled = 0

    def add(self, layer: int, keys: Tensor, values: Tensor) -> Pair:
        """Notes new keys and values; gives all so far."""
        end = self.filled + keys.shape[2]
        self.room[0, layer, :, :, self.filled : end] = keys
        self.room[1, layer, :, :, self.filled : end] = values
        return self.room[0, layer, :, :, :end], self.room[1, layer, :, :, :end]

    def keep(self, rows: Tensor) -> None:
        """Goes on with these rows, of which one may be named several times."""
        self.room = self.room[:, :, rows]


class Norm(nn.Module):
    """RMSNorm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """`x` with unit mean square, scaled."""
        return F.rms_norm(x, self.weight.shape, self.weight, 1e-5)


class Attention(nn.Module):
    """Causal attention with rotary positions."""

    def __init__(self, shape: Shape, index: int) -> None:
        super().__init__()
        self.heads, self.index = shape.heads, index
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            setattr(self, name, nn.Linear(shape.width, shape.width, bias=False))

    def forward(self, x: Tensor, turn: Pair, memory: Memory | None, mask: Tensor | None) -> Tensor:
        """The attention's output. Without a mask it is causal."""
        q, k, v = (self._split(part(x)) for part in (self.q_proj, self.k_proj, self.v_proj))
        q, k = rotate(q, turn), rotate(k, turn)
        if memory is not None:
            k, v = memory.add(self.index, k, v)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        return self.o_proj(y.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Gated(nn.Module):
    """SwiGLU."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.width, shape.inner, bias=False)
        self.up_proj = nn.Linear(shape.width, shape.inner, bias=False)
        self.down_proj = nn.Linear(shape.inner, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """The feed-forward of a layer."""
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """Attention and feed-forward, each on its normed input."""

    def __init__(self, shape: Shape, index: int) -> None:
        super().__init__()
        self.input_layernorm, self.post_attention_layernorm = Norm(shape.width), Norm(shape.width)
        self.self_attn, self.mlp = Attention(shape, index), Gated(shape)

    def forward(self, x: Tensor, turn: Pair, memory: Memory | None, mask: Tensor | None) -> Tensor:
        """The layer's output."""
        x = x + self.self_attn(self.input_layernorm(x), turn, memory, mask)
        return x + self.mlp(self.post_attention_layernorm(x))


class Llama(nn.Module):
    """Ids → logits."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(Layer(shape, index) for index in range(shape.layers))
        self.norm = Norm(shape.width)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                deep = (2 * shape.layers) ** -0.5 if name.endswith(("o_proj.weight", "down_proj.weight")) else 1.0
                nn.init.normal_(weight, std=deep * shape.width**-0.5)
        channels = shape.width // shape.heads
        slow = shape.theta ** -(torch.arange(0, channels, 2).float() / channels)
        angle = torch.outer(torch.arange(shape.longest).float(), slow).repeat(1, 2)
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)

    def forward(self, ids: Tensor, places: Tensor, memory: Memory | None = None, mask: Tensor | None = None) -> Tensor:
        """Last states [row, position, width]. `places` [row or 1, position] are the positions of `ids`."""
        turn = (self.cos[places].unsqueeze(1), self.sin[places].unsqueeze(1))
        x = self.embed_tokens(ids)
        for layer in self.layers:
            x = layer(x, turn, memory, mask)
        if memory is not None:
            memory.filled += ids.shape[1]
        return self.norm(x)

    def logits(self, states: Tensor) -> Tensor:
        """States → logits, by the embeddings (tied)."""
        return F.linear(states, self.embed_tokens.weight)


def rotate(x: Tensor, turn: Pair) -> Tensor:
    """Rotary positions, halves paired as Hugging Face does."""
    low, high = x.chunk(2, -1)
    return x * turn[0] + torch.cat((-high, low), -1) * turn[1]
