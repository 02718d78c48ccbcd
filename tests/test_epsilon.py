"""Lower bounds on epsilon: known answers, coverage, and power."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import binom

from synthdiff.eval.epsilon import (
    audit_claim,
    bound_by_guesses,
    bound_by_rates,
    guess_canaries,
    guess_p_value,
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
