"""A tree of noisy pair tables, from which records can be drawn at no cost to privacy.

As MST (McKenna, Miklau, Sheldon 2021, arXiv 2108.04978) does: score all pairs of parts, join them
by the best spanning tree, measure its tables. Both are releases of the Gaussian mechanism, the
scores too, which MST chooses by the exponential mechanism: so one bound and one accountant serve
for all.

Sensitivity. A row weighs 1 / max_rows and a patient has at most max_rows, so a patient moves the
counts of one pair by at most 1 in L1, hence in L2. The score of a pair is the L1 distance of its
counts from a table that is fixed before (made of released shares), less a number that is fixed
before: by the triangle inequality a patient moves it by at most 1. All P scores together thus move
by at most sqrt(P) in L2, the T tables by at most sqrt(T). Both bounds are reached by max_rows equal
rows. The tables are chosen after the scores, which adaptive composition covers (Zhu, Dong, Wang
2022, arXiv 2106.08567).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

from synthdiff.layout import Layout, Records

ROUNDS = 100  # of fitting a table to its margins
LEAST = 1e-4  # of what independence says: a cell never gets less


def count_pair(codes: np.ndarray, pair: tuple[int, int], sizes: Sequence[int]) -> np.ndarray:
    """Rows per pair of categories [size, size]. codes: integers [rows, parts]."""
    (a, b), shape = pair, (sizes[pair[0]], sizes[pair[1]])
    flat = codes[:, a].astype(np.int64) * shape[1] + codes[:, b]
    return np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape).astype(float)


def score_pair(counts: np.ndarray, expected: np.ndarray) -> float:
    """L1 distance of counts from those expected, less what chance alone would make of it."""
    chance = np.minimum(2.0 * expected, np.sqrt(expected * 2.0 / np.pi))
    return float(np.abs(counts - expected).sum() - chance.sum())


def join_pairs(
    pairs: list[tuple[int, int]], scores: np.ndarray, size: int
) -> list[tuple[int, int]]:
    """The edges of the spanning tree with the largest sum of scores."""
    costs = np.zeros((size, size))
    costs[tuple(np.transpose(pairs))] = scores.max() + 1.0 - scores  # positive: zero is no edge
    first, second = minimum_spanning_tree(costs).nonzero()
    return sorted((int(a), int(b)) for a, b in zip(first, second, strict=True))


def clear_table(noisy: np.ndarray, expected: np.ndarray, spread: float) -> np.ndarray:
    """A positive table with the margins of `expected`, as near to the noisy one as noise allows.

    What differs from independence is shrunk in its singular values as is best in least squares
    for noise of this spread (Gavish, Donoho 2017, arXiv 1405.7511): those that noise alone could
    make vanish, so that a table of nothing but noise leaves independence.
    """
    excess = noisy - expected
    excess = excess - excess.mean(axis=0) - excess.mean(axis=1, keepdims=True) + excess.mean()
    left, values, right = np.linalg.svd(excess, full_matrices=False)
    if spread > 0:
        scale = spread * np.sqrt(max(noisy.shape))
        ratio, y = min(noisy.shape) / max(noisy.shape), np.maximum(values / scale, 1e-9)
        kept = np.maximum((y**2 - ratio - 1.0) ** 2 - 4.0 * ratio, 0.0)
        values = np.where(y > 1.0 + np.sqrt(ratio), np.sqrt(kept) / y, 0.0) * scale
    table = np.maximum(expected + (left * values) @ right, LEAST * expected)
    rows, columns = expected.sum(axis=1), expected.sum(axis=0)
    for _ in range(ROUNDS):
        table *= (rows / table.sum(axis=1))[:, None]
        table *= columns / table.sum(axis=0)
    return table


@dataclass(frozen=True)
class PairTree:
    """Parts in order, parents first; parents: of each in order, or -1; chances [parent's, own]."""

    layout: Layout
    order: tuple[int, ...]
    parents: tuple[int, ...]
    chances: tuple[np.ndarray, ...]

    def sample(self, num_rows: int, rng: np.random.Generator) -> Records:
        """Records drawn from the tree; scores within bins are standard normal."""
        codes = np.zeros((num_rows, self.layout.num_categorical), np.int64)
        for part, parent, chances in zip(self.order, self.parents, self.chances, strict=True):
            given = codes[:, parent] if parent >= 0 else np.zeros(num_rows, np.int64)
            levels = np.cumsum(chances, axis=1) / chances.sum(axis=1, keepdims=True)
            places = (levels[:, :-1] + np.arange(len(levels))[:, None]).ravel()
            drawn = np.searchsorted(places, given + rng.random(num_rows), "right")
            codes[:, part] = drawn - given * (levels.shape[1] - 1)
        scores = rng.standard_normal((num_rows, self.layout.num_continuous), np.float32)
        widest = max(self.layout.cardinalities, default=1)
        return Records(scores, codes.astype(np.min_scalar_type(-widest - 1)))


def fit_tree(
    records: Records,
    layout: Layout,
    shares: Sequence[np.ndarray],
    max_rows: int,
    noise_multiplier: float,
    rng: np.random.Generator,
) -> tuple[PairTree, list[dict]]:
    """The tree and the ledger's lines of its two releases, of scores and of tables, each with this
    noise multiplier.

    records: at most max_rows rows per patient. shares: released counts, in patients, of each part's
    categories.
    """
    sizes, codes = layout.cardinalities, np.asarray(records.categorical)
    total = max(float(share.sum()) for share in shares)
    margins = [share / share.sum() for share in shares]
    pairs = list(combinations(range(len(sizes)), 2))
    scores = np.array(
        [
            score_pair(count_pair(codes, pair, sizes) / max_rows, _expect(margins, pair, total))
            for pair in pairs
        ]
    )
    spread = noise_multiplier * np.sqrt(len(pairs))
    edges = join_pairs(pairs, scores + rng.normal(0.0, spread, len(pairs)), len(sizes))
    spread = noise_multiplier * np.sqrt(len(edges))
    tables = {}
    for edge in edges:
        counts = count_pair(codes, edge, sizes) / max_rows
        noisy = counts + rng.normal(0.0, spread, counts.shape)
        tables[edge] = clear_table(noisy, _expect(margins, edge, total), spread)
    entries = [
        _describe("tree: distance of all pairs from independence", noise_multiplier, len(pairs)),
        _describe("tree: tables of the chosen pairs", noise_multiplier, len(edges)),
    ]
    return _arrange(layout, margins, tables), entries


def _expect(margins: list[np.ndarray], pair: tuple[int, int], total: float) -> np.ndarray:
    """The counts of a pair that independence predicts."""
    return total * np.outer(margins[pair[0]], margins[pair[1]])


def _describe(step: str, noise_multiplier: float, count: int) -> dict:
    sensitivity = float(np.sqrt(count))
    return {
        "step": step,
        "mechanism": "Gaussian",
        "noise_multiplier": noise_multiplier,
        "sensitivity_l2": sensitivity,
        "noise_std_patients": noise_multiplier * sensitivity,
        "pairs": count,
    }


def _arrange(layout: Layout, margins: list[np.ndarray], tables: dict) -> PairTree:
    """The tables as chances of each part given its parent."""
    size = layout.num_categorical
    joined = np.zeros((size, size))
    for a, b in tables:
        joined[a, b] = 1.0
    order, before = breadth_first_order(joined, 0, directed=False)
    parents = [-1 if b < 0 else int(b) for b in before[order]]
    chances = []
    for part, parent in zip(order, parents, strict=True):
        if parent < 0:
            chances.append(margins[part][None])
        elif (parent, part) in tables:
            chances.append(tables[parent, part])
        else:
            chances.append(tables[part, parent].T)
    return PairTree(layout, tuple(map(int, order)), tuple(parents), tuple(chances))
