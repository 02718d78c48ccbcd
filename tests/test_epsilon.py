"""Lower bounds on epsilon: known answers, coverage, and power."""

from importlib.util import find_spec

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit, log_ndtr, ndtr, ndtri
from scipy.stats import binom, norm

from synthdiff.eval.epsilon import (
    audit_claim,
    bound_by_guesses,
    bound_by_rates,
    bound_by_trials,
    guess_canaries,
    guess_p_value,
    guess_trials,
    rejects_curve,
)

REPEATS = 100


@pytest.mark.parametrize(
    ("correct", "guesses", "delta", "expected"),
    [
        (1000, 1000, 0.0, 5.80907),
        (100, 100, 0.0, 3.49297),
        (90, 100, 0.0, 1.63082),
        (100, 100, 1e-5, 3.46538),
        (90, 100, 1e-5, 1.62614),
        (60, 100, 1e-5, 0.0495),
        (50, 100, 1e-5, 0.0),
    ],
)
def test_known_answers_of_one_run(correct, guesses, delta, expected):
    found = bound_by_guesses(correct, guesses, 1000, delta)
    assert found == pytest.approx(expected, abs=6e-5)


def test_all_right_has_a_closed_form():
    for guesses in (10, 300):
        power = 0.05 ** (1 / guesses)
        expected = np.log(power / (1 - power))
        assert bound_by_guesses(guesses, guesses, guesses) == pytest.approx(expected, rel=1e-6)


def test_p_value_without_delta_is_a_binomial_tail():
    expected = binom.sf(89, 100, expit(1.0))
    assert guess_p_value(90, 100, 1000, 1.0, 0.0) == pytest.approx(expected)
    assert expected == pytest.approx(2.7358e-5, rel=1e-4)
    assert guess_p_value(90, 100, 1000, 1.0, 1e-5) > expected


def test_perfect_separation_stops_at_the_ceiling_of_the_method():
    """Half of the scores choose the threshold; 500 of 500 hits without a false alarm remain."""
    found = bound_by_rates(np.ones(1000), np.zeros(1000), 1e-5)
    rate = 0.025 ** (1 / 500)
    assert found == pytest.approx(np.log((rate - 1e-5) / (1 - rate)), rel=1e-6)
    assert bound_by_rates(np.zeros(1000), np.ones(1000), 1e-5) == 0.0  # high must mean "in"


def test_a_sure_sign_of_absence_counts_too():
    """Half of those left out score 0 and nobody else does: "is in" guesses alone give log 2."""
    excluded = np.tile([0.0, 0.0, 1.0, 1.0], 250)
    assert bound_by_rates(np.ones(1000), excluded, 1e-5) > 4.0


def respond(rng, epsilon, canaries=1000):
    """Randomised response: the mechanism whose epsilon is exact, so that a bound has no slack."""
    included = rng.random(canaries) < 0.5
    truthful = rng.random(canaries) < expit(epsilon)
    return np.where(truthful, included, ~included).astype(float), included


@pytest.mark.parametrize("epsilon", [0.0, 1.0, 3.0])
def test_bounds_stay_below_the_truth(epsilon):
    rng = np.random.default_rng(int(epsilon))
    over = {"rates": 0, "guesses": 0}
    for _ in range(REPEATS):
        scores, included = respond(rng, epsilon)
        right = int(np.sum(scores == included))
        over["rates"] += bound_by_rates(scores[included], scores[~included], 0.0) > epsilon
        over["guesses"] += bound_by_guesses(right, len(scores), len(scores)) > epsilon
    limit = binom.ppf(0.999, REPEATS, 0.05)
    assert max(over.values()) <= limit, over


def test_a_false_claim_is_contradicted():
    """The power of the check above: with epsilon 3 in truth, a claim of 2 falls nearly always."""
    rng = np.random.default_rng(0)
    caught = [audit_claim(*respond(rng, 3.0), claimed=2.0, delta=0.0) for _ in range(20)]
    assert sum(result["contradicted"] for result in caught) >= 19


def test_gaussian_scores():
    """N(2, 1) against N(0, 1): epsilon is 9.997 at 1e-5; the bounds lie between 1.5 and that."""
    rng = np.random.default_rng(1)
    included = np.repeat([True, False], 1000)
    result = audit_claim(rng.normal(2.0 * included, 1.0), included, 9.997, 1e-5)
    for bound in result["lower_bounds"].values():
        assert 1.5 < bound < 9.997
    assert not result["contradicted"]


def test_guesses_take_both_ends():
    included = np.array([False, True, True, False, True, False, False, True])
    assert guess_canaries(np.arange(8.0), included, share=0.5) == (2, 4)
    assert guess_canaries(included.astype(float), included, share=1.0) == (8, 8)


def gaussian_tradeoff(epsilon, delta=1e-5):
    """The curve of the Gaussian mechanism that is just (epsilon, delta) private (1905.02383)."""

    def gap(mu):
        far = np.exp(epsilon + log_ndtr(-mu / 2 - epsilon / mu))
        return ndtr(mu / 2 - epsilon / mu) - far - delta

    mu = brentq(gap, 1e-9, 100.0)
    return lambda alpha: float(ndtr(ndtri(1 - alpha) - mu))


