"""How close one table's columns and pairs of columns are to another's, each in 0..1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from synthdiff.data.schema import Column, Schema
from synthdiff.eval.features import (
    category_keys,
    check_table,
    code_rows,
    numeric_values,
    set_sizes,
)

_BINS = 10


def ks_score(real: np.ndarray, other: np.ndarray) -> float:
    """1 - KS distance of two samples; a missing value (NaN) counts as above every number.

    The KS distance is then at least the difference of the missing shares.

    >>> ks_score(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 2.0, 3.0, np.nan]))
    0.75
    """
    real, other = (np.sort(np.where(np.isnan(x), np.inf, x)) for x in (real, other))
    points = np.concatenate([real, other])
    gaps = np.searchsorted(real, points, "right") / len(real)
    gaps = gaps - np.searchsorted(other, points, "right") / len(other)
    return float(1 - np.abs(gaps).max())


def tvd_score(real: np.ndarray, other: np.ndarray, levels: int) -> float:
    """1 - total variation distance of two samples of codes in 0..levels-1.

    >>> tvd_score(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]), levels=2)
    0.75
    """
    shares = [np.bincount(codes, minlength=levels) / len(codes) for codes in (real, other)]
    return float(1 - np.abs(shares[0] - shares[1]).sum() / 2)


def codes_score(real: pd.Series, other: pd.Series, column: Column) -> float:
    """1 - sum |p - q| / sum (p + q) over the share of rows p, q with each code.

    A missing cell counts as a code of its own; 1 where neither table holds any code.
    """
    prevalence = []
    for series in (real, other):
        counts = pd.Series(code_rows(series, column)[1], dtype=object).value_counts()
        counts.loc[None] = series.isna().sum()
        prevalence.append(counts / len(series))
    p, q = prevalence[0].align(prevalence[1], fill_value=0)
    total = float(np.sum(p + q))
    return 1 - float(np.sum(np.abs(p - q))) / total if total else 1.0


@dataclass(frozen=True)
class _Encoded:
    """One column of both tables: level codes [n] of each, and the numbers if it has any."""

    codes: tuple[np.ndarray, np.ndarray]
    levels: int
    numbers: tuple[np.ndarray, np.ndarray] | None = None


def _cut(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    inside = np.clip(np.searchsorted(edges, values, "right") - 1, 0, _BINS - 1)
    return np.where(np.isnan(values), _BINS, inside)


def _encode(real: pd.Series, other: pd.Series, column: Column) -> _Encoded:
    """Numbers are cut in 10 equal-width bins over the range of `real`; missing is a level."""
    if column.is_categorical:
        both = np.concatenate([category_keys(real), category_keys(other)])
        codes, levels = pd.factorize(both, use_na_sentinel=False)
        return _Encoded((codes[: len(real)], codes[len(real) :]), len(levels))
    if column.kind == "code_set":  # a set enters pairs as its size
        numbers = (set_sizes(real, column), set_sizes(other, column))
    else:
        numbers = (numeric_values(real, column), numeric_values(other, column))
    known = numbers[0][~np.isnan(numbers[0])]
    edges = np.histogram_bin_edges(known if len(known) else np.zeros(1), _BINS)
    return _Encoded((_cut(numbers[0], edges), _cut(numbers[1], edges)), _BINS + 1, numbers)


def _correlations(columns: list[np.ndarray]) -> np.ndarray:
    """Pearson correlation of each pair over the rows that have both; 0 where undefined."""
    values = np.stack(columns, axis=1)
    known = ~np.isnan(values)
    centre = np.nansum(values, axis=0) / np.maximum(known.sum(axis=0), 1)
    values = np.where(known, values - centre, 0.0)
    values /= np.sqrt((values**2).mean(axis=0)) + 1e-300
    known = known.astype(float)
    counts = np.maximum(known.T @ known, 1)
    mean = values.T @ known / counts  # [i, j]: mean of i over the rows where j is known too
    variance = np.maximum((values**2).T @ known / counts - mean**2, 0)
    product = values.T @ values / counts - mean * mean.T
    scale = np.sqrt(variance * variance.T)
    return np.where(scale > 1e-9, np.clip(product / np.maximum(scale, 1e-9), -1, 1), 0.0)


def shape_scores(real: pd.DataFrame, other: pd.DataFrame, schema: Schema) -> dict[str, dict]:
    """{"metric", "score"} of each column: sdmetrics KSComplement, TVComplement, or codes_score."""
    result = {}
    for column in schema.features:
        a, b = real[column.name], other[column.name]
        if column.is_numeric:
            score = ks_score(numeric_values(a, column), numeric_values(b, column))
            result[column.name] = {"metric": "ks", "score": score}
        elif column.is_categorical:
            encoded = _encode(a, b, column)
            score = tvd_score(*encoded.codes, encoded.levels)
            result[column.name] = {"metric": "tvd", "score": score}
        else:
            result[column.name] = {"metric": "codes", "score": codes_score(a, b, column)}
    return result


def contingency_score(
    first: Sequence[np.ndarray], first_levels: int, second: Sequence[np.ndarray], second_levels: int
) -> float:
    """1 - total variation distance of two tables' joint distributions of two coded columns.

    first, second: the column's codes in 0..levels-1 in either table.
    """
    levels = first_levels * second_levels
    joint = [
        a.astype(np.int64) * second_levels + b.astype(np.int64)
        for a, b in zip(first, second, strict=True)
    ]
    if levels > 4 * sum(map(len, joint)):  # few of the cells are occupied: number those only
        cells, index = np.unique(np.concatenate(joint), return_inverse=True)
        joint, levels = [index[: len(joint[0])], index[len(joint[0]) :]], len(cells)
    return tvd_score(joint[0], joint[1], levels)


def trend_scores(real: pd.DataFrame, other: pd.DataFrame, schema: Schema) -> np.ndarray:
    """Symmetric [columns, columns] with 1 on the diagonal: sdmetrics' Column Pair Trends.

    Two numbers: 1 - |difference of Pearson correlations| / 2 (an undefined one counts as 0).
    Else 1 - total variation distance of the contingency tables, numbers cut in 10 equal-width
    bins. Unlike sdmetrics, both tables are cut by the bins of `real` (it fits bins to each
    table, so one missing extreme shifts them all), and missing is a level.
    """
    encoded = [_encode(real[c.name], other[c.name], c) for c in schema.features]
    scores = np.eye(len(encoded))
    numbers = {i: c.numbers for i, c in enumerate(encoded) if c.numbers is not None}
    numeric = list(numbers)
    if numeric:
        correlations = [_correlations([pair[t] for pair in numbers.values()]) for t in (0, 1)]
        scores[np.ix_(numeric, numeric)] = 1 - np.abs(correlations[0] - correlations[1]) / 2
    np.fill_diagonal(scores, 1.0)
    for i, first in enumerate(encoded):
        for j, second in enumerate(encoded[:i]):
            if first.numbers is None or second.numbers is None:
                scores[i, j] = scores[j, i] = contingency_score(
                    first.codes, first.levels, second.codes, second.levels
                )
    return scores


def _headline(shape: dict[str, dict], trend: np.ndarray) -> dict:
    shape_rate = 100 * float(np.mean([column["score"] for column in shape.values()]))
    if len(trend) < 2:
        return {"rate": shape_rate, "shape": shape_rate, "trend": {"skipped": "one column only"}}
    trend_rate = 100 * float(trend[np.triu_indices(len(trend), 1)].mean())
    return {"rate": (shape_rate + trend_rate) / 2, "shape": shape_rate, "trend": trend_rate}


def evaluate_fidelity(
    train: pd.DataFrame, test: pd.DataFrame, synthetic: pd.DataFrame, schema: Schema
) -> dict:
    """Scores of synthetic against train, and of test against train as the floor of chance.

    rate is the mean of shape and trend in percent. The floor is what real rows of the same
    population reach at the size of the test part; a smaller test part lowers it.
    """
    for where, df in (("train", train), ("test", test), ("synthetic", synthetic)):
        check_table(df, schema, f"{where} table")
    shape, shape_floor = (shape_scores(train, df, schema) for df in (synthetic, test))
    trend, trend_floor = (trend_scores(train, df, schema) for df in (synthetic, test))
    columns = {
        name: {**column, "floor": shape_floor[name]["score"]} for name, column in shape.items()
    }
    pairs = {"columns": list(shape), "score": trend.tolist(), "floor": trend_floor.tolist()}
    floor = _headline(shape_floor, trend_floor)
    return {**_headline(shape, trend), "floor": floor, "columns": columns, "pairs": pairs}
