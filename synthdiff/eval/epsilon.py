"""Lower bounds on epsilon from an attack's guesses: what a claim must not fall below.

A bound above the claimed epsilon shows that the claim is false. A bound below it shows nothing:
all methods have ceilings, and faults that no canary feels, such as
batches of a shuffle where the accounting assumes Poisson samples, leave no trace here.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, log_ndtr, ndtr, ndtri
from scipy.stats import binom
from statsmodels.stats.proportion import proportion_confint

from synthdiff._validate import positive

MOST = 50.0  # bounds are sought in [0, MOST]
Tradeoff = Callable[[float], float]  # least false negative rate at a false positive rate


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


def _find_delta(mu: float, epsilon: float) -> float:
    """The delta at epsilon of a Gaussian mechanism that moves by mu standard deviations.

    Balle and Wang 2018 (arXiv 1805.06530, theorem 8).
    """
    far = np.exp(epsilon + log_ndtr(-mu / 2 - epsilon / mu))
    return float(ndtr(mu / 2 - epsilon / mu) - far)


def rejects_curve(
    correct: int, guesses: int, canaries: int, tradeoff: Tradeoff, alpha: float = 0.05
) -> float:
    """Positive where so many right guesses in one run are too many for a mechanism of this curve.

    tradeoff: symmetric, as of one canary's coin. Wrong for a true curve in at most alpha of runs.
    The recursion of Mahloujifar, Melis and Chaudhuri 2025 (arXiv 2410.22235), which uses the whole
    curve and so finds more than `guess_p_value`, to which one point of it is all that is known.
    """
    positive(guesses=guesses)
    right, wrong = alpha * correct / canaries, alpha * (guesses - correct) / canaries
    for left in range(correct - 1, -1, -1):
        more = max(wrong, tradeoff(1 - right))
        if more == wrong:
            break
        right = min(1.0, right + left / (guesses - left) * (more - wrong))
        wrong = more
    return right + wrong - guesses / canaries


def bound_by_trials(correct: int, trials: int, delta: float, alpha: float = 0.05) -> float:
    """Lower bound for a Gaussian mechanism, from one guess in each of many independent runs of it.

    In every run one canary was in or out by a fair coin. A guess is right with a chance of at most
    Phi(mu / 2), whatever it looks at, so Clopper-Pearson bounds mu: no loss to many hypotheses
    or to what canaries of one run do to each other, as in `rejects_curve`.

    >>> round(bound_by_trials(841, 1000, 1e-5))  # Phi(1) of them, so mu is 2 and epsilon 10
    9
    """
    positive(trials=trials)
    mu = 2.0 * ndtri(np.nan_to_num(proportion_confint(correct, trials, 2 * alpha, "beta")[0]))

    def gap(epsilon: float) -> float:
        return _find_delta(mu, epsilon) - delta

    if mu <= 0.0 or gap(0.0) <= 0:
        return 0.0
    return float(brentq(gap, 0.0, MOST)) if gap(MOST) < 0 else MOST


def guess_trials(scores: np.ndarray, included: np.ndarray) -> tuple[int, int]:
    """(right, made) guesses, "in" above a threshold: halfway between the mean scores of canaries in
    and out in every tenth trial, of which no guess is made."""
    chosen = np.arange(len(scores)) % 10 == 0
    ends = [scores[chosen & (included == side)].mean() for side in (False, True)]
    right = (scores > np.mean(ends)) == included
    return int(right[~chosen].sum()), int(np.sum(~chosen))


def guess_canaries(
    scores: np.ndarray, included: np.ndarray, share: float = 0.25
) -> tuple[int, int]:
    """(right, made) guesses: the highest scores are guessed in, as many of the lowest out."""
    each = max(1, int(len(scores) * share / 2))
    order = np.argsort(scores, kind="stable")
    right = np.sum(~included[order[:each]]) + np.sum(included[order[-each:]])
    return int(right), 2 * each


def audit_claim(
    scores: np.ndarray,
    included: np.ndarray,
    claimed: float,
    delta: float,
    alpha: float = 0.05,
    curve_bound: Callable[[int, int, int, float], float] | None = None,
) -> dict:
    """Lower bounds beside the claimed epsilon, each at an equal share of alpha.

    scores [canaries]: higher means "was in". included: the coins. curve_bound: the bound from
    right guesses, guesses, canaries and alpha by the mechanism's own trade-off curves, where they
    are known. contradicted: the claim is false (in at most alpha of audits of a true claim it is
    called so wrongly).
    """
    included = np.asarray(included, bool)
    right, guesses = guess_canaries(scores, included)
    counts, share = (right, guesses, len(scores)), alpha / (3 if curve_bound else 2)
    bounds = {
        "rates": bound_by_rates(scores[included], scores[~included], delta, share),
        "guesses": bound_by_guesses(*counts, delta, share),
    }
    if curve_bound:
        bounds["curve"] = curve_bound(*counts, share)
    return {
        "claimed": claimed,
        "delta": delta,
        "lower_bounds": bounds,
        "contradicted": max(bounds.values()) > claimed,
        "canaries": len(scores),
        "correct": right,
        "guesses": guesses,
    }
