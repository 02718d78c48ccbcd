"""What the model's own loss says of single records, at fixed noise levels and with fixed noises.

The noises are paired: noise k of level l is the same for all records and all models, a function of
(seed, "audit", l, k). Differences between records or between models then carry no noise of their
own, which is what the strongest known attack on tabular diffusion rests on (MIDST challenge,
SaTML 2025: fixed noises at small times, one feature each).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from synthdiff.diffusion.denoiser import Denoiser, is_present
from synthdiff.diffusion.keys import purpose_key
from synthdiff.diffusion.losses import noised_terms
from synthdiff.diffusion.process import diffuse, mask_codes
from synthdiff.diffusion.schedules import Schedule
from synthdiff.layout import Layout, Records

PURPOSE, SEED = "audit", 0  # of the paired noises: the same for every model and audit
LOWEST_LOG_SNR = -4.0  # below, a record is noise: its loss is that of every other record


class Noise(NamedTuple):
    """One corruption, shared by all records: eps, filler [num_continuous], uniform [K]."""

    eps: jax.Array
    filler: jax.Array
    uniform: jax.Array


def choose_levels(schedule: Schedule, count: int) -> tuple[float, ...]:
    """`count` log-SNR levels, evenly spaced from where records are decided to the finest detail."""
    low, high = max(LOWEST_LOG_SNR, schedule.log_snr_min), schedule.log_snr_max
    step = (high - low) / count
    return tuple(low + step * (i + 1) for i in range(count))


def draw_noises(layout: Layout, num_levels: int, num_noises: int, seed: int) -> Noise:
    """The paired noises: leaves [levels, noises, parts].

    The uniforms of one part are spread evenly over the noises of a level, so that each part is
    masked equally often whatever the seed.
    """

    def one(level: jax.Array, index: jax.Array) -> Noise:
        key = jax.random.fold_in(purpose_key(seed, PURPOSE), level)
        eps_key, fill_key = jax.random.split(jax.random.fold_in(key, index))
        offset = jax.random.uniform(key, (layout.num_categorical,))
        return Noise(
            jax.random.normal(eps_key, (layout.num_continuous,)),
            jax.random.normal(fill_key, (layout.num_continuous,)),
            jnp.mod(offset + index / num_noises, 1.0),
        )

    levels, noises = jnp.arange(num_levels), jnp.arange(num_noises)
    return jax.vmap(jax.vmap(one, (None, 0)), (0, None))(levels, noises)


def make_fixed_loss(denoiser: Denoiser) -> Callable:
    """Builds `loss(params, batch: Records, t, noise) -> [b, 2]` at one time t for all records.

    The two terms are the squared v-error summed over present continuous parts, and the
    cross-entropy (nats) summed over masked categorical parts; no weights, nothing given as known.
    """
    layout = denoiser.layout
    masked = mask_codes(layout)

    def loss(params: dict, batch: Records, t: jax.Array, noise: Noise) -> jax.Array:
        times = jnp.full(len(batch.continuous), t)
        levels = denoiser.levels(params, times)
        categorical = batch.categorical.astype(jnp.int32)
        here = is_present(categorical, layout)
        x0 = Records(jnp.where(here, batch.continuous, noise.filler), categorical)
        z = diffuse(x0, levels, noise.eps, noise.uniform, masked)
        prediction = denoiser.unaided(params, z, times)
        error = noised_terms(prediction, x0, z, levels, layout)
        numeric = jnp.where(here, error.continuous, 0.0)
        nats = jnp.where(z.categorical == masked, error.categorical, 0.0)
        return jnp.stack([numeric.sum(axis=-1), nats.sum(axis=-1)], axis=-1)

    return loss


def make_loss_features(
    denoiser: Denoiser, *, log_snrs: Sequence[float], num_noises: int
) -> Callable:
    """Builds `fn(params, batch: Records [b], index [b]) -> losses [b, levels, noises, 2]`.

    For `make_parallel_map`; index is not used, since noises do not depend on the record. The last
    axis is numeric v-error and categorical cross-entropy, as in `make_fixed_loss`.
    """
    loss = make_fixed_loss(denoiser)
    times = jnp.asarray([denoiser.schedule.time(level) for level in log_snrs])

    def features(params: dict, batch: Records, index: jax.Array) -> jax.Array:
        noises = draw_noises(denoiser.layout, len(log_snrs), num_noises, SEED)

        def at_level(args: tuple) -> jax.Array:
            t, of_level = args
            return jax.lax.map(lambda noise: loss(params, batch, t, noise), of_level)

        found = jax.lax.map(at_level, (times, noises))
        return jnp.moveaxis(found, 2, 0)

    return features
