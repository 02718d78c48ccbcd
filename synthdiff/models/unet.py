"""A U-Net over column tokens.

Columns are tokens in table order. Each level down joins `fan` neighbouring tokens into a wider one,
until one token holds the whole record; each level up splits them again and adds the skip. A table
of up to `fan` columns is joined at once, so that their order means nothing. A wider one has levels
in between, narrower than the whole record, and its cost is linear in its columns, thousands of
codes included.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from synthdiff.layout import Layout, Records
from synthdiff.models.layers import (
    CONDITION_WIDTH,
    Fork,
    Modulated,
    PositionDense,
    ResidualMlp,
    TimeEmbedding,
)
from synthdiff.models.records import RecordCoder

GROWTH = 4


class UNet(nn.Module):
    """Predicts v and category logits of records from their noisy view.

    With several components it returns a third value, log-chances [batch, components], and the
    other two have an axis of components after the batch, unless `pick` draws one of them.

    width: channels of a column token, GROWTH times that per level in between; max_width: of the
    token that holds the whole record, and at most. depth: perceptrons per level in between;
    bottom_depth: those where one token holds the whole record. Column tokens themselves have none:
    the two ends of the record coder already treat each by itself. embed: the token of the whole
    record [batch, channels] instead.
    """

    layout: Layout
    width: int
    max_width: int
    fan: int
    depth: int
    bottom_depth: int
    dtype: jnp.dtype
    components: int

    @nn.compact
    def __call__(
        self,
        visible: Records,
        log_snr: jax.Array,
        known: Records,
        pick: jax.Array | None = None,
        *,
        embed: bool = False,
    ) -> Any:
        coder = RecordCoder(self.layout, self.width, self.dtype, name="coder")
        condition = TimeEmbedding(CONDITION_WIDTH, self.dtype)(log_snr)

        def refine(h: jax.Array, depth: int) -> jax.Array:
            for _ in range(depth):
                h = ResidualMlp(self.dtype)(h, condition)
            return h

        h, skips = coder.encode(visible, known), []
        while h.shape[1] > 1:
            skips.append(h)
            h = self._join(h)
            h = refine(h, self.depth if h.shape[1] > 1 else self.bottom_depth)
        if embed:
            return h[:, 0].astype(jnp.float32)
        if self.components > 1:
            h, log_prior = Fork(self.components, self.dtype)(h, condition, pick)
            guesses = h.shape[0] // condition.shape[0]
            skips, condition = jax.tree.map(
                lambda x: jnp.repeat(x, guesses, axis=0), (skips, condition)
            )
            h = refine(h, 1)
        while skips:
            h = self._split(h, skips.pop())
            h = refine(h, self.depth if skips else 0)
        decoded = coder.decode(Modulated(self.dtype)(h, condition))
        if self.components == 1:
            return decoded
        if pick is None:
            decoded = jax.tree.map(lambda x: x.reshape(-1, self.components, *x.shape[1:]), decoded)
        return *decoded, log_prior

    def _join(self, h: jax.Array) -> jax.Array:
        batch, tokens, width = h.shape
        fan = min(self.fan, tokens)
        h = jnp.pad(h, ((0, 0), (0, -tokens % fan), (0, 0)))
        h = h.reshape(batch, -1, fan * width)
        widest = (fan if tokens <= self.fan else GROWTH) * width
        return PositionDense(min(widest, self.max_width), self.dtype)(h)

    def _split(self, h: jax.Array, skip: jax.Array) -> jax.Array:
        batch, tokens, width = skip.shape
        h = PositionDense(min(self.fan, tokens) * width, self.dtype)(h)
        return h.reshape(batch, -1, width)[:, :tokens] + skip
