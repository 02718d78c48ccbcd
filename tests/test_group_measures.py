"""Scores by group against closed forms and plain loops."""

import numpy as np
import pytest

from synthdiff.eval.group_measures import ClassMeasure, make_value_measure
from synthdiff.eval.statistics import auc


def _binary(rng, rows=600, groups=3):
    codes = rng.integers(0, groups, rows)
    truth = rng.integers(0, 2, rows)
    score = np.round(np.clip(rng.normal(0.4 + 0.2 * truth, 0.2), 0, 1), 1)  # with ties
    return np.stack([1 - score, score], axis=1), truth, codes


def test_scores_of_each_group_are_those_of_its_rows_alone():
    rng = np.random.default_rng(0)
    probabilities, truth, codes = _binary(rng)
    found = ClassMeasure(probabilities, truth, codes, np.arange(600))(np.ones(600))
    for group in range(3):
        inside = codes == group
        score, label = probabilities[inside, 1], truth[inside]
        assert found["auroc"][group] == pytest.approx(auc(score[label == 1], score[label == 0]))
        right = np.mean(probabilities[inside].argmax(axis=1) == label)
        assert found["accuracy"][group] == pytest.approx(right)


def test_equalised_odds_of_two_classes_is_the_usual_definition():
    probabilities, truth, codes = _binary(np.random.default_rng(1))
    found = ClassMeasure(probabilities, truth, codes, np.arange(600))(np.ones(600))
    called = probabilities.argmax(axis=1) == 1
    gaps = [
        np.ptp([called[(codes == group) & (truth == label)].mean() for group in range(3)])
        for label in (0, 1)
    ]
    assert found["equalised_odds_gap"] == pytest.approx([max(gaps)])


def test_planted_rates_give_their_difference():
    """Group 0 finds 80% of the ill and alarms 10% of the well; group 1: 50% and 30%."""
    cells = [(0, 1, 1, 80), (0, 1, 0, 20), (0, 0, 1, 10), (0, 0, 0, 90),
             (1, 1, 1, 50), (1, 1, 0, 50), (1, 0, 1, 30), (1, 0, 0, 70)]  # fmt: skip
    codes, truth, called = (
        np.repeat([c[i] for c in cells], [c[3] for c in cells]) for i in (0, 1, 2)
    )
    probabilities = np.where(called[:, None] == np.arange(2), 0.9, 0.1)
    found = ClassMeasure(probabilities, truth, codes, np.arange(400))(np.ones(400))
    assert found["equalised_odds_gap"] == pytest.approx([0.3])
    assert found["accuracy"] == pytest.approx([0.85, 0.60])


def test_calibration_error_of_known_bins():
    """P = 0.7 and 70% ill is calibrated; P = 0.7 and 30% ill is off by 0.4."""
    truth = np.concatenate([np.repeat([1, 0], [70, 30]), np.repeat([1, 0], [30, 70])])
    codes = np.repeat([0, 1], 100)
    probabilities = np.tile([0.3, 0.7], (200, 1))
    found = ClassMeasure(probabilities, truth, codes, np.arange(200))(np.ones(200))
    assert found["calibration_error"] == pytest.approx([0.0, 0.4])


def test_weights_count_as_repeated_rows():
    rng = np.random.default_rng(2)
    probabilities, truth, codes = _binary(rng)
    weights = rng.integers(0, 4, 600)
    rows = np.repeat(np.arange(600), weights)
    weighted = ClassMeasure(probabilities, truth, codes, np.arange(600))(weights.astype(float))
    repeated = ClassMeasure(probabilities[rows], truth[rows], codes[rows], rows)(np.ones(len(rows)))
    for name, values in weighted.items():
        assert values == pytest.approx(repeated[name]), name


def test_a_class_of_too_few_patients_does_not_count():
    """60 rows of the class, but of 15 patients only."""
    rng = np.random.default_rng(3)
    truth = np.repeat([1, 0, 1, 0], [60, 60, 60, 60])
    codes = np.repeat([0, 0, 1, 1], 60)
    score = rng.random(240)
    patients = np.concatenate([np.arange(60) // 4, 100 + np.arange(180)])
    measure = ClassMeasure(np.stack([1 - score, score], axis=1), truth, codes, patients)
    found = measure(np.ones(240))
    assert np.isnan(found["auroc"][0]) and np.isfinite(found["auroc"][1])
    assert np.isnan(found["equalised_odds_gap"][0])


def test_r2_of_each_group():
    rng = np.random.default_rng(4)
    truth, codes = rng.normal(size=300), rng.integers(0, 2, 300)
    predicted = truth + rng.normal(size=300) * (0.1 + codes)
    found = make_value_measure(predicted, truth, codes)(np.ones(300))["r2"]
    for group in range(2):
        inside = codes == group
        errors = np.mean((truth - predicted)[inside] ** 2)
        assert found[group] == pytest.approx(1 - errors / np.var(truth[inside]))
