"""In which order the categories of a record are best shown: those that hang together far apart.

A sampler draws the categories that share a step independently of one another, so what is lost is
what they would have told each other: their mutual information.
"""

from __future__ import annotations

import numpy as np

from synthdiff.layout import Layout, Records

MOST_ROWS = 20_000  # that are looked at
MOST_PARTS = 2048  # beyond which the order is left to chance
GROUPS = 16  # of the categories of a part, of about equal shares
STEPS = (2, 4, 8, 16, 32, 64)  # of a sampler, for which the order should be good
SWAPS = 400  # tried per part


def order_turns(records: Records, layout: Layout, seed: int) -> tuple[int, ...]:
    """Each categorical part's place, 0 to K - 1, on a circle of turns; () for an order by chance.

    Parts in a row on it tell least of each other, and may share a step.
    """
    if not 2 < layout.num_categorical <= MOST_PARTS:
        return ()
    rng = np.random.default_rng(seed)
    codes = np.ascontiguousarray(records.categorical)
    if len(codes) > MOST_ROWS:  # of the sorted ones, so that the order of rows does not matter
        order = np.argsort(codes.view(f"V{codes.itemsize * codes.shape[1]}").ravel())
        codes = codes[order[rng.choice(len(codes), MOST_ROWS, replace=False)]]
    return tuple(keep_apart(measure_mutual_information(codes), rng).tolist())


def measure_mutual_information(codes: np.ndarray) -> np.ndarray:
    """Nats that each two parts tell of each other, of GROUPS groups of their categories. [K, K]

    codes: [n, K]. Less what two independent parts would have by chance (Miller and Madow).
    """
    grouped = [group_categories(column) for column in codes.T]
    widths = [int(column.max()) + 1 for column in grouped]
    starts = np.cumsum([0, *widths[:-1]])
    hot = np.zeros((len(codes), sum(widths)), np.float32)
    for start, column in zip(starts, grouped, strict=True):
        hot[np.arange(len(codes)), start + column] = 1.0
    joint = (hot.T @ hot).astype(np.float64) / len(codes)
    alone = np.diag(joint)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(joint > 0, joint * np.log(joint / np.outer(alone, alone)), 0.0)
    sums = np.add.reduceat(np.add.reduceat(terms, starts, axis=0), starts, axis=1)
    free = np.array(widths) - 1
    found = np.maximum(sums - np.outer(free, free) / (2 * len(codes)), 0.0)
    np.fill_diagonal(found, 0.0)
    return found


def group_categories(column: np.ndarray) -> np.ndarray:
    """Neighbouring categories joined to at most GROUPS groups, numbered from 0; none is empty."""
    counts = np.bincount(column)
    if np.count_nonzero(counts) > GROUPS:
        middles = (np.cumsum(counts) - counts / 2) / len(column)
        column = np.floor(GROUPS * middles)[column]
    return np.unique(column, return_inverse=True)[1]


def keep_apart(mutual: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Places 0 to K - 1 on a circle where near ones have little `mutual` [K, K], by swapping."""
    size = len(mutual)
    distance = np.minimum(np.arange(size), size - np.arange(size)) / size
    near = np.maximum(0.0, 1.0 - np.outer(STEPS, distance)).sum(axis=0)  # steps that they share
    places = rng.permutation(size)
    pairs = rng.integers(0, size, (min(SWAPS * size, 100 * MOST_PARTS), 2))
    for i, j in pairs:
        change = near[np.abs(places - places[j])] - near[np.abs(places - places[i])]
        change[[i, j]] = 0.0
        if (mutual[i] - mutual[j]) @ change < 0:
            places[i], places[j] = places[j], places[i]
    return places
