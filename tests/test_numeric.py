import json
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from synthdiff._validate import InputError
from synthdiff.data import numeric
from synthdiff.data.numeric import MAX_BINS, MAX_SCORE, NumericCoder
from synthdiff.data.schema import Column

RNG = np.random.default_rng


def fit(x, patients=None, min_patients=5, kind="continuous", **fields):
    x = pd.Series(x)
    patients = np.arange(len(x)) if patients is None else patients
    return NumericCoder.fit(x, Column("x", kind, **fields), patients, min_patients)


def again(coder, x):
    return coder.decode(*coder.encode(pd.Series(x), RNG(0)))


def zero_inflated(rng, size):
    return np.where(rng.random(size) < 0.3, 0.0, rng.lognormal(3, 1.5, size))


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, n: rng.normal(120, 15, n),
        lambda rng, n: rng.lognormal(3, 1.5, n),
        lambda rng, n: rng.standard_t(2, n),
        lambda rng, n: rng.integers(0, 3000, n).astype(float),
        lambda rng, n: np.round(rng.gamma(2, 20, n), 1),
        lambda rng, n: rng.gamma(0.3, 1, n),
    ],
)
def test_scores_are_standard_normal(draw):
    rng = RNG(0)
    coder = fit(draw(rng, 20000))
    gate, scores = coder.encode(pd.Series(draw(rng, 4000)), rng)
    assert coder.num_bins == MAX_BINS
    scores = scores[gate < coder.num_bins]
    assert len(scores) > 3000
    assert stats.kstest(scores, "norm").pvalue > 1e-3
    # Power: a map that is off by a tenth of its scale, or standardised values, would be found.
    assert stats.kstest(scores * 1.1 + 0.05, "norm").pvalue < 1e-3


def test_standardised_values_would_fail_the_normality_test():
    x = RNG(0).lognormal(3, 1.5, 4000)
    assert stats.kstest((x - x.mean()) / x.std(), "norm").pvalue < 1e-6


def test_normal_draws_decode_to_the_same_quantiles():
    rng = RNG(1)
    x = zero_inflated(rng, 20000)
    coder = fit(x)
    gate, _ = coder.encode(pd.Series(x), rng)
    made = coder.decode(gate, rng.standard_normal(len(x)))
    assert np.mean(made == 0) == np.mean(x == 0)
    levels = [0.35, 0.5, 0.75, 0.9, 0.99, 0.995]
    np.testing.assert_allclose(np.quantile(made, levels), np.quantile(x, levels), rtol=0.15)
    # Power: without its bins, or with scores that stay in the middle of one, it would not.
    low = coder.decode(np.where(gate < coder.num_bins, 0, gate), rng.standard_normal(len(x)))
    narrow = coder.decode(gate, np.zeros(len(x)))
    for other, level in ((low, 0.5), (narrow, 0.995)):
        assert abs(np.quantile(other, level) / np.quantile(x, level) - 1) > 0.15


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_round_trip_is_close(scale):
    x = zero_inflated(RNG(2), 5000) * scale
    error = np.abs(again(fit(x), x) - x)
    assert np.median(error) < 1e-6 * x.std() and np.mean(error > 0.05 * x.std()) < 0.002


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-20, 20), min_size=1, max_size=6), st.integers(10, 40), st.booleans())
def test_frequent_values_come_back_exactly(levels, repeats, missing):
    x = np.array(levels * repeats + [np.nan] * missing, float)
    np.testing.assert_array_equal(again(fit(x, kind="integer"), x), x)


@pytest.mark.parametrize(
    ("unit", "dtype", "step"),
    [
        (1, "float64", 1.0),
        (2, "float64", 0.5),
        (4, "float64", 0.25),
        (20, "float64", 0.05),
        (100, "float64", 0.01),
        (100, "float32", 0.01),
        (10**7, "float64", None),
    ],
)
def test_granularity_is_learnt_and_given_back(unit, dtype, step):
    x = (RNG(0).integers(0, 900 * unit, 3000) / unit).astype(dtype)
    coder = fit(x)
    assert coder.step == step
    if step:
        gate = RNG(1).integers(0, coder.num_bins, 500)
        made = coder.decode(gate, RNG(1).standard_normal(500))
        np.testing.assert_array_equal(made, np.round(made * unit) / unit)
        assert len(set(made)) > 300


