"""Private training: accounting against known answers, sensitivity, padding, noise, canaries."""

import importlib.util
import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.stats import binomtest, kstest, norm

from synthdiff._validate import InputError
from synthdiff.data.batches import fill_roster, make_roster, poisson_batches
from synthdiff.eval.epsilon import audit_claim
from synthdiff.layout import Records
from synthdiff.train import dp as dp_module
from synthdiff.train import privacy_engine
from synthdiff.train.canaries import run_canaries, score_canaries
from synthdiff.train.dp import (
    DpConfig,
    GradientPlan,
    add_noise,
    find_capacity,
    make_private_step,
    plan_privacy,
    secret_key,
)
from synthdiff.train.optim import TrainConfig
from synthdiff.train.parallel import make_parallel_train
from synthdiff.train.privacy_engine import (
    calibrate_sigma,
    compute_epsilon,
    make_event,
    make_tradeoff,
)
from synthdiff.train.state import create_state

has_extra = all(map(importlib.util.find_spec, ("jax_privacy", "dp_accounting")))
needs_extra = pytest.mark.skipif(
    not has_extra, reason="needs the extra dp: pip install 'synthdiff[dp]'"
)
SECRET, DELTA = 0x1234567890ABCDEF1234567890ABCDEF, 1e-5
ONE = jax.local_devices()[:1]
CLIP, RATE, PATIENTS = 0.5, 0.25, 40


# ---- accounting


@needs_extra
@pytest.mark.parametrize(
    ("sigma", "expected"), [(0.5, 9.997256), (1, 4.377178), (2, 1.993091), (5, 0.725522)]
)
def test_gaussian_mechanism(sigma, expected):
    assert compute_epsilon(make_event(sigma, 1.0, 1), DELTA) == pytest.approx(expected, rel=1e-6)


@needs_extra
@pytest.mark.parametrize(
    ("people", "batch", "sigma", "steps", "pld", "rdp"),
    [
        (60_000, 256, 1.1, 14_040, 2.3796, 2.5944),
        (60_000, 250, 1.3, 3600, 0.8530, 0.9422),
        (60_000, 600, 4, 10_000, 0.9470, 1.0355),
        (50_000, 4096, 3, 2500, 6.5789, 7.0985),
        (30_000, 3000, 5, 3000, 4.9495, 5.3474),
        (10_000, 2000, 8, 4000, 7.5623, 8.1511),
    ],
)
def test_subsampled_gaussian(people, batch, sigma, steps, pld, rdp):
    event = make_event(sigma, batch / people, steps)
    assert compute_epsilon(event, DELTA) == pytest.approx(pld, abs=1e-4)
    assert compute_epsilon(event, DELTA, "rdp") == pytest.approx(rdp, abs=1e-4)


@needs_extra
def test_all_patients_in_every_step_is_the_plain_gaussian():
    composed = compute_epsilon(make_event(10.0, 1.0, 25), DELTA)
    assert composed == pytest.approx(compute_epsilon(make_event(2.0, 1.0, 1), DELTA), rel=1e-6)
    assert compute_epsilon(make_event(1e6, 0.5, 10), DELTA) == pytest.approx(0.0, abs=1e-4)


@needs_extra
def test_a_release_costs_as_a_gaussian_does():
    """Two Gaussians compose to one of sigma 1 / sqrt(1/2^2 + 1/3^2); sampled steps come on top."""
    both = compute_epsilon(make_event(2.0, 1.0, 1, 3.0), DELTA)
    joint = 1.0 / math.sqrt(1 / 4 + 1 / 9)
    assert both == pytest.approx(compute_epsilon(make_event(joint, 1.0, 1), DELTA), rel=1e-6)


@needs_extra
def test_calibration_spends_the_budget_and_no_more():
    assert calibrate_sigma(1.0, DELTA, 1.0, 1) == pytest.approx(3.7306316, abs=2e-3)
    sigma = calibrate_sigma(3.0, DELTA, 0.1, 200, 8.0)
    assert 2.99 < compute_epsilon(make_event(sigma, 0.1, 200, 8.0), DELTA) <= 3.0


@needs_extra
def test_steps_cost_what_the_accountant_of_jax_privacy_says():
    assert compute_epsilon(make_event(1.5, 0.1, 100), DELTA) == pytest.approx(3.53587, abs=1e-4)
    sigma = calibrate_sigma(3.0, DELTA, 0.1, 1000)
    assert 4.49 < sigma <= 4.50570  # theirs, which is rounded up
    assert compute_epsilon(make_event(sigma - 2e-3, 0.1, 1000), DELTA) > 3.0


