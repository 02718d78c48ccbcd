"""Brings a user's table into the in-memory types that its schema names."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from synthdiff._validate import input_error
from synthdiff.data.dtypes import FIRST_DAY, LAST_DAY, count_days
from synthdiff.data.schema import ID_KINDS, Column, Schema
from synthdiff.data.table import as_text

# The text dtype of this pandas: "str" from pandas 3 on, "object" before.
TEXT = pd.Series([""]).dtype
DATE_PATTERN = r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?(Z|[+-]\d{2}:?\d{2})?"
MAX_NUMBER = 1e150  # squares of larger numbers are no float64 any more
_TRUTH = dict.fromkeys(("true", "t", "yes", "y", "1"), 1.0)
_TRUTH |= dict.fromkeys(("false", "f", "no", "n", "0"), 0.0)


@dataclass(frozen=True)
class Problem:
    """Cells of one column that cannot be what the schema says.

    where: boolean [rows]. what: e.g. "is not a number"; the cell's value is put before it.
    """

    code: str
    where: np.ndarray
    what: str
    fix: str

    def describe(self, values: pd.Series) -> str:
        """Names the first bad value, its row and how many more there are."""
        first = int(np.flatnonzero(self.where)[0])
        more = int(self.where.sum()) - 1
        text = f"value {plain(values.iloc[first])!r} at row {values.index[first]} {self.what}"
        return text + (f" ({more} more)" if more else "")


def conform(df: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """The schema's columns, in order, in the types that the codec and the metrics expect.

    Text becomes numbers, truth values ("yes", "F", "1"), or dates (ISO, or as the column's format
    says) where the schema says so;
    "" is missing except in a code set, whose cells become sorted unique codes. A whole-number
    column with missing cells is float64 in memory unless the schema says "Int64"; "category"
    columns become plain values. Bounds and vocabularies are not checked here (see `examine`).
    The input is not changed; the index is kept.

    Raises:
      InputError: names the column, its first bad value and row, and the fix.
    """
    check_header(df)
    columns = {}
    for column in schema.columns:
        if column.name not in df.columns:
            fix = "add the column, or take it out of the schema"
            raise input_error(f"column {column.name!r}", "absent from the table", fix)
        columns[column.name], problems = coerce(df[column.name], column)
        for problem in problems:
            where = f"column {column.name!r}"
            raise input_error(where, problem.describe(df[column.name]), problem.fix)
    return pd.DataFrame(columns, index=df.index)


def check_header(df: pd.DataFrame) -> None:
    """Raises InputError unless the column names are distinct strings that are not blank."""
    for name in df.columns:
        if not isinstance(name, str):
            raise input_error(f"column {name!r}", "name is not text", "rename it to a string")
        if not name.strip():
            raise input_error(f"column {name!r}", "name is blank", "rename it")
    if not df.columns.is_unique:
        name = df.columns[df.columns.duplicated()][0]
        raise input_error(f"column {name!r}", "appears twice in the table", "rename or drop one")


def plain(value: object) -> object:
    """A numpy scalar as the Python one, which prints as people write it; a date as ISO text."""
    if isinstance(value, pd.Timestamp):  # its own repr fails beyond year 9999
        return str(value.to_numpy())
    return value.item() if isinstance(value, np.generic) else value


def coerce(values: pd.Series, column: Column) -> tuple[pd.Series, list[Problem]]:
    """One column in its in-memory type, with missing where a cell could not be read.

    Returns:
      The values, and what could not be read (empty if all is well).
    """
    if column.kind == "code_set":
        return _code_sets(values, column), []
    values = blank_to_missing(values)
    if column.kind in ID_KINDS:
        return _ids(values)
    if column.kind in ("continuous", "integer"):
        return _numbers(values, column)
    if column.kind == "datetime":
        return _datetimes(values, column.format)
    if column.kind == "boolean" and set(column.categories) <= {0, 1}:
        return _booleans(values, column)
    return _categories(values, column)


def blank_to_missing(values: pd.Series) -> pd.Series:
    """Plain values (no pandas Categorical), in which blank text is missing."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(object).infer_objects()
    if is_text(values):
        blank = as_text(values).eq("")
        if blank.any():
            values = values.mask(blank)
    return values


