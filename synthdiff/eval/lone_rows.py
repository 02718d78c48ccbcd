"""Synthetic rows that equal a row of one real patient and of nobody else: copies, or chance?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from synthdiff.data.schema import Schema
from synthdiff.eval.features import category_keys, numeric_values, patient_numbers

CHANCE = 0.01  # how seldom a table of fresh rows is taken for one with copies, by all tests at once
RARE = 0.05  # chance of a fresh table to hold the row, below which nothing explains it
_TESTS = 4


@dataclass(frozen=True)
class LoneRows:
    """What came back of rows that one real patient holds and nobody else.

    rows: numbers of the synthetic rows that equal one. rare: which of them a fresh table would
    hold with a chance below RARE. expected: rare ones in a table of fresh rows of this length.
    p_value: the least over all and over rare ones of two tests, times their number: of more than
    real patients share with each other, and of more from the training table than from the others.
    """

    rows: np.ndarray
    rare: np.ndarray
    expected: float
    p_value: float

    @property
    def copied(self) -> bool:
        """Whether they are copies: too many, or rare where no two patients share one."""
        alone = self.rare.any() and self.expected == 0
        return bool(alone or self.p_value < CHANCE)

    def to_json(self) -> dict:
        """Counts for the audit; which rows they are stays here."""
        return {
            "rows": len(self.rows),
            "rare": int(self.rare.sum()),
            "rare_expected": self.expected,
            "p_value": self.p_value,
            "copied": self.copied,
        }


def _hash_cells(df: pd.DataFrame, schema: Schema) -> list[np.ndarray]:
    """uint64 [n] for each feature column; equal where cells are, numbers as float32."""
    found = []
    for column in schema.features:
        salt = pd.util.hash_array(np.array([column.name], dtype=object))[0]
        cells: np.ndarray = category_keys(df[column.name])
        if column.is_numeric:
            cells = numeric_values(df[column.name], column).astype(np.float32) + np.float32(0)
        found.append(pd.util.hash_pandas_object(pd.Series(cells), index=False).to_numpy() ^ salt)
    return found


def _count(keys: np.ndarray) -> np.ndarray:
    """How many entries equal each. int [n]"""
    _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    return counts[inverse]


def _estimate_shares(cells: list[np.ndarray], keys: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """About the share of fresh rows that equal each row, as rows of other patients tell. [n]

    Where column j is independent of the others given them, a row's probability is that of its
    other cells times that of cell j. The largest over j: rows like it but for one cell, times the
    share of the cell; 0 where there are none. Rows equal to it are left out, which are what is
    asked about. It errs on the high side in dense tables, about threefold in those tried.
    """
    whose = pd.util.hash_array(patients)

    def count_others(found: np.ndarray) -> np.ndarray:
        return _count(found) - _count(found ^ whose)

    equal, best = count_others(keys), np.zeros(len(keys))
    for column in cells:
        alike, sharing = count_others(keys - column) - equal, count_others(column) - equal
        best = np.maximum(best, alike * sharing)
    return best / len(keys) ** 2


def _judge(held: pd.DataFrame, length: int, total: int) -> tuple[int, float]:
    """Of one set of rows those that exactly two patients hold, and the least p-value of both tests.

    A fresh row equals one of a single patient with a chance of about 2 x pairs / real rows (Good
    1953): rows that two patients share stand for those that a third would share with one.
    length, total: synthetic and real rows.
    """
    pairs = int((held["holders"] == 2).sum()) // 2
    lone = held[held["holders"] == 1]
    count, met, learnt = int(lone["times"].sum()), lone["times"] > 0, lone["learnt"]
    p_value = stats.binom.sf(count - 1, count + pairs, length / (length + total / 2))
    table = [[int((side & met).sum()), int((side & ~met).sum())] for side in (learnt, ~learnt)]
    beside = stats.fisher_exact(table, alternative="greater").pvalue
    return pairs, float(min(p_value, beside))


def find_lone_rows(
    table: pd.DataFrame, real: Mapping[str, pd.DataFrame], schema: Schema
) -> LoneRows:
    """Looks for rows of single real patients in a synthetic table.

    real: tables of disjoint patients; "train": those learnt from. Every patient of them counts.
    """
    everybody = pd.concat(real.values(), ignore_index=True)
    patients, cells = patient_numbers(everybody, schema), _hash_cells(everybody, schema)
    keys, made = (np.sum(found, axis=0) for found in (cells, _hash_cells(table, schema)))
    chance = -np.expm1(-_estimate_shares(cells, keys, patients) * len(table))
    learnt = np.concatenate([np.full(len(df), part == "train") for part, df in real.items()])
    held = pd.DataFrame({"key": keys, "whose": patients, "rare": chance < RARE, "learnt": learnt})
    held = held.drop_duplicates(["key", "whose"])
    held["holders"] = held.groupby("key")["whose"].transform("size")
    names, times = np.unique(made, return_counts=True)
    held["times"] = pd.Series(times, index=names).reindex(held["key"]).fillna(0).to_numpy(int)
    sizes = len(table), len(everybody)
    (_, p_value), (pairs, of_rare) = (_judge(x, *sizes) for x in (held, held[held["rare"]]))
    lone = held[held["holders"] == 1]
    rows = np.flatnonzero(np.isin(made, lone["key"]))
    rare = np.isin(made[rows], lone.loc[lone["rare"], "key"])
    expected = 2 * pairs * len(table) / len(everybody)
    return LoneRows(rows, rare, expected, min(1.0, _TESTS * min(p_value, of_rare)))
