"""Samplers: from noise to records with nothing but a denoise function and a grid of times.

A sampler is a rule that moves the continuous parts from time t to s < t. Categorical parts follow
one rule beside every sampler: a part becomes visible, drawn from the predicted distribution, when
the schedule's share of visible categories passes the part's own turn (`unmasking.py`). The
ancestral sampler takes its times where that is so for whole groups of parts.
The last step returns the clean estimate, or a draw around it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

from synthdiff._validate import in_range, one_of, positive
from synthdiff.diffusion.denoiser import Prediction
from synthdiff.diffusion.process import (
    compute_alpha_bar,
    compute_sigma,
    mask_codes,
    posterior,
    posterior_variance,
    remask_chance,
)
from synthdiff.diffusion.schedules import Levels
from synthdiff.diffusion.unmasking import draw_categories, draw_turns, share_visible
from synthdiff.layout import Layout, Records

# (z, scalar time, uniforms [batch] that draw one guess, or None for the average) -> clean estimate
DenoiseFn = Callable[[Records, jax.Array, jax.Array | None], Prediction]
LevelsFn = Callable[[jax.Array], Levels]  # scalar time -> log-SNR of every part
GRID = 1024  # times between which the share of visible categories is taken as straight


class Step(NamedTuple):
    """What a rule may use to go from t to s: noise levels, the estimate at t, the last estimate."""

    sigma_t: jax.Array
    sigma_s: jax.Array
    sigma_before: jax.Array
    x0: jax.Array
    x0_before: jax.Array
    is_first: jax.Array
    eps: jax.Array
    x0_at_s: Callable[[jax.Array], jax.Array]


def step_ancestral(z: jax.Array, step: Step) -> jax.Array:
    """Draws z_s given z_t: the posterior given x0 (Ho et al. 2020, arXiv 2006.11239 eq. 6).

    x0_hat is the mean of an x0 that is not known yet. Its variance is what a standard normal x0
    leaves, as values within a bin nearly are, so that long steps keep the spread (analytic
    variance: Bao et al. 2022, arXiv 2201.06503).
    """
    mean, std = posterior(z, step.x0, step.sigma_t, step.sigma_s)
    of_x0 = (1.0 - (step.sigma_s / step.sigma_t) ** 2) ** 2 * posterior_variance(step.sigma_t)
    return mean + jnp.sqrt(std**2 + of_x0) * step.eps


def step_ddim(z: jax.Array, step: Step) -> jax.Array:
    """Deterministic first-order step (Song et al. 2021, arXiv 2010.02502 eq. 12)."""
    return step.x0 + step.sigma_s / step.sigma_t * (z - step.x0)


def step_heun(z: jax.Array, step: Step) -> jax.Array:
    """Second-order step with a second evaluation at s (Karras et al. 2022, algorithm 1)."""
    slope = (z - step.x0) / step.sigma_t
    guess = z + (step.sigma_s - step.sigma_t) * slope
    slope_s = (guess - step.x0_at_s(guess)) / step.sigma_s
    return z + (step.sigma_s - step.sigma_t) * 0.5 * (slope + slope_s)


def step_dpmpp_2m(z: jax.Array, step: Step) -> jax.Array:
    """Second-order multistep, one evaluation (Lu et al. 2022, arXiv 2211.01095 algorithm 2)."""
    h = jnp.log(step.sigma_t / step.sigma_s)
    h_before = jnp.log(step.sigma_before / step.sigma_t)
    lead = jnp.where(step.is_first, 0.0, 0.5 * h / jnp.where(step.is_first, 1.0, h_before))
    x0 = (1.0 + lead) * step.x0 - lead * step.x0_before
    ratio = step.sigma_s / step.sigma_t
    return ratio * z + (1.0 - ratio) * x0


class Rule(NamedTuple):
    """A sampler: its step, evaluations per step, and whether it re-noises before each step.

    draws: times are where steps show whole groups of categories, each step draws one guess of the
    denoiser, and the last step draws as others do; else times are even, as the order of a solver
    needs them, and steps and end are averages.
    """

    step: Callable[[jax.Array, Step], jax.Array]
    evaluations: int
    churns: bool = False
    draws: bool = False


SAMPLERS = {
    "ancestral": Rule(step_ancestral, 1, draws=True),
    "ddim": Rule(step_ddim, 1),
    "heun": Rule(step_heun, 2),
    "dpmpp_2m": Rule(step_dpmpp_2m, 1),
    "churn": Rule(step_heun, 2, churns=True),  # Karras et al. 2022, algorithm 2
}


@dataclass(frozen=True)
class SamplerConfig:
    """Which sampler, how many steps, and for "churn" how much noise is put back per step.

    name: ancestral, ddim, heun, dpmpp_2m or churn. num_steps: from noise to record. churn: sigma
    grows by the factor 1 + churn before each step, and categories are masked again accordingly, so
    that early mistakes can be taken back (TabDiff, arXiv 2410.20626, section 3.4).
    """

    name: str = "ancestral"
    num_steps: int = 32
    churn: float = 0.1

    def __post_init__(self) -> None:
        one_of(SAMPLERS, sampler=self.name)
        in_range(0.0, 1.0, churn=self.churn)
        positive(num_steps=self.num_steps)

    @property
    def nfe(self) -> int:
        """Network evaluations per record, without guidance."""
        return SAMPLERS[self.name].evaluations * (self.num_steps - 1) + 1


class Noise(NamedTuple):
    """The randomness of one step for each record."""

    eps: jax.Array
    turn: jax.Array
    category: jax.Array
    churn_eps: jax.Array
    remask: jax.Array
    guess: jax.Array


def draw_step_noise(
    keys: jax.Array,
    index: jax.Array,
    layout: Layout,
    uniform: jax.Array | None = None,
    picks: jax.Array | None = None,
) -> Noise:
    """Noise of step `index`, from each record's own key: independent of batch and device.

    uniform, picks: as in `sample`, in the place of the record's own.
    """

    def draw(key: jax.Array) -> Noise:
        normal, uniform = jax.random.split(jax.random.fold_in(key, index))
        eps = jax.random.normal(normal, (2, layout.num_continuous))
        u = jax.random.uniform(uniform, (3, layout.num_categorical))
        guess = jax.random.uniform(jax.random.fold_in(uniform, 1))
        return Noise(eps[0], u[0], u[1], eps[1], u[2], guess)

    noise = jax.vmap(draw)(keys)
    noise = noise if uniform is None else noise._replace(category=uniform)
    return noise if picks is None else noise._replace(guess=picks[:, index])


def find_times(rule: Rule, num_steps: int, levels_fn: LevelsFn, layout: Layout) -> jax.Array:
    """The times of the evaluations [num_steps], from 1 down."""
    if not rule.draws:
        return jnp.linspace(1.0, 0.0, num_steps)
    grid = jnp.linspace(1.0, 0.0, GRID)
    levels = jax.vmap(levels_fn)(grid)
    parts = levels.categorical if layout.num_categorical else levels.continuous
    share = jnp.mean(compute_alpha_bar(parts), axis=-1)
    return jnp.interp(share_visible(layout.num_categorical, num_steps)[:-1], share, grid)


def add_churn(
    z: Records,
    turns: jax.Array,
    t: jax.Array,
    t_hat: jax.Array,
    levels_fn: LevelsFn,
    noise: Noise,
    layout: Layout,
) -> tuple[Records, jax.Array]:
    """Moves the state back from time t to the noisier t_hat; parts masked again get new turns."""
    now, hat = levels_fn(t), levels_fn(t_hat)
    variance = compute_sigma(hat.continuous) ** 2 - compute_sigma(now.continuous) ** 2
    remask = noise.remask < remask_chance(now.categorical, hat.categorical)
    remask &= z.categorical != mask_codes(layout)
    visible = compute_alpha_bar(hat.categorical)
    z = Records(
        z.continuous + jnp.sqrt(jnp.maximum(variance, 0.0)) * noise.churn_eps,
        jnp.where(remask, mask_codes(layout), z.categorical),
    )
    return z, jnp.where(remask, visible + (1.0 - visible) * noise.turn, turns)


def draw_end(
    z: Records, last: Prediction, sigma: jax.Array | float, noise: Noise, layout: Layout
) -> Records:
    """The clean record of the last estimate, or with sigma > 0 a draw around it."""
    spread = jnp.sqrt(posterior_variance(jnp.asarray(sigma)))
    drawn = draw_categories(last, noise.category, layout)
    categorical = jnp.where(z.categorical == mask_codes(layout), drawn, z.categorical)
    return Records(last.x0 + spread * noise.eps, categorical)


def sample(
    config: SamplerConfig,
    denoise_fn: DenoiseFn,
    levels_fn: LevelsFn,
    layout: Layout,
    keys: jax.Array,
    churn_time: Callable[[jax.Array], jax.Array] | None = None,
    uniform: jax.Array | None = None,
    picks: jax.Array | None = None,
) -> tuple[Records, Records]:
    """Draws one record per key [batch] at the times of `find_times`, and last a clean one.

    Beside them the state at each time [num_steps, batch, ...], compiled away where it is not read.
    churn_time: t -> the time at which sigma is (1 + churn) times larger; for "churn" only.
    uniform: what each category is drawn by [batch, K], such as `spread_uniform`; by the record's
    own key where absent, and with "churn", which draws a category more than once.
    picks: likewise, what each step draws a guess by [batch, num_steps].
    """
    rule, masked = SAMPLERS[config.name], mask_codes(layout)
    uniform = None if rule.churns else uniform
    times = find_times(rule, config.num_steps, levels_fn, layout)
    first = draw_step_noise(keys, jnp.int32(config.num_steps), layout)
    sigma = compute_sigma(levels_fn(times[0]).continuous)
    z = Records(jnp.sqrt(1.0 + sigma**2) * first.eps, jnp.broadcast_to(masked, first.turn.shape))

    def body(carry: tuple, i: jax.Array) -> tuple[tuple, Records]:
        z, turns, x0_before, sigma_before = carry
        t, s = times[i], times[i + 1]
        noise = draw_step_noise(keys, i, layout, uniform, picks)
        if rule.churns:
            assert churn_time is not None  # only this sampler needs one
            before, t = t, churn_time(t)
            z, turns = add_churn(z, turns, before, t, levels_fn, noise, layout)
        now, later = levels_fn(t), levels_fn(s)
        prediction = denoise_fn(z, t, noise.guess if rule.draws else None)
        shown = (z.categorical == masked) & (turns < compute_alpha_bar(later.categorical))
        drawn = draw_categories(prediction, noise.category, layout)
        categorical = jnp.where(shown, drawn, z.categorical)
        step = Step(
            sigma_t=compute_sigma(now.continuous),
            sigma_s=compute_sigma(later.continuous),
            sigma_before=sigma_before,
            x0=prediction.x0,
            x0_before=x0_before,
            is_first=i == 0,
            eps=noise.eps,
            x0_at_s=lambda guess: denoise_fn(Records(guess, categorical), s, None).x0,
        )
        z = Records(rule.step(z.continuous, step), categorical)
        return (z, turns, prediction.x0, step.sigma_t), carry[0]

    turns = draw_turns(first.turn, first.remask, layout, config.num_steps)
    carry = (z, turns, jnp.zeros_like(z.continuous), sigma)
    (z, _, _, _), states = jax.lax.scan(body, carry, jnp.arange(config.num_steps - 1))
    states = jax.tree.map(lambda before, at: jnp.concatenate([before, at[None]]), states, z)
    i = jnp.int32(config.num_steps - 1)
    noise = draw_step_noise(keys, i, layout, uniform, picks)
    last = denoise_fn(z, times[-1], noise.guess if rule.draws else None)
    spread = compute_sigma(levels_fn(times[-1]).continuous) if rule.draws else 0.0
    return draw_end(z, last, spread, noise, layout), states
