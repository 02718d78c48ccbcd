import numpy as np
import pytest

from synthdiff.eval.hipaa import membership_f1, naive_f1
from synthdiff.eval.risk import compare_rates, residual_risk


def test_residual_risk_vectors():
    """Points and, within the width of another method, intervals that Anonymeter documents."""
    assert residual_risk(9000, 10_000, 8000, 10_000)["value"] == pytest.approx(0.5)
    found = residual_risk(100, 500, 60, 500)
    assert found["value"] == pytest.approx(0.0905, abs=0.001)
    assert found["lower"] == pytest.approx(0.0408, abs=0.003)
    assert found["upper"] == pytest.approx(0.1402, abs=0.003)
    same = residual_risk(60, 500, 60, 500)
    assert same["value"] == 0 and same["upper"] == pytest.approx(0.046, abs=0.003)


@pytest.mark.parametrize("counts", [(0, 0), (0, 100), (100, 0), (1, 99), (99, 1), (50, 50)])
def test_residual_risk_is_ordered_and_finite_at_the_ends(counts):
    found = residual_risk(counts[0], 100, counts[1], 100)
    if counts[1] >= 99:
        assert "nearly everyone" in found["skipped"]
        return
    assert found["lower"] <= found["value"] <= found["upper"] <= 1
    assert found["upper"] > found["lower"]


def _delta(a, n, c, m):
    """The interval by the delta method from Wald's widths."""
    first, second = a / n, c / m
    errors = [1.96 * np.sqrt(p * (1 - p) / k) for p, k in ((first, n), (second, m))]
    value = (first - second) / (1 - second)
    width = np.hypot(errors[0] / (1 - second), (1 - first) * errors[1] / (1 - second) ** 2)
    return value - width, value + width


@pytest.mark.parametrize(("attack", "control"), [(0.02, 0.004), (0.3, 0.25), (0.98, 0.9)])
def test_interval_of_the_residual_risk_covers_where_the_delta_method_does_not(attack, control):
    rng = np.random.default_rng(0)
    truth, ours, delta = (attack - control) / (1 - control), [], []
    for a, c in zip(rng.binomial(100, attack, 2000), rng.binomial(100, control, 2000), strict=True):
        found = residual_risk(a, 100, c, 100)
        if "skipped" not in found:
            ours.append(found["lower"] <= truth <= found["upper"])
            low, high = _delta(a, 100, c, 100)
            delta.append(low <= truth <= high)
    assert np.mean(ours) >= 0.93
    if attack != 0.3:
        assert np.mean(delta) < np.mean(ours) - 0.02


def test_rates_come_with_baseline_control_and_a_one_sided_test():
    rng = np.random.default_rng(0)
    attack, control = rng.random(400) < 0.5, rng.random(300) < 0.2
    found = compare_rates(attack, control, 0.1)
    assert (found["attempts"], found["control_attempts"]) == (400, 300)
    assert found["attack"]["value"] == attack.mean() and found["control"]["value"] == control.mean()
    assert found["beats_guessing"] and found["p_value"] < 1e-6
    assert compare_rates(control, attack, 0.9)["p_value"] > 0.99
    assert not compare_rates(control, attack, 0.9)["beats_guessing"]
    assert "fewer than 30" in compare_rates(attack[:10], control, 0.1)["skipped"]


@pytest.mark.parametrize(("share", "value"), [(0.5, 0.667), (0.1, 0.182), (0.05, 0.095)])
def test_naive_f1_vector(share, value):
    assert naive_f1(share) == pytest.approx(value, abs=5e-4)


def test_relative_f1_is_nothing_for_noise_and_one_for_certainty():
    rng = np.random.default_rng(0)
    noise = membership_f1(rng.normal(size=2000), rng.normal(size=2000), 0.3, rng)
    assert noise["relative"]["lower"] <= 0 <= noise["relative"]["upper"] + 0.005
    assert noise["f1"] <= noise["naive"] + 0.01
    certain = membership_f1(rng.normal(9, 1, 2000), rng.normal(size=2000), 0.3, rng)
    assert certain["relative"]["value"] > 0.98


def test_f1_is_measured_on_patients_that_did_not_choose_the_threshold():
    """Chosen and judged on the same few patients, noise would look like a gain."""
    gains = []
    for seed in range(50):
        rng = np.random.default_rng(seed)
        found = membership_f1(rng.normal(size=40), rng.normal(size=40), 0.5, rng)
        gains.append(found["relative"]["value"])
    assert np.mean(gains) < 0.0
