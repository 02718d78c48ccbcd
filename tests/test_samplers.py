"""Every sampler against oracles: the closed-form denoiser of a Gaussian, and of a joint table."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from synthdiff._validate import InputError
from synthdiff.diffusion.denoiser import Prediction
from synthdiff.diffusion.guidance import guide
from synthdiff.diffusion.keys import purpose_key, record_keys
from synthdiff.diffusion.process import compute_alpha_bar, compute_sigma
from synthdiff.diffusion.samplers import (
    SAMPLERS,
    SamplerConfig,
    draw_end,
    draw_step_noise,
    draw_turns,
    find_times,
    sample,
)
from synthdiff.diffusion.schedules import Schedule, part_log_snr, unit_power
from synthdiff.layout import Layout, Records

MEAN, STD = 0.6, 0.5
SCHEDULE = Schedule("cosine", -8.0, 9.0)
NUMBERS = Layout(("x",), (0,), (), (), (-1,), (1,))
PAIR = Layout(("a", "b"), (), (0, 1), (2, 4), (), ())
JOINT = np.array([[0.30, 0.05, 0.05, 0.00], [0.02, 0.08, 0.20, 0.30]])
RECORDS = 20_000


def levels_of(layout):
    power = unit_power(layout.num_continuous, layout.num_categorical)
    return lambda t: part_log_snr(SCHEDULE, t, power)


def gaussian_denoiser(mean=MEAN, std=STD):
    def denoise_fn(z, t, pick=None):
        sigma = compute_sigma(SCHEDULE.log_snr(t))
        return Prediction(
            (std**2 * z.continuous + sigma**2 * mean) / (std**2 + sigma**2), logits=()
        )

    return denoise_fn


def joint_denoiser(z, t, pick=None):
    """log P(b | a) or log P(b) where a is masked, and the other way round."""
    table = jnp.asarray(JOINT)
    a, b = z.categorical[:, 0], z.categorical[:, 1]
    of_b = jnp.where((a == 2)[:, None], table.sum(0), table[jnp.minimum(a, 1)])
    of_a = jnp.where((b == 4)[:, None], table.sum(1), table[:, jnp.minimum(b, 3)].T)
    logits = tuple(jnp.log(p + 1e-12)[:, None, :] for p in (of_a, of_b))
    return Prediction(jnp.zeros((len(a), 0)), logits)


def run(name, num_steps, layout, denoise_fn, count=RECORDS, part=0, **options):
    config = SamplerConfig(name, num_steps, **options)
    keys = record_keys(purpose_key(0, "sample"), jnp.arange(count))

    def churn_time(t):
        grid = jnp.linspace(0.0, 1.0, 2048)
        target = SCHEDULE.log_snr(t) - 2 * jnp.log1p(config.churn)
        return jnp.interp(-target, -SCHEDULE.log_snr(grid), grid)

    def draw(keys):
        return sample(config, denoise_fn, levels_of(layout), layout, keys, churn_time)[part]

    return jax.jit(draw)(keys)


@pytest.mark.parametrize("name", SAMPLERS)
def test_reaches_the_gaussian(name):
    x = np.asarray(run(name, 100, NUMBERS, gaussian_denoiser()).continuous[:, 0])
    assert stats.kstest((x - MEAN) / STD, "norm").pvalue > 1e-3
    # power: the same test must notice a spread that is 10 % off
    assert stats.kstest((x - MEAN) / (1.1 * STD), "norm").pvalue < 1e-3


def guessing_denoiser(z, t, pick=None):
    """As joint_denoiser, but guesses a and so b where both are masked; averages without a pick."""
    table = jnp.asarray(JOINT)
    average = joint_denoiser(z, t)
    if pick is None:
        return average
    a = (pick >= table[0].sum()).astype(jnp.int32)
    blank = ((z.categorical[:, 0] == 2) & (z.categorical[:, 1] == 4))[:, None, None]
    of_a = jnp.log(jax.nn.one_hot(a, 2) + 1e-12)[:, None]
    of_b = jnp.log(table[a] + 1e-12)[:, None]
    guesses = (of_a, of_b)
    logits = tuple(jnp.where(blank, g, m) for g, m in zip(guesses, average.logits, strict=True))
    return Prediction(average.x0, logits)


def test_parts_drawn_in_one_step_fit_together_where_the_denoiser_guesses():
    """All parts at the last step: the mixture of guesses is the joint table, not their average."""

    def p_value(denoise_fn):
        keys = record_keys(purpose_key(0, "sample"), jnp.arange(RECORDS))
        blank = Records(jnp.zeros((RECORDS, 0)), jnp.tile(jnp.array([2, 4]), (RECORDS, 1)))
        noise = draw_step_noise(keys, jnp.int32(0), PAIR)
        end = draw_end(blank, denoise_fn(blank, 0.5, noise.guess), 0.0, noise, PAIR)
        a, b = np.asarray(end.categorical).T
        counts, chances = np.bincount(4 * a + b, minlength=8), JOINT.ravel() + 1e-9
        return stats.chisquare(counts, chances / chances.sum() * RECORDS).pvalue

    assert p_value(guessing_denoiser) > 1e-3
    assert p_value(lambda z, t, pick: guessing_denoiser(z, t)) < 1e-3  # power: the average


@pytest.mark.parametrize("num_steps", [2, 4, 16])
def test_few_ancestral_steps_keep_a_standard_normal(num_steps):
    def p_value(name):
        x = np.asarray(run(name, num_steps, NUMBERS, gaussian_denoiser(0.0, 1.0)).continuous[:, 0])
        return stats.kstest(x, "norm").pvalue

    assert p_value("ancestral") > 1e-3
    assert p_value("ddim") < 1e-3  # power: the step that takes x0_hat for x0 loses spread


@pytest.mark.parametrize("layout", [NUMBERS, PAIR])
def test_ancestral_times_show_equal_shares(layout):
    levels = levels_of(layout)
    for num_steps in (2, 7, 64):
        times = find_times(SAMPLERS["ancestral"], num_steps, levels)
        share = np.asarray(compute_alpha_bar(SCHEDULE.log_snr(times)))
        np.testing.assert_allclose(share, np.arange(num_steps) / num_steps, atol=1e-3)
    even = np.asarray(compute_alpha_bar(SCHEDULE.log_snr(find_times(SAMPLERS["ddim"], 7, levels))))
    assert np.abs(even[::-1] - np.arange(7) / 7).max() > 0.1


def test_states_on_the_way_have_the_spread_of_their_noise():
    states = run("ancestral", 100, NUMBERS, gaussian_denoiser(), part=1).continuous[..., 0]
    times = find_times(SAMPLERS["ancestral"], 100, levels_of(NUMBERS))
    sigma = np.asarray(compute_sigma(SCHEDULE.log_snr(times)))
    assert states.shape == (100, RECORDS) and sigma[0] > 50 > 1 > sigma[80]
    for step, mean, std in ((0, 0.0, 1.0), (40, MEAN, STD), (80, MEAN, STD)):
        spread = np.sqrt(std**2 + sigma[step] ** 2)  # the first noise knows no data yet
        standard = (states[step] - mean) / spread
        assert stats.kstest(standard, "norm").pvalue > 1e-3
        assert stats.kstest(standard / 1.1, "norm").pvalue < 1e-3  # power


@pytest.mark.parametrize("name", ["ancestral", "churn"])
def test_categories_on_the_way_are_those_at_the_end(name):
    end, states = run(name, 20, PAIR, joint_denoiser, count=2000, part=slice(None))
    codes, masked = np.asarray(states.categorical), np.array(PAIR.cardinalities)
    hidden = codes == masked
    assert hidden[0].all() and not (np.asarray(end.categorical) == masked).any()
    same = (hidden | (codes == np.asarray(end.categorical))).all()
    hidden_again = (hidden[1:] & ~hidden[:-1]).any()
    if name == "churn":  # power: it masks again, and may then draw another category
        assert not same and hidden_again
    else:
        assert same and not hidden_again and hidden[-1].mean() < 0.1


def endpoint_error(name, num_steps):
    """Distance of a deterministic sampler's end from the exact flow: z - mean scales with std."""
    keys = record_keys(purpose_key(0, "sample"), jnp.arange(512))
    start = float(compute_sigma(SCHEDULE.log_snr(jnp.float32(1.0))))
    end = float(compute_sigma(SCHEDULE.log_snr(jnp.float32(0.0))))
    got = run(name, num_steps, NUMBERS, gaussian_denoiser(), count=512).continuous[:, 0]
    eps = draw_step_noise(keys, jnp.int32(num_steps), NUMBERS).eps[:, 0]
    z1 = np.sqrt(1 + start**2) * eps
    z0 = MEAN + (z1 - MEAN) * np.sqrt((STD**2 + end**2) / (STD**2 + start**2))
    exact = (STD**2 * z0 + end**2 * MEAN) / (STD**2 + end**2)
    return float(np.abs(got - exact).mean())


