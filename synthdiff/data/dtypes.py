"""Columns as the coders see them, and back in the dtypes of the user's table."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pandas.api import types

from synthdiff.data.schema import Column

SECONDS_PER_DAY = 86400.0
EPOCH = pd.Timestamp("1970-01-01").as_unit("s")
# Days of years 1 to 9999, beyond which dates cannot be written as YYYY-MM-DD.
FIRST_DAY, LAST_DAY = -719162.0, 2932897.0 - 1 / SECONDS_PER_DAY


def to_values(values: pd.Series, column: Column) -> pd.Series:
    """Plain numbers for numeric kinds: datetimes become days since 1970-01-01."""
    values = values.reset_index(drop=True)
    if column.kind == "datetime":
        return count_days(pd.to_datetime(values))
    return values


def count_days(dates: pd.Series) -> pd.Series:
    """Days since 1970-01-01 of naive datetimes; any year, while nanoseconds end in 2262."""
    return (dates - EPOCH).dt.total_seconds() / SECONDS_PER_DAY


def to_dtype(
    values: pd.Series,
    column: Column,
    has_missing: bool | None = None,
    whole_days: bool | None = None,
) -> pd.Series:
    """Gives a decoded column the dtype that the table had, as far as missing values allow.

    has_missing, whole_days: whether cells may be missing and dates lack a time; where None, the
    values decide.
    """
    if has_missing is None:
        has_missing = values.isna().any()
    if column.kind == "datetime":
        return _to_dates(values, column, whole_days)
    if column.dtype == "category":
        levels = list(column.categories) or None
        return values.astype(pd.CategoricalDtype(levels, ordered=column.kind == "ordinal"))
    dtype = types.pandas_dtype(column.dtype)
    if column.is_numeric and not (types.is_numeric_dtype(dtype) and not types.is_bool_dtype(dtype)):
        dtype = np.dtype("int64" if column.kind == "integer" else "float64")
    if types.is_integer_dtype(dtype) and column.is_numeric:
        limits = np.iinfo(getattr(dtype, "numpy_dtype", dtype))
        values = values.round().clip(limits.min, limits.max)
    if has_missing and dtype.kind in "iub" and isinstance(dtype, np.dtype):
        dtype = "boolean" if dtype.kind == "b" else "Int64"
    return values.astype(dtype)


def _to_dates(days: pd.Series, column: Column, whole_days: bool | None) -> pd.Series:
    """Dates from days since 1970-01-01, as text where the table had text."""
    dtype = types.pandas_dtype(column.dtype)
    first, last = FIRST_DAY, LAST_DAY
    if getattr(dtype, "unit", None) == "ns" or dtype == np.dtype("datetime64[ns]"):
        ends = pd.Timestamp.min.ceil("s"), pd.Timestamp.max.floor("s")
        first, last = (end.timestamp() / SECONDS_PER_DAY for end in ends)
    seconds = np.round(days.clip(first, last).to_numpy() * SECONDS_PER_DAY)
    known = np.isfinite(seconds)
    dates = pd.Series(np.where(known, seconds, 0).astype("datetime64[s]")).where(known)
    if isinstance(dtype, pd.DatetimeTZDtype):
        return dates.dt.tz_localize("UTC").astype(dtype)
    if types.is_datetime64_dtype(dtype):
        return dates.astype(dtype)
    if whole_days is None:
        whole_days = (dates.dropna() == dates.dropna().dt.normalize()).all()
    iso = "%Y-%m-%d" if whole_days else "%Y-%m-%d %H:%M:%S"
    return dates.dt.strftime(column.format or iso).astype(dtype)


def fresh_ids(num_rows: int, column: Column, first: int = 0) -> pd.Series:
    """Ids of no real patient: "synthetic-0", or below zero; unsigned numbers can only count up.

    first: the number of the first row.
    """
    dtype = types.pandas_dtype(column.dtype)
    if not types.is_numeric_dtype(dtype):
        return pd.Series([f"synthetic-{first + i}" for i in range(num_rows)]).astype(dtype)
    ids = np.arange(first, first + num_rows)
    ids = pd.Series(ids if types.is_unsigned_integer_dtype(dtype) else -1 - ids)
    small = ids.astype(dtype)
    return small if (small == ids).all() else ids
