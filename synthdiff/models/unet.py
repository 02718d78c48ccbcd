"""A U-Net over column tokens.

Columns are tokens in table order. Each level down joins `fan` neighbouring tokens and widens them,
until one token holds the whole record; each level up splits them again and adds the skip. Attention
mixes tokens on levels with at most `attention_tokens` of them. Once `max_width` is reached a level
costs a fraction 1 / fan of the one above, so the cost of a table is linear in its columns,
thousands of codes included.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from synthdiff.layout import Layout, Records
from synthdiff.models.layers import (
    CONDITION_WIDTH,
    Modulated,
    ResidualAttention,
    ResidualMlp,
    TimeEmbedding,
)
from synthdiff.models.records import RecordCoder

HEAD_WIDTH = 32


def count_heads(width: int) -> int:
    """About one attention head per HEAD_WIDTH channels, so that they divide evenly."""
    most = max(1, width // HEAD_WIDTH)
    return next(heads for heads in range(most, 0, -1) if width % heads == 0)


class PositionDense(nn.Module):
    """A dense layer with weights of its own for every token position.

    Columns, unlike pixels, do not share a meaning, so neither do their joins.
    """

    features: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, h: jax.Array) -> jax.Array:
        shape = (h.shape[1], h.shape[2], self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(batch_axis=0), shape)
        bias = self.param("bias", nn.initializers.zeros, (h.shape[1], self.features))
        return jnp.einsum("bti,tio->bto", h, kernel.astype(self.dtype)) + bias.astype(self.dtype)


class Level(nn.Module):
    """`depth` rounds of attention, where tokens are few but not one, and a perceptron per token."""

    depth: int
    attention_tokens: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, h: jax.Array, condition: jax.Array) -> jax.Array:
        for _ in range(self.depth):
            if 1 < h.shape[1] <= self.attention_tokens:
                h = ResidualAttention(count_heads(h.shape[-1]), self.dtype)(h, condition)
            h = ResidualMlp(self.dtype)(h, condition)
        return h


class UNet(nn.Module):
    """Predicts v and category logits of records from their noisy view.

    width: channels of a column token, multiplied by `fan` per level up to max_width. depth: rounds
    per level; bottom_depth: rounds where one token holds the whole record.
    """

    layout: Layout
    width: int = 32
    max_width: int = 256
    fan: int = 4
    depth: int = 1
    bottom_depth: int = 2
    attention_tokens: int = 8
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, visible: Records, log_snr: jax.Array, known: Records):
        coder = RecordCoder(self.layout, self.width, self.dtype, name="coder")
        condition = TimeEmbedding(CONDITION_WIDTH, self.dtype)(log_snr)
        h = coder.encode(visible, known)
        skips = []
        while h.shape[1] > 1:
            h = Level(self.depth, self.attention_tokens, self.dtype)(h, condition)
            skips.append(h)
            h = self._join(h)
        h = Level(self.bottom_depth, self.attention_tokens, self.dtype)(h, condition)
        while skips:
            h = self._split(h, skips.pop())
            h = Level(self.depth, self.attention_tokens, self.dtype)(h, condition)
        return coder.decode(Modulated(self.dtype)(h, condition))

    def _join(self, h: jax.Array) -> jax.Array:
        batch, tokens, width = h.shape
        fan = min(self.fan, tokens)
        h = jnp.pad(h, ((0, 0), (0, -tokens % fan), (0, 0)))
        h = h.reshape(batch, -1, fan * width)
        return PositionDense(min(fan * width, self.max_width), self.dtype)(h)

    def _split(self, h: jax.Array, skip: jax.Array) -> jax.Array:
        batch, tokens, width = skip.shape
        h = PositionDense(min(self.fan, tokens) * width, self.dtype)(h)
        return h.reshape(batch, -1, width)[:, :tokens] + skip