@pytest.mark.parametrize("name, order", [("ddim", 1), ("heun", 2), ("dpmpp_2m", 2)])
def test_solver_order(name, order):
    coarse, fine = endpoint_error(name, 33), endpoint_error(name, 65)
    measured = np.log2(coarse / fine)
    assert measured == pytest.approx(order, abs=0.35)


@pytest.mark.parametrize("name", SAMPLERS)
def test_reaches_the_joint_table(name):
    codes = np.asarray(run(name, 60, PAIR, joint_denoiser).categorical)
    counts = np.zeros_like(JOINT)
    np.add.at(counts, (codes[:, 0], codes[:, 1]), 1)
    assert counts[0, 3] < 0.01 * RECORDS  # the impossible pair: see the next test
    support = JOINT > 0
    expected = JOINT[support] * RECORDS
    # two categories of one record may appear in one step, drawn independently
    assert np.abs(counts[support] / RECORDS - JOINT[support]).max() < 0.02
    independent = np.outer(JOINT.sum(1), JOINT.sum(0))[support] * RECORDS
    assert stats.chisquare(independent, expected * independent.sum() / expected.sum()).pvalue < 1e-9


def draw_some_turns(turns, num_steps):
    layout = Layout(tuple("abcde"), (), tuple(range(5)), (2,) * 5, (), (), turns=turns)
    keys = record_keys(purpose_key(0, "sample"), jnp.arange(4000))
    noise = draw_step_noise(keys, jnp.int32(0), layout)
    return np.asarray(draw_turns(noise, layout, num_steps)), noise


