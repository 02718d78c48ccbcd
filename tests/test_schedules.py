"""Laws of every schedule, over one table."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthdiff._validate import InputError
from synthdiff.diffusion.schedules import (
    SHAPES,
    Levels,
    Schedule,
    part_log_snr,
    part_log_snr_rate,
)

ENDS = [(-8.0, 9.0), (-10.0, 6.0), (-5.0, 12.0)]
CASES = [Schedule(name, low, high) for name in SHAPES for low, high in ENDS]
TIMES = jnp.linspace(0.0, 1.0, 101)


@pytest.mark.parametrize("schedule", CASES, ids=str)
def test_ends_are_the_knobs(schedule):
    assert schedule.log_snr(jnp.float32(0.0)) == pytest.approx(schedule.log_snr_max, abs=0.01)
    assert schedule.log_snr(jnp.float32(1.0)) == pytest.approx(schedule.log_snr_min, abs=0.01)


@pytest.mark.parametrize("schedule", CASES, ids=str)
def test_decreases_and_stays_finite(schedule):
    values = np.asarray(schedule.log_snr(TIMES))
    assert np.isfinite(values).all() and (np.diff(values) < 0).all()


@pytest.mark.parametrize("schedule", CASES, ids=str)
def test_time_inverts_log_snr(schedule):
    back = [schedule.time(float(value)) for value in schedule.log_snr(TIMES)]
    np.testing.assert_allclose(back, TIMES, atol=2e-4)


@pytest.mark.parametrize("schedule", CASES, ids=str)
def test_rate_is_the_derivative(schedule):
    power = Levels(jnp.array([1.0, 0.5, 2.0]), jnp.array([1.5]))
    t, h = jnp.array([0.2, 0.5, 0.8]), 1e-3
    _, rate = part_log_snr_rate(schedule, t, power)
    after, before = part_log_snr(schedule, t + h, power), part_log_snr(schedule, t - h, power)
    for r, a, b in zip(rate, after, before, strict=True):
        np.testing.assert_allclose(r, -(a - b) / (2 * h), rtol=0.02)


def test_known_values():
    assert Schedule("cosine", -8, 8).log_snr(jnp.float32(0.5)) == pytest.approx(0.0, abs=1e-5)
    # Karras: the middle of rho-spaced sigmas between exp(-4) and exp(4), rho = 7
    middle = ((np.exp(-4.0) ** (1 / 7) + np.exp(4.0) ** (1 / 7)) / 2) ** 7
    assert Schedule("edm", -8, 8).log_snr(jnp.float32(0.5)) == pytest.approx(
        -2 * np.log(middle), abs=1e-4
    )
    # DDPM: alpha_bar(u) = exp(-(0.1 u + 9.95 u^2)); the cut schedule goes through u = 0.5
    schedule = Schedule("linear", -9.0, 9.0)
    u = 0.5
    log_snr = -np.log(np.expm1(0.1 * u + 9.95 * u**2))
    assert schedule.log_snr(jnp.float32(schedule.time(log_snr))) == pytest.approx(log_snr, abs=1e-3)


def test_warp_keeps_the_ends_and_moves_the_middle():
    schedule = Schedule("cosine")
    power = Levels(jnp.array([1.0, 3.0]), jnp.array([0.3]))
    ends = part_log_snr(schedule, jnp.array([0.0, 1.0]), power)
    for level in ends:
        np.testing.assert_allclose(level[1], schedule.log_snr_min, atol=0.02)
    middle = part_log_snr(schedule, jnp.array([0.5]), power).continuous[0]
    assert middle[1] > middle[0] + 1.0


def test_gradient_reaches_the_warp():
    def level(p):
        return part_log_snr(Schedule(), jnp.array([0.4]), Levels(p, p)).continuous.sum()

    assert jnp.abs(jax.grad(level)(jnp.ones(2))).min() > 0.1


@pytest.mark.parametrize("low, high", [(5.0, -5.0), (-30.0, 5.0), (1.0, 1.0)])
def test_bad_ends_are_refused(low, high):
    with pytest.raises(InputError, match="log_snr_min"):
        Schedule("cosine", low, high)


def test_unknown_name_lists_the_known():
    with pytest.raises(InputError, match="cosine, linear, edm"):
        Schedule("sigmoid")
