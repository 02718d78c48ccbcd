"""The groups of a sensitive column: its levels, or quartile bins of its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from synthdiff.data.categories import count_patients
from synthdiff.data.schema import Column
from synthdiff.eval.features import category_keys, numeric_values

MIN_PATIENTS = 5  # what fewer hold is neither named nor counted in what a reader sees
MISSING = "(missing)"
_BINS = 4


def round_unit(low: float, high: float) -> float:
    """A power of ten, a hundredth to a tenth of the range: rounded to it, an end is nobody's."""
    return 10.0 ** np.floor(np.log10(max(high - low, abs(high) * 1e-3, 1e-6))) / 10


def _cut_points(values: np.ndarray) -> np.ndarray:
    """Quantiles of the known values, rounded so that none is a patient's own value."""
    known = values[~np.isnan(values)]
    if not len(known):
        return np.zeros(0)
    low, high = np.quantile(known, [0.05, 0.95])
    unit = round_unit(low, high)
    points = np.quantile(known, np.arange(1, _BINS) / _BINS)
    return np.unique(np.round(points / unit) * unit)


def _bin_labels(points: np.ndarray, column: Column) -> list[str]:
    names = [f"{point:.10g}" for point in points]
    if column.kind == "datetime":
        dates = pd.Timestamp(0) + pd.to_timedelta(points, unit="D")
        names = [f"{date:%Y-%m-%d}" for date in dates]
    if not names:
        return ["all values"]
    middle = [f"{low} to {high}" for low, high in pairwise(names)]
    return [f"below {names[0]}", *middle, f"{names[-1]} or more"]


def level_keys(
    tables: Mapping[str, pd.Series], column: Column
) -> tuple[dict[str, np.ndarray], list[str]]:
    """The level of each row of each table, as text (object [n]), and the levels' natural order.

    Numbers are cut at quartiles of "train", rounded; a missing cell is a level. The order lists
    the bins or the levels of an ordinal column, and is empty for other categories.
    """
    if column.is_categorical:
        keys = {part: category_keys(series) for part, series in tables.items()}
        keys = {part: np.where(pd.isna(found), MISSING, found) for part, found in keys.items()}
        ordered = column.categories if column.kind == "ordinal" else ()
        return keys, list(category_keys(pd.Series(ordered, dtype=object)))
    values = {part: numeric_values(series, column) for part, series in tables.items()}
    points = _cut_points(values["train"])
    order = _bin_labels(points, column)
    labels = np.array([*order, MISSING], dtype=object)
    keys = {
        part: labels[np.where(np.isnan(x), -1, np.searchsorted(points, x, "right"))]
        for part, x in values.items()
    }
    return keys, order


def name_levels(
    keys: np.ndarray, patients: np.ndarray, order: Sequence[str]
) -> tuple[list[str], int]:
    """Levels that at least 5 patients hold, and how many others there are.

    In the natural order where there is one, else the most frequent first.
    """
    codes, levels = pd.factorize(keys)
    counts = count_patients(codes, len(levels), patients)
    named = [level for level, count in zip(levels, counts, strict=True) if count >= MIN_PATIENTS]
    rows = pd.Series(keys).value_counts()
    place = {level: number for number, level in enumerate(order)}
    named.sort(key=lambda level: (place.get(level, len(place)), -rows[level], level))
    return named, len(levels) - len(named)


def code_levels(keys: np.ndarray, names: list[str]) -> np.ndarray:
    """The number of each row's level among `names`, -1 where it is none of them. int [n]"""
    return pd.Index(names, dtype=object).get_indexer(keys)
