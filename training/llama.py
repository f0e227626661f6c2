"""A plain Llama: RMSNorm, rotary positions, SwiGLU, tied embeddings; its weights carry the Hugging Face names."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Turn = tuple[Tensor, Tensor, Tensor]
"""Cosine and sine [position, channel], and what hides later positions [position, position]."""


@dataclass(frozen=True)
class Shape:
    """The size of a model."""

    vocabulary: int
    width: int
    layers: int
    heads: int
    kv_heads: int
    """Heads of keys and values, each shared by heads / kv_heads heads of queries."""
    inner: int
    longest: int = 1024
    theta: float = 10_000.0


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

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.channels = shape.width // shape.heads
        shared = self.channels * shape.kv_heads
        self.q_proj, self.o_proj = (nn.Linear(shape.width, shape.width, bias=False) for _ in range(2))
        self.k_proj, self.v_proj = (nn.Linear(shape.width, shared, bias=False) for _ in range(2))

    def forward(self, x: Tensor, turn: Turn) -> Tensor:
        """The attention's output."""
        q, k, v = (self._split(part(x)) for part in (self.q_proj, self.k_proj, self.v_proj))
        q, k = rotate(q, turn), rotate(k, turn)
        shared, length = q.shape[1] // k.shape[1], q.shape[2]
        q = q.unflatten(1, (-1, shared)).flatten(2, 3) * self.channels**-0.5  # the queries of one head of keys together
        scores = (q @ k.transpose(2, 3)).unflatten(2, (shared, length)) + turn[2]
        y = (scores.softmax(-1).flatten(2, 3) @ v).unflatten(2, (shared, length)).flatten(1, 2)
        return self.o_proj(y.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, self.channels)).transpose(1, 2)


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

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.input_layernorm, self.post_attention_layernorm = Norm(shape.width), Norm(shape.width)
        self.self_attn, self.mlp = Attention(shape), Gated(shape)

    def forward(self, x: Tensor, turn: Turn) -> Tensor:
        """The layer's output."""
        x = x + self.self_attn(self.input_layernorm(x), turn)
        return x + self.mlp(self.post_attention_layernorm(x))


class Llama(nn.Module):
    """Ids → logits."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
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

    def forward(self, ids: Tensor) -> Tensor:
        """Last states [row, position, width]."""
        length = ids.shape[1]
        later = torch.full((length, length), float("-inf"), device=ids.device).triu(1)
        turn = self.cos[:length], self.sin[:length], later
        x = self.embed_tokens(ids)
        for layer in self.layers:
            x = layer(x, turn)
        return self.norm(x)

    def logits(self, states: Tensor) -> Tensor:
        """States → logits, by the embeddings (tied)."""
        return F.linear(states, self.embed_tokens.weight)


def rotate(x: Tensor, turn: Turn) -> Tensor:
    """Rotary positions, halves paired as Hugging Face does."""
    low, high = x.chunk(2, -1)
    return x * turn[0] + torch.cat((-high, low), -1) * turn[1]
