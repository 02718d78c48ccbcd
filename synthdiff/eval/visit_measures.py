"""How one column goes from visit to visit, measured alike on any table.

A measure is fitted to the training table, which says what levels there are and ranks numbers. Of
some rows it takes: what follows what (`lag`), how the column is distributed at each visit
(`by_visit`), and how much a visit resembles the one before (`persistence`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from synthdiff.data.categories import count_patients
from synthdiff.data.schema import Column
from synthdiff.eval.codes import multi_hot
from synthdiff.eval.features import category_keys, code_rows, numeric_values, set_sizes
from synthdiff.eval.levels import MIN_PATIENTS

_TOP = 20
_MIN_PAIRS = 20


@dataclass(frozen=True)
class LevelMeasure:
    """A category: its transition matrix, over the 20 most common levels, others and missing."""

    column: Column
    levels: pd.Index

    kind = "transition"

    @classmethod
    def fit(cls, values: pd.Series, column: Column, patients: np.ndarray) -> LevelMeasure:
        codes, levels = pd.factorize(category_keys(values))
        held = count_patients(codes, len(levels), patients)
        rows = np.bincount(codes[codes >= 0], minlength=len(levels))
        order = np.argsort(-rows, kind="stable")
        return cls(column, pd.Index(levels[order[held[order] >= MIN_PATIENTS][:_TOP]]))

    def encode(self, values: pd.Series) -> np.ndarray:
        """The place of each level; then others, then missing. int [rows]"""
        keys = category_keys(values)
        places = self.levels.get_indexer(keys)
        places = np.where(places < 0, len(self.levels), places)
        return np.where(pd.isna(keys), len(self.levels) + 1, places)

    def lag(self, cells: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """Pairs of consecutive visits by level [levels, levels]."""
        size = len(self.levels) + 2
        pairs = np.bincount(cells[before] * size + cells[after], minlength=size**2)
        return pairs.reshape(size, size)

    def compare_lag(self, real: np.ndarray, other: np.ndarray) -> float:
        """Total variation distance of the rows of two transition matrices, weighted as in `real`.

        A level that `other` never leaves, because it never has it, is at distance 1.
        """
        starts, others = real.sum(axis=1), other.sum(axis=1)
        apart = np.abs(
            real / np.maximum(starts, 1)[:, None] - other / np.maximum(others, 1)[:, None]
        )
        distance = np.where(others > 0, apart.sum(axis=1) / 2, 1.0)
        return float(starts @ distance / starts.sum())

    def by_visit(self, cells: np.ndarray, slot: np.ndarray, visits: int) -> np.ndarray:
        """Rows by visit and level [visits, levels]."""
        size = len(self.levels) + 2
        counts = np.bincount(slot * size + cells, minlength=visits * size)
        return counts.reshape(visits, size)

    def compare_visits(self, real: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Total variation distance at each visit [visits]."""
        shares = [counts / np.maximum(counts.sum(axis=1), 1)[:, None] for counts in (real, other)]
        return np.abs(shares[0] - shares[1]).sum(axis=1) / 2

    def persistence(self, lag: np.ndarray) -> float:
        """Share of visits with the level of the visit before."""
        return float(np.trace(lag) / lag.sum())