def is_text(values: pd.Series) -> bool:
    """Whether the column may hold strings, so that its cells need parsing."""
    return types.is_object_dtype(values.dtype) or types.is_string_dtype(values.dtype)


def find_collections(values: pd.Series) -> np.ndarray:
    """Which cells hold several values, such as a list; text does not, bytes do. bool [rows]"""
    nested = values.map(lambda cell: isinstance(cell, Collection) and not isinstance(cell, str))
    return nested.to_numpy(bool)


def parse_numbers(values: pd.Series) -> pd.Series:
    """Numbers, NaN where a cell is not one."""
    if types.is_bool_dtype(values.dtype):
        return values.astype("Float64" if values.hasnans else "int64")
    if types.is_numeric_dtype(values.dtype):
        return values
    if not is_text(values):
        return pd.Series(np.nan, index=values.index)
    return pd.to_numeric(as_text(values), errors="coerce")


def parse_datetimes(values: pd.Series, form: str | None = None) -> pd.Series:
    """Naive UTC datetime64, NaT where a cell is not an ISO 8601 date, or not written as `form`."""
    if types.is_datetime64_any_dtype(values.dtype):
        return values.dt.tz_convert(None) if values.dt.tz is not None else values
    text = as_text(values)
    if form is None:
        text = text.where(text.str.fullmatch(DATE_PATTERN).fillna(False).astype(bool))
    dates = pd.to_datetime(text, format=form or "ISO8601", errors="coerce", utc=True)
    return dates.dt.tz_convert(None)


def _ids(values: pd.Series) -> tuple[pd.Series, list[Problem]]:
    if not types.is_object_dtype(values.dtype):
        return values, []
    nested = find_collections(values)
    problem = Problem("not_an_id", nested, "is a collection", "use text or whole numbers")
    return values.mask(nested), [problem] if nested.any() else []


def _numbers(values: pd.Series, column: Column) -> tuple[pd.Series, list[Problem]]:
    numbers = parse_numbers(values)
    floats = numbers.to_numpy(np.float64, na_value=np.nan)
    infinite = np.isinf(floats)
    huge = np.isfinite(floats) & (np.abs(floats) > MAX_NUMBER)
    bad = values.notna().to_numpy() & np.isnan(floats)
    broken = np.zeros(len(values), bool)
    if column.kind == "integer":
        broken = np.isfinite(floats) & (floats != np.rint(floats))
    word = values[bad].iloc[0] if bad.any() else ""
    problems = [
        Problem("mixed_type", bad, "is not a number", f"correct {word!r} or make it missing"),
        Problem("infinite", infinite, "is infinite", "make it missing or a finite number"),
        Problem("huge", huge, f"is beyond {MAX_NUMBER:g}", "use another unit or make it missing"),
        Problem("not_whole", broken, "is not whole", "round it or use kind 'continuous'"),
    ]
    problems = [problem for problem in problems if problem.where.any()]
    if problems:
        numbers = pd.Series(floats, values.index).mask(bad | infinite | huge | broken)
    return _cast(numbers, column), problems


def _cast(numbers: pd.Series, column: Column) -> pd.Series:
    """The schema's numeric dtype, or the smallest change of it that holds the values."""
    dtype: Any = _pandas_dtype(column)
    if not types.is_numeric_dtype(dtype) or types.is_bool_dtype(dtype):
        dtype = np.dtype("float64" if column.kind == "continuous" else "int64")
    if types.is_integer_dtype(dtype):
        known = numbers.dropna()
        gaps = len(known) < len(numbers)
        fractional = column.kind == "continuous" and not (known == known.round()).all()
        limits = np.iinfo(getattr(dtype, "numpy_dtype", dtype))
        if fractional or (gaps and isinstance(dtype, np.dtype)):
            dtype = np.dtype("float64")
        elif len(known) and (known.min() < limits.min or known.max() > limits.max):
            dtype = pd.Int64Dtype() if gaps else np.dtype("int64")
    if isinstance(dtype, np.dtype) and dtype.kind == "f":
        return pd.Series(numbers.to_numpy(dtype, na_value=np.nan), numbers.index)
    return numbers.astype(dtype)


