"""Tests and intervals for "do these scores tell members from non-members?"."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from synthdiff._validate import in_range, positive

FPR, POWER = 0.01, 0.8  # false alarms at which the TPR is tested, and power that is asked of it
_FEW = 30  # false positives below which a bootstrapped threshold is too sure of itself


def interval(value: float, lower: float, upper: float, confidence: float = 0.95) -> dict:
    """The JSON form of an estimate with its confidence interval."""
    return {
        "value": float(value),
        "lower": float(lower),
        "upper": float(upper),
        "confidence": confidence,
    }


def _placements(scores: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Share of `others` below each score, ties counting half. [n] in 0..1."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")
    return below / (2 * len(ordered))


def auc(members: np.ndarray, nonmembers: np.ndarray) -> float:
    """P(member score > non-member score), ties counting half (Mann-Whitney U / n1 n0).

    >>> auc([3, 2], [2, 1])
    0.875
    """
    return float(_placements(np.asarray(members), np.asarray(nonmembers)).mean())


def clustered_variance(values: np.ndarray, groups: np.ndarray | None) -> float:
    """Variance of a mean whose rows are independent between groups only."""
    deviations = values - values.mean()
    if groups is not None:
        deviations = np.bincount(np.unique(groups, return_inverse=True)[1], deviations)
    count = len(deviations)
    return float(count / max(count - 1, 1) * np.sum(deviations**2) / len(values) ** 2)


def auc_interval(
    members: np.ndarray,
    nonmembers: np.ndarray,
    *,
    member_groups: np.ndarray | None = None,
    nonmember_groups: np.ndarray | None = None,
    confidence: float = 0.95,
) -> dict:
    """AUC with DeLong's interval, clustered by group (Obuchowski 1997) where groups are given.

    DeLong's variance vanishes where the scores separate; the interval is at least as wide as the
    "rule of three" for the smaller side of n asks for, 1 - alpha ** (1 / n).
    """
    members, nonmembers = np.asarray(members), np.asarray(nonmembers)
    placements = _placements(members, nonmembers)
    value = float(placements.mean())
    variance = clustered_variance(placements, member_groups)
    variance += clustered_variance(_placements(nonmembers, members), nonmember_groups)
    margin = max(
        stats.norm.ppf((1 + confidence) / 2) * np.sqrt(variance),
        1 - (1 - confidence) ** (1 / min(len(members), len(nonmembers))),
    )
    return interval(value, max(0.0, value - margin), min(1.0, value + margin), confidence)


def _allowed_false_positives(fpr: float, count: int) -> int:
    return int(np.floor(fpr * count + 1e-9))


def _count_above(members: np.ndarray, nonmembers: np.ndarray, fpr: float) -> int:
    """Members above the (k+1)-th largest non-member, k = false positives that `fpr` allows."""
    allowed = _allowed_false_positives(fpr, len(nonmembers))
    if allowed >= len(nonmembers):
        return len(members)
    position = len(nonmembers) - 1 - allowed
    return int(np.sum(members > np.partition(nonmembers, position)[position]))


def tpr_at_fpr(members: np.ndarray, nonmembers: np.ndarray, fpr: float = FPR) -> float:
    """Largest share of members found by a threshold whose observed false positive rate <= fpr.

    Tied scores stand or fall together: nothing is interpolated, so all-tied scores give 0.

    >>> tpr_at_fpr([5, 4, 1, 1], [3, 2, 2, 0], fpr=0.0)
    0.5
    """
    in_range(0, 1, fpr=fpr)
    members, nonmembers = np.asarray(members), np.asarray(nonmembers)
    return _count_above(members, nonmembers, fpr) / len(members)


def bootstrap_interval(
    statistic: Callable[[np.ndarray, np.ndarray], float],
    members: np.ndarray,
    nonmembers: np.ndarray,
    *,
    rng: np.random.Generator,
    repeats: int = 1000,
) -> dict:
    """95% percentile bootstrap of statistic(members, nonmembers), resampling both sides."""
    members, nonmembers = np.asarray(members), np.asarray(nonmembers)
    draws = [
        statistic(
            members[rng.integers(len(members), size=len(members))],
            nonmembers[rng.integers(len(nonmembers), size=len(nonmembers))],
        )
        for _ in range(repeats)
    ]
    tails = np.quantile(draws, [0.025, 0.975])
    return interval(statistic(members, nonmembers), *tails)


def tpr_interval(
    members: np.ndarray, nonmembers: np.ndarray, *, rng: np.random.Generator, fpr: float = FPR
) -> dict:
    """TPR at FPR: bootstrap of both sides, widened to the Clopper-Pearson interval of the TPR.

    The bootstrap carries the uncertainty of the threshold but has no width at 0 or 1. Where few
    false positives are allowed it knows too little of the threshold: there the ends are those of
    the order statistics between which the FPR's own threshold lies in 9 of 10 samples.
    """
    resampled = bootstrap_interval(
        lambda m, n: tpr_at_fpr(m, n, fpr), members, nonmembers, rng=rng, repeats=500
    )
    exact = clopper_pearson(round(resampled["value"] * len(members)), len(members))
    lower, upper = min(resampled["lower"], exact["lower"]), max(resampled["upper"], exact["upper"])
    if _allowed_false_positives(fpr, len(nonmembers)) < _FEW:
        first, last = stats.binom(len(nonmembers), fpr).ppf([0.05, 0.95]) / len(nonmembers)
        beyond = first - 1 / len(nonmembers)  # the threshold may lie just below the first
        fewest = 0 if beyond < 0 else _count_above(members, nonmembers, beyond)
        lower = min(lower, clopper_pearson(fewest, len(members))["lower"])
        most = _count_above(members, nonmembers, last)
        upper = max(upper, clopper_pearson(most, len(members))["upper"])
    return interval(resampled["value"], lower, upper)


def wilson_interval(count: int, total: int, confidence: float = 0.95) -> dict:
    """Wilson's score interval of a proportion."""
    positive(total=total)
    lower, upper = proportion_confint(count, total, alpha=1 - confidence, method="wilson")
    return interval(count / total, lower, upper, confidence)


