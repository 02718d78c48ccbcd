"""Noise schedules: log-SNR as a decreasing function of time t in [0, 1].

Every schedule is a shape cut to [log_snr_min, log_snr_max]. The two ends are the explicit knob
between detail and privacy: detail finer than `exp(-log_snr_max / 2)` of a column's spread is never
learnt. A per-feature time warp `t ** power` turns any schedule into a learnable one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

from synthdiff._validate import InputError, one_of

BETA_MIN, BETA_MAX = 0.1, 20.0  # continuous-time DDPM, Song et al. 2021, arXiv 2011.13456 eq. 32
KARRAS_RHO = 7.0  # Karras et al. 2022, arXiv 2206.00364 eq. 5
SMALLEST_TIME = 1e-5  # keeps d/dt t**power finite at t = 0


def _cosine(u: jax.Array) -> jax.Array:
    return -2.0 * jnp.log(jnp.tan(0.5 * math.pi * u))


def _cosine_inverse(log_snr: float) -> float:
    return 2.0 / math.pi * math.atan(math.exp(-0.5 * log_snr))


def _linear(u: jax.Array) -> jax.Array:
    return -jnp.log(jnp.expm1(BETA_MIN * u + 0.5 * (BETA_MAX - BETA_MIN) * u**2))


def _linear_inverse(log_snr: float) -> float:
    integral = math.log1p(math.exp(-log_snr))
    root = math.sqrt(BETA_MIN**2 + 2.0 * (BETA_MAX - BETA_MIN) * integral)
    return 2.0 * integral / (root + BETA_MIN)


def _karras(u: jax.Array) -> jax.Array:
    return -2.0 * KARRAS_RHO * jnp.log(u)


def _karras_inverse(log_snr: float) -> float:
    return math.exp(-0.5 * log_snr / KARRAS_RHO)


# name: (log-SNR of the uncut coordinate u, its inverse). Time maps to u affinely, so that cutting
# a schedule keeps its shape. With sigma = u ** rho, Karras' interpolation is the affine map itself.
SHAPES = {
    "cosine": (_cosine, _cosine_inverse),  # Nichol & Dhariwal 2021, arXiv 2102.09672
    "linear": (_linear, _linear_inverse),
    "edm": (_karras, _karras_inverse),
}


class Levels(NamedTuple):
    """Per-part values at one time: continuous [..., num_continuous], categorical [..., K]."""

    continuous: jax.Array
    categorical: jax.Array


@dataclass(frozen=True)
class Schedule:
    """log_snr(t): decreasing, from log_snr_max at t = 0 to log_snr_min at t = 1.

    name: "cosine", "linear" or "edm". log_snr_min: at the noisiest. log_snr_max: at the cleanest;
    finer detail is never learnt. learnable: each part gets its own exponent of time, trained with
    the network.
    """

    name: str = "cosine"
    log_snr_min: float = -8.0
    log_snr_max: float = 9.0
    learnable: bool = False

    def __post_init__(self) -> None:
        one_of(SHAPES, schedule=self.name)
        if not -20.0 <= self.log_snr_min < self.log_snr_max <= 20.0:
            raise InputError(
                f"Expected -20 <= log_snr_min < log_snr_max <= 20, "
                f"got {self.log_snr_min} and {self.log_snr_max}."
            )

    @property
    def _ends(self) -> tuple[float, float]:
        inverse = SHAPES[self.name][1]
        return inverse(self.log_snr_max), inverse(self.log_snr_min)

    def log_snr(self, t: jax.Array) -> jax.Array:
        """Log signal-to-noise ratio at time t in [0, 1]; same shape as t."""
        start, end = self._ends
        return SHAPES[self.name][0](start + t * (end - start))

    def time(self, log_snr: float) -> float:
        """The time at which the schedule has this log-SNR: inverse of `log_snr` (host side).

        >>> round(Schedule("cosine", -8.0, 8.0).time(0.0), 6)
        0.5
        """
        start, end = self._ends
        return (SHAPES[self.name][1](log_snr) - start) / (end - start)


def part_log_snr(schedule: Schedule, t: jax.Array, power: Levels) -> Levels:
    """Log-SNR of every part at times t [batch]: the schedule at t ** power, per part.

    Each part travels the same road from noise to data at its own pace; power 1 is the schedule.
    """
    t = jnp.maximum(t, SMALLEST_TIME)[..., None]
    return Levels(*(schedule.log_snr(t**p) for p in power))


def part_log_snr_rate(schedule: Schedule, t: jax.Array, power: Levels) -> tuple[Levels, Levels]:
    """`part_log_snr` and its rate of fall -d(log_snr)/dt >= 0, which weights the loss."""
    log_snr, slope = jax.jvp(
        lambda time: part_log_snr(schedule, time, power), (t,), (jnp.ones_like(t),)
    )
    return log_snr, Levels(*(-s for s in slope))


def unit_power(num_continuous: int, num_categorical: int) -> Levels:
    """The warp that changes nothing."""
    return Levels(jnp.ones(num_continuous), jnp.ones(num_categorical))
