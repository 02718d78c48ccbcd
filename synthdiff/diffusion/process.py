"""The forward process of mixed-type records, and the conversions between its quantities.

Continuous parts are diffused by Gaussian noise, categorical parts by masking, under one log-SNR:

    z = x0 + sigma * eps,  sigma = exp(-log_snr / 2)          (Karras et al., arXiv 2206.00364)
    P(category still visible) = alpha_bar = sigmoid(log_snr)  (Austin et al., arXiv 2107.03006)

The state is kept in variance-exploding form; `z * sqrt(alpha_bar)` has unit variance when x0 has
and is what the network sees, so both views of the process share this file.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from synthdiff.diffusion.schedules import Levels
from synthdiff.layout import Layout, Records


def compute_sigma(log_snr: jax.Array) -> jax.Array:
    """Noise level of z = x0 + sigma * eps."""
    return jnp.exp(-0.5 * log_snr)


def compute_alpha_bar(log_snr: jax.Array) -> jax.Array:
    """Signal variance of the unit-variance view; chance that a category is visible."""
    return jax.nn.sigmoid(log_snr)


def mask_codes(layout: Layout) -> jax.Array:
    """int32 [num_categorical]: the code that means "masked" in each part, K_j."""
    return jnp.asarray(layout.cardinalities, jnp.int32)


def diffuse(
    x0: Records, log_snr: Levels, eps: jax.Array, uniform: jax.Array, masked: jax.Array
) -> Records:
    """Draws z_t given x0: Records like x0.

    eps: standard normal [..., num_continuous]; uniform: [..., num_categorical] in [0, 1);
    masked: `mask_codes(layout)`.
    """
    visible = uniform < compute_alpha_bar(log_snr.categorical)
    return Records(
        x0.continuous + compute_sigma(log_snr.continuous) * eps,
        jnp.where(visible, x0.categorical, masked),
    )


def x0_from_v(z: jax.Array, v: jax.Array, log_snr: jax.Array) -> jax.Array:
    """The clean estimate behind a v-prediction (Salimans & Ho, arXiv 2202.00512).

    Equals EDM's preconditioning with sigma_data = 1: c_skip z - c_out v.
    """
    alpha_bar = compute_alpha_bar(log_snr)
    return alpha_bar * z - jnp.sqrt(1.0 - alpha_bar) * v


def v_from_x0(z: jax.Array, x0: jax.Array, log_snr: jax.Array) -> jax.Array:
    """Inverse of `x0_from_v`."""
    alpha_bar = compute_alpha_bar(log_snr)
    return (alpha_bar * z - x0) / jnp.sqrt(1.0 - alpha_bar)


def eps_from_x0(z: jax.Array, x0: jax.Array, log_snr: jax.Array) -> jax.Array:
    """The noise that, with this x0, explains z."""
    return (z - x0) / compute_sigma(log_snr)


def posterior(
    z: jax.Array, x0: jax.Array, sigma_t: jax.Array, sigma_s: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Mean and standard deviation of z_s given z_t and x0, for sigma_s <= sigma_t.

    Bayes' rule for Gaussians: precision 1/sigma_s^2 + 1/(sigma_t^2 - sigma_s^2).
    """
    ratio = (sigma_s / sigma_t) ** 2
    return x0 + ratio * (z - x0), sigma_s * jnp.sqrt(1.0 - ratio)


def posterior_variance(sigma: jax.Array) -> jax.Array:
    """Variance of x0 given z = x0 + sigma * eps, where x0 is standard normal."""
    return sigma**2 / (1.0 + sigma**2)


def remask_chance(log_snr_t: jax.Array, log_snr_hat: jax.Array) -> jax.Array:
    """Chance that a category visible at t is masked at the noisier level: 1 - a_hat / a_t."""
    return 1.0 - jax.nn.sigmoid(log_snr_hat) / jax.nn.sigmoid(log_snr_t)