@pytest.mark.parametrize(("turns", "num_steps"), [((), 2), ((2, 0, 3, 1, 4), 5)])
def test_turns_are_uniform_and_evenly_spread(turns, num_steps):
    turns, noise = draw_some_turns(turns, num_steps)
    for part in range(5):
        assert stats.kstest(turns[:, part], "uniform").pvalue > 1e-3
    np.testing.assert_array_equal(
        np.sort(turns * 5, axis=1).astype(int), np.tile(range(5), (4000, 1))
    )
    # the order is random: each part is first in about a fifth of the records
    assert stats.chisquare(np.bincount(turns.argmin(1), minlength=5)).pvalue > 1e-3
    # power: turns by chance, as masking has them, collide in most records
    chance = np.sort(np.asarray(noise.turn) * 5, axis=1).astype(int)
    assert np.mean(np.all(chance == range(5), axis=1)) < 0.1


def test_with_few_steps_neighbours_on_the_circle_share_one():
    """Five parts in two steps: three and two in a row, from anywhere on, and any step first."""
    turns, _ = draw_some_turns((2, 0, 3, 1, 4), 2)
    for part in range(5):
        assert stats.kstest(turns[:, part], stats.uniform.cdf).pvalue > 1e-3
    early = turns[:, [1, 3, 0, 2, 4]] < 0.5  # in the order of the circle
    assert set(early.sum(axis=1)) == {2, 3}
    assert (np.abs(np.diff(early, axis=1, append=early[:, :1])).sum(axis=1) == 2).all()
    assert early.sum(axis=1).mean() == pytest.approx(2.5, abs=0.05)
    apart = draw_some_turns((), 2)[0][:, [1, 3, 0, 2, 4]] < 0.5  # power
    assert (np.abs(np.diff(apart, axis=1, append=apart[:, :1])).sum(axis=1) == 4).mean() > 0.3


def twins_denoiser(z, t, pick=None):
    """Four coins: the third is the first, the fourth the second."""
    twin = z.categorical[:, jnp.array([2, 3, 0, 1])]
    sure = jnp.where(jnp.arange(2) == twin[..., None], 0.0, -40.0)
    logits = jnp.where((twin == 2)[..., None], 0.0, sure)
    return Prediction(jnp.zeros((len(twin), 0)), (logits,))


def test_parts_that_hang_together_are_never_drawn_in_one_step():
    """Two steps suffice for two pairs of twins, if no twins share one."""

    def split_up(turns):
        layout = Layout(tuple("abcd"), (), (0, 1, 2, 3), (2,) * 4, (), (), turns=turns)
        codes = np.asarray(run("ancestral", 2, layout, twins_denoiser).categorical)
        assert np.abs(codes.mean(axis=0) - 0.5).max() < 0.02
        return np.mean(codes[:, :2] != codes[:, 2:])

    assert split_up((0, 1, 2, 3)) < 1e-3
    assert split_up(()) > 0.1  # power: in a random order a third of them do
    assert split_up((0, 2, 1, 3)) > 0.2  # as do most in the worst


def test_more_steps_undo_simultaneous_unmasking():
    """Categories that appear in one step are drawn independently; more steps separate them."""

    def impossible(num_steps):
        codes = np.asarray(run("ancestral", num_steps, PAIR, joint_denoiser).categorical)
        return int(np.sum((codes[:, 0] == 0) & (codes[:, 1] == 3)))

    assert impossible(60) < 0.1 * impossible(3)


@pytest.mark.parametrize("name", SAMPLERS)
def test_rows_do_not_depend_on_the_batch(name):
    whole = run(name, 10, NUMBERS, gaussian_denoiser(), count=64).continuous
    half = run(name, 10, NUMBERS, gaussian_denoiser(), count=32).continuous
    np.testing.assert_array_equal(whole[:32], half)


@pytest.mark.parametrize("name, nfe", [("ancestral", 20), ("heun", 39), ("churn", 39)])
def test_nfe_counts_the_calls(name, nfe):
    assert SamplerConfig(name, 20).nfe == nfe


def test_guidance_of_two_gaussians_extrapolates():
    guided = guide(gaussian_denoiser(1.0), gaussian_denoiser(0.0), weight=1.0)
    x = run("ddim", 60, NUMBERS, guided).continuous
    assert float(x.mean()) == pytest.approx(2.0, abs=0.05)  # 2 * 1 - 0


def test_bad_config_is_refused():
    with pytest.raises(InputError, match="ancestral"):
        SamplerConfig("euler")
    with pytest.raises(InputError, match="num_steps"):
        SamplerConfig("ddim", 1)