def clopper_pearson(count: int, total: int) -> dict:
    """Exact (conservative) 95% interval of a proportion.

    >>> round(clopper_pearson(0, 100)["upper"], 4)  # none in 100 may still be one in 28
    0.0362
    """
    positive(total=total)
    lower, upper = proportion_confint(count, total, alpha=0.05, method="beta")
    return interval(count / total, lower, upper)


def rank_p_value(members: np.ndarray, nonmembers: np.ndarray) -> float:
    """One-sided Mann-Whitney p-value of "members score higher"; 1 where all scores tie."""
    p = stats.mannwhitneyu(members, nonmembers, alternative="greater", method="asymptotic").pvalue
    return 1.0 if np.isnan(p) else float(p)


def _null_count(n_members: int | np.ndarray, n_nonmembers: int) -> Any:
    """Law of the members above the threshold when members and non-members are exchangeable.

    The threshold is an order statistic of the non-members, so the share of fresh scores above
    it is Beta(k + 1, n0 - k) whatever their distribution. Ties only lower the count.
    """
    allowed = _allowed_false_positives(FPR, n_nonmembers)
    return stats.betabinom(n_members, allowed + 1, n_nonmembers - allowed)


def tpr_p_value(members: np.ndarray, nonmembers: np.ndarray) -> float:
    """Exact one-sided p-value of the TPR at 1% FPR (conservative where scores tie)."""
    count = _count_above(np.asarray(members), np.asarray(nonmembers), FPR)
    if count == 0:
        return 1.0
    # Summed from the tail: 1 - cdf would lose small p-values to rounding.
    tail = _null_count(len(members), len(nonmembers)).pmf(np.arange(count, len(members) + 1))
    return min(1.0, float(tail.sum()))


