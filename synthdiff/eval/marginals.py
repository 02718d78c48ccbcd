"""How each column is distributed in the real and the synthetic tables, safe to print."""

from __future__ import annotations

import numpy as np
import pandas as pd

from synthdiff.data.categories import count_patients
from synthdiff.data.schema import Column, Schema
from synthdiff.eval.features import category_keys, code_rows, numeric_values, patient_numbers
from synthdiff.eval.levels import MIN_PATIENTS, MISSING, code_levels, round_unit

_BINS = 30
_TOP = 20
OTHER = "(other)"


def _released_shares(
    codes: np.ndarray, total: int, ids: np.ndarray | None, levels: int
) -> np.ndarray:
    """Share of `total` in each level; 0 where ids are given and fewer than 5 patients have it."""
    shares = np.bincount(codes, minlength=levels) / max(total, 1)
    if ids is not None:
        shares[count_patients(codes, levels, ids) < MIN_PATIENTS] = 0
    return shares


def choose_edges(values: np.ndarray, ids: np.ndarray, column: Column) -> np.ndarray | None:
    """Equal-width edges over the 0.5-99.5% range, rounded outwards so no edge is a real value.

    The quantile level rises until at least 5 patients lie beyond it. None where that fails.
    """
    patients = len(np.unique(ids))
    level = max(0.005, MIN_PATIENTS / max(patients, 1))
    if level > 0.25:
        return None
    low, high = np.quantile(values, [level, 1 - level])
    if column.kind == "integer" and high - low < _BINS:
        return np.arange(np.floor(low) - 0.5, np.ceil(high) + 1)
    if low == high:  # nearly all hold one value: it stands in the middle of the picture
        half = 10.0 ** np.floor(np.log10(max(abs(high), 1e-6))) / 2
        return np.linspace(low - half, low + half, _BINS + 2)
    unit = round_unit(low, high)
    low, high = np.floor(low / unit) * unit, np.ceil(high / unit) * unit
    return np.linspace(low, max(high, low + unit), _BINS + 1)


def _numeric_marginal(tables: dict, ids: dict, column: Column) -> dict:
    values = {part: numeric_values(series, column) for part, series in tables.items()}
    known = {part: ~np.isnan(numbers) for part, numbers in values.items()}
    if not known["train"].any():
        return {"skipped": "all values are missing"}
    edges = choose_edges(values["train"][known["train"]], ids["train"][known["train"]], column)
    if edges is None:
        return {"skipped": "too few patients to show a histogram"}
    result = {"kind": "numeric", "edges": edges.tolist()}
    for part, numbers in values.items():
        codes = np.searchsorted(edges, numbers, "right") - 1
        inside = known[part] & (codes >= 0) & (codes < len(edges) - 1)
        owners = None if part == "synthetic" else ids[part][inside]
        shares = _released_shares(codes[inside], known[part].sum(), owners, len(edges) - 1)
        result[part] = (shares / np.diff(edges)).tolist()
    return result


def keys_in_rows(series: pd.Series, column: Column) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers and level names in long form (one per row unless it is a code set)."""
    if column.kind == "code_set":
        rows, keys = code_rows(series, column)
        missing = np.flatnonzero(series.isna())
        return np.append(rows, missing), np.append(keys, np.repeat(MISSING, len(missing)))
    keys = category_keys(series)
    return np.arange(len(keys)), np.where(pd.isna(keys), MISSING, keys)


def common_levels(keys: np.ndarray, ids: np.ndarray, most: int) -> list:
    """The `most` levels that most patients hold, none of fewer than 5. keys, ids: [rows]"""
    codes, levels = pd.factorize(keys)
    patients = pd.Series(count_patients(codes, len(levels), ids), index=levels)
    common = patients[patients >= MIN_PATIENTS].sort_values(ascending=False, kind="stable")
    return [*common.index[:most]]


def _categorical_marginal(tables: dict, ids: dict, column: Column) -> dict:
    """Shares of rows with the 20 most common levels; the others and rare ones are pooled."""
    long = {part: keys_in_rows(series, column) for part, series in tables.items()}
    rows, keys = long["train"]
    labels = [*common_levels(keys, ids["train"][rows], _TOP), OTHER]
    result = {"kind": "categorical", "labels": labels}
    for part, (rows, keys) in long.items():
        codes = code_levels(keys, labels[:-1])
        codes = np.where(codes < 0, len(labels) - 1, codes)
        owners = None if part == "synthetic" else ids[part][rows]
        shares = _released_shares(codes, len(tables[part]), owners, len(labels))
        result[part] = shares.tolist()
    return result


def summarise_marginals(
    train: pd.DataFrame, test: pd.DataFrame, synthetic: pd.DataFrame, schema: Schema
) -> dict:
    """Histograms and level shares per column, safe to print: no count of fewer than 5 patients.

    Numbers: densities per unit (datetimes in days since 1970-01-01). Code sets: share of rows
    with each code, so they do not add up to 1, and "(other)" counts codes rather than rows.
    """
    parts = {"train": train, "test": test, "synthetic": synthetic}
    ids = {part: patient_numbers(df, schema) for part, df in parts.items()}
    result = {}
    for column in schema.features:
        tables = {part: df[column.name] for part, df in parts.items()}
        summarise = _numeric_marginal if column.is_numeric else _categorical_marginal
        result[column.name] = summarise(tables, ids, column)
    return result
