"""White-box signals against denoisers in closed form: one that knows only the population, and one
that knows its training records by heart."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthdiff.diffusion.process import v_from_x0
from synthdiff.diffusion.schedules import Schedule
from synthdiff.eval.statistics import auc
from synthdiff.exposure.losses import make_loss_features
from synthdiff.exposure.probes import (
    make_gradient_norms,
    make_pia_error,
    make_secmi_error,
)
from synthdiff.layout import Layout, Records
from synthdiff.train.parallel import make_parallel_map

COUNT, DIMS = 200, 8
NUMBERS = Layout(tuple("abcdefgh"), tuple(range(DIMS)), (), (), (-1,) * DIMS)
CODES = Layout(tuple("abcdef"), (), tuple(range(6)), (4,) * 6, ())
SCHEDULE = Schedule()
SIGMAS = (0.1, 0.3, 1.0, 3.0)
LEVELS = tuple(float(-2 * np.log(sigma)) for sigma in SIGMAS)
NULL_MARGIN = 1.96 * np.sqrt((2 * COUNT + 1) / (12 * COUNT**2))  # exact law of a chance AUC


def gaussians(seed, count=COUNT):
    return np.random.default_rng(seed).normal(size=(count, DIMS)).astype(np.float32)


def numbers(values):
    return Records(values, np.zeros((len(values), 0), np.int32))


def posterior_mean(base, z, sigma):
    """E[x | z] when x is uniform on the rows of `base`."""
    squares = jnp.sum((z[:, None] - base[None]) ** 2, axis=-1)
    return jax.nn.softmax(-squares / (2 * sigma**2), axis=-1) @ base


def closed_form(train=None):
    """apply_fn of the best denoiser for `train`, or for N(0, I) where there is none.

    Its two layers, a scale and a shift of the estimate, are there to have gradients.
    """

    def apply_fn(params, visible, log_snr, known):
        sigma = jnp.exp(-0.5 * log_snr)[:, None]
        z = visible.continuous / jnp.sqrt(jax.nn.sigmoid(log_snr))[:, None]
        x0 = z / (1 + sigma**2) if train is None else posterior_mean(jnp.asarray(train), z, sigma)
        x0 = x0 * params["scale"] + params["shift"]
        return v_from_x0(z, x0, log_snr[:, None]), ()

    return apply_fn


PARAMS = {"network": {"scale": jnp.ones(DIMS), "shift": jnp.zeros(DIMS)}}


def measure(fn, records, params=PARAMS):
    count = len(records.continuous)
    return make_parallel_map(fn, jax.local_devices()[:1])(params, records, 0, count, 100)


def loss_by_level(apply_fn):
    fn = make_loss_features(apply_fn, NUMBERS, SCHEDULE, log_snrs=LEVELS, num_noises=16)
    return lambda records: measure(fn, records).sum(axis=-1).mean(axis=-1)


def pia_by_level(apply_fn):
    return lambda records: measure(make_pia_error(apply_fn, NUMBERS, SCHEDULE, LEVELS), records)


def gradient_by_level(apply_fn):
    fn = make_gradient_norms(apply_fn, NUMBERS, SCHEDULE, log_snrs=LEVELS, num_noises=16)
    return lambda records: measure(fn, records).mean(axis=-1)


def secmi_by_level(apply_fn):
    """One path per level: from the finest detail to that level and one step beyond."""

    def errors(records):
        found = []
        for level in LEVELS:
            path = (9.0, 0.5 * (9.0 + level), level, level - 0.5)
            fn = make_secmi_error(apply_fn, NUMBERS, SCHEDULE, path)
            found.append(measure(fn, records))
        return np.stack(found, axis=1)

    return errors


SIGNALS = {
    "loss": loss_by_level,
    "pia": pia_by_level,
    "secmi": secmi_by_level,
    "gradient": gradient_by_level,
}


def aucs(signal, train=None, members=None):
    members = gaussians(0) if members is None else members
    errors = SIGNALS[signal](closed_form(train))
    inside, outside = errors(numbers(members)), errors(numbers(gaussians(1)))
    return [auc(-inside[:, i], -outside[:, i]) for i in range(len(SIGMAS))]


@pytest.mark.parametrize("signal", SIGNALS)
def test_a_model_of_the_population_exposes_nobody(signal):
    for value in aucs(signal):
        assert abs(value - 0.5) < NULL_MARGIN


@pytest.mark.parametrize("signal", SIGNALS)
def test_a_model_that_knows_its_records_by_heart_is_seen_at_small_noise(signal):
    members = gaussians(0)
    found = aucs(signal, train=members, members=members)
    print(signal, found)
    assert found[0] > 0.99
    # and the same signal says nothing of people whom the memory does not hold
    others = aucs(signal, train=gaussians(2), members=members)
    print(signal, others)
    assert abs(others[0] - 0.5) < NULL_MARGIN
