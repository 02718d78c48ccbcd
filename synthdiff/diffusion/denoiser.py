"""From a network to a denoise function: what samplers, losses and audits call.

Here the two halves of the state meet the layout: known columns show through, continuous parts are
scaled to unit variance, and values that a record's own category rules out are hidden.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from synthdiff.diffusion.process import compute_alpha_bar, mask_codes, x0_from_v
from synthdiff.diffusion.schedules import Levels, Schedule, part_log_snr, unit_power
from synthdiff.layout import Layout, Records


class Prediction(NamedTuple):
    """What a denoiser says of clean records.

    x0: [batch, num_continuous]. logits: one [batch, parts, width] array per layout bucket.
    """

    x0: jax.Array
    logits: tuple[jax.Array, ...]


def known_parts(known: jax.Array, layout: Layout) -> Records:
    """Spreads a mask over tokens [..., num_tokens] to the parts of each token."""
    return Records(
        known[..., jnp.asarray(layout.continuous_token, jnp.int32)],
        known[..., jnp.asarray(layout.categorical_token, jnp.int32)],
    )


def _gate_codes(categorical: jax.Array, layout: Layout) -> tuple[jax.Array, jax.Array]:
    """Code and mask code of each continuous part's gate; ungated parts read as code 0."""
    gate = jnp.asarray(layout.gate, jnp.int32)
    padded = jnp.pad(categorical, [(0, 0)] * (categorical.ndim - 1) + [(0, 1)])
    masked = jnp.pad(mask_codes(layout), (0, 1), constant_values=-1)
    return padded[..., gate], masked[gate]  # index -1 is the zero that pads the end


def is_present(categorical: jax.Array, layout: Layout) -> jax.Array:
    """bool [..., num_continuous]: the clean record has a value in this continuous part."""
    return _gate_codes(categorical, layout)[0] < jnp.asarray(layout.num_bins)


def may_be_present(categorical: jax.Array, layout: Layout) -> jax.Array:
    """As `is_present` for a noisy record: where the gate is still masked, the value may exist."""
    code, masked = _gate_codes(categorical, layout)
    return (code < jnp.asarray(layout.num_bins)) | (code == masked)


def get_power(params: dict, layout: Layout) -> Levels:
    """The time warp in the params: learnt where the schedule is learnable, else one."""
    if "schedule" not in params:
        return unit_power(layout.num_continuous, layout.num_categorical)
    return Levels(*(jnp.exp(params["schedule"][name]) for name in Levels._fields))


def denoise(
    apply_fn: Callable,
    params: dict,
    layout: Layout,
    schedule: Schedule,
    z: Records,
    t: jax.Array,
    given: Records,
    known: Records,
) -> Prediction:
    """Runs the network on noisy records z at times t [batch]; `given` shows through where known.

    The network sees continuous parts at unit variance, and zero where the record's own category
    says that there is no value.
    """
    levels = part_log_snr(schedule, t, get_power(params, layout))
    categorical = jnp.where(known.categorical, given.categorical, z.categorical)
    scaled = z.continuous * jnp.sqrt(compute_alpha_bar(levels.continuous))
    continuous = jnp.where(known.continuous, given.continuous, scaled)
    visible = Records(jnp.where(may_be_present(categorical, layout), continuous, 0.0), categorical)
    v, logits = apply_fn(params["network"], visible, schedule.log_snr(t), known)
    return Prediction(x0_from_v(z.continuous, v, levels.continuous), logits)
