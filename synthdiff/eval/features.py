"""Tables as matrices: what distances, trees and linear models read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from synthdiff._validate import input_error, one_of
from synthdiff.data.schema import Column, Schema

STYLES = ("distance", "tree", "linear")
_MAX_LEVELS = 50
_MAX_CODES = 500
_MAX_TREE_CODES = 100
_MAX_DEVIATION = 10.0
_SIGNS = 64  # dimensions of the levels and codes that are not among the commonest


def check_table(df: pd.DataFrame, schema: Schema, where: str) -> None:
    """Raises InputError unless `df` has rows and every modelled column."""
    if not len(df):
        raise input_error(where, "no rows", "give a table with rows")
    for column in schema.features:
        if column.name not in df:
            raise input_error(where, f"no column {column.name!r}", "add it or edit the schema")


def patient_numbers(df: pd.DataFrame, schema: Schema) -> np.ndarray:
    """int [n]: equal for rows of one patient; every row is its own where there is no entity."""
    if schema.entity is None or schema.entity not in df:
        return np.arange(len(df))
    return pd.factorize(df[schema.entity], use_na_sentinel=False)[0]


def numeric_values(series: pd.Series, column: Column) -> np.ndarray:
    """float64 [n] with NaN for missing; datetimes become days since 1970-01-01."""
    try:
        if column.kind == "datetime":
            days = pd.to_datetime(series) - pd.Timestamp(0)
            return (days / pd.Timedelta(days=1)).to_numpy(float, na_value=np.nan)
        values = pd.to_numeric(series.where(series.notna(), None))
        values = values.to_numpy(float, na_value=np.nan)
    except (ValueError, TypeError) as error:
        raise input_error(
            f"column {column.name!r}", str(error), f"make every value {column.kind}"
        ) from error
    if np.isinf(values).any():
        problem = f"infinite value at row {series.index[np.isinf(values)][0]}"
        raise input_error(f"column {column.name!r}", problem, "set it to missing")
    return values


def _key(value: object) -> str:
    if isinstance(value, (bool, np.bool_)) or (
        isinstance(value, (float, np.floating)) and float(value).is_integer()
    ):
        return str(int(value))
    return str(value)


def category_keys(series: pd.Series) -> np.ndarray:
    """object [n] of strings, None for missing; 1, 1.0 and True are one and the same level."""
    codes, values = pd.factorize(series)
    keys = np.array([_key(value) for value in values] + [None], dtype=object)
    return keys[codes]


def code_rows(series: pd.Series, column: Column) -> tuple[np.ndarray, np.ndarray]:
    """The cells of a code set in long form: row numbers [c] and codes [c]. Missing gives none."""
    lists = series.reset_index(drop=True).dropna().astype(str).str.split(column.delimiter)
    long = lists.explode()
    long = long[long != ""]
    return long.index.to_numpy(np.int64), long.to_numpy(object)


def set_sizes(series: pd.Series, column: Column) -> np.ndarray:
    """The number of codes in each cell of a code set: float64 [n], NaN where it is missing."""
    sizes = np.bincount(code_rows(series, column)[0], minlength=len(series))
    return np.where(series.isna(), np.nan, sizes)


def long_cells(series: pd.Series, column: Column) -> tuple[np.ndarray, np.ndarray]:
    """A column in long form: row numbers [c] and values [c], of which a code set may have several.

    Missing cells are left out.
    """
    if column.kind == "code_set":
        return code_rows(series, column)
    read = numeric_values if column.is_numeric else lambda cells, _: category_keys(cells)
    values = read(series, column)
    rows = np.flatnonzero(~pd.isna(values))
    return rows, values[rows]


def row_keys(df: pd.DataFrame, schema: Schema) -> np.ndarray:
    """uint64 [n]: rows that agree in every column but the entity have equal keys.

    Numbers are compared as float32, so a trip through a text file makes no difference.
    """
    cells = {}
    for i, column in enumerate(schema.features):
        if column.is_numeric:
            cells[i] = numeric_values(df[column.name], column).astype(np.float32) + np.float32(0)
        else:
            cells[i] = category_keys(df[column.name])
    return pd.util.hash_pandas_object(pd.DataFrame(cells), index=False).to_numpy()


def hash_rows(df: pd.DataFrame, schema: Schema) -> str:
    """sha256 of the row_keys in order: says which table was looked at, whatever file held it."""
    return hashlib.sha256(row_keys(df, schema).tobytes()).hexdigest()


def hash_signs(keys: np.ndarray) -> np.ndarray:
    """float32 [n, 64] of unit length: signs from the hash of each string, whatever the table.

    Two different ones are nearly at right angles (cosine 0 +- 1/8), so that thousands of levels
    stay apart in few dimensions (Johnson and Lindenstrauss 1984).
    """
    bits = pd.util.hash_array(np.asarray(keys, dtype=object)).view(np.uint8).reshape(-1, 8)
    return (np.unpackbits(bits, axis=1).astype(np.float32) * 2 - 1) / np.float32(np.sqrt(_SIGNS))


def fill_empty_columns(features: np.ndarray) -> np.ndarray:
    """0 in the columns that are NaN throughout: boosted trees cannot be fitted on those."""
    return np.where(np.isnan(features).all(axis=0), np.float32(0), features)


@dataclass(frozen=True)
class _Numeric:
    """A number: its mid-ranks at the reference's values (knots), mean and standard deviation."""

    column: Column
    knots: np.ndarray
    ranks: np.ndarray
    mean: float
    scale: float

    @classmethod
    def fit(cls, series: pd.Series, column: Column) -> _Numeric:
        values = numeric_values(series, column)
        values = values[~np.isnan(values)]
        if not len(values):
            return cls(column, np.zeros(1), np.full(1, 0.5), 0.0, 1.0)
        knots, counts = np.unique(values, return_counts=True)
        ranks = (np.cumsum(counts) - counts / 2) / len(values)
        return cls(column, knots, ranks, float(values.mean()), float(values.std()) or 1.0)

    def encode(self, series: pd.Series, style: str) -> np.ndarray:
        values = numeric_values(series, self.column)
        if style == "tree":
            return values[:, None]
        missing = np.isnan(values)
        if style == "distance":
            beyond = values - np.clip(values, self.knots[0], self.knots[-1])
            scaled = np.interp(values, self.knots, self.ranks)
            scaled += np.clip(beyond / (_MAX_DEVIATION * self.scale), -1, 1)
        else:
            scaled = np.clip((values - self.mean) / self.scale, -_MAX_DEVIATION, _MAX_DEVIATION)
        middle = 0.5 if style == "distance" else 0.0
        return np.stack([np.where(missing, middle, scaled), missing], axis=1)


