"""Joint distributions of the pairs of columns that differ most, safe to print."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from synthdiff.data.categories import count_patients
from synthdiff.data.schema import Column, Schema
from synthdiff.eval.features import numeric_values, patient_numbers, set_sizes
from synthdiff.eval.levels import MIN_PATIENTS, code_levels
from synthdiff.eval.marginals import OTHER, choose_edges, common_levels, keys_in_rows

MOST_PAIRS = 4
_BINS = 12
_LEVELS = 8
_ROUND = 10  # rows: exact counts would let sums over cells give away a small one


def rank_pairs(pairs: Mapping) -> list[tuple[str, str, float]]:
    """(first, second, points above the floor) of every pair, the furthest below it first.

    pairs: {"columns": [n], "score": [n, n], "floor": [n, n]}; pairs without a number are left out.
    """
    names = list(pairs["columns"])
    gap = 100 * (np.array(pairs["score"], float) - np.array(pairs["floor"], float))
    rows, columns = np.triu_indices(len(names), 1)
    order = np.argsort(gap[rows, columns], kind="stable")
    found = [
        (names[rows[at]], names[columns[at]], float(gap[rows[at], columns[at]])) for at in order
    ]
    return [pair for pair in found if np.isfinite(pair[2])]


def _cut(tables: Mapping, ids: np.ndarray, column: Column) -> tuple[dict, dict] | None:
    """Cell numbers [rows] of each table, -1 for none, and the axis: edges or labels."""
    if column.is_categorical:
        keys = {part: keys_in_rows(series, column)[1] for part, series in tables.items()}
        labels = common_levels(keys["train"], ids, _LEVELS)
        codes = {part: code_levels(found, labels) for part, found in keys.items()}
        codes = {part: np.where(found < 0, len(labels), found) for part, found in codes.items()}
        return codes, {"labels": [*labels, OTHER]}
    if column.kind == "code_set":  # a set enters pairs as its size
        values = {part: set_sizes(series, column) for part, series in tables.items()}
        column = replace(column, kind="integer")
    else:
        values = {part: numeric_values(series, column) for part, series in tables.items()}
    known = ~np.isnan(values["train"])
    edges = choose_edges(values["train"][known], ids[known], column) if known.any() else None
    if edges is None:
        return None
    if len(edges) > _BINS + 1:
        edges = np.linspace(edges[0], edges[-1], _BINS + 1)
    codes = {part: np.searchsorted(edges, found, "right") - 1 for part, found in values.items()}
    codes = {part: np.where(found < len(edges) - 1, found, -1) for part, found in codes.items()}
    return codes, {"edges": edges.tolist()}


def _share_cells(codes: np.ndarray, ids: np.ndarray, cells: int) -> np.ndarray:
    """Share of all rows in each cell, from counts rounded to 10; 0 below 5 patients."""
    counts = np.bincount(codes[codes >= 0], minlength=cells)
    counts[count_patients(codes, cells, ids) < MIN_PATIENTS] = 0
    return _ROUND * np.rint(counts / _ROUND) / len(codes)


def summarise_pairs(
    train: pd.DataFrame,
    test: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    pairs: Mapping,
) -> list[dict] | dict:
    """The joint distributions of the few pairs that fall furthest below their floor.

    pairs: as `evaluate_fidelity` gives them. Each result has "first" and "second" {"name",
    "edges" or "labels"}, "gap" in points, and shares [first, second] of "train", "test" and
    "synthetic". Counts are rounded to 10 rows, and a cell of fewer than 5 patients is 0, in all
    of the tables. Rows beyond the edges or with a missing number are in no cell.
    """
    parts = {"train": train, "test": test, "synthetic": synthetic}
    ids = {part: patient_numbers(df, schema) for part, df in parts.items()}
    found = []
    below = [pair for pair in rank_pairs(pairs) if pair[2] < 0]
    if not below:
        return {"skipped": "no pair falls below the floor"}
    for *names, gap in below[:MOST_PAIRS]:
        found_cuts = (
            _cut({p: df[name] for p, df in parts.items()}, ids["train"], schema[name])
            for name in names
        )
        cuts = [cut for cut in found_cuts if cut is not None]
        if len(cuts) < len(names):
            continue
        axes = [{"name": name, **axis} for name, (_, axis) in zip(names, cuts, strict=True)]
        shape = [
            len(axis["labels"]) if "labels" in axis else len(axis["edges"]) - 1 for axis in axes
        ]
        pair = {"first": axes[0], "second": axes[1], "gap": gap}
        for part in parts:
            first, second = (codes[part] for codes, _ in cuts)
            cell = np.where((first < 0) | (second < 0), -1, first * shape[1] + second)
            shares = _share_cells(cell, ids[part], shape[0] * shape[1])
            pair[part] = shares.reshape(shape).tolist()
        found.append(pair)
    return found or {"skipped": "no pair of columns could be cut into cells"}
