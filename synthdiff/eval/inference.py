"""Attribute inference (WP29): does the synthetic table give away a column of a known record?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from synthdiff.data.schema import Column, Schema
from synthdiff.eval.features import Featurizer, category_keys, numeric_values
from synthdiff.eval.neighbours import nearest

TOLERANCE = 0.05


def secret_values(df: pd.DataFrame, column: Column) -> np.ndarray:
    """The column as floats (NaN missing) or as strings (None missing). [n]"""
    read = numeric_values if column.is_numeric else lambda series, _: category_keys(series)
    return read(df[column.name], column)


def is_right(guesses: np.ndarray, secrets: np.ndarray, scale: float | None) -> np.ndarray:
    """Whether each guess counts as the secret. bool, broadcast of both

    Categories must be equal. Numbers may differ by 5% of |secret|, or of `scale` (the column's
    standard deviation) where that is more, so that a secret of 0 can be hit at all. The error
    is relative to the secret and never to the guess: a negative guess is not right by its sign.
    A missing guess is wrong.
    """
    if scale is None:
        return np.asarray(guesses == secrets, bool) & ~pd.isna(guesses)
    with np.errstate(invalid="ignore"):
        return np.abs(guesses - secrets) <= TOLERANCE * np.maximum(np.abs(secrets), scale)


def guess_secret(
    targets: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    column: Column,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The attack on one column, given all others: the value of the nearest synthetic row.

    Returns, for the targets whose secret is not missing: their row numbers, whether the guess is
    right, and the chance that a value drawn from the synthetic column is (the baseline, exact).
    Equally near rows are taken in random order.
    """
    secrets = secret_values(targets, column)
    known = np.flatnonzero(~pd.isna(secrets))
    synthetic = synthetic.iloc[rng.permutation(len(synthetic))]
    values = secret_values(synthetic, column)
    scale = None
    if column.is_numeric:
        spread = np.nanstd(values) if np.isfinite(values).any() else 0.0
        scale = float(spread)
    encode = Featurizer.fit(synthetic, schema, exclude=(column.name,)).transform
    ids = nearest(encode(targets.iloc[known]), encode(synthetic), 1)[1][:, 0]
    right = is_right(values[ids], secrets[known], scale)
    return known, right, _chance_right(values, secrets[known], scale)


def _chance_right(values: np.ndarray, secrets: np.ndarray, scale: float | None) -> np.ndarray:
    """Share of `values` that would count as each secret. float64 [n]"""
    levels, index = np.unique(secrets, return_inverse=True)
    shares = [np.mean(is_right(values, level, scale)) for level in levels]
    return np.array(shares, dtype=float)[index]
