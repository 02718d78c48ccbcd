"""A U-Net over column tokens.

Columns are tokens in table order. Each level down joins neighbouring tokens in pairs and doubles
their width up to `max_width`; each level up splits them again and adds the skip. By the bottom two
tokens hold the whole record. Attention mixes tokens on levels with at most `attention_tokens` of
them. Once `max_width` is reached a level costs half of the one above, so the cost of a table is
linear in its columns, thousands of codes included.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from synthdiff.layout import Layout, Records
from synthdiff.models.layers import Modulated, ResidualAttention, ResidualMlp, TimeEmbedding
from synthdiff.models.records import RecordCoder

HEAD_WIDTH = 32


class Level(nn.Module):
    """`depth` rounds of attention (where tokens are few) and a per-token perceptron."""

    depth: int
    attention_tokens: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, h: jax.Array, condition: jax.Array) -> jax.Array:
        for _ in range(self.depth):
            if h.shape[1] <= self.attention_tokens:
                heads = max(1, h.shape[-1] // HEAD_WIDTH)
                h = ResidualAttention(heads, self.dtype)(h, condition)
            h = ResidualMlp(dtype=self.dtype)(h, condition)
        return h


class UNet(nn.Module):
    """Predicts v and category logits of records from their noisy view.

    width: channels of a column token; doubled per level up to max_width. coarsest: the number of
    tokens at which the way down ends. depth: rounds per level; the bottom has twice as many.
    """

    layout: Layout
    width: int = 16
    max_width: int = 256
    depth: int = 1
    coarsest: int = 2
    attention_tokens: int = 8
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, visible: Records, log_snr: jax.Array, known: Records):
        coder = RecordCoder(self.layout, self.width, self.dtype, name="coder")
        condition = TimeEmbedding(2 * self.width, self.dtype)(log_snr)
        h = coder.encode(visible, known)
        skips = []
        h = Level(self.depth, self.attention_tokens, self.dtype)(h, condition)
        while h.shape[1] > self.coarsest:
            skips.append(h)
            h = self._join_pairs(h)
            h = Level(self.depth, self.attention_tokens, self.dtype)(h, condition)
        h = Level(self.depth, self.attention_tokens, self.dtype)(h, condition)
        while skips:
            h = self._split_pairs(h, skips.pop())
            h = Level(self.depth, self.attention_tokens, self.dtype)(h, condition)
        return coder.decode(Modulated(self.dtype)(h, condition))

    def _join_pairs(self, h: jax.Array) -> jax.Array:
        batch, tokens, width = h.shape
        h = jnp.pad(h, ((0, 0), (0, tokens % 2), (0, 0)))
        h = h.reshape(batch, -1, 2 * width)
        return nn.Dense(min(2 * width, self.max_width), dtype=self.dtype)(h)

    def _split_pairs(self, h: jax.Array, skip: jax.Array) -> jax.Array:
        batch, tokens, width = skip.shape
        h = nn.Dense(2 * width, dtype=self.dtype)(h).reshape(batch, -1, width)[:, :tokens]
        return h + nn.Dense(width, dtype=self.dtype)(skip)