def bound_by_curve(correct, guesses, canaries):
    """The largest epsilon of a Gaussian mechanism whose curve `rejects_curve` rejects."""

    def gap(epsilon):
        return rejects_curve(correct, guesses, canaries, gaussian_tradeoff(epsilon))

    return brentq(gap, 0.0, 50.0, xtol=1e-6) if gap(0.0) > 0 else 0.0


CURVE_ANSWERS = [
    (90, 100, 1000, 2.456405),
    (480, 500, 2000, 4.506026),
    (1000, 1000, 2000, 11.047582),
    (60, 100, 1000, 0.043523),
    (140, 250, 1000, 0.017274),
    (125, 250, 1000, 0.0),
]


@pytest.mark.parametrize(("correct", "guesses", "canaries", "expected"), CURVE_ANSWERS)
def test_known_answers_of_the_curve(correct, guesses, canaries, expected):
    """By jax-privacy 2.0.0, whose own function is asked where it is installed."""
    found = bound_by_curve(correct, guesses, canaries)
    assert found == pytest.approx(expected, abs=2e-6)
    if find_spec("jax_privacy"):
        from jax_privacy.auditing import _epsilon_one_run_fdp as bound

        assert found == pytest.approx(bound(0.0, canaries, guesses, correct, 0.05, 1e-5), abs=2e-6)


def test_a_true_curve_is_rejected_in_at_most_one_run_of_twenty_and_a_false_one_in_most():
    """Gaussian canaries of mu 1, epsilon 4.377: more is found than by one point of the curve."""
    rng, rejected, below, bounds = np.random.default_rng(3), 0, 0, []
    for _ in range(REPEATS):
        included = rng.random(1000) < 0.5
        counts = *guess_canaries(rng.normal(included, 1.0), included), 1000
        rejected += rejects_curve(*counts, gaussian_tradeoff(4.377178)) > 0
        below += rejects_curve(*counts, gaussian_tradeoff(1.0)) > 0
        bounds.append((bound_by_curve(*counts), bound_by_guesses(*counts, 1e-5)))
    assert rejected <= binom.ppf(0.999, REPEATS, 0.05)
    assert below > 0.95 * REPEATS
    curve, guesses = np.mean(bounds, axis=0)
    assert guesses < 1.6 < 2.0 < curve < 4.377


def test_all_bounds_share_the_level():
    rng, shares = np.random.default_rng(0), []
    audit_claim(*respond(rng, 1.0), 1.0, 0.0, 0.06, lambda *given: shares.append(given[-1]) or 0.0)
    assert shares == [pytest.approx(0.02)]


@pytest.mark.parametrize(("epsilon", "ceiling"), [(0.5, 0.0165), (1.0, 0.0272), (3.0, 0.201)])
def test_what_an_attack_may_reach_at_one_percent_false_alarms(epsilon, ceiling):
    """TPR <= e^epsilon FPR + delta, and no mechanism's curve allows more."""
    assert np.exp(epsilon) * 0.01 + 1e-5 == pytest.approx(ceiling, rel=5e-3)
    assert 1 - gaussian_tradeoff(epsilon)(0.01) < ceiling


def test_trials_all_right_have_a_closed_form():
    """mu of 100 right of 100 by Clopper-Pearson, and the delta of that Gaussian mechanism."""
    found = bound_by_trials(100, 100, 1e-5)
    mu = 2 * norm.ppf(0.05 ** (1 / 100))
    delta = norm.cdf(mu / 2 - found / mu) - np.exp(found) * norm.cdf(-mu / 2 - found / mu)
    assert delta == pytest.approx(1e-5, rel=1e-6)
    assert bound_by_trials(50, 100, 1e-5) == bound_by_trials(0, 100, 1e-5) == 0.0


def test_bounds_of_trials_stay_below_the_truth_and_come_near():
    """Gaussian canaries of mu 1, epsilon 4.377, one a run: far more than many canaries of one."""
    rng, over, bounds = np.random.default_rng(4), 0, []
    for _ in range(REPEATS):
        included = rng.random(2000) < 0.5
        right, made = guess_trials(rng.normal(7.0 + included, 1.0), included)
        assert made == 1800
        bounds.append((bound_by_trials(right, made, 1e-5), bound_by_curve(right, made, made)))
        over += bounds[-1][0] > 4.377178
    assert over <= binom.ppf(0.999, REPEATS, 0.05)
    trials, curve = np.median(bounds, axis=0)
    assert trials > 3.6 > 2 * curve


def test_the_threshold_is_of_other_trials_than_the_guesses():
    included = np.arange(40) % 20 < 10  # of every tenth trial, two are in and two are out
    scores = np.where(included, 3.0, 1.0)
    assert guess_trials(scores, included) == (36, 36)
    scores[::10] += 9.0  # their threshold is above all others: who was out is guessed right
    assert guess_trials(scores, included) == (18, 36)
