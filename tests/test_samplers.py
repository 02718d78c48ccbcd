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


def compare_with_joint(codes):
    """p-value of pairs [RECORDS, 2] against the joint table."""
    a, b = np.asarray(codes).T
    counts, chances = np.bincount(4 * a + b, minlength=8), JOINT.ravel() + 1e-9
    return stats.chisquare(counts, chances / chances.sum() * RECORDS).pvalue


def test_parts_drawn_in_one_step_fit_together_where_the_denoiser_guesses():
    """All parts at the last step: the mixture of guesses is the joint table, not their average."""

    def p_value(denoise_fn):
        keys = record_keys(purpose_key(0, "sample"), jnp.arange(RECORDS))
        blank = Records(jnp.zeros((RECORDS, 0)), jnp.tile(jnp.array([2, 4]), (RECORDS, 1)))
        noise = draw_step_noise(keys, jnp.int32(0), PAIR)
        end = draw_end(blank, denoise_fn(blank, 0.5, noise.guess), 0.0, noise, PAIR)
        return compare_with_joint(end.categorical)

    assert p_value(guessing_denoiser) > 1e-3
    assert p_value(lambda z, t, pick: guessing_denoiser(z, t)) < 1e-3  # power: the average


def test_one_evaluation_draws_whole_records_from_a_mixture_of_guesses():
    def p_value(denoise_fn):
        return compare_with_joint(run("ancestral", 1, PAIR, denoise_fn).categorical)

    assert p_value(guessing_denoiser) > 1e-3
    assert p_value(lambda z, t, pick: guessing_denoiser(z, t)) < 1e-3  # power: the average


@pytest.mark.parametrize("num_steps", [1, 2, 4, 16])
def test_few_ancestral_steps_keep_a_standard_normal(num_steps):
    def p_value(name):
        x = np.asarray(run(name, num_steps, NUMBERS, gaussian_denoiser(0.0, 1.0)).continuous[:, 0])
        return stats.kstest(x, "norm").pvalue

    assert p_value("ancestral") > 1e-3
    assert p_value("ddim") < 1e-3  # power: the step that takes x0_hat for x0 loses spread


def test_ancestral_times_show_whole_categories():
    """The share that is visible at each time, where the schedule has it so."""
    five = Layout(tuple("abcde"), (), tuple(range(5)), (2,) * 5, (), ())

    def measure(name, layout, num_steps):
        times = find_times(SAMPLERS[name], num_steps, levels_of(layout), layout)
        return np.asarray(compute_alpha_bar(SCHEDULE.log_snr(times)))

    np.testing.assert_allclose(measure("ancestral", five, 3), [0.0, 0.2, 0.6], atol=1e-3)
    for layout in (NUMBERS, five):
        equal = np.arange(64) / 64
        np.testing.assert_allclose(measure("ancestral", layout, 64), equal, atol=1e-3)
    assert np.abs(measure("ddim", five, 7)[::-1] - np.arange(7) / 7).max() > 0.1


def test_states_on_the_way_have_the_spread_of_their_noise():
    states = run("ancestral", 100, NUMBERS, gaussian_denoiser(), part=1).continuous[..., 0]
    times = find_times(SAMPLERS["ancestral"], 100, levels_of(NUMBERS), NUMBERS)
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


def twins_denoiser(z, t, pick=None):
    """Six coins, of which the last three are the first three."""
    twin = jnp.roll(z.categorical, 3, axis=1)
    sure = jnp.where(jnp.arange(2) == twin[..., None], 0.0, -40.0)
    logits = jnp.where((twin == 2)[..., None], 0.0, sure)
    return Prediction(jnp.zeros((len(twin), 0)), (logits,))


def test_parts_that_hang_together_are_never_drawn_in_one_step():
    """Three steps suffice for three pairs of twins, if no twins share one."""

    def split_up(turns):
        layout = Layout(tuple("abcdef"), (), tuple(range(6)), (2,) * 6, (), (), turns=turns)
        codes = np.asarray(run("ancestral", 3, layout, twins_denoiser).categorical)
        assert np.abs(codes.mean(axis=0) - 0.5).max() < 0.02
        return np.mean(codes[:, :3] != codes[:, 3:])

    assert split_up((0, 1, 2, 3, 4, 5)) < 1e-3
    assert split_up(()) > 0.1  # power: in a random order a quarter of them do
    assert split_up((0, 2, 4, 1, 3, 5)) > 0.2  # as do most in the worst


def test_categories_of_a_record_share_no_step_where_steps_suffice():
    """So the ancestral sampler never draws the impossible pair; solvers have times of their own."""

    def impossible(name, num_steps):
        codes = np.asarray(run(name, num_steps, PAIR, joint_denoiser).categorical)
        return int(np.sum((codes[:, 0] == 0) & (codes[:, 1] == 3)))

    assert impossible("ancestral", 2) == impossible("ancestral", 5) == 0
    assert impossible("ddim", 2) > 1000  # power


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
        SamplerConfig("ddim", 0)