def _pandas_dtype(column: Column) -> object:
    try:
        return pd.api.types.pandas_dtype(column.dtype)
    except TypeError as error:
        fix = "use a pandas dtype name such as 'int64' or 'object'"
        where = f"schema column {column.name!r}"
        raise input_error(where, f"unknown dtype {column.dtype!r}", fix) from error


def _datetimes(values: pd.Series, form: str | None) -> tuple[pd.Series, list[Problem]]:
    dates = parse_datetimes(values, form)
    bad = (values.notna() & dates.isna()).to_numpy()
    far = ~dates.isna().to_numpy() & ~count_days(dates).between(FIRST_DAY, LAST_DAY).to_numpy()
    what = "is not an ISO date" if form is None else f"is not written as {form!r}"
    fix = "make it missing, or correct the column's format in the schema"
    if form is None:
        fix = "write it as YYYY-MM-DD or give the column a format in the schema, or make it missing"
    problems = [
        Problem("bad_date", bad, what, fix),
        Problem("bad_date", far, "is not in the years 1 to 9999", fix),
    ]
    return dates.mask(far), [problem for problem in problems if problem.where.any()]


def _booleans(values: pd.Series, column: Column) -> tuple[pd.Series, list[Problem]]:
    if is_text(values):
        truth = as_text(values).str.lower().map(_TRUTH).astype("float64")
    else:
        numbers = parse_numbers(values).astype("float64")
        truth = numbers.where(numbers.isin([0, 1]))
    bad = (values.notna() & truth.isna()).to_numpy()
    problem = Problem("mixed_type", bad, "is neither true nor false", "use true, false or missing")
    dtype = _pandas_dtype(column)
    if types.is_numeric_dtype(dtype) and not types.is_bool_dtype(dtype):
        found = _cast(truth, column)
    else:
        found = truth.astype("boolean" if truth.hasnans or column.dtype == "boolean" else "bool")
    return found, [problem] if bad.any() else []


def _categories(values: pd.Series, column: Column) -> tuple[pd.Series, list[Problem]]:
    """Text or numbers, whichever the vocabulary (or else the dtype) is made of."""
    dtype = _pandas_dtype(column)
    if column.categories:
        text = all(isinstance(value, str) for value in column.categories)
    elif column.dtype in ("object", "category"):
        # Such a dtype does not say what the cells are, so they do.
        known = values.dropna().infer_objects()
        text = known.empty or not types.is_numeric_dtype(known.dtype)
    else:
        text = not types.is_numeric_dtype(dtype)
    if not text:
        dtype = column.dtype if types.is_numeric_dtype(dtype) else "int64"
        return _numbers(values, replace(column, kind="continuous", dtype=dtype))
    odd = np.zeros(len(values), bool)
    if types.is_object_dtype(values.dtype):
        is_string = values.map(lambda cell: isinstance(cell, str)).to_numpy(bool)
        if (is_string & values.notna()).any():
            odd = values.notna().to_numpy() & ~is_string
    kept = as_text(values).astype(column.dtype if column.dtype in ("object", "string") else TEXT)
    fix = "make all cells text or all numbers"
    problem = Problem("mixed_type", odd, "is not text like other cells", fix)
    return kept, [problem] if odd.any() else []


def _code_sets(values: pd.Series, column: Column) -> pd.Series:
    if not types.is_object_dtype(values.dtype):
        values = as_text(values)
    return values.map(partial(_code_set, delimiter=column.delimiter)).astype(TEXT)


def _code_set(cell: Any, delimiter: str) -> object:
    """Sorted unique codes; a cell may also be a list. NaN stays NaN."""
    if not isinstance(cell, Collection):
        if pd.isna(cell):
            return np.nan
        cell = as_text(pd.Series([cell])).iloc[0]
    codes = cell.split(delimiter) if isinstance(cell, str) else map(str, cell)
    return delimiter.join(sorted({code.strip() for code in codes} - {""}))
