"""Exact nearest rows under the one-hot distances of the protocol, without the one-hot matrix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from synthdiff._validate import input_error
from synthdiff.eval.protocol.tables import Roles, joint_codes

_BLOCK = 1 << 17  # distances held at a time: a block stays in the cache of one core
MAX_CATEGORIES = 255  # differing categories are counted in a byte


@dataclass(frozen=True)
class Mixed:
    """Rows as numbers in units of the reference's range [n, p] and category codes [n, q].

    Two rows are as far apart as their one-hot vectors: sum |difference| over the numbers, plus 2
    for each category that differs (power 1), or the same with squares (power 2).
    """

    numbers: np.ndarray
    codes: np.ndarray

    def __len__(self) -> int:
        return len(self.numbers)


def encode(reference: pd.DataFrame, tables: list[pd.DataFrame], roles: Roles) -> list[Mixed]:
    """Rows of each table, scaled so that the reference's numbers lie in 0..1.

    A missing number stands at the reference's mean, and whether it is missing is a category.
    """
    numbers: list[list[np.ndarray]] = [[] for _ in tables]
    codes: list[list[np.ndarray]] = [[] for _ in tables]
    for name in roles.numeric:
        known = reference[name].dropna().to_numpy(float)
        known = known if len(known) else np.zeros(1)
        low, width = known.min(), known.max() - known.min() or 1.0
        gaps = any(table[name].isna().any() for table in (reference, *tables))
        for i, table in enumerate(tables):
            values = table[name].to_numpy(float)
            missing = np.isnan(values)
            numbers[i].append((np.where(missing, known.mean(), values) - low) / width)
            if gaps:
                codes[i].append(missing.astype(np.int32))
    for name in roles.categorical:
        for i, column in enumerate(joint_codes(tables, name)[0]):
            codes[i].append(column.astype(np.int32))
    return [
        Mixed(_stack(n, len(table), float), _stack(c, len(table), np.int32))
        for n, c, table in zip(numbers, codes, tables, strict=True)
    ]


def _stack(columns: list[np.ndarray], rows: int, dtype: type) -> np.ndarray:
    return np.stack(columns, axis=1) if columns else np.empty((rows, 0), dtype)


def _distances(queries: Mixed, base: Mixed, power: int) -> np.ndarray:
    """float64 [n]: distance of each query to the base row of the same number."""
    gaps = np.abs(queries.numbers - base.numbers)
    differ = (queries.codes != base.codes).sum(axis=1)
    return (gaps if power == 1 else gaps**2).sum(axis=1) + 2.0 * differ


def _blocks(queries: Mixed, base: Mixed, power: int) -> Iterator[tuple[slice, np.ndarray]]:
    """(rows of the queries, their distances to every row of base [rows, m]) in float32."""
    numbers = np.ascontiguousarray(base.numbers.T, np.float32)
    codes = np.ascontiguousarray(base.codes.T)
    step = max(1, _BLOCK // len(base))
    for start in range(0, len(queries), step):
        rows = slice(start, min(start + step, len(queries)))
        shape = rows.stop - start, len(base)
        differ, other = np.zeros(shape, np.uint8), np.empty(shape, bool)
        for column, values in zip(codes, queries.codes[rows].T, strict=True):
            np.not_equal(values[:, None], column, out=other)
            differ += other.view(np.uint8)
        total, gap = np.multiply(differ, np.float32(2)), np.empty(shape, np.float32)
        for column, values in zip(numbers, queries.numbers[rows].T, strict=True):
            np.subtract(values[:, None].astype(np.float32), column, out=gap)
            total += np.abs(gap, out=gap) if power == 1 else np.square(gap, out=gap)
        yield rows, total


def nearest_row(
    queries: Mixed, base: Mixed, *, power: int, same: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Distance to the nearest row of base and its number, both [n]; squared if power is 2.

    same: both are one table, in which no row is its own neighbour. The search is exhaustive, in
    float32; the distance of the row found is measured again in float64.
    """
    if queries.codes.shape[1] > MAX_CATEGORIES:
        problem = f"more than {MAX_CATEGORIES} categorical columns"
        raise input_error("table", problem, "compare fewer columns")
    index = np.empty(len(queries), np.int64)
    for rows, block in _blocks(queries, base, power):
        if same:
            block[np.arange(len(block)), np.arange(rows.start, rows.stop)] = np.inf
        index[rows] = block.argmin(axis=1)
    found = Mixed(base.numbers[index], base.codes[index])
    return _distances(queries, found, power), index