def test_tiny_values_are_not_rounded_to_zero():
    x = RNG(0).lognormal(0, 1, 500) * 1e-12
    assert fit(x).step is None and np.all(again(fit(x), x) > 0)


def test_declared_step_and_bounds_hold():
    x = RNG(0).normal(50, 30, 2000)
    coder = fit(x, lower=10.0, upper=90.0, step=0.125)
    made = coder.decode(RNG(1).integers(0, coder.num_bins, 5000), RNG(1).normal(0, 3, 5000))
    assert made.min() == 10 and made.max() == 90
    np.testing.assert_array_equal(made * 8, np.round(made * 8))


def test_ties_and_near_ties_at_the_ends_give_finite_scores():
    near = np.arange(40) * 7.2e-15
    x = np.concatenate([37.7 + near, 39 + RNG(0).random(900), 41.1 - near])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        coder = fit(x)
        gate, scores = coder.encode(pd.Series([30, 37.7, 40, 41.1, 50]), RNG(0))
        middle, last = coder.num_bins // 2, coder.num_bins - 1
        made = coder.decode(np.array([0, middle, last]), np.array([-99.0, np.nan, 99.0]))
    assert np.all(np.diff(coder.values) > 0) and np.all(np.diff(coder.scores) > 0)
    assert coder.spikes == ()
    assert np.all(np.diff(gate + stats.norm.cdf(scores)) >= 0)
    assert np.all(np.abs(scores) <= MAX_SCORE)
    assert np.all(np.isfinite(made)) and np.all(np.diff(made) > 0)


