"""Evidence in the terms of US expert determination; never a statement of compliance."""

from __future__ import annotations

import numpy as np

from synthdiff.eval.statistics import interval

_REPEATS = 500


def naive_f1(share: float) -> float:
    """F1 of naming everyone a member, where members are `share` of those asked about.

    >>> naive_f1(0.5)
    0.6666666666666666
    """
    return 2 * share / (1 + share)


def _f1(members: np.ndarray, others: np.ndarray, threshold: float, share: float) -> float:
    hits = share * np.mean(members >= threshold)
    false = (1 - share) * np.mean(others >= threshold)
    return float(2 * hits / (hits + false + share))


def membership_f1(
    members: np.ndarray, others: np.ndarray, share: float, rng: np.random.Generator
) -> dict:
    """F1 of a membership attack beside the naive one (El Emam, Mosquera and Fang 2022).

    members, others: scores per patient. share: members among the people asked about, which is the
    sampling fraction of the training data in its population; F1 means nothing without it. The
    threshold is chosen on one half of the patients and F1 measured on the other, with a
    bootstrap over those patients. relative: (F1 - naive) / (1 - naive), 0 where nothing is gained.
    """
    halves = [np.array_split(rng.permutation(side), 2) for side in (members, others)]
    chosen, judged = zip(*halves, strict=True)
    thresholds = np.append(np.quantile(chosen[0], np.linspace(0, 1, 201)), -np.inf)
    best = max(thresholds, key=lambda t: _f1(chosen[0], chosen[1], t, share))
    naive = naive_f1(share)

    def relative(first: np.ndarray, second: np.ndarray) -> float:
        return (_f1(first, second, best, share) - naive) / (1 - naive)

    first, second = judged
    draws = [relative(rng.choice(first, len(first)), rng.choice(second, len(second)))
             for _ in range(_REPEATS)]  # fmt: skip
    tails = np.quantile(draws, [0.025, 0.975])
    return {
        "share": share,
        "f1": _f1(first, second, best, share),
        "naive": naive,
        "relative": interval(relative(first, second), *tails),
    }