@needs_extra
def test_curve_of_all_patients_in_one_step_is_the_gaussian_one():
    found = make_tradeoff(2.0, 1.0, 1)
    for alpha in (1e-3, 0.1, 0.5, 0.9):
        exact = norm.cdf(norm.ppf(1 - alpha) - 1 / 2.0)
        assert exact - 1e-3 <= found(alpha) <= exact + 1e-6  # tangents lie below
        sampled = make_tradeoff(2.0, 0.1, 1)(alpha)
        halfway = (1 - alpha + found(alpha)) / 2
        assert halfway < sampled < 1 - alpha  # power: sampling gives less away


@needs_extra
def test_plan_keeps_its_promise():
    dp, train = DpConfig(2.0, codec_share=0.5, tree_share=0.3), TrainConfig(20, batch_size=100)
    plan = plan_privacy(dp, train, 1000, multiple=8)
    event = compose(plan.codec_sigma, plan.tree_sigma, plan.tree_sigma, plan=plan.gradients)
    assert 1.99 < compute_epsilon(event, DELTA) < 2.001 and 1.99 < plan.epsilon_pld <= 2.0
    assert plan.epsilon_rdp > 2.0
    free = compose(plan.codec_sigma, plan=plan.gradients)  # power: a tree that is not counted
    assert compute_epsilon(free, DELTA) < 1.8
    alone = plan_privacy(replace(dp, tree_share=0.0), train, 1000, multiple=8)
    assert alone.tree_sigma is None and alone.gradients.sigma < plan.gradients.sigma
    gradients = plan.gradients
    assert gradients.expected_batch == 100 and gradients.capacity % 8 == 0
    assert 150 < gradients.capacity < 300
    assert DELTA <= plan.delta < 1.001 * DELTA
    for wrong, batch in [(DpConfig(epsilon=1.0, delta=1e-2), 100), (dp, 2000)]:
        with pytest.raises(InputError, match="Fix"):
            plan_privacy(wrong, TrainConfig(batch_size=batch), 1000, 1)


@needs_extra
@pytest.mark.parametrize("epsilon", [0.1, 1.0, 10.0])
def test_a_plan_without_gradients_spends_all_on_codec_and_tree(epsilon):
    """Whatever batches and steps are: they see no patient."""
    dp = DpConfig(epsilon=epsilon, codec_share=0.6, tree_share=0.4)
    plan = plan_privacy(dp, TrainConfig(batch_size=5000), 1000, multiple=8)
    assert plan.gradients is None and plan.delta == DELTA
    event = compose(plan.codec_sigma, plan.tree_sigma, plan.tree_sigma)
    assert 0.98 * epsilon < plan.epsilon_pld <= epsilon
    assert compute_epsilon(event, DELTA) == pytest.approx(plan.epsilon_pld, rel=1e-3)
    assert (plan.tree_sigma / plan.codec_sigma) ** 2 == pytest.approx(0.6 / 0.2)


def compose(*sigmas, plan=None):
    """Gaussian releases one by one, and the sampled steps of a plan."""
    dp = pytest.importorskip("dp_accounting")
    steps = [make_event(plan.sigma, plan.rate, plan.num_steps)] if plan else []
    return dp.ComposedDpEvent([*map(dp.GaussianDpEvent, sigmas), *steps])


def test_capacity_is_a_tail_of_the_binomial():
    most, overflow = find_capacity(1000, 0.1)
    assert 170 < most < 220 and 0 < overflow <= 1e-20
    assert find_capacity(50, 1.0) == (50, 0.0)
    samples = poisson_batches(1000, 0.1, 1000, [1], 0, 200)
    assert (samples >= 0).sum(axis=1).max() < most


@pytest.mark.parametrize(
    "wrong",
    [
        {"epsilon": -1.0},
        {"delta": 0.0},
        {"clip_norm": 0.0},
        {"codec_share": 2.0},
        {"codec_share": 0.8, "tree_share": 0.3},
        {"codec_share": 1.0, "tree_share": 0.0},
    ],
)
def test_bad_config_is_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        DpConfig(**wrong)