def membership_p_value(
    members: np.ndarray,
    nonmembers: np.ndarray,
    *,
    ranked: tuple[np.ndarray, np.ndarray] | None = None,
) -> float:
    """One-sided p-value of "some members are exposed": Bonferroni over two tests.

    The rank test (of `ranked`, where given) finds a little exposure of everybody, the TPR test
    a certain exposure of few.
    """
    rank = rank_p_value(*((members, nonmembers) if ranked is None else ranked))
    return min(1.0, 2 * min(rank, tpr_p_value(members, nonmembers)))


def permutation_p_value(
    observed: float, permute: Callable[[], float], most: int = 19_999, enough: int = 50
) -> float:
    """P(permuted >= observed), valid under exchangeability; at least 1 / (most + 1).

    permute: draws one permuted value. Ends at `enough` that reach the observed one, after which
    the p-value is known well enough (Besag and Clifford 1991): many draws for small ones only.
    """
    reached = 0
    for drawn in range(1, most + 1):
        reached += permute() >= observed
        if reached == enough:
            return reached / drawn
    return (1 + reached) / (1 + most)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's step-down adjustment: the chance of any false alarm stays below the level.

    >>> holm({"a": 0.01, "b": 0.04, "c": 0.9})
    {'a': 0.03, 'b': 0.08, 'c': 0.9}
    """
    adjusted = multipletests(list(p_values.values()), method="holm")[1]
    return dict(zip(p_values, map(float, adjusted), strict=True))


def adjust_together(results: Sequence[dict]) -> None:
    """Gives each result its "p_value_holm", among all of these, in place."""
    p_values = {str(at): result["p_value"] for at, result in enumerate(results)}
    adjusted = holm(p_values) if results else {}
    for result, p_value in zip(results, adjusted.values(), strict=True):
        result["p_value_holm"] = p_value


def roc_points(members: np.ndarray, nonmembers: np.ndarray) -> dict:
    """The ROC as {"fpr": [...], "tpr": [...]}, thinned to log and linear steps of the FPR."""
    members, nonmembers = np.sort(members), np.sort(nonmembers)
    thresholds = np.unique(np.concatenate([members, nonmembers]))
    tpr = 1 - np.searchsorted(members, thresholds, "left") / len(members)
    fpr = 1 - np.searchsorted(nonmembers, thresholds, "left") / len(nonmembers)
    fpr, tpr = np.append(fpr, 0.0)[::-1], np.append(tpr, 0.0)[::-1]
    wanted = np.concatenate([np.geomspace(1e-4, 1, 100), np.linspace(0, 1, 100)])
    # The last point at or before each wanted FPR: thinning never shows a TPR that is too high.
    kept = np.unique(np.searchsorted(fpr, np.sort(wanted) + 1e-12, "right") - 1)
    return {"fpr": fpr[kept].tolist(), "tpr": tpr[kept].tolist()}


def minimum_detectable_tpr(n_members: int, n_nonmembers: int, *, alpha: float = 0.05) -> float:
    """Smallest share of members, each scored above every non-member, found 4 times in 5.

    "Found" means tpr_p_value < alpha. The other members follow the null law. Returns 1.0
    where even that is not found.
    """
    positive(n_members=n_members, n_nonmembers=n_nonmembers)
    exposed = np.arange(n_members + 1)
    counts = np.arange(n_members + 1)
    null = _null_count(n_members, n_nonmembers)
    critical = int(np.argmax(np.append(null.sf(counts - 1), 0.0) < alpha))
    found = _null_count(n_members - exposed, n_nonmembers).sf(critical - 1 - exposed)
    found[exposed >= critical] = float(critical <= n_members)
    low, high = 0.0, 1.0
    for _ in range(30):
        share = (low + high) / 2
        reached = float(stats.binom.pmf(exposed, n_members, share) @ found) >= POWER
        low, high = (low, share) if reached else (share, high)
    return high
