"""Attacks that ask the denoiser without random noise, or ask for its gradient.

Each builder takes a `Denoiser`, of a network or of a closed form, and returns a function
`fn(params, batch: Records [b], index [b])` for `make_parallel_map`. Errors are returned as they
are: a member's are small, so an attack scores their negative.

Masking has no deterministic path and no velocity, so the categorical halves are analogues of ours:
a record's categories are masked group by group, each group once, and predicted from all the rest.
That pseudo-likelihood is free of noise and close to the data, which is what PIA and SecMI have in
common.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from synthdiff.diffusion.denoiser import Denoiser, is_present
from synthdiff.diffusion.losses import cross_entropy
from synthdiff.diffusion.process import compute_sigma, eps_from_x0, mask_codes
from synthdiff.exposure.losses import (
    SEED,
    Noise,
    draw_noises,
    make_fixed_loss,
)
from synthdiff.layout import Layout, Records

PIA_POWER = 4  # the norm of Kong et al. 2023, arXiv 2305.18355
MASK_GROUPS = 8
AT_ONCE = 8  # records whose gradients are held at a time


def _make_estimate(denoiser: Denoiser) -> Callable:
    """Builds `estimate(params, batch, continuous, t) -> (x0_hat, eps_hat)`, each like continuous.

    Categories stay visible; parts without a value are held at zero.
    """

    def estimate(params: dict, batch: Records, continuous: jax.Array, t: jax.Array) -> tuple:
        times = jnp.full(len(continuous), t)
        log_snr = denoiser.levels(params, times).continuous
        z = Records(continuous, batch.categorical.astype(jnp.int32))
        x0_hat = denoiser.unaided(params, z, times).x0
        return x0_hat, eps_from_x0(continuous, x0_hat, log_snr)

    return estimate


def _present_values(batch: Records, layout: Layout) -> tuple[jax.Array, jax.Array]:
    here = is_present(batch.categorical.astype(jnp.int32), layout)
    return jnp.where(here, batch.continuous, 0.0), here


def make_pia_error(denoiser: Denoiser, log_snrs: Sequence[float]) -> Callable:
    """Proximal initialisation (Kong et al. 2023, arXiv 2305.18355): errors [b, levels].

    e0 = eps_hat(x0) at the finest level takes the place of the noise; the error is
    |e0 - eps_hat(x0 + sigma_t e0)|_4^4 over the present continuous parts.
    """
    estimate = _make_estimate(denoiser)
    times = jnp.asarray([denoiser.schedule.time(level) for level in log_snrs])

    def error(params: dict, batch: Records, index: jax.Array) -> jax.Array:
        x0, here = _present_values(batch, denoiser.layout)
        _, e0 = estimate(params, batch, x0, jnp.float32(0.0))

        def at(t: jax.Array) -> jax.Array:
            levels = denoiser.levels(params, jnp.full(len(x0), t))
            z = x0 + compute_sigma(levels.continuous) * e0
            gap = e0 - estimate(params, batch, z, t)[1]
            return jnp.sum(jnp.where(here, gap, 0.0) ** PIA_POWER, axis=-1)

        return jax.lax.map(at, times).T

    return error


def make_secmi_error(denoiser: Denoiser, log_snrs: Sequence[float]) -> Callable:
    """The t-error of SecMI (Duan et al. 2023, arXiv 2302.01316): errors [b].

    log_snrs: falling levels of a deterministic (DDIM) path from the record into noise. At the last
    but one the path takes a step on and a step back; the error is the squared distance between
    where it was and where it comes back to, over the present continuous parts.
    """
    estimate = _make_estimate(denoiser)
    times = jnp.asarray([denoiser.schedule.time(level) for level in log_snrs])

    def move(
        params: dict, batch: Records, z: jax.Array, start: jax.Array, stop: jax.Array
    ) -> jax.Array:
        x0_hat, eps_hat = estimate(params, batch, z, start)
        levels = denoiser.levels(params, jnp.full(len(z), stop))
        return x0_hat + compute_sigma(levels.continuous) * eps_hat

    def error(params: dict, batch: Records, index: jax.Array) -> jax.Array:
        x0, here = _present_values(batch, denoiser.layout)

        def body(z: jax.Array, step: jax.Array) -> tuple[jax.Array, None]:
            return move(params, batch, z, times[step], times[step + 1]), None

        z, _ = jax.lax.scan(body, x0, jnp.arange(len(times) - 2))
        further = move(params, batch, z, times[-2], times[-1])
        back = move(params, batch, further, times[-1], times[-2])
        return jnp.sum(jnp.where(here, z - back, 0.0) ** 2, axis=-1)

    return error


def make_pseudo_likelihood(denoiser: Denoiser) -> Callable:
    """Nats [b] of the categories, each predicted once from all the others but those of its group.

    Part j is in group j modulo the number of groups. The network is told the level at which that
    share of categories is masked, and sees the numbers clean but as noisy as that level claims.
    """
    layout, schedule = denoiser.layout, denoiser.schedule
    groups = min(MASK_GROUPS, layout.num_categorical)
    level = jnp.log(jnp.maximum(groups - 1.0, 1.0))
    time = schedule.time(float(jnp.clip(level, schedule.log_snr_min, schedule.log_snr_max)))
    masked = mask_codes(layout)

    def nats(params: dict, batch: Records, index: jax.Array) -> jax.Array:
        x0, _ = _present_values(batch, denoiser.layout)
        times = jnp.full(len(x0), time)
        clean = batch.categorical.astype(jnp.int32)

        def of_group(group: jax.Array) -> jax.Array:
            hidden = jnp.arange(layout.num_categorical) % groups == group
            z = Records(x0, jnp.where(hidden, masked, clean))
            logits = denoiser.unaided(params, z, times).logits
            return jnp.where(hidden, cross_entropy(logits, clean, layout), 0.0).sum(-1)

        return jax.lax.map(of_group, jnp.arange(groups)).sum(axis=0)

    return nats


def make_gradient_norms(
    denoiser: Denoiser, *, log_snrs: Sequence[float], num_noises: int = 2
) -> Callable:
    """Norms [b, levels, leaves] of each record's own loss gradient (GSA, Pang et al. 2025).

    The loss is the mean over the paired noises of both terms; leaves are those of
    params["network"] in tree order. AT_ONCE records share a pass, which bounds memory.
    """
    loss = make_fixed_loss(denoiser)
    times = jnp.asarray([denoiser.schedule.time(level) for level in log_snrs])

    def norms(params: dict, batch: Records, index: jax.Array) -> jax.Array:
        noises = draw_noises(denoiser.layout, len(log_snrs), num_noises, SEED)

        def objective(network: dict, record: Records, t: jax.Array, of_level: Noise) -> jax.Array:
            own = {**params, "network": network}
            one = jax.tree.map(lambda x: x[None], record)
            return jnp.mean(jax.vmap(lambda n: loss(own, one, t, n).sum())(of_level))

        def of_record(record: Records) -> jax.Array:
            def at(args: tuple) -> jax.Array:
                gradient = jax.grad(objective)(params["network"], record, *args)
                return jnp.stack([jnp.linalg.norm(g) for g in jax.tree.leaves(gradient)])

            return jax.lax.map(at, (times, noises))

        return jax.lax.map(of_record, batch, batch_size=AT_ONCE)

    return norms