def test_absent_extra_is_named(monkeypatch):
    def refuse(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(privacy_engine, "import_module", refuse)
    with pytest.raises(InputError, match=r"jax_privacy is not installed.*synthdiff\[dp\]"):
        privacy_engine.make_clipped_sum(None, 1.0, 1.0)


# ---- sampling


def test_poisson_sampler():
    """Inclusion is binomial, samples of different steps are independent, chunks do not matter."""
    steps, rate = 400, 0.1
    rows = poisson_batches(50, rate, 50, [SECRET, 3], 0, steps)
    counts = np.array([(rows == patient).sum() for patient in range(50)])
    assert binomtest(int(counts.sum()), steps * 50, rate).pvalue > 1e-3
    assert min(binomtest(int(c), steps, rate).pvalue for c in counts) > 1e-3 / 50
    sizes = (rows >= 0).sum(axis=1)
    assert 0.7 < sizes.var() / (50 * rate * (1 - rate)) < 1.4
    np.testing.assert_array_equal(rows[7:12], poisson_batches(50, rate, 50, [SECRET, 3], 7, 5))
    assert (np.sort(rows[:, ::-1], axis=1)[:, ::-1] == rows[:, :]).sum() < rows.size  # padded last


def test_the_check_of_the_sampler_has_power():
    """A rate off by a tenth, and batches of fixed size, would both fail above."""
    counts = poisson_batches(50, 0.11, 50, [SECRET, 3], 0, 400)
    assert binomtest(int((counts >= 0).sum()), 400 * 50, 0.1).pvalue < 1e-3
    assert np.full(400, 5).var() / (50 * 0.1 * 0.9) < 0.7


def test_roster_lists_every_row_once():
    patients = np.array([2, 0, 2, 1, 0, 2])
    roster = make_roster(patients, 4)
    np.testing.assert_array_equal(roster, [[1, 4, -1, -1], [3, -1, -1, -1], [0, 2, 5, -1]])


# ---- one step


def noisy_loss(params, batch, keys, u):
    noise = jax.vmap(lambda key: jax.random.normal(key, (3,)))(keys)
    return (jnp.tanh(batch.continuous @ params["w"]) - noise * u[:, None]) ** 2


def make_plan(**changes):
    return replace(GradientPlan(0.0, CLIP, RATE, 4, PATIENTS, 16), **changes)


def move(patients, scale=1.0, sigma=0.0, accumulate=1, without=(), steps=1, bad=None):
    """Minus the change of the weights after SGD steps at rate 1: the released gradients."""
    rng = np.random.default_rng(0)
    owner = np.repeat(np.arange(PATIENTS), rng.integers(1, 4, PATIENTS))
    values = scale * rng.normal(size=(len(owner), 3)).astype(np.float32)
    if bad is not None:
        values[owner == bad] = np.nan
    roster = make_roster(owner, 3)
    roster[list(without)] = -1
    records = Records(values, np.zeros((len(owner), 0), np.int8))
    theirs = Records(*(fill_roster(part, roster) for part in records))
    data = (theirs, (roster >= 0).astype(np.int8))
    config = TrainConfig(accumulate=accumulate)
    dp, tx = DpConfig(noise_multiplicity=2, max_rows_per_patient=3), optax.sgd(1.0)
    step = make_private_step(noisy_loss, tx, config, dp, make_plan(sigma=sigma), SECRET)
    state = create_state({"w": jnp.eye(3) * 0.5}, tx)
    rows = np.tile(np.asarray(patients, np.int32), (steps, 1))
    state, metrics = make_parallel_train(step, data, ONE)(state, rows)
    return np.eye(3) * 0.5 - np.asarray(state.params["w"], float), metrics


ALL = [*range(12), -1, -1, -1, -1]


@needs_extra
def test_one_patient_moves_the_sum_by_the_clip_norm():
    """Loud patients are all clipped, so removing one takes away exactly clip_norm / B."""
    full, less = move(ALL, scale=50.0)[0], move([-1, *ALL[1:]], scale=50.0)[0]
    bound = CLIP / (RATE * PATIENTS)
    alone = move([0] + [-1] * 15, scale=50.0)[0]
    assert np.linalg.norm(alone) <= bound * (1 + 1e-5)
    np.testing.assert_allclose(full - less, alone, atol=1e-6)


@needs_extra
@pytest.mark.parametrize("patient", range(4))
def test_sensitivity_is_exact_where_the_gradient_is_large(patient, monkeypatch):
    monkeypatch.setitem(globals(), "noisy_loss", lambda p, b, k, u: 1e3 * noisy(p, b, k, u))
    bound = CLIP / (RATE * PATIENTS)
    alone = move([patient] + [-1] * 15)[0]
    assert np.linalg.norm(alone) == pytest.approx(bound, rel=1e-5)


noisy = noisy_loss


@needs_extra
def test_padding_and_microbatches_change_nothing():
    padded = move(ALL)[0]
    assert np.abs(padded).max() > 1e-3
    np.testing.assert_allclose(padded, move(ALL[:12])[0], atol=1e-7)
    np.testing.assert_allclose(padded, move(ALL, accumulate=4)[0], atol=1e-7)
    np.testing.assert_allclose(move([-1] * 16)[0], 0.0)


@needs_extra
def test_a_patient_without_numbers_counts_as_absent():
    np.testing.assert_allclose(move(ALL, bad=0)[0], move([-1, *ALL[1:]])[0], atol=1e-7)


@needs_extra
def test_only_the_noisy_norm_is_told():
    released, metrics = move(ALL, sigma=1.0)
    assert set(metrics) == {"grad_norm"}
    assert float(metrics["grad_norm"][0]) == pytest.approx(np.linalg.norm(released), rel=1e-4)


@needs_extra
def test_noise_is_added_once_with_the_promised_spread():
    quiet, (loud, _) = move([-1] * 16)[0], move([-1] * 16, sigma=3.0)
    assert not quiet.any() and np.abs(loud).max() > 0
    stddev = 3.0 * CLIP / (RATE * PATIENTS)
    plain = add_noise(
        {"w": jnp.zeros((3, 3))},
        jax.random.fold_in(secret_key(SECRET, "noise"), 0),
        stddev,
    )
    np.testing.assert_allclose(loud, plain["w"], atol=1e-6)


def test_noise_is_gaussian_and_new_at_every_step():
    keys = [jax.random.fold_in(secret_key(SECRET, "noise"), step) for step in range(2)]
    tree = {"a": jnp.zeros(4000), "b": jnp.zeros((50, 40))}
    first, second = (add_noise(tree, key, 2.5) for key in keys)
    for leaf in ("a", "b"):
        assert kstest(np.ravel(first[leaf]) / 2.5, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(first["a"], second["a"])[0, 1]) < 0.06
    assert abs(np.corrcoef(first["a"][:2000], np.ravel(first["b"]))[0, 1]) < 0.08
    other = add_noise(tree, jax.random.fold_in(secret_key(SECRET + 1, "noise"), 0), 2.5)
    assert abs(np.corrcoef(first["a"], other["a"])[0, 1]) < 0.06
    same = [secret_key(s, "noise") for s in (SECRET, SECRET)]
    assert (jax.random.key_data(same[0]) == jax.random.key_data(same[1])).all()


# ---- canaries: the claim against lower bounds, and faults that must be caught

CLAIM, SIGMA, STEPS, CANARIES = 1.0, 3.87, 20, 1000


class Claimed:
    """A clipped sum whose claimed sensitivity need not be true."""

    def __init__(self, fun, sensitivity):
        self.fun, self.claimed = fun, sensitivity

    def __call__(self, *args, **kwargs):
        return self.fun(*args, **kwargs)

    def sensitivity(self):
        return self.claimed


def forget_clipping(monkeypatch):
    make = privacy_engine.make_clipped_sum
    monkeypatch.setattr(
        dp_module, "make_clipped_sum", lambda f, c, b, m: Claimed(make(f, 1e9, b, m), c / b)
    )


def forget_to_normalise(monkeypatch):
    make = privacy_engine.make_clipped_sum
    monkeypatch.setattr(
        dp_module, "make_clipped_sum", lambda f, c, b, m: Claimed(make(f, c, 1.0, m), c / b)
    )


def scale_noise(factor):
    def change(monkeypatch):
        monkeypatch.setattr(
            dp_module, "add_noise", lambda tree, key, std: add_noise(tree, key, factor * std)
        )

    return change


def reuse_noise(monkeypatch):
    key = jax.random.key(0)
    monkeypatch.setattr(dp_module, "add_noise", lambda tree, _, std: add_noise(tree, key, std))


def audit():
    """Both scores audited at half the error rate each."""
    included = np.random.default_rng(0).random(CANARIES) < 0.5
    plan = make_plan(sigma=SIGMA, clip_norm=1.0, rate=0.2, num_steps=STEPS, num_patients=500,
                     capacity=200)  # fmt: skip
    dp = DpConfig(noise_multiplicity=2, max_rows_per_patient=3)
    samples = poisson_batches(int(included.sum()), 0.2, 200, [SECRET], 0, STEPS)
    traces = run_canaries(dp, plan, samples, included, SECRET)
    return {
        name: audit_claim(scores, included, CLAIM, DELTA, alpha=0.025)
        for name, scores in score_canaries(traces, plan).items()
    }


@needs_extra
def test_canaries_do_not_contradict_the_true_claim():
    assert 0.99 < compute_epsilon(make_event(SIGMA, 0.2, STEPS, 11.239), DELTA) <= CLAIM
    assert not any(result["contradicted"] for result in audit().values())


@needs_extra
@pytest.mark.parametrize(
    "fault",
    [forget_clipping, forget_to_normalise, scale_noise(0.0), scale_noise(0.1), reuse_noise],
    ids=["no clipping", "not normalised", "no noise", "a tenth of the noise", "noise reused"],
)
def test_canaries_catch_faults(fault, monkeypatch):
    """Not caught by any canary: samples of a shuffle, division by the sample's own size."""
    fault(monkeypatch)
    results = audit()
    assert any(result["contradicted"] for result in results.values()), results
