"""The two ends that every denoiser shares: records to column tokens, and tokens to predictions."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from synthdiff.layout import Bucket, Layout, Records
from synthdiff.models.layers import PositionDense

GATHER_WIDTH = 64  # above this a table look-up beats a one-hot product
FREQUENCIES = 2.0 ** np.arange(-1, 4)  # a normal score is told apart to about 1/8 of its spread
WAVES = 12
# Unit scale: at 0.1 what the tokens say was learnt several times slower.
EMBED_INIT = nn.initializers.normal(1.0)
ORDER_INIT = nn.initializers.normal(1.6)


def embed_values(x: jax.Array) -> jax.Array:
    """Features [..., 1 + 2F] of each number: itself, sines and cosines (arXiv 2203.05556)."""
    angle = x[..., None] * jnp.asarray(FREQUENCIES, x.dtype)
    return jnp.concatenate([x[..., None], jnp.sin(angle), jnp.cos(angle)], axis=-1)


def token_sources(layout: Layout) -> np.ndarray:
    """int [2, tokens]: the parts that make up each token, num_parts where there is none."""
    owners = np.array(layout.continuous_token + layout.categorical_token, int)
    sources = np.full((2, len(layout.tokens)), len(owners))
    for part, token in enumerate(owners):
        sources[0 if sources[0, token] == len(owners) else 1, token] = part
    return sources


def order_waves(layout: Layout, bucket: Bucket) -> tuple[np.ndarray, np.ndarray]:
    """Parts of the bucket with an order of their categories, int [p], and damped cosines over that
    order, float32 [p, width, WAVES], zero for a category outside of it.
    """
    ranks = layout.ranks[bucket.start : bucket.stop]
    ordered = np.array([at for at, places in enumerate(ranks) if len(places) > 2], int)
    waves = np.zeros((len(ordered), bucket.width, WAVES), np.float32)
    for row, at in zip(waves, ordered, strict=True):
        numbers = np.arange(1, WAVES + 1)
        angle = np.pi * np.array(ranks[at])[:, None] * numbers
        row[: len(angle)] = np.cos(angle) / numbers  # the longer the wave, the sooner learnt
    return ordered, waves


class RecordCoder(nn.Module):
    """Owns both ends of every column; `encode` to tokens, `decode` to (v, logits).

    The ends share no table: tied ones learnt as fast but fitted the training rows more than others.
    Where categories have an order, the bins of a number among them, both tables are a free one plus
    a smooth function of the order, so that what is learnt of one teaches its neighbours.
    """

    layout: Layout
    width: int
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        layout, width = self.layout, self.width
        features, numbers = 1 + 2 * len(FREQUENCIES), layout.num_continuous
        self.identity = self.param("identity", EMBED_INIT, (len(layout.tokens), width))
        self.given = self.param("given", EMBED_INIT, (len(layout.tokens), width))
        self.value = self.param("value", nn.initializers.normal(0.3), (numbers, features, width))
        self.tables = [
            self.param(f"table{b.width}", EMBED_INIT, (b.stop - b.start, b.width + 1, width))
            for b in layout.buckets
        ]
        zeros = nn.initializers.zeros
        self.scorers = [
            self.param(f"scorer{b.width}", zeros, (b.stop - b.start, b.width, width))
            for b in layout.buckets
        ]
        self.waves = [order_waves(layout, b) for b in layout.buckets]
        ordered = [
            (b.width, (len(parts), WAVES, width))
            for b, (parts, _) in zip(layout.buckets, self.waves, strict=True)
        ]
        self.orders = [self.param(f"order{k}", ORDER_INIT, shape) for k, shape in ordered]
        self.scorer_orders = [self.param(f"scorer_order{k}", zeros, shape) for k, shape in ordered]
        self.biases = [
            self.param(f"bias{b.width}", zeros, (b.stop - b.start, b.width)) for b in layout.buckets
        ]
        self.head = self.param("head", zeros, (numbers, width))
        self.last = PositionDense(width, self.dtype)
        self.norm = nn.LayerNorm(dtype=self.dtype)

    def encode(self, visible: Records, known: Records) -> jax.Array:
        """Tokens [batch, tokens, width] of noisy records; `known` marks columns given clean."""
        features = embed_values(visible.continuous).astype(self.dtype)
        parts = [jnp.einsum("bpf,pfd->bpd", features, self.value.astype(self.dtype))]
        ends = zip(self.layout.buckets, self.tables, self.orders, self.waves, strict=True)
        for bucket, table, order, waves in ends:
            codes = visible.categorical[:, bucket.start : bucket.stop]
            table = _add_order(table, order, waves).astype(self.dtype)
            parts.append(self._look_up(codes, table, bucket))
        batch = visible.continuous.shape[0]
        joined = jnp.concatenate([*parts, jnp.zeros((batch, 1, self.width), self.dtype)], axis=1)
        first, second = token_sources(self.layout)
        has_second = np.any(second < joined.shape[1] - 1)
        tokens = joined[:, first] + (joined[:, second] if has_second else 0)
        flags = jnp.concatenate([known.continuous, known.categorical], axis=1)[:, first]
        identity = self.identity + flags[..., None] * self.given
        return tokens + identity.astype(self.dtype)

    def _look_up(self, codes: jax.Array, table: jax.Array, bucket: Bucket) -> jax.Array:
        masked = np.asarray(self.layout.cardinalities[bucket.start : bucket.stop])
        slot = jnp.where(codes == masked, bucket.width, codes)  # the mask has the last row
        if bucket.width > GATHER_WIDTH:
            return table[jnp.arange(table.shape[0]), slot]
        return jnp.einsum(
            "bpk,pkd->bpd", jax.nn.one_hot(slot, bucket.width + 1, dtype=self.dtype), table
        )

    def decode(self, tokens: jax.Array) -> tuple[jax.Array, tuple[jax.Array, ...]]:
        """v [batch, num_continuous] and, per bucket, logits [batch, parts, width]; float32."""
        layout = self.layout
        tokens = nn.gelu(self.last(self.norm(tokens)))
        owner = np.array(layout.continuous_token, int)
        v = jnp.einsum("bpd,pd->bp", tokens[:, owner], self.head.astype(self.dtype))
        logits = []
        ends = (self.scorers, self.scorer_orders, self.waves, self.biases)
        for bucket, scorer, order, waves, bias in zip(layout.buckets, *ends, strict=True):
            scorer = _add_order(scorer, order, waves)
            parts = slice(bucket.start, bucket.stop)
            owner = np.array(layout.categorical_token[parts], int)
            scores = jnp.einsum("bpd,pkd->bpk", tokens[:, owner], scorer.astype(self.dtype))
            sizes = np.array(layout.cardinalities[parts])
            padding = np.where(np.arange(bucket.width) < sizes[:, None], 0.0, -1e9)
            logits.append(scores.astype(jnp.float32) + bias + padding)
        return v.astype(jnp.float32), tuple(logits)


def _add_order(table: jax.Array, order: jax.Array, waves: tuple) -> jax.Array:
    """The table [parts, categories, width] plus, in ordered parts, weighted waves."""
    parts, heights = waves
    if not len(parts):
        return table
    smooth = jnp.einsum("pkf,pfd->pkd", heights, order)
    return table.at[parts, : heights.shape[1]].add(smooth)