@dataclass(frozen=True)
class _Category:
    """A category: its commonest levels (an ordinal's in order), and whether there are more."""

    column: Column
    levels: tuple[str, ...]
    has_more: bool

    @classmethod
    def fit(cls, series: pd.Series, column: Column) -> _Category:
        keys = pd.Series(category_keys(series), dtype=object)
        levels = list(keys.value_counts().sort_index().sort_values(ascending=False).index)
        if column.kind == "ordinal":
            known = [_key(value) for value in column.categories]
            levels = [*known, *(level for level in levels if level not in known)]
        return cls(column, tuple(levels[:_MAX_LEVELS]), len(levels) > _MAX_LEVELS)

    def encode(self, series: pd.Series, style: str) -> np.ndarray:
        keys = category_keys(series)
        codes = pd.Index(self.levels, dtype=object).get_indexer(keys)
        missing = pd.isna(keys)
        other = (codes < 0) & ~missing
        if style == "tree":
            codes = np.where(other, len(self.levels), codes).astype(float)
            return np.where(missing, np.nan, codes)[:, None]
        slots = np.where(missing, len(self.levels) + 1, np.where(other, len(self.levels), codes))
        one_hot = np.eye(len(self.levels) + 2, dtype=np.float32)[slots]
        if style == "linear":
            return one_hot
        if self.has_more:
            signs = hash_signs(np.where(other, keys, "")) * other[:, None]
            one_hot = np.column_stack([np.delete(one_hot, len(self.levels), axis=1), signs])
        # Two levels that differ are at squared distance 1, as in Gower's distance.
        return one_hot * np.float32(np.sqrt(0.5))


