"""The simulated cohort follows its stated distribution, and the checks would notice if not."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from synthdiff._validate import InputError
from synthdiff.data.sources.simulate import (
    LIFT,
    join_codes,
    make_truth,
    sample_codes,
    simulate_cohort,
)

PATIENTS, CODES, SEED = 20_000, 300, 7
ALPHA = 1e-4


@pytest.fixture(scope="module")
def cohort():
    return simulate_cohort(PATIENTS, CODES, SEED)


@pytest.fixture(scope="module")
def matrix(cohort):
    df, _, truth = cohort
    position = {code: index for index, code in enumerate(truth.codes)}
    codes = np.zeros((len(df), len(truth.codes)), bool)
    for row, cell in enumerate(df["codes"]):
        codes[row, [position[code] for code in cell.split(";") if code]] = True
    return codes


def p_value(counts, probabilities, num):
    """Bonferroni p-value of the least likely count; exact, as many counts are near 0."""
    law = stats.binom(num, probabilities)
    tails = np.minimum(law.cdf(counts), law.sf(counts - 1))
    return min(1.0, np.size(tails) * 2 * np.min(tails))


def pair_p_value(codes, truth, top=40):
    """Tests all co-occurrence counts of the `top` most frequent codes against the truth."""
    head = codes[:, :top].astype(float)
    pairs = np.triu_indices(top, 1)
    expected = truth.cooccurrence[:top, :top][pairs]
    return p_value((head.T @ head)[pairs], expected, len(codes))


def test_marginals_follow_the_truth(cohort, matrix):
    truth = cohort[2]
    counts = matrix.sum(axis=0)
    assert p_value(counts, truth.prevalence, PATIENTS) > ALPHA
    assert p_value(counts, truth.prevalence * 1.1, PATIENTS) < ALPHA


def test_pairs_follow_the_truth(cohort, matrix):
    truth = cohort[2]
    assert pair_p_value(matrix, truth) > ALPHA
    independent = np.random.default_rng(0).permuted(matrix, axis=0)
    assert pair_p_value(independent, truth) < ALPHA


def test_cooccurrence_is_the_mixture_formula(cohort):
    truth = cohort[2]
    i, j = 3, 11
    expected = sum(
        w * p[i] * p[j] for w, p in zip(truth.class_weights, truth.code_probs, strict=True)
    )
    assert truth.cooccurrence[i, j] == pytest.approx(expected, rel=1e-12)
    assert truth.cooccurrence[i, i] == pytest.approx(truth.prevalence[i], rel=1e-12)


def test_prevalence_is_zipf_and_classes_differ():
    truth = make_truth(1000, seed=0, max_prevalence=0.1, zipf_exponent=0.9)
    np.testing.assert_allclose(truth.prevalence, 0.1 * np.arange(1, 1001) ** -0.9, rtol=1e-9)
    ratio = truth.code_probs.max(axis=0) / truth.code_probs.min(axis=0)
    np.testing.assert_allclose(ratio, LIFT, rtol=1e-9)
    assert truth.class_weights.sum() == pytest.approx(1)


def test_classes_follow_their_weights():
    truth = make_truth(10, seed=3)
    classes, _ = sample_codes(truth, PATIENTS, np.random.default_rng(1))
    counts = np.bincount(classes, minlength=4)
    expected = truth.class_weights * PATIENTS
    assert stats.chisquare(counts, expected).pvalue > ALPHA
    assert stats.chisquare(counts, np.roll(expected, 1)).pvalue < ALPHA


def test_codes_are_independent_within_a_class_only():
    truth = make_truth(30, seed=3)
    classes, codes = sample_codes(truth, PATIENTS, np.random.default_rng(1))
    pairs = np.triu_indices(30, 1)

    def independence(codes, probs):
        joint = codes.T.astype(float) @ codes
        return p_value(joint[pairs], np.outer(probs, probs)[pairs], len(codes))

    for label, probs in enumerate(truth.code_probs):
        assert independence(codes[classes == label], probs) > ALPHA
    assert independence(codes, truth.prevalence) < ALPHA


def test_age_and_sex_follow_the_truth(cohort):
    df, _, truth = cohort
    error = df["age"].std() / np.sqrt(len(df))
    a, b = truth.age_beta.T
    expected = 18 + 72 * truth.class_weights @ (a / (a + b))
    assert abs(df["age"].mean() - expected) < 4 * error
    assert abs(df["age"].mean() - (expected + 1)) > 4 * error
    men = truth.class_weights @ truth.male_probs
    assert p_value((df["sex"] == "M").sum(), men, len(df)) > ALPHA
    assert p_value((df["sex"] == "F").sum(), men, len(df)) < ALPHA


def test_outcome_is_calibrated_in_every_risk_band(cohort, matrix):
    df, _, truth = cohort
    y, age, male = df["outcome"].to_numpy(), df["age"].to_numpy(), (df["sex"] == "M").to_numpy()

    def worst_band(p):
        bands = np.array_split(np.argsort(p), 10)
        z = [(y[b] - p[b]).sum() / np.sqrt((p[b] * (1 - p[b])).sum()) for b in bands]
        return np.abs(z).max()

    assert worst_band(truth.outcome_probability(age, male, matrix)) < 4.5
    assert worst_band(truth.outcome_probability(age, male, matrix * 0)) > 4.5
    assert worst_band(truth.outcome_probability(age, ~male, matrix)) > 4.5


def test_cells_are_sorted_unique_codes_and_patients_are_distinct(cohort):
    df, schema, truth = cohort
    for cell in df["codes"].head(500):
        parts = cell.split(";") if cell else []
        assert parts == sorted(set(parts)) and set(parts) <= set(truth.codes)
    assert df["patient_id"].is_unique and schema.entity == "patient_id"
    assert schema["codes"].categories == truth.codes and schema["codes"].public


def test_join_codes_known_answer():
    codes = np.array([[0, 0, 0], [1, 0, 1], [0, 1, 0], [0, 0, 0]], bool)
    assert join_codes(codes, ("a", "b", "c")) == ["", "a;c", "b", ""]


def test_seed_fixes_everything(cohort):
    again = simulate_cohort(PATIENTS, CODES, SEED)[0]
    pd.testing.assert_frame_equal(cohort[0], again)
    other = simulate_cohort(PATIENTS, CODES, SEED + 1)[0]
    assert (cohort[0]["codes"] != other["codes"]).mean() > 0.9


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"num_patients": 0, "num_codes": 5}, "num_patients"),
        ({"num_patients": 5, "num_codes": 0}, "num_codes"),
        ({"num_patients": 5, "num_codes": 5, "max_prevalence": 0.9}, "max_prevalence"),
    ],
)
def test_bad_arguments_are_named(arguments, name):
    with pytest.raises(InputError, match=name):
        simulate_cohort(seed=0, **arguments)
