"""Lower bounds on epsilon from an attack's guesses: what a claim must not fall below.

A bound above the claimed epsilon shows that the claim is false. A bound below it shows nothing:
both methods have ceilings, and faults that no canary feels, such as
batches of a shuffle where the accounting assumes Poisson samples, leave no trace here.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import binom
from statsmodels.stats.proportion import proportion_confint

from synthdiff._validate import positive

MOST = 50.0  # bounds are sought in [0, MOST]


def bound_by_rates(
    included: np.ndarray, excluded: np.ndarray, delta: float, alpha: float = 0.05
) -> float:
    """Lower bound from true and false positive rates, both by Clopper-Pearson.

    Any (epsilon, delta) mechanism has TPR <= e^epsilon FPR + delta, and so for "is out" guesses.
    Direction and threshold are chosen on every other score, rates measured on the rest.
    """
    sides = np.asarray(included, float), np.asarray(excluded, float)
    found, rule = 0.0, None
    for sign in (1.0, -1.0):
        hits, misses = (sign * side for side in sides[:: int(sign)])
        thresholds = np.unique(np.concatenate([hits[0::2], misses[0::2]]))
        bounds = _bound_at(hits[0::2], misses[0::2], thresholds, delta, alpha)
        if bounds.max() > found:
            found, rule = bounds.max(), (hits[1::2], misses[1::2], thresholds[[bounds.argmax()]])
    return float(_bound_at(*rule, delta, alpha)[0]) if rule else 0.0


def _bound_at(
    hits: np.ndarray, misses: np.ndarray, thresholds: np.ndarray, delta: float, alpha: float
) -> np.ndarray:
    """Bound at each threshold. Each rate takes one side of an interval, so alpha / 2."""
    above = [len(side) - np.searchsorted(np.sort(side), thresholds) for side in (hits, misses)]
    high = proportion_confint(above[0], len(hits), alpha, method="beta")[0]
    low = proportion_confint(above[1], len(misses), alpha, method="beta")[1]
    return np.log(np.maximum(np.nan_to_num(high) - delta, low) / low)


def guess_p_value(correct: int, guesses: int, canaries: int, epsilon: float, delta: float) -> float:
    """Chance of so many right guesses in one run of an (epsilon, delta) mechanism, or more.

    Each canary was in or out by a fair coin, and `guesses` of the `canaries` were guessed.
    Steinke, Nasr and Jagielski 2023 (arXiv 2305.08846), theorem 5.2:
    beta + 2 m delta max_i (P[Binomial >= v - i] - beta) / i, Binomial(r, e^eps / (1 + e^eps)).
    """
    positive(guesses=guesses)
    chance = expit(epsilon)
    tail = binom.sf(correct - 1 - np.arange(correct + 1), guesses, chance)
    slope = np.max((tail[1:] - tail[0]) / np.arange(1, correct + 1), initial=0.0)
    return float(min(1.0, tail[0] + 2.0 * canaries * delta * slope))


def bound_by_guesses(
    correct: int, guesses: int, canaries: int, delta: float = 0.0, alpha: float = 0.05
) -> float:
    """The largest epsilon that `guess_p_value` rejects at alpha; 0 where it rejects none.

    >>> round(bound_by_guesses(95, 100, 400), 2)  # 95 of 100 guesses were right
    2.17
    >>> bound_by_guesses(50, 100, 400)  # as many as by tossing coins
    0.0
    """

    def gap(epsilon: float) -> float:
        return guess_p_value(correct, guesses, canaries, epsilon, delta) - alpha

    if gap(0.0) >= 0:
        return 0.0
    return float(brentq(gap, 0.0, MOST)) if gap(MOST) > 0 else MOST


def guess_canaries(
    scores: np.ndarray, included: np.ndarray, share: float = 0.25
) -> tuple[int, int]:
    """(right, made) guesses: the highest scores are guessed in, as many of the lowest out."""
    each = max(1, int(len(scores) * share / 2))
    order = np.argsort(scores, kind="stable")
    right = np.sum(~included[order[:each]]) + np.sum(included[order[-each:]])
    return int(right), 2 * each


def audit_claim(
    scores: np.ndarray, included: np.ndarray, claimed: float, delta: float, alpha: float = 0.05
) -> dict:
    """Both lower bounds beside the claimed epsilon, each at alpha / 2.

    scores [canaries]: higher means "was in". included: the coins. contradicted: the claim is false
    (in at most alpha of audits of a true claim it is called so wrongly).
    """
    included = np.asarray(included, bool)
    right, guesses = guess_canaries(scores, included)
    bounds = {
        "rates": bound_by_rates(scores[included], scores[~included], delta, alpha / 2),
        "guesses": bound_by_guesses(right, guesses, len(scores), delta, alpha / 2),
    }
    return {
        "claimed": claimed,
        "delta": delta,
        "lower_bounds": bounds,
        "contradicted": max(bounds.values()) > claimed,
        "canaries": len(scores),
        "correct": right,
        "guesses": guesses,
    }
