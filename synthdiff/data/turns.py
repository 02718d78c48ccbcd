"""In which order the categories of a record are best shown: those that hang together far apart.

A sampler draws the categories that share a step independently of one another, so what is lost is
what they would have told each other: their mutual information.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from synthdiff.layout import Layout, Records

MOST_ROWS = 20_000  # that are looked at
MOST_PARTS = 2048  # beyond which the order is left to chance
GROUPS = 16  # of the categories of a part, of about equal shares
MOST_GROUPS = 4 * MOST_PARTS  # of all parts together: with many parts each has 8 or 4
MOST_PRODUCTS = MOST_ROWS * (2 * MOST_PARTS) ** 2  # counted: as many as MOST_PARTS codes have
BLOCK = 512  # groups that are counted against as many at once
STEPS = (2, 4, 8, 16, 32, 64)  # of a sampler, for which the order should be good
SWAPS = 400  # tried per part


def order_turns(records: Records, layout: Layout, seed: int) -> tuple[int, ...]:
    """Each categorical part's place, 0 to K - 1, on a circle of turns; () for an order by chance.

    Parts in a row on it tell least of each other, and may share a step. Work and memory are
    bounded: with many parts of many categories, fewer groups and rows are looked at.
    """
    if not 2 < layout.num_categorical <= MOST_PARTS:
        return ()
    rng = np.random.default_rng(seed)
    codes = np.ascontiguousarray(records.categorical)
    groups, most_rows = bound_work(np.array(layout.cardinalities))
    if len(codes) > most_rows:  # of the sorted ones, so that the order of rows does not matter
        order = np.argsort(codes.view(f"V{codes.itemsize * codes.shape[1]}").ravel())
        codes = codes[order[rng.choice(len(codes), most_rows, replace=False)]]
    return tuple(keep_apart(measure_mutual_information(codes, groups), rng).tolist())


def bound_work(cardinalities: np.ndarray) -> tuple[int, int]:
    """How many groups per part, and how many rows, are looked at of parts [K] with K_j categories.

    >>> [bound_work(np.full(parts, 32)) for parts in (256, 512, 2048)]
    [(16, 20000), (16, 5000), (4, 5000)]
    """
    groups = GROUPS
    while groups > 4 and np.minimum(cardinalities, groups).sum() > MOST_GROUPS:
        groups //= 2
    width = int(np.minimum(cardinalities, groups).sum())
    return groups, min(MOST_ROWS, MOST_PRODUCTS // width**2)


def measure_mutual_information(codes: np.ndarray, groups: int = GROUPS) -> np.ndarray:
    """Nats that each two parts tell of each other, of `groups` groups of their categories. [K, K]

    codes: [n, K]. Less what two independent parts would have by chance (Miller and Madow). Counted
    by blocks of parts, so that beside the answer nothing grows with K^2.
    """
    grouped = [group_categories(column, groups).astype(np.int8) for column in codes.T]
    widths = np.array([int(column.max()) + 1 for column in grouped])
    starts = np.cumsum(widths) - widths
    firsts = np.flatnonzero(np.diff(starts // BLOCK, prepend=-1))  # part of each block
    blocks = [slice(a, b) for a, b in zip(firsts, [*firsts[1:], len(widths)], strict=True)]
    found = np.zeros((len(widths), len(widths)))
    size = min(int(widths.sum()), BLOCK + groups)
    memory = np.zeros((2, size, len(codes)), np.float32)  # that of one block and another
    for i, rows in enumerate(blocks):
        one = mark_groups(grouped[rows], widths[rows], memory[0])
        for columns in blocks[i:]:
            other = mark_groups(grouped[columns], widths[columns], memory[1])
            terms = measure_terms(one, other)
            terms = np.add.reduceat(terms, starts[rows] - starts[rows.start], axis=0)
            terms = np.add.reduceat(terms, starts[columns] - starts[columns.start], axis=1)
            found[rows, columns], found[columns, rows] = terms, terms.T
    free = widths - 1
    found = np.maximum(found - np.outer(free, free) / (2 * len(codes)), 0.0)
    np.fill_diagonal(found, 0.0)
    return found


def mark_groups(
    grouped: Sequence[np.ndarray], widths: np.ndarray, memory: np.ndarray
) -> np.ndarray:
    """Where each group of each part is, written into `memory`: float32 [all groups, n], 0 or 1."""
    last = 0
    for column, width in zip(grouped, widths, strict=True):
        for group in range(width):
            memory[last + group] = column == group
        last += width
    return memory[:last]


def measure_terms(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """p(a, b) log(p(a, b) / p(a) p(b)) of the groups [a, n] and [b, n]: float64 [a, b].

    Counts are whole numbers below 2^24, which float32 holds exactly.
    """
    joint = (one @ other.T).astype(np.float64) / one.shape[1]
    alone = [hot.sum(axis=1, dtype=np.float64) / hot.shape[1] for hot in (one, other)]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(joint > 0, joint * np.log(joint / np.outer(*alone)), 0.0)


def group_categories(column: np.ndarray, groups: int = GROUPS) -> np.ndarray:
    """Neighbouring categories joined to at most so many groups, numbered from 0; none is empty."""
    counts = np.bincount(column)
    if np.count_nonzero(counts) > groups:
        middles = (np.cumsum(counts) - counts / 2) / len(column)
        column = np.floor(groups * middles)[column]
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
