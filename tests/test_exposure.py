"""White-box signals against denoisers in closed form: one that knows only the population, and one
that knows its training records by heart."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthdiff.diffusion.denoiser import Denoiser
from synthdiff.diffusion.process import compute_sigma, v_from_x0
from synthdiff.diffusion.schedules import Schedule
from synthdiff.eval.statistics import auc
from synthdiff.eval.whitebox import ATTACKS, Losses
from synthdiff.exposure.losses import choose_levels, draw_noises, make_loss_features
from synthdiff.exposure.measure import make_measure_losses, measure_probes
from synthdiff.exposure.probes import (
    make_gradient_norms,
    make_pia_error,
    make_pseudo_likelihood,
    make_secmi_error,
)
from synthdiff.layout import Layout, Records
from synthdiff.train.parallel import make_parallel_map

COUNT, DIMS, CODES = 200, 8, 6
NUMBERS = Layout(tuple("abcdefgh"), tuple(range(DIMS)), (), (), (-1,) * DIMS, (1,) * DIMS)
CATEGORIES = Layout(tuple("abcdef"), (), tuple(range(CODES)), (4,) * CODES, (), ())
GATED = Layout(("x", "k"), (0,), (0, 1), (2, 4), (0,), (1,))
SCHEDULE = Schedule()
SIGMAS = (0.1, 0.3, 1.0, 3.0)
LEVELS = tuple(float(-2 * np.log(sigma)) for sigma in SIGMAS)
NULL_MARGIN = 1.96 * np.sqrt((2 * COUNT + 1) / (12 * COUNT**2))  # exact law of a chance AUC
ONE = jax.local_devices()[:1]
PARAMS = {"network": {"scale": jnp.ones(DIMS), "shift": jnp.zeros(DIMS)}}


def gaussians(seed):
    return np.random.default_rng(seed).normal(size=(COUNT, DIMS)).astype(np.float32)


def numbers(values):
    return Records(values, np.zeros((len(values), 0), np.int32))


def closed_form(train=None):
    """apply_fn of the best denoiser for the rows of `train`, or for N(0, I) where there are none.

    Its two layers, a scale and a shift of the estimate, are there to have gradients.
    """

    def apply_fn(params, visible, log_snr, known):
        sigma = compute_sigma(log_snr)[:, None]
        z = visible.continuous / jnp.sqrt(jax.nn.sigmoid(log_snr))[:, None]
        x0 = z / (1 + sigma**2)
        if train is not None:
            squares = jnp.sum((z[:, None] - train[None]) ** 2, axis=-1)
            x0 = jax.nn.softmax(-squares / (2 * sigma**2), axis=-1) @ train
        x0 = x0 * params["scale"] + params["shift"]
        return v_from_x0(z, x0, log_snr[:, None]), ()

    return apply_fn


def measure(fn, records):
    return make_parallel_map(fn, ONE)(PARAMS, records, 0, len(records.continuous), 100)


def loss_error(apply_fn, records, levels):
    fn = make_loss_features(Denoiser(apply_fn, NUMBERS, SCHEDULE), log_snrs=levels, num_noises=16)
    return measure(fn, records).sum(axis=-1).mean(axis=-1)


def pia_error(apply_fn, records, levels):
    return measure(make_pia_error(Denoiser(apply_fn, NUMBERS, SCHEDULE), levels), records)


def secmi_error(apply_fn, records, levels):
    """One path per level: from the finest detail to the level and a step beyond."""
    paths = [(9.0, 0.5 * (9.0 + level), level, level - 0.5) for level in levels]
    fns = [make_secmi_error(Denoiser(apply_fn, NUMBERS, SCHEDULE), path) for path in paths]
    return np.stack([measure(fn, records) for fn in fns], axis=1)


def gradient_error(apply_fn, records, levels):
    fn = make_gradient_norms(Denoiser(apply_fn, NUMBERS, SCHEDULE), log_snrs=levels, num_noises=16)
    return measure(fn, records).mean(axis=-1)


ERRORS = {"loss": loss_error, "pia": pia_error, "secmi": secmi_error, "gradient": gradient_error}
# SecMI's error is zero where the memory is linear, around members and others alike
ALMOST_ONE = {"loss": 0.999, "pia": 0.999, "secmi": 0.95, "gradient": 0.999}


def areas(signal, train, levels):
    """AUC at each level: 200 records against 200 fresh ones."""
    records = numbers(np.concatenate([gaussians(0), gaussians(1)]))
    errors = ERRORS[signal](closed_form(train), records, levels)
    return [auc(-errors[:COUNT, i], -errors[COUNT:, i]) for i in range(len(levels))]


@pytest.mark.parametrize("signal", ERRORS)
def test_a_model_of_the_population_exposes_nobody(signal):
    levels = LEVELS[:1] if signal == "secmi" else LEVELS
    for value in areas(signal, None, levels):
        assert abs(value - 0.5) < NULL_MARGIN


@pytest.mark.parametrize("signal", ERRORS)
def test_a_model_that_knows_its_records_by_heart_is_seen_at_small_noise(signal):
    assert areas(signal, gaussians(0), LEVELS[:1])[0] > ALMOST_ONE[signal]
    # what it knows of others exposes none of these
    assert abs(areas(signal, gaussians(2), LEVELS[:1])[0] - 0.5) < NULL_MARGIN


def test_memory_fades_with_noise():
    """Known values for 200 records in 8 dimensions: about 1, 1, .73 and .5."""
    found = areas("loss", gaussians(0), LEVELS)
    np.testing.assert_allclose(found, [1.0, 1.0, 0.73, 0.52], atol=0.04)
    assert found[3] < 0.5 + NULL_MARGIN


@pytest.fixture(scope="module")
def games():
    """By what the attacked model knows by heart: 200 targets, 200 others, and a pool of 200 more.

    Shadow models are the best denoisers of random halves of the pool.
    """
    pool, fn = gaussians(3), partial(make_loss_features, log_snrs=LEVELS[:2], num_noises=4)
    member = np.random.default_rng(0).random((4, COUNT)) < 0.5
    records = [np.concatenate([gaussians(0), gaussians(1)]), pool]

    def lose(train):
        loss = fn(Denoiser(closed_form(train), NUMBERS, SCHEDULE))
        return [measure(loss, numbers(values)) for values in records]

    shadow = [np.stack(found) for found in zip(*map(lose, (pool[m] for m in member)), strict=True)]
    nobody = np.zeros((4, 2 * COUNT), bool)
    return {
        name: [Losses(*rest) for rest in zip(lose(train), shadow, (nobody, member), strict=True)]
        for name, train in (("targets", gaussians(0)), ("strangers", gaussians(2)), ("none", None))
    }


@pytest.mark.parametrize("name", ATTACKS)
def test_calibrated_and_learnt_attacks_find_what_is_known_by_heart_and_nothing_else(name, games):
    found = {}
    for known, (targets, unseen) in games.items():
        scores = ATTACKS[name](targets, unseen)
        found[known] = auc(scores[:COUNT], scores[COUNT:])
    assert found["targets"] > 0.9  # calibration adds the noise of four small models
    assert max(abs(found[known] - 0.5) for known in ("strangers", "none")) < 1.6 * NULL_MARGIN


def memory_of_codes(train, smoothing=1e-3):
    """apply_fn of the best guess when records are uniform on `train`: those that agree vote."""
    hot = jax.nn.one_hot(jnp.asarray(train), 4)

    def apply_fn(params, visible, log_snr, known):
        codes = visible.categorical
        agrees = (codes[:, None] == jnp.asarray(train)[None]) | (codes[:, None] == 4)
        votes = jnp.einsum("bn,npk->bpk", agrees.all(axis=-1).astype(float), hot) + smoothing
        return jnp.zeros((len(codes), 0)), (jnp.log(votes / votes.sum(-1, keepdims=True)),)

    return apply_fn


def test_categories_known_by_heart_are_seen_and_those_of_the_population_are_not():
    rng = np.random.default_rng(0)
    inside, outside, others = rng.integers(0, 4, (3, COUNT, CODES)).astype(np.int32)
    records = Records(np.zeros((2 * COUNT, 0), np.float32), np.concatenate([inside, outside]))

    def area(train):
        fn = memory_of_codes(train)
        nats = measure(make_pseudo_likelihood(Denoiser(fn, CATEGORIES, SCHEDULE)), records)
        loss = make_loss_features(
            Denoiser(fn, CATEGORIES, SCHEDULE), log_snrs=(1.0,), num_noises=16
        )
        found = (nats, measure(loss, records)[..., 1].mean(axis=(1, 2)))
        return [auc(-errors[:COUNT], -errors[COUNT:]) for errors in found]

    assert min(area(inside)) > 0.95
    assert max(abs(value - 0.5) for value in area(others)) < NULL_MARGIN


def test_noises_are_paired_and_mask_every_part_equally_often():
    noises = draw_noises(CATEGORIES, 3, 8, seed=1)
    assert noises.uniform.shape == (3, 8, CODES)
    np.testing.assert_array_equal((noises.uniform < 0.25).sum(axis=1), 2)
    again, other = draw_noises(CATEGORIES, 3, 8, seed=1), draw_noises(CATEGORIES, 3, 8, seed=2)
    np.testing.assert_array_equal(noises.uniform, again.uniform)
    assert not np.allclose(noises.uniform, other.uniform)
    eps = np.asarray(draw_noises(NUMBERS, 3, 8, seed=1).eps).reshape(24, -1)
    assert len(np.unique(eps, axis=0)) == 24


def test_losses_of_a_record_do_not_depend_on_its_company():
    run = make_measure_losses(Denoiser(closed_form(gaussians(2)), NUMBERS, SCHEDULE), num_noises=2)
    whole = run(PARAMS, numbers(gaussians(0)))
    assert whole.shape == (COUNT, 16, 2, 2)
    few = run(PARAMS, numbers(gaussians(0)[[5, 2]]))
    np.testing.assert_allclose(few, whole[[5, 2]], rtol=1e-5, atol=1e-6)


def test_absent_numbers_and_visible_categories_cost_nothing():
    def apply_fn(params, visible, log_snr, known):
        logits = (jnp.zeros((len(log_snr), 1, 2)), jnp.zeros((len(log_snr), 1, 4)))
        return visible.continuous, logits

    records = Records(np.ones((2, 1), np.float32), np.array([[0, 3], [1, 3]], np.int32))
    fn = make_loss_features(Denoiser(apply_fn, GATED, SCHEDULE), log_snrs=(9.0, -8.0), num_noises=4)
    found = measure(fn, records)
    assert (found[0, :, :, 0] > 0).all() and (found[1, :, :, 0] == 0).all()
    np.testing.assert_allclose(found[:, 0, :, 1], 0.0)  # at the finest level nothing is masked
    np.testing.assert_allclose(found[:, 1, :, 1], np.log(8), rtol=1e-5)  # at the coarsest, all is


def test_probes_are_left_out_where_there_is_nothing_to_probe():
    records = numbers(gaussians(0)[:10])
    found = measure_probes(Denoiser(closed_form(), NUMBERS, SCHEDULE), PARAMS, records)
    assert set(found) == {"gradient", "pia", "secmi"}
    assert all(np.isfinite(scores).all() and scores.shape == (10,) for scores in found.values())


def test_levels_stay_within_the_schedule():
    levels = choose_levels(Schedule(log_snr_min=-2.0, log_snr_max=6.0), 16)
    assert len(levels) == 16 and min(levels) > -2.0 and max(levels) == pytest.approx(6.0)
