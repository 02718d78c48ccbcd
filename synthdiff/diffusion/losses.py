"""The training objective: per-record, per-part terms of one log-SNR integral.

With every part under log-SNR lambda, the variational bound of the record is

    integral of [ 1/2 e^lambda |x0 - x0_hat|^2 + alpha_bar(lambda) * CE(masked parts) ] d lambda.

The categorical half is used as it stands (nats per part). The Gaussian half is reweighted from
e^lambda to (1 + e^lambda) sech(lambda / 2) / 2 pi: the v-prediction error under a cosine schedule,
which spends effort where records are decided rather than on the last digits. Weights include
-d lambda / dt, so the objective is the same for every schedule that all parts share, which only
decides where training looks most often. A learnt schedule also decides which parts are seen while
others are not, and the reweighted half is no bound: it may gain by showing its parts late. Such
losses compare with no others, and the rows were easier to tell from real ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from synthdiff.diffusion.denoiser import (
    Denoiser,
    Guesses,
    Prediction,
    get_power,
    is_present,
    known_parts,
)
from synthdiff.diffusion.process import compute_alpha_bar, diffuse, mask_codes, v_from_x0
from synthdiff.diffusion.schedules import Levels, part_log_snr_rate
from synthdiff.layout import Layout, Records


class Draw(NamedTuple):
    """The randomness of one training example; leading axis is the batch once vmapped.

    eps, filler: standard normal [num_continuous], the noise, and what stands where there is no
    value. uniform: [num_categorical] in [0, 1), which masks. known: bool [tokens], what is given.
    """

    eps: jax.Array
    filler: jax.Array
    uniform: jax.Array
    known: jax.Array


def draw_noise(key: jax.Array, layout: Layout, condition_rate: float) -> Draw:
    """Draws one record's noise, and which of its tokens are given as known.

    With chance `condition_rate` a record shows a random share of its columns clean, which is what
    teaches the model imputation and conditional sampling for any set of columns.
    """
    eps_key, fill_key, uniform_key, share_key, known_key = jax.random.split(key, 5)
    gate, share = jax.random.uniform(share_key, (2,))
    known = jax.random.uniform(known_key, (len(layout.tokens),)) < share
    return Draw(
        jax.random.normal(eps_key, (layout.num_continuous,)),
        jax.random.normal(fill_key, (layout.num_continuous,)),
        jax.random.uniform(uniform_key, (layout.num_categorical,)),
        known & (gate < condition_rate),
    )


def cross_entropy(logits: tuple[jax.Array, ...], target: jax.Array, layout: Layout) -> jax.Array:
    """Negative log-likelihood of each categorical part, nats [batch, num_categorical]."""
    terms = []
    for bucket, scores in zip(layout.buckets, logits, strict=True):
        log_probs = jax.nn.log_softmax(scores.astype(jnp.float32))
        hot = target[:, bucket.start : bucket.stop, None] == jnp.arange(bucket.width)
        terms.append(-jnp.sum(jnp.where(hot, log_probs, 0.0), axis=-1))
    return jnp.concatenate(terms, axis=1) if terms else jnp.zeros(target.shape)


def continuous_weight(log_snr: jax.Array) -> jax.Array:
    """Weight of the squared v-error per unit of log-SNR; integrates to one."""
    return 1.0 / (2.0 * math.pi * jnp.cosh(0.5 * log_snr))


def noised_terms(
    prediction: Prediction, x0: Records, z: Records, levels: Levels, layout: Layout
) -> Levels:
    """Squared v-error [b, num_continuous] and cross-entropy [b, num_categorical], no weights."""
    v_hat = v_from_x0(z.continuous, prediction.x0, levels.continuous)
    v = v_from_x0(z.continuous, x0.continuous, levels.continuous)
    return Levels((v_hat - v) ** 2, cross_entropy(prediction.logits, x0.categorical, layout))


def mixture_terms(
    guesses: Guesses, x0: Records, z: Records, levels: Levels, counted: Records, layout: Layout
) -> Levels:
    """`noised_terms` of the counted parts, zero elsewhere, of records that one guess explains.

    With chance pi_k, guess k says x0 ~ N(x0_k, 1 - alpha_bar) and each category by itself, so that
    the log-likelihood of all counted parts is log sum_k pi_k exp(-|v - v_k|^2 / 2 - CE_k). Its
    gradient is that of the terms averaged by the guesses' posterior, held fixed, plus the
    divergence of the posterior from pi, which the counted parts share (EM: Dempster et al. 1977).
    """
    of_guess = jax.vmap(
        lambda x0_k, logits: noised_terms(Prediction(x0_k, logits), x0, z, levels, layout), 1, 1
    )
    counts = counted.continuous[:, None], counted.categorical[:, None]
    found = of_guess(guesses.x0, guesses.logits)
    squares, nats = (jnp.where(of, term, 0.0) for of, term in zip(counts, found, strict=True))
    joint = guesses.log_prior - 0.5 * jnp.sum(squares, -1) - jnp.sum(nats, -1)
    log_posterior = jax.lax.stop_gradient(jax.nn.log_softmax(joint))
    posterior = jnp.exp(log_posterior)
    divergence = jnp.sum(posterior * (log_posterior - guesses.log_prior), -1, keepdims=True)
    parts = jnp.sum(counted.continuous, -1) + jnp.sum(counted.categorical, -1)
    share = divergence / jnp.maximum(parts, 1)[:, None]
    squares, nats = (jnp.einsum("bk,bkp->bp", posterior, term) for term in (squares, nats))
    return Levels(squares + 2.0 * share * counted.continuous, nats + share * counted.categorical)


def make_loss_fn(denoiser: Denoiser, *, condition_rate: float = 0.1) -> Callable:
    """Builds `loss_fn(params, batch, keys [b], u [b]) -> terms [b, parts]`."""
    layout, schedule = denoiser.layout, denoiser.schedule
    masked = mask_codes(layout)

    def loss_fn(params: dict, batch: Records, keys: jax.Array, u: jax.Array) -> jax.Array:
        power = get_power(params, layout)
        levels, rate = part_log_snr_rate(schedule, u, power)
        noise = jax.vmap(lambda key: draw_noise(key, layout, condition_rate))(keys)
        known = known_parts(noise.known, layout)
        categorical = batch.categorical.astype(jnp.int32)
        here = is_present(categorical, layout)
        x0 = Records(jnp.where(here, batch.continuous, noise.filler), categorical)
        z = diffuse(x0, levels, noise.eps, noise.uniform, masked)
        guesses = denoiser(params, z, u, x0, known)

        hidden = (z.categorical == masked) & ~known.categorical
        counted = Records(here & ~known.continuous, hidden)
        error = mixture_terms(guesses, x0, z, levels, counted, layout)
        continuous = continuous_weight(levels.continuous) * rate.continuous
        categorical = compute_alpha_bar(levels.categorical) * rate.categorical
        return jnp.concatenate(
            [continuous * error.continuous, categorical * error.categorical], axis=-1
        )

    return loss_fn
