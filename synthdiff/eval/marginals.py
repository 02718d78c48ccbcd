"""How each column is distributed in the real and the synthetic tables, safe to print."""

from __future__ import annotations

import numpy as np
import pandas as pd

from synthdiff.data.schema import Column, Schema
from synthdiff.eval.features import category_keys, code_rows, numeric_values, patient_numbers

MIN_PATIENTS = 5
_BINS = 30
_TOP = 20
OTHER, MISSING = "(other)", "(missing)"


def _patient_counts(codes: np.ndarray, ids: np.ndarray, levels: int) -> np.ndarray:
    """Distinct patients behind each level. int [levels]"""
    pairs = np.unique(np.stack([codes, ids]), axis=1)
    return np.bincount(pairs[0], minlength=levels)


def _released_shares(
    codes: np.ndarray, total: int, ids: np.ndarray | None, levels: int
) -> np.ndarray:
    """Share of `total` in each level; 0 where ids are given and fewer than 5 patients have it."""
    shares = np.bincount(codes, minlength=levels) / max(total, 1)
    if ids is not None:
        shares[_patient_counts(codes, ids, levels) < MIN_PATIENTS] = 0
    return shares


def _choose_edges(values: np.ndarray, ids: np.ndarray, column: Column) -> np.ndarray | None:
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
    unit = 10.0 ** np.floor(np.log10(max(high - low, abs(high) * 1e-3, 1e-6))) / 10
    low, high = np.floor(low / unit) * unit, np.ceil(high / unit) * unit
    return np.linspace(low, max(high, low + unit), _BINS + 1)


def _numeric_marginal(tables: dict, ids: dict, column: Column) -> dict:
    values = {part: numeric_values(series, column) for part, series in tables.items()}
    known = {part: ~np.isnan(numbers) for part, numbers in values.items()}
    if not known["train"].any():
        return {"skipped": "all values are missing"}
    edges = _choose_edges(values["train"][known["train"]], ids["train"][known["train"]], column)
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


def _keys_in_rows(series: pd.Series, column: Column) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers and level names in long form (one per row unless it is a code set)."""
    if column.kind == "code_set":
        rows, keys = code_rows(series, column)
        missing = np.flatnonzero(series.isna())
        return np.append(rows, missing), np.append(keys, np.repeat(MISSING, len(missing)))
    keys = category_keys(series)
    return np.arange(len(keys)), np.where(pd.isna(keys), MISSING, keys)


def _categorical_marginal(tables: dict, ids: dict, column: Column) -> dict:
    """Shares of rows with the 20 most common levels; the others and rare ones are pooled."""
    long = {part: _keys_in_rows(series, column) for part, series in tables.items()}
    rows, keys = long["train"]
    codes, levels = pd.factorize(keys)
    patients = pd.Series(_patient_counts(codes, ids["train"][rows], len(levels)), index=levels)
    common = patients[patients >= MIN_PATIENTS].sort_values(ascending=False, kind="stable")
    labels = [*common.index[:_TOP], OTHER]
    result = {"kind": "categorical", "labels": labels}
    for part, (rows, keys) in long.items():
        codes = pd.Index(labels[:-1], dtype=object).get_indexer(keys)
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
