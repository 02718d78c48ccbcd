"""Loss terms against closed forms and quadrature, with oracles in place of networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthdiff.diffusion.denoiser import Denoiser, Guesses
from synthdiff.diffusion.keys import purpose_key, record_keys
from synthdiff.diffusion.losses import (
    continuous_weight,
    cross_entropy,
    make_loss_fn,
    mixture_terms,
)
from synthdiff.diffusion.process import v_from_x0
from synthdiff.diffusion.schedules import SHAPES, Levels, Schedule, part_log_snr
from synthdiff.layout import Layout, Records

# x is gated by its own category; k has 4 categories, a power of two, so no padding
LAYOUT = Layout(("x", "k"), (0,), (0, 1), (2, 4), (0,), (1,))
PRESENT = (0.7, (0, 3))
HIDDEN = (0.7, (1, 3))
COUNT = 8192
WARPS = {"unit": {}, "learnt": {"continuous": [0.4], "categorical": [0.3, -0.4]}}
CASES = [(name, warp) for name in SHAPES for warp in WARPS]


def batch_of(record, count=COUNT):
    value, codes = record
    return Records(jnp.full((count, 1), value), jnp.tile(jnp.array(codes, jnp.int8), (count, 1)))


def params_of(warp):
    logs = WARPS[warp]
    learnt = {"schedule": {part: jnp.array(values) for part, values in logs.items()}}
    return {"network": {}} | (learnt if logs else {})


def oracle(schedule, params, u, x0, *, v_error=0.0, sharpness=1e4):
    """apply_fn that knows x0, and is wrong by `v_error` in v."""
    logs = params.get("schedule", {"continuous": jnp.zeros(1), "categorical": jnp.zeros(2)})
    level = part_log_snr(schedule, u, Levels(*(jnp.exp(logs[k]) for k in Levels._fields)))

    def apply_fn(_, visible, log_snr, known):
        z = visible.continuous / jnp.sqrt(jax.nn.sigmoid(level.continuous))
        v = v_from_x0(z, x0.continuous, level.continuous) + v_error
        codes = x0.categorical.astype(jnp.int32)
        hot = [jax.nn.one_hot(codes[:, j : j + 1], k) for j, k in enumerate((2, 4))]
        return v, tuple(sharpness * h for h in hot)

    return apply_fn


def draw(count=COUNT, seed=0):
    keys = record_keys(purpose_key(seed, "train"), jnp.arange(count))
    return keys, (jnp.arange(count) + 0.5) / count


def terms_of(schedule, warp="unit", record=PRESENT, condition_rate=0.0, **wrong):
    keys, u = draw()
    params, batch = params_of(warp), batch_of(record)
    apply_fn = oracle(schedule, params, u, batch, **wrong)
    loss_fn = make_loss_fn(Denoiser(apply_fn, LAYOUT, schedule), condition_rate=condition_rate)
    return np.asarray(jax.jit(loss_fn)(params, batch, keys, u))


@pytest.mark.parametrize("name, warp", CASES)
def test_the_oracle_has_no_loss(name, warp):
    assert np.abs(terms_of(Schedule(name), warp)).max() < 1e-4


@pytest.mark.parametrize("name, warp", CASES)
def test_objective_is_the_same_for_every_schedule(name, warp):
    """A constant v error costs the integral of the weight; uniform logits cost log K in part."""
    schedule = Schedule(name)
    low, high = schedule.log_snr_min, schedule.log_snr_max
    terms = terms_of(schedule, warp, v_error=1.0, sharpness=0.0)
    got, error = terms.mean(axis=0), terms.std(axis=0) / np.sqrt(COUNT)
    grid = np.linspace(low, high, 100_001)
    continuous = np.trapezoid(1 / (2 * np.pi * np.cosh(grid / 2)), grid)
    alpha = 1 / (1 + np.exp(-grid))
    masked = np.trapezoid(alpha * (1 - alpha), grid)
    assert got[0] == pytest.approx(continuous, rel=0.02)
    assert (np.abs(got[1:] - masked * np.log([2, 4])) < 4 * error[1:]).all()
    assert (error < 0.1 * got).all()  # power: a tenth would be seen


def test_quadrature_in_time_needs_the_rate():
    """Power of the test above: without -d log_snr / dt the schedules disagree."""
    u = draw()[1]
    means = [float(continuous_weight(Schedule(name).log_snr(u)).mean()) for name in SHAPES]
    assert max(means) > 1.2 * min(means)


def test_uniform_logits_against_quadrature_in_time():
    """Monte-Carlo mean is the integral of alpha_bar rate log K P(masked) dt, bin by bin."""
    schedule = Schedule("linear")
    got = terms_of(schedule, sharpness=0.0)[:, 2].reshape(8, -1).mean(axis=1)
    t = np.linspace(0.0, 1.0, 80_001)
    log_snr = np.asarray(schedule.log_snr(jnp.asarray(t)), float)
    alpha = 1 / (1 + np.exp(-log_snr))
    density = alpha * (1 - alpha) * -np.gradient(log_snr, t) * np.log(4)
    expected = density[:-1].reshape(8, -1).mean(axis=1)
    np.testing.assert_allclose(got, expected, rtol=0.15, atol=0.02)


def test_hidden_values_cost_nothing_and_never_reach_the_network():
    keys, u = draw(64)
    seen = []

    def apply_fn(_, visible, log_snr, known):
        seen.append(visible.continuous)
        v = jnp.sin(7 * visible.continuous)
        return v, (v[:, :, None] * jnp.arange(2.0), v[:, :, None] * jnp.arange(4.0))

    loss_fn = make_loss_fn(Denoiser(apply_fn, LAYOUT, Schedule()), condition_rate=0.5)
    one, other = ((value, HIDDEN[1]) for value in (0.7, -5.0))
    terms = [loss_fn({"network": {}}, batch_of(r, 64), keys, u) for r in (one, other)]
    np.testing.assert_array_equal(*terms)
    np.testing.assert_array_equal(*seen)
    assert (np.asarray(terms[0][:, 0]) == 0).all() and np.abs(terms[0][:, 1:]).max() > 0
    # power: where the value is present, it does reach the network and the loss
    shown = [loss_fn({"network": {}}, batch_of((x, (0, 3)), 64), keys, u) for x in (0.7, -5.0)]
    assert not np.allclose(*shown)


def test_given_parts_cost_nothing():
    """Every column given in a share of the records: the share of zeros rises with the rate."""
    wrong = {"v_error": 1.0, "sharpness": 0.0}
    never = terms_of(Schedule(), condition_rate=0.0, **wrong)[:, 0]
    often = terms_of(Schedule(), condition_rate=1.0, **wrong)[:, 0]
    assert (never > 0).all()
    assert np.mean(often == 0) == pytest.approx(0.5, abs=0.03)  # a uniform share of columns
    np.testing.assert_array_equal(often[often > 0], never[often > 0])


def test_a_record_does_not_depend_on_its_batch():
    keys, u = draw(16)
    batch = Records(jnp.linspace(-2, 2, 16)[:, None], jnp.tile(jnp.array([0, 3]), (16, 1)))

    def apply_fn(_, visible, log_snr, known):
        v = visible.continuous
        return v, (v[:, :, None] * jnp.arange(2.0), v[:, :, None] * jnp.arange(4.0))

    loss_fn = jax.jit(make_loss_fn(Denoiser(apply_fn, LAYOUT, Schedule())))
    whole = loss_fn({"network": {}}, batch, keys, u)
    order = jnp.array([5, 2, 11])
    few = loss_fn({"network": {}}, jax.tree.map(lambda x: x[order], batch), keys[order], u[order])
    np.testing.assert_allclose(whole[order], few, rtol=1e-6)
    other = loss_fn({"network": {}}, jax.tree.map(lambda x: x[order], batch), keys[:3], u[order])
    assert not np.allclose(whole[order], other)


def test_cross_entropy_of_known_logits():
    logits = (jnp.log(jnp.array([[[0.25, 0.75]]])), jnp.zeros((1, 1, 4)))
    got = cross_entropy(logits, jnp.array([[1, 2]]), LAYOUT)
    np.testing.assert_allclose(got, [[-np.log(0.75), np.log(4)]], rtol=1e-6)


def joint_likelihood(log_prior, v_k, logits, v, codes):
    """-log sum_k pi_k N(v; v_k, 1) prod_j softmax(logits_kj)[code_j], up to a constant."""
    nats = jnp.stack(
        [
            -jnp.take_along_axis(jax.nn.log_softmax(scores), code[:, None, None], -1)[..., 0]
            for scores, code in zip(logits, codes, strict=True)
        ]
    )
    joint = log_prior - 0.5 * jnp.sum((v_k - v[:, None]) ** 2, -1) - jnp.sum(nats, 0)
    return -jax.scipy.special.logsumexp(joint, axis=-1)


def test_the_terms_of_a_mixture_add_up_to_its_likelihood_and_so_do_their_gradients():
    rng = np.random.default_rng(0)
    count, guesses = 5, 3
    z, x0 = batch_of(PRESENT, count), batch_of(PRESENT, count)
    levels = Levels(jnp.full((count, 1), 0.4), jnp.full((count, 2), 0.4))
    scores = [rng.normal(size=(count, guesses, size)) for size in (2, 4)]
    args = (rng.normal(size=(count, guesses)), rng.normal(size=(count, guesses, 1)), *scores)
    args = tuple(jnp.asarray(x, jnp.float32) for x in args)
    v = v_from_x0(z.continuous, x0.continuous, levels.continuous)
    alpha_bar = jax.nn.sigmoid(0.4)

    def terms(prior, v_k, first, second):
        x0_k = alpha_bar * z.continuous[:, None] - jnp.sqrt(1 - alpha_bar) * v_k
        logits = tuple(x[:, :, None] for x in (first, second))
        found = Guesses(x0_k, logits, jax.nn.log_softmax(prior))
        counted = Records(jnp.ones((count, 1), bool), jnp.ones((count, 2), bool))
        both = mixture_terms(found, x0, z, levels, counted, LAYOUT)
        return jnp.sum(0.5 * both.continuous) + jnp.sum(both.categorical)

    def likelihood(prior, v_k, first, second):
        codes = jnp.asarray(x0.categorical, jnp.int32).T
        return jnp.sum(joint_likelihood(jax.nn.log_softmax(prior), v_k, (first, second), v, codes))

    np.testing.assert_allclose(terms(*args), likelihood(*args), rtol=1e-5)
    every = tuple(range(4))
    for ours, theirs in zip(
        jax.grad(terms, every)(*args), jax.grad(likelihood, every)(*args), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
        assert np.abs(theirs).max() > 0.01


def test_a_mixture_pays_once_for_parts_that_agree():
    """Two guesses that know a record by heart but for one coin: log 2, however many parts."""
    codes = jnp.array([[0, 3], [1, 0]], jnp.int32)  # either all of the first or all of the second
    x0 = Records(jnp.zeros((2, 1)), codes)
    levels = Levels(jnp.zeros((2, 1)), jnp.zeros((2, 2)))
    hot = [1e4 * jax.nn.one_hot(codes[:, j], size) for j, size in enumerate((2, 4))]
    logits = tuple(jnp.tile(h[None, :, None], (2, 1, 1, 1)) for h in hot)
    even = jnp.full((2, 2), -jnp.log(2.0))
    counted = Records(jnp.zeros((2, 1), bool), jnp.ones((2, 2), bool))

    def cost(guesses):
        return mixture_terms(guesses, x0, x0, levels, counted, LAYOUT).categorical.sum(axis=1)

    both = Guesses(jnp.zeros((2, 2, 1)), logits, even)
    np.testing.assert_allclose(cost(both), np.log(2.0), rtol=1e-5)
    mean = both.average()  # power: parts drawn one by one pay for each
    apart = Guesses(mean.x0[:, None], tuple(x[:, None] for x in mean.logits), jnp.zeros((2, 1)))
    np.testing.assert_allclose(cost(apart), 2 * np.log(2.0), rtol=1e-5)