@dataclass(frozen=True)
class _Codes:
    """A code set: its commonest codes, the mean size of a set, and whether there are more."""

    column: Column
    codes: tuple[str, ...]
    mean_size: float
    has_more: bool

    @classmethod
    def fit(cls, series: pd.Series, column: Column) -> _Codes:
        rows, codes = code_rows(series, column)
        counts = pd.Series(codes, dtype=object).value_counts().sort_index()
        top = counts.sort_values(ascending=False, kind="stable").index[:_MAX_CODES]
        mean_size = max(1.0, len(rows) / max(1, series.notna().sum()))
        return cls(column, tuple(top), mean_size, len(counts) > len(top))

    def encode(self, series: pd.Series, style: str) -> np.ndarray:
        rows, codes = code_rows(series, self.column)
        missing = series.isna().to_numpy()
        kept = self.codes[:_MAX_TREE_CODES] if style == "tree" else self.codes
        slots = pd.Index(kept, dtype=object).get_indexer(codes)
        hot = np.zeros((len(series), len(kept)), np.float32)
        hot[rows[slots >= 0], slots[slots >= 0]] = 1
        if style == "tree":
            size = np.bincount(rows, minlength=len(series)).astype(float)
            return np.where(missing[:, None], np.nan, np.column_stack([hot, size]))
        if style == "distance":  # two disjoint sets of mean size are at squared distance 1
            if self.has_more:
                signs = np.zeros((len(series), _SIGNS), np.float32)
                np.add.at(signs, rows[slots < 0], hash_signs(codes[slots < 0]))
                hot = np.column_stack([hot, signs])
            hot /= np.float32(np.sqrt(2 * self.mean_size))
        return np.column_stack([hot, missing])


@dataclass(frozen=True)
class Featurizer:
    """Turns rows into features with ranks, levels and codes learnt from a reference table only.

    distance: numbers as mid-ranks of the reference in 0..1, beyond its extremes up to one more;
      categories one-hot, code sets multi-hot, each with an indicator of missing. Beyond the
      commonest 50 levels and 500 codes, as `hash_signs`: an attack must see the rarest.
    linear: standardised numbers (clipped at 10 deviations), the commonest levels and codes.
    tree: one column per number or category (level code), NaN where missing.
    """

    parts: tuple[_Numeric | _Category | _Codes, ...]

    @classmethod
    def fit(
        cls, reference: pd.DataFrame, schema: Schema, *, exclude: Sequence[str] = ()
    ) -> Featurizer:
        """Learns from `reference`; the entity and the `exclude` columns are never features."""
        check_table(reference, schema, "reference table")
        parts = []
        for column in schema.features:
            if column.name in exclude:
                continue
            part: type[_Numeric | _Category | _Codes] = _Numeric if column.is_numeric else _Category
            part = _Codes if column.kind == "code_set" else part
            parts.append(part.fit(reference[column.name], column))
        if not parts:
            raise input_error("schema", "no feature column left", "exclude fewer columns")
        return cls(tuple(parts))

    def transform(self, df: pd.DataFrame, style: str = "distance") -> np.ndarray:
        """float32 [n, d]; the same d for every table."""
        one_of(STYLES, style=style)
        blocks = [part.encode(df[part.column.name], style) for part in self.parts]
        return np.hstack(blocks).astype(np.float32)