@dataclass(frozen=True)
class NumberMeasure:
    """A number: its rank autocorrelation, and its mean rank (in training, 0..1) at each visit."""

    column: Column
    known: np.ndarray

    kind = "autocorrelation"

    @classmethod
    def fit(cls, values: pd.Series, column: Column, patients: np.ndarray) -> NumberMeasure:
        x = numeric_values(values, column)
        return cls(column, np.sort(x[~np.isnan(x)]))

    def encode(self, values: pd.Series) -> np.ndarray:
        """Mid-ranks among the training values, NaN where missing. float [rows]"""
        return self.rank(numeric_values(values, self.column))

    def rank(self, x: np.ndarray) -> np.ndarray:
        below = np.searchsorted(self.known, x) + np.searchsorted(self.known, x, "right")
        return np.where(np.isnan(x), np.nan, below / max(2 * len(self.known), 1))

    def lag(self, cells: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """Spearman's correlation of consecutive visits; 0 where either never changes."""
        x, y = cells[before], cells[after]
        both = ~np.isnan(x) & ~np.isnan(y)
        if both.sum() < _MIN_PAIRS or np.ptp(x[both]) == 0 or np.ptp(y[both]) == 0:
            return np.zeros(())
        return np.asarray(stats.spearmanr(x[both], y[both]).statistic)

    def compare_lag(self, real: np.ndarray, other: np.ndarray) -> float:
        """Difference of the correlations."""
        return float(np.abs(real - other))

    def by_visit(self, cells: np.ndarray, slot: np.ndarray, visits: int) -> np.ndarray:
        """Sums of ranks and known cells by visit [visits, 2]."""
        known = ~np.isnan(cells)
        sums = np.bincount(slot[known], cells[known], minlength=visits)
        return np.stack([sums, np.bincount(slot[known], minlength=visits)], axis=1)

    def compare_visits(self, real: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Difference of the mean ranks at each visit, 0 where a table has no value [visits]."""
        means = [sums[:, 0] / np.maximum(sums[:, 1], 1) for sums in (real, other)]
        return np.where((real[:, 1] > 0) & (other[:, 1] > 0), np.abs(means[0] - means[1]), 0.0)

    def persistence(self, lag: np.ndarray) -> float:
        """The correlation itself."""
        return float(lag)


@dataclass(frozen=True)
class CodesMeasure:
    """A code set: how much of it recurs (Jaccard), and the rank of its size at each visit."""

    column: Column
    sizes: NumberMeasure

    kind = "recurrence"

    @classmethod
    def fit(cls, values: pd.Series, column: Column, patients: np.ndarray) -> CodesMeasure:
        sizes = np.sort(set_sizes(values, column))
        return cls(column, NumberMeasure(column, sizes[~np.isnan(sizes)]))

    def encode(self, values: pd.Series) -> np.ndarray:
        """Rank of the size, and Jaccard's index with the row before: float [rows, 2].

        The index is NaN where neither row has a code.
        """
        vocabulary = pd.Index(pd.unique(code_rows(values, self.column)[1]), dtype=object)
        hot = multi_hot(values, self.column, vocabulary)
        size = np.asarray(hot.sum(axis=1)).ravel()
        shared = np.append(0.0, np.asarray(hot[1:].multiply(hot[:-1]).sum(axis=1)).ravel())
        union = size + np.append(0.0, size[:-1]) - shared
        jaccard = np.divide(shared, union, out=np.full(len(size), np.nan), where=union > 0)
        return np.column_stack([self.sizes.rank(set_sizes(values, self.column)), jaccard])

    def lag(self, cells: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """Mean index over consecutive visits."""
        found = cells[after, 1]
        return np.asarray(np.nanmean(found) if np.isfinite(found).any() else 0.0)

    def compare_lag(self, real: np.ndarray, other: np.ndarray) -> float:
        """Difference of the means."""
        return self.sizes.compare_lag(real, other)

    def by_visit(self, cells: np.ndarray, slot: np.ndarray, visits: int) -> np.ndarray:
        """Sums of the sizes' ranks, as of a number."""
        return self.sizes.by_visit(cells[:, 0], slot, visits)

    def compare_visits(self, real: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Difference of the sizes' mean ranks at each visit [visits]."""
        return self.sizes.compare_visits(real, other)

    def persistence(self, lag: np.ndarray) -> float:
        """The mean index itself."""
        return float(lag)


Measure = LevelMeasure | NumberMeasure | CodesMeasure


def fit_measure(values: pd.Series, column: Column, patients: np.ndarray) -> Measure:
    """The measure of a column's kind, fitted to the training table."""
    kind: type[Measure] = NumberMeasure if column.is_numeric else LevelMeasure
    kind = CodesMeasure if column.kind == "code_set" else kind
    return kind.fit(values, column, patients)
