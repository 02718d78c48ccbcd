"""A tree of noisy pair tables, from which records can be drawn at no cost to privacy.

As MST (McKenna, Miklau, Sheldon 2021, arXiv 2108.04978) does: score all pairs of parts, join them
by the best spanning tree, measure its tables. Both are releases of the Gaussian mechanism, the
scores too, which MST chooses by the exponential mechanism: so one bound and one accountant serve
for all. Where a column is to be predicted from the others, its tables with all of them are
measured as well, and each part is drawn given it and the part before in the tree, as in a
tree-augmented Bayes classifier: a spanning tree alone keeps one or two of them.

Sensitivity. A row weighs 1 / max_rows and a patient has at most max_rows, so a patient moves the
counts of one pair by at most 1 in L1, hence in L2. The score of a pair is the L1 distance of its
counts from a table that is fixed before (made of released shares), less a number that is fixed
before: by the triangle inequality a patient moves it by at most 1. All P scores together thus move
by at most sqrt(P) in L2, the T tables by at most sqrt(T). Both bounds are reached by max_rows equal
rows. The tables are chosen after the scores, which adaptive composition covers (Zhu, Dong, Wang
2022, arXiv 2106.08567).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    """The edges of the spanning tree with the largest sum of scores; none without pairs."""
    if not pairs:
        return []
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
    return fit_margins(table, {1: expected.sum(axis=1), 0: expected.sum(axis=0)})


def fit_margins(table: np.ndarray, margins: Mapping[int, np.ndarray]) -> np.ndarray:
    """The positive table scaled until its sums over each axis are these, which share one total.

    Iterative proportional fitting (Deming, Stephan 1940).
    """
    for _ in range(ROUNDS):
        for axis, margin in margins.items():
            table = table * np.expand_dims(margin / table.sum(axis=axis), axis)
    return table


@dataclass(frozen=True)
class PairTree:
    """Parts in the order of drawing; parents: of each in order, drawn before.

    chances: of each part in order [categories of the parents together, own], the last parent's
    running fastest.
    """

    layout: Layout
    order: tuple[int, ...]
    parents: tuple[tuple[int, ...], ...]
    chances: tuple[np.ndarray, ...]

    def sample(self, num_rows: int, rng: np.random.Generator) -> Records:
        """Records drawn from the tree; scores within bins are standard normal."""
        codes = np.zeros((num_rows, self.layout.num_categorical), np.int64)
        for part, parents, chances in zip(self.order, self.parents, self.chances, strict=True):
            given = np.zeros(num_rows, np.int64)
            for parent in parents:
                given = given * self.layout.cardinalities[parent] + codes[:, parent]
            levels = np.cumsum(chances, axis=1) / chances.sum(axis=1, keepdims=True)
            places = (levels[:, :-1] + np.arange(len(levels))[:, None]).ravel()
            drawn = np.searchsorted(places, given + rng.random(num_rows), "right")
            codes[:, part] = drawn - given * (levels.shape[1] - 1)
        scores = rng.standard_normal((num_rows, self.layout.num_continuous), np.float32)
        return Records(scores, codes.astype(self.layout.code_dtype))


@dataclass(frozen=True)
class PairTables:
    """Two releases: noisy scores of `pairs`, and noisy tables of those chosen by them.

    margins: shares of each part's categories. total: patients. target: the part that every other
    one is drawn given. spread: of the noise of a cell.
    """

    layout: Layout
    margins: tuple[np.ndarray, ...]
    total: float
    target: int | None
    pairs: tuple[tuple[int, int], ...]
    scores: np.ndarray
    tables: dict[tuple[int, int], np.ndarray]
    spread: float


def release_pairs(
    records: Records,
    layout: Layout,
    shares: Sequence[np.ndarray],
    max_rows: int,
    noise_multiplier: float,
    rng: np.random.Generator,
    target: int | None = None,
) -> tuple[PairTables, list[dict]]:
    """Scores of all pairs, then tables of those that the scores choose, each released with this
    noise multiplier, and their lines in the ledger. Nothing else is read from the records.

    records: at most max_rows rows per patient. shares: released counts, in patients, of each part's
    categories. target: the part that every other one is drawn given.
    """
    sizes, codes = layout.cardinalities, np.asarray(records.categorical)
    total = max(float(share.sum()) for share in shares)
    margins = tuple(share / share.sum() for share in shares)
    others = [part for part in range(len(sizes)) if part != target]
    pairs = list(combinations(others, 2))
    scores = np.array(
        [
            score_pair(count_pair(codes, pair, sizes) / max_rows, expect_pair(margins, pair, total))
            for pair in pairs
        ]
    )
    spread = noise_multiplier * np.sqrt(len(pairs))
    scores = scores + rng.normal(0.0, spread, len(pairs))
    edges = join_pairs(pairs, scores, len(sizes))
    if target is not None:
        edges += [(min(part, target), max(part, target)) for part in others]
    spread = noise_multiplier * np.sqrt(len(edges))
    tables = {}
    for edge in edges:
        counts = count_pair(codes, edge, sizes) / max_rows
        tables[edge] = counts + rng.normal(0.0, spread, counts.shape)
    entries = [
        _describe("tree: distance of all pairs from independence", noise_multiplier, len(pairs)),
        _describe("tree: tables of the chosen pairs", noise_multiplier, len(edges)),
    ]
    found = PairTables(layout, margins, total, target, tuple(pairs), scores, tables, float(spread))
    return found, entries


def fit_tree(found: PairTables) -> PairTree:
    """The tree of what was released, and of nothing else."""
    tables = {
        edge: clear_table(noisy, expect_pair(found.margins, edge, found.total), found.spread)
        for edge, noisy in found.tables.items()
    }
    return _arrange(found.layout, found.margins, tables, found.target)


def expect_pair(margins: Sequence[np.ndarray], pair: tuple[int, int], total: float) -> np.ndarray:
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


def _arrange(
    layout: Layout, margins: Sequence[np.ndarray], tables: dict, target: int | None
) -> PairTree:
    """The tables as chances of each part given the target, if there is one, and its parent."""
    size = layout.num_categorical
    joined, first = np.zeros((size, size)), int(target == 0)
    for a, b in tables:
        joined[a, b] = target not in (a, b)

    def table(a: int, b: int) -> np.ndarray:
        return tables[a, b] if (a, b) in tables else tables[b, a].T

    found, before = breadth_first_order(joined, first, directed=False)
    order, chances = [first], [margins[first][None]]
    parents: list[tuple[int, ...]] = [()]
    if target is not None:
        order, parents = [target, first], [(), (target,)]
        chances = [margins[target][None], table(target, first)]
    for part, parent in zip(map(int, found[1:]), map(int, before[found[1:]]), strict=True):
        own = table(parent, part)
        if target is not None:
            own = join_tables(table(target, parent), table(target, part), own)
        order.append(part)
        parents.append((parent,) if target is None else (target, parent))
        chances.append(own.reshape(-1, layout.cardinalities[part]))
    return PairTree(layout, tuple(order), tuple(parents), tuple(chances))


def join_tables(ab: np.ndarray, ac: np.ndarray, bc: np.ndarray) -> np.ndarray:
    """The table [a, b, c] with these tables of its pairs and nothing of its own to all three.

    Of all tables with these margins the one of largest entropy. Margins: positive, of one total.
    """
    joint = ab[:, :, None] * (bc / bc.sum(axis=1, keepdims=True))
    return fit_margins(joint, {1: ac, 0: bc, 2: ab})
