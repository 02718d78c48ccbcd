"""Closed forms of the forward process."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthdiff.diffusion import process
from synthdiff.diffusion.schedules import Levels
from synthdiff.layout import Layout, Records

LEVELS = jnp.array([-8.0, -2.0, 0.0, 3.0, 9.0])
LAYOUT = Layout(("a", "b"), (0,), (1,), (3,), (-1,), (1,))


@pytest.mark.parametrize("log_snr", LEVELS)
def test_round_trips(log_snr):
    x0, eps = jnp.array([0.3, -1.2]), jnp.array([1.0, -0.4])
    z = x0 + process.compute_sigma(log_snr) * eps
    v = process.v_from_x0(z, x0, log_snr)
    np.testing.assert_allclose(process.x0_from_v(z, v, log_snr), x0, atol=2e-3)
    alpha_bar = process.compute_alpha_bar(log_snr)
    expected = jnp.sqrt(alpha_bar) * eps - jnp.sqrt(1 - alpha_bar) * x0  # definition of v
    np.testing.assert_allclose(v, expected, atol=2e-3)
    np.testing.assert_allclose(process.eps_from_x0(z, x0, log_snr), eps, atol=5e-3)


def test_posterior_is_bayes():
    z, x0, sigma_t, sigma_s = 1.7, 0.2, 2.0, 0.8
    mean, std = process.posterior(z, x0, sigma_t, sigma_s)
    precision = 1 / sigma_s**2 + 1 / (sigma_t**2 - sigma_s**2)
    expected = (x0 / sigma_s**2 + z / (sigma_t**2 - sigma_s**2)) / precision
    assert mean == pytest.approx(expected)
    assert std == pytest.approx(precision**-0.5)


def test_diffuse_has_the_stated_moments():
    n = 40_000
    normal, uniform = jax.random.split(jax.random.key(0))
    log_snr = Levels(jnp.array([-0.5]), jnp.array([0.8]))
    x0 = Records(jnp.full((n, 1), 2.0), jnp.full((n, 1), 1))
    z = process.diffuse(
        x0,
        log_snr,
        jax.random.normal(normal, (n, 1)),
        jax.random.uniform(uniform, (n, 1)),
        process.mask_codes(LAYOUT),
    )
    sigma = float(jnp.exp(0.25))
    assert z.continuous.mean() == pytest.approx(2.0, abs=4 * sigma / n**0.5)
    assert z.continuous.std() == pytest.approx(sigma, rel=0.02)
    visible = float((z.categorical == 1).mean())
    expected = 1 / (1 + np.exp(-0.8))
    assert visible == pytest.approx(expected, abs=4 * (expected * (1 - expected) / n) ** 0.5)
    assert set(np.unique(z.categorical)) == {1, 3}


def test_masking_composes():
    # visible at s and then masked by remask_chance = visible at t
    t, s = jnp.float32(-1.0), jnp.float32(2.0)
    a_t, a_s = jax.nn.sigmoid(t), jax.nn.sigmoid(s)
    assert a_s * (1 - process.remask_chance(s, t)) == pytest.approx(float(a_t), abs=1e-6)
