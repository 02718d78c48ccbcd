"""Building blocks: time features, modulated normalisation, token mixing."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

MAX_PERIOD = 1e4
CONDITION_WIDTH = 128


def embed_log_snr(log_snr: jax.Array, width: int) -> jax.Array:
    """Sinusoidal features [batch, width] of log-SNR [batch] (Vaswani et al., arXiv 1706.03762)."""
    frequency = MAX_PERIOD ** -jnp.linspace(0.0, 1.0, width // 2)
    angle = 100.0 * log_snr[:, None] * frequency  # the fastest wave turns by 1 in a hundredth
    return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=-1)


class TimeEmbedding(nn.Module):
    """log-SNR [batch] -> condition vector [batch, width]."""

    width: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, log_snr: jax.Array) -> jax.Array:
        h = embed_log_snr(log_snr, self.width).astype(self.dtype)
        h = nn.silu(nn.Dense(self.width, dtype=self.dtype)(h))
        return nn.silu(nn.Dense(self.width, dtype=self.dtype)(h))


class Modulated(nn.Module):
    """Normalises tokens [batch, tokens, width], then scales and shifts them by the condition."""

    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, h: jax.Array, condition: jax.Array) -> jax.Array:
        width = h.shape[-1]
        film = nn.Dense(2 * width, kernel_init=nn.initializers.zeros, dtype=self.dtype)(condition)
        scale, shift = jnp.split(film[:, None, :], 2, axis=-1)
        h = nn.LayerNorm(use_scale=False, use_bias=False, dtype=self.dtype)(h)
        return h * (1.0 + scale) + shift


class ResidualMlp(nn.Module):
    """A modulated two-layer perceptron on each token, added to its input; starts as identity."""

    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, h: jax.Array, condition: jax.Array) -> jax.Array:
        width = h.shape[-1]
        update = Modulated(self.dtype)(h, condition)
        update = nn.gelu(nn.Dense(width, dtype=self.dtype)(update))
        zeros = nn.initializers.zeros
        return h + nn.Dense(width, kernel_init=zeros, dtype=self.dtype)(update)


class Fork(nn.Module):
    """Makes `components` guesses of one token that holds the whole record [batch, 1, width].

    Parts drawn from one guess are independent, parts drawn from a mixture of guesses are not: so a
    few evaluations may draw many parts at once (Hayakawa et al. 2024, arXiv 2410.08709).
    """

    components: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, h: jax.Array, condition: jax.Array, pick: jax.Array | None
    ) -> tuple[jax.Array, jax.Array]:
        """The token of every guess [batch * components, 1, width] and log-chances [batch,
        components]; with pick [batch], uniform in [0, 1), of the guess alone that it draws.
        """
        zeros = nn.initializers.zeros
        view = Modulated(self.dtype)(h, condition)[:, 0]
        scores = nn.Dense(self.components, kernel_init=zeros, dtype=self.dtype)(view)
        log_prior = jax.nn.log_softmax(scores.astype(jnp.float32))
        shape = (self.components, h.shape[-1])
        shift = self.param("shift", nn.initializers.normal(1.0), shape).astype(self.dtype)
        scale = 1.0 + self.param("scale", nn.initializers.normal(0.3), shape).astype(self.dtype)
        if pick is None:
            return (h * scale + shift).reshape(-1, 1, h.shape[-1]), log_prior
        cdf = jnp.cumsum(jnp.exp(log_prior), axis=-1)
        chosen = jnp.sum(cdf <= pick[:, None] * cdf[:, -1:], axis=-1)
        chosen = jnp.minimum(chosen, self.components - 1)
        return h * scale[chosen][:, None] + shift[chosen][:, None], log_prior


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
