"""Coders for categorical columns and for code sets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Self

import numpy as np
import pandas as pd

from synthdiff._validate import input_error
from synthdiff.data.conform import plain
from synthdiff.data.schema import Column

FEWEST_CODES = 20
MOST_NAMES = 0.1  # share of levels that are no codes
_CODE = re.compile(r"([A-Za-z]{0,3})(\d+)([.-]?\w*)")


def find_codes(values: pd.Series, levels: Sequence) -> np.ndarray:
    """The place of each value among the levels: int32 [rows], -1 where it is none of them."""
    index = pd.Index(list(levels), dtype=object)
    return index.get_indexer(values.astype(object)).astype(np.int32)


def rank_codes(levels: Sequence) -> np.ndarray | None:
    """Places [levels] in the order of their letters and digits, where most levels are codes.

    ICD, ATC, postal and other codes put what is alike side by side. None: fewer than FEWEST_CODES
    levels, or more than MOST_NAMES of them are no codes; those few come last.

    >>> rank_codes([f"V{i}" for i in range(20)] + ["250.8", "250.13", "41"])[-3:]
    array([2, 1, 0])
    """
    found = [_CODE.fullmatch(str(level)) for level in levels]
    if len(levels) < FEWEST_CODES or found.count(None) > MOST_NAMES * len(levels):
        return None
    keys = [(0, m[1].upper(), int(m[2]), m[3]) if m else (1, "", 0, "") for m in found]
    places = np.empty(len(levels), int)
    places[sorted(range(len(levels)), key=keys.__getitem__)] = np.arange(len(levels))
    return places


def count_patients(codes: np.ndarray, num_codes: int, patients: np.ndarray) -> np.ndarray:
    """Distinct patients [num_codes] behind each non-negative code [rows]."""
    here, (who, people) = codes >= 0, pd.factorize(patients, use_na_sentinel=False)
    pairs = pd.unique(codes[here].astype(np.int64) * len(people) + who[here])
    return np.bincount(pairs // max(1, len(people)), minlength=num_codes)[:num_codes]


@dataclass(frozen=True)
class CategoryCoder:
    """A categorical, ordinal or boolean column as one categorical part.

    levels: retained values; then, where training rows have them, one code for rare values and one
    for missing. shares: training share of each level, from which a rare value is redrawn.
    """

    name: str
    levels: tuple
    shares: tuple[float, ...]
    num_rare: int
    has_missing: bool

    @classmethod
    def fit(
        cls, values: pd.Series, column: Column, patients: np.ndarray, min_patients: int
    ) -> Self:
        """Learns the levels that at least `min_patients` patients share, or the public ones."""
        present = values.dropna()
        if len(present) == 0:
            raise input_error(f"column {column.name!r}", "all missing in training", "drop it")
        levels = list(column.categories) or sorted(present.unique().tolist(), key=_sort_key)
        codes = find_codes(values, levels)
        counts = np.bincount(codes[codes >= 0], minlength=len(levels))
        keep = count_patients(codes, len(levels), patients) >= (
            0 if column.public else min_patients
        )
        if not counts[keep].any():
            raise input_error(
                f"column {column.name!r}",
                f"no value is shared by {min_patients} patients",
                "drop the column, group its values, or lower min_patients",
            )
        kept = np.flatnonzero(keep)
        retained = tuple(plain(levels[i]) for i in kept)
        shares = counts[kept] / counts[kept].sum()
        num_rare = len(set(present) - set(retained))
        return cls(
            column.name, retained, tuple(shares.tolist()), num_rare, bool(values.isna().any())
        )

    @property
    def cardinality(self) -> int:
        return len(self.levels) + (self.num_rare > 0) + self.has_missing

    def encode(self, values: pd.Series, rng: np.random.Generator | None) -> np.ndarray:
        """Codes [rows]. A value unseen in training counts as rare, else as the commonest level."""
        codes = find_codes(values, self.levels)
        fallback = len(self.levels) if self.num_rare else int(np.argmax(self.shares))
        missing = self.cardinality - 1 if self.has_missing else fallback
        return np.where(codes >= 0, codes, np.where(values.isna(), missing, fallback))

    def decode(self, codes: np.ndarray, rng: np.random.Generator) -> pd.Series:
        """Values [rows]; a rare code is redrawn from the retained levels, so none is invented."""
        codes = np.asarray(codes).astype(np.int64)
        missing = codes == self.cardinality - 1 if self.has_missing else np.zeros(len(codes), bool)
        rare = (codes >= len(self.levels)) & ~missing
        shares = np.asarray(self.shares)
        drawn = rng.choice(len(self.levels), len(codes), p=shares / shares.sum())
        codes = np.where(rare | missing, drawn, codes)
        values = np.array(self.levels, dtype=object)[codes]
        values[missing] = None
        return pd.Series(values, dtype=object)

    def to_json(self) -> dict:
        return {"coder": "category", **asdict(self)}


@dataclass(frozen=True)
class CodeSetCoder:
    """A code set as one yes/no part per retained code, and one for a missing cell."""

    name: str
    codes: tuple[str, ...]
    delimiter: str
    num_rare: int
    has_missing: bool

    @classmethod
    def fit(
        cls, values: pd.Series, column: Column, patients: np.ndarray, min_patients: int
    ) -> Self:
        """Learns the codes that at least `min_patients` patients have, or the public ones."""
        long = explode_codes(values, column.delimiter)
        known = list(column.categories) or sorted(long["code"].unique())
        numbers = find_codes(long["code"], known)
        counts = count_patients(numbers, len(known), patients[long["row"].to_numpy()])
        keep = [c for c, n in zip(known, counts, strict=True) if column.public or n >= min_patients]
        if not keep:
            raise input_error(
                f"column {column.name!r}",
                f"no code is shared by {min_patients} patients",
                "drop the column, use coarser codes, or lower min_patients",
            )
        num_rare = len(set(long["code"]) - set(keep))
        missing = bool(values.isna().any())
        return cls(column.name, tuple(keep), column.delimiter, num_rare, missing)

    def encode(self, values: pd.Series, rng: np.random.Generator | None) -> np.ndarray:
        """0/1 [rows, codes (+ 1)]; rare codes are left out."""
        matrix = np.zeros((len(values), len(self.codes) + self.has_missing), np.int8)
        long = explode_codes(values, self.delimiter)
        number = find_codes(long["code"], self.codes)
        known = number >= 0
        matrix[long["row"].to_numpy()[known], number[known]] = 1
        if self.has_missing:
            matrix[:, -1] = values.isna().to_numpy()
        return matrix

    def decode(self, matrix: np.ndarray, rng: np.random.Generator) -> pd.Series:
        """Cells such as "E11.9;I10" [rows]."""
        order = np.argsort(np.array(self.codes, dtype=object))
        names = np.array(self.codes, dtype=object)[order]
        rows, columns = np.nonzero(np.asarray(matrix)[:, order])
        cells = np.full(len(matrix), "", dtype=object)
        starts = np.searchsorted(rows, np.arange(len(matrix) + 1))
        for row in np.unique(rows):
            cells[row] = self.delimiter.join(names[columns[starts[row] : starts[row + 1]]])
        if self.has_missing:
            cells[np.asarray(matrix)[:, -1] == 1] = None
        return pd.Series(cells, dtype=object)

    def to_json(self) -> dict:
        return {"coder": "code_set", **asdict(self)}


def explode_codes(values: pd.Series, delimiter: str) -> pd.DataFrame:
    """Long table (row position, code) of the codes in each cell; empty and missing cells drop.

    >>> explode_codes(pd.Series(["E11; I10", None, "", "I10"]), ";").to_numpy().tolist()
    [[0, 'E11'], [0, 'I10'], [3, 'I10']]
    """
    cells = pd.Series(values.to_numpy(), dtype=object)
    cells = cells[cells.notna() & (cells != "")]
    codes = cells.astype(str).str.split(delimiter, regex=False).explode().str.strip()
    codes = codes[codes != ""]
    return pd.DataFrame({"row": codes.index, "code": codes.to_numpy()}).drop_duplicates()


def _sort_key(value: object) -> tuple:
    return (0, value, "") if isinstance(value, (int, float)) else (1, 0, str(value))
