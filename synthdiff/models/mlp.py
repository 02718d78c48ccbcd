"""The baseline without structure: one wide vector per record, as in TabDDPM (arXiv 2209.15421)."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from synthdiff.layout import Layout, Records
from synthdiff.models.layers import CONDITION_WIDTH, ResidualMlp, TimeEmbedding
from synthdiff.models.records import RecordCoder


class Mlp(nn.Module):
    """All tokens side by side through `depth` residual layers of `hidden` units.

    embed: the units of the last of them [batch, hidden] instead.
    """

    layout: Layout
    width: int
    hidden: int
    depth: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(
        self, visible: Records, log_snr: jax.Array, known: Records, *, embed: bool = False
    ) -> Any:
        coder = RecordCoder(self.layout, self.width, self.dtype, name="coder")
        condition = TimeEmbedding(CONDITION_WIDTH, self.dtype)(log_snr)
        tokens = coder.encode(visible, known)
        h = nn.Dense(self.hidden, dtype=self.dtype)(tokens.reshape(tokens.shape[0], 1, -1))
        for _ in range(self.depth):
            h = ResidualMlp(self.dtype)(h, condition)
        if embed:
            return h[:, 0].astype(jnp.float32)
        h = nn.Dense(tokens.shape[1] * self.width, dtype=self.dtype)(h)
        return coder.decode(tokens + h.reshape(tokens.shape))