@pytest.mark.parametrize("rows_each", [1, 3])
@pytest.mark.parametrize("size", [8, 40, 3000])
def test_one_persons_value_does_not_matter(size, rows_each):
    """The person at the top may hold any value: the fitted coder is the same."""
    x = RNG(3).gamma(2, 50, size)
    patients = np.append(np.arange(size) // 2, [size] * rows_each)
    fitted = [fit([*x, *[top] * rows_each], patients, 2) for top in (x.max() + 0.5, 1e9)]
    assert fitted[0] == fitted[1]
    assert fitted[0] != fit(x, patients[:size], 2)


def test_a_person_with_many_rows_is_no_spike_and_no_knot():
    x = np.append(RNG(4).normal(0, 50, 3000), np.full(500, 123.456))
    patients = np.append(np.arange(3000), np.full(500, 3000))
    coder = fit(x, patients)
    assert coder.spikes == ()
    assert np.min(np.abs(np.asarray(coder.values) - 123.456)) > 1e-3
    assert fit(x).spikes == (123.456,)


def test_spikes_need_a_share_of_rows_and_patients():
    x = np.append(np.linspace(1, 2, 2000), [5.0] * 12 + [6.0] * 9)
    patients = np.append(np.arange(2000), [*range(9), 0, 0, 0, *range(9)])
    assert fit(x, patients, 9).spikes == (5.0,)
    assert fit(x, patients, 10).spikes == ()


@pytest.mark.parametrize("x", [[7.0] * 9, [7.0] * 9 + [np.nan], [1.0] * 9 + [2.0] * 9])
def test_only_spikes_has_no_continuous_part(x):
    coder = fit(x)
    assert not coder.has_continuous and coder.cardinality == len(pd.unique(np.array(x)))
    np.testing.assert_array_equal(again(coder, x), x)
    assert again(coder, [np.nan])[0] in (7.0, 2.0) or coder.has_missing


def test_missing_at_prediction_only_is_a_typical_value():
    x = RNG(5).normal(10, 1, 500)
    coder = fit(x)
    assert not coder.has_missing
    assert abs(again(coder, [np.nan])[0] - np.median(x)) < 0.2
    with_missing = fit([*x, np.nan])
    assert np.isnan(again(with_missing, [np.nan])[0])


@pytest.mark.parametrize(
    ("x", "word"),
    [([np.nan] * 9, "all missing"), ([3.3] + [np.nan] * 50, "only 1"), ([1.5, 2.5, 4.1], "only 3")],
)
def test_too_few_values_are_refused(x, word):
    with pytest.raises(InputError, match=f"'x'.*{word}.*Fix"):
        fit(x)


def test_a_shared_value_is_spread_over_its_share_and_comes_back():
    x = RNG(7).integers(0, 400, 20000) ** 2 / 7  # no common step
    coder = fit(x)
    assert coder.step is None and coder.spikes == ()
    gate, scores = coder.encode(pd.Series(x), RNG(0))
    assert len(np.unique(scores)) > 0.99 * len(x)
    np.testing.assert_array_equal(coder.decode(gate, scores), x)
    drawn = coder.decode(RNG(1).integers(0, coder.num_bins, 20000), RNG(2).standard_normal(20000))
    assert np.isin(drawn, x).mean() > 0.999


def test_a_value_between_shared_ones_that_few_hold_goes_to_the_nearer():
    x = np.repeat(np.arange(300.0), 10)
    coder = fit(np.append(x, [7.4, 7.7]))
    made = coder.decode(RNG(1).integers(0, coder.num_bins, 5000), RNG(2).standard_normal(5000))
    assert np.isin(made, x).all()
    assert again(coder, [7.4, 7.7]).tolist() == [7, 8]
    with_crowd = fit(np.append(x, np.linspace(7.3, 7.7, 40)))
    np.testing.assert_allclose(again(with_crowd, [7.4, 7.6]), [7.4, 7.6], atol=1e-6)


def test_few_values_get_few_bins():
    assert fit(RNG(0).normal(size=120)).num_bins == 2
    assert fit(RNG(0).normal(size=49)).num_bins == 1
    assert fit(RNG(0).normal(size=49)).cardinality == 0


@pytest.mark.parametrize("people", [900, 60])
def test_row_order_does_not_matter(people):
    rng = RNG(6)  # many ties, and some people have many more rows than others
    x, patients = rng.integers(0, 300, 900) / 10, (rng.random(900) ** 3 * people).astype(int)
    order = rng.permutation(900)
    one, two = fit(x, patients), fit(x[order], patients[order])
    np.testing.assert_allclose(one.values, two.values, rtol=1e-12)
    np.testing.assert_allclose(one.scores, two.scores, rtol=1e-12)
    assert (one.spikes, one.step, one.num_bins) == (two.spikes, two.step, two.num_bins)


def test_json_is_plain():
    fields = fit([*np.linspace(0, 1, 50), np.nan], lower=0).to_json()
    assert json.loads(json.dumps(fields))["coder"] == "numeric"


@pytest.mark.parametrize("rows", [14, 20, 21, 27, 1000, 4321])
def test_rows_of_one_person_each_need_no_search_for_people(rows):
    """The short way, which most tables take, gives the very knots of the long one."""
    x, patients = np.sort(RNG(rows).normal(size=rows)), RNG(0).permutation(rows)
    short = numeric._window_means(x, patients, 7)
    with_twin = patients.copy()
    with_twin[1] = with_twin[0]
    assert not np.array_equal(numeric._window_means(x, with_twin, 7)[0], short[0])
    cuts = numeric._cut_windows(patients, 7)
    means = [x[a] + numeric._middle_people(x[a:b], patients[a:b]).mean() for a, b in cuts]
    np.testing.assert_array_equal(short[0], means)
    np.testing.assert_array_equal(short[1], [(a + b) / 2 for a, b in cuts])
