"""Conjunctions of conditions on several columns, and the one patient to whom they point."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from synthdiff.data.schema import Schema
from synthdiff.eval.features import category_keys, numeric_values

NOBODY = -1
_MOST_COLUMNS = 8
_CELLS = 2_000_000  # of queries and rows at once


class Hits(NamedTuple):
    """Of each query the one patient to whom it points, else NOBODY, and how many it holds for."""

    owners: np.ndarray
    sizes: np.ndarray


@dataclass(frozen=True)
class Predicates:
    """Conjunctions over columns: slots [queries, 8] of column, operator sign and value.

    sign: 1 for >=, -1 for <=, 0 for equality; a value of NaN asks for a missing cell. Queries
    of fewer columns repeat their last one.
    """

    columns: np.ndarray
    signs: np.ndarray
    values: np.ndarray

    def __getitem__(self, kept: Any) -> Predicates:
        return Predicates(self.columns[kept], self.signs[kept], self.values[kept])

    def cut(self, last: np.ndarray) -> Predicates:
        """Each query without the slots after `last` [queries]."""
        slots = np.minimum(np.arange(self.columns.shape[1]), last[:, None])
        parts = (self.columns, self.signs, self.values)
        return Predicates(*(np.take_along_axis(part, slots, axis=1) for part in parts))

    def match(self, table: np.ndarray) -> Iterator[np.ndarray]:
        """bool [queries, rows] of a table [columns, rows] after each further slot."""
        found = np.ones((len(self.columns), table.shape[1]), bool)
        for slot in range(self.columns.shape[1]):
            cells = table[self.columns[:, slot]]
            sign, value = self.signs[:, slot, None], self.values[:, slot, None]
            equal = np.where(np.isnan(value), np.isnan(cells), cells == value)
            found &= equal | (sign * (cells - value) > 0)
            yield found

    def isolate(self, table: np.ndarray) -> Predicates:
        """The queries that hold for one row only, cut at the first slot but one where they do."""
        kept, chunk = [], max(1, _CELLS // table.shape[1])
        for start in range(0, len(self.columns), chunk):
            part = self[start : start + chunk]
            alone = np.stack([found.sum(axis=1) == 1 for found in part.match(table)], axis=1)
            alone[:, 0] &= alone.shape[1] == 1
            kept.append(part.cut(alone.argmax(axis=1))[alone.any(axis=1)])
        names = ("columns", "signs", "values")
        return Predicates(*(np.concatenate([getattr(p, name) for p in kept]) for name in names))

    def find_hits(self, table: np.ndarray, patients: np.ndarray) -> Hits:
        """Whom each query points to in a table [columns, rows] of these patients [rows]."""
        order = np.argsort(patients, kind="stable")
        names, starts = np.unique(patients[order], return_index=True)
        table, chunk = table[:, order], max(1, _CELLS // len(order))
        owners = np.full(len(self.columns), NOBODY, np.int64)
        sizes = np.zeros(len(self.columns), np.int64)
        for start in range(0, len(owners), chunk):
            part = slice(start, start + chunk)
            *_, found = self[part].match(table)
            matched = np.logical_or.reduceat(found, starts, axis=1)
            sizes[part] = matched.sum(axis=1)
            owners[part] = np.where(sizes[part] == 1, names[matched.argmax(axis=1)], NOBODY)
        return Hits(owners, sizes)


def encode_tables(tables: list[pd.DataFrame], schema: Schema) -> list[np.ndarray]:
    """Each table as float32 [columns, rows]: numbers, or codes that all tables share; NaN missing.

    A code set counts as one value: the whole cell.
    """
    blocks: list[list[np.ndarray]] = [[] for _ in tables]
    for column in schema.features:
        if column.is_numeric:
            cells = [numeric_values(df[column.name], column) for df in tables]
        else:
            keys = [category_keys(df[column.name]) for df in tables]
            codes = pd.factorize(np.concatenate(keys))[0].astype(float)
            ends = np.cumsum([len(part) for part in keys])[:-1]
            cells = np.split(np.where(codes < 0, np.nan, codes), ends)
        for block, part in zip(blocks, cells, strict=True):
            block.append(part.astype(np.float32))
    return [np.stack(block) for block in blocks]


def draw_predicates(
    synthetic: np.ndarray, numeric: np.ndarray, count: int, rng: np.random.Generator, *, guess: bool
) -> Predicates:
    """Conjunctions over columns in random order; synthetic [columns, rows], numeric [columns].

    Each describes one random synthetic row: its value or beyond, on its side of the median. A
    guess takes the value of each column from another row, and a random side.
    """
    width = min(_MOST_COLUMNS, len(synthetic))
    columns = rng.random((count, len(synthetic))).argsort(axis=1)[:, :width]
    rows = rng.integers(synthetic.shape[1], size=(count, width if guess else 1))
    values = synthetic[columns, rows]
    present = np.where(np.isnan(synthetic).all(axis=1, keepdims=True), 0, synthetic)
    sides = np.where(values >= np.nanmedian(present, axis=1)[columns], 1, -1)
    if guess:
        sides = rng.choice([-1, 1], size=columns.shape)
    return Predicates(columns, np.where(numeric[columns], sides, 0).astype(np.float32), values)
