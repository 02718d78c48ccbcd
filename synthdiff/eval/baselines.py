"""Cheap generators that every result should be read against.

Each is `fn(train, schema, num_rows, rng) -> DataFrame` with the schema's modelled columns, in the
dtypes of `train`; the entity column, where there is one, is left out. None of them is private:
`bootstrap` copies people, and `smote` walks between two of them.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

import numpy as np
import pandas as pd

from synthdiff._validate import InputError, input_error
from synthdiff.data.schema import Column, Schema
from synthdiff.eval.features import Featurizer, check_table
from synthdiff.eval.neighbours import nearest

_NEIGHBOURS = 5
Baseline = Callable[[pd.DataFrame, Schema, int, np.random.Generator], pd.DataFrame]


def _features(train: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    check_table(train, schema, "training table")
    names = [column.name for column in schema.features]
    return train[names].reset_index(drop=True)


def independent_marginals(
    train: pd.DataFrame, schema: Schema, num_rows: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Draws each column from its own training cells, with replacement: no dependence at all."""
    table = _features(train, schema)
    return table.apply(
        lambda column: column.iloc[rng.integers(len(table), size=num_rows)].reset_index(drop=True)
    )


def shuffle_columns(
    train: pd.DataFrame, schema: Schema, num_rows: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Permutes each column by itself: the exact marginals of train and no dependence.

    Where num_rows is not a multiple of the rows of train, the rest is a random part of a column.
    """
    table = _features(train, schema)
    rounds = -(-num_rows // len(table))

    def permute(column: pd.Series) -> pd.Series:
        rows = np.concatenate([rng.permutation(len(table)) for _ in range(rounds)])[:num_rows]
        return column.iloc[rng.permutation(rows)].reset_index(drop=True)

    return table.apply(permute)


def bootstrap(
    train: pd.DataFrame, schema: Schema, num_rows: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Copies random training rows, with replacement: all of the quality and none of the privacy."""
    table = _features(train, schema)
    return table.iloc[rng.integers(len(table), size=num_rows)].reset_index(drop=True)


def smote(
    train: pd.DataFrame, schema: Schema, num_rows: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Walks a random share of the way from a random row to one of its 5 nearest neighbours.

    After SMOTE (Chawla et al., 2002) for mixed types, over all columns, with the neighbours of
    `Featurizer`'s distance. Numbers are interpolated (whole ones rounded); a category is the
    neighbour's with the probability of that share, and so is a cell if either number is missing.
    """
    table = _features(train, schema)
    if len(table) < 2:
        raise input_error("training table", "SMOTE needs a neighbour", "give 2 rows or more")
    features = Featurizer.fit(table, schema).transform(table)
    first = rng.integers(len(table), size=num_rows)
    near = nearest(features[first], features, min(_NEIGHBOURS + 1, len(table)))[1]
    itself = near == first[:, None]
    # Its own row leaves the list, or the farthest one does where copies crowd it out.
    itself[~itself.any(axis=1), -1] = True
    near = near[~itself].reshape(num_rows, -1)
    second = near[np.arange(num_rows), rng.integers(near.shape[1], size=num_rows)]
    share = rng.random(num_rows)
    swap = rng.random((num_rows, len(schema.features))) < share[:, None]
    columns = {}
    for column, chosen in zip(schema.features, swap.T, strict=True):
        series = table[column.name]
        if column.is_numeric:
            columns[column.name] = _interpolate(series, first, second, share, chosen, column)
        else:
            columns[column.name] = series.iloc[np.where(chosen, second, first)].array
    return pd.DataFrame(columns)


def _interpolate(
    series: pd.Series,
    first: np.ndarray,
    second: np.ndarray,
    share: np.ndarray,
    chosen: np.ndarray,
    column: Column,
) -> pd.Series:
    """a + share (b - a) in the dtype of `series`; one of the two cells where either is missing."""
    start, end = (series.iloc[rows].reset_index(drop=True) for rows in (first, second))
    walk = end - start
    if column.kind == "integer":
        between = start + (walk * share).round().astype(walk.dtype)
    else:
        between = start + walk * share
    known = start.notna() & end.notna()
    return between.where(known, start.where(~chosen, end)).astype(series.dtype)


BASELINES: MappingProxyType[str, Baseline] = MappingProxyType(
    {
        "independent_marginals": independent_marginals,
        "shuffled": shuffle_columns,
        "bootstrap": bootstrap,
        "smote": smote,
    }
)


def fit_ctgan(train: pd.DataFrame, schema: Schema, seed: int, epochs: int = 300) -> Callable:
    """Trains CTGAN (Xu et al., NeurIPS 2019) with its own package; returns `sample(num_rows)`.

    Not reimplemented here. The package holds pandas below 3 in its metadata, so it is in no extra
    of ours: `pip install torch` and `pip install --no-deps ctgan rdt Faker`.
    """
    try:
        from ctgan import CTGAN
    except ImportError as error:
        fix = "pip install torch, then pip install --no-deps ctgan rdt Faker"
        raise input_error("ctgan", "is not installed", fix) from error
    table = _features(train, schema)
    discrete = [column.name for column in schema.features if not column.is_numeric]
    if table.drop(columns=discrete).isna().any(axis=None):
        raise InputError("ctgan: takes no missing numbers. Fix: fill or drop them.")
    model = CTGAN(epochs=epochs)
    model.set_random_state(seed)
    model.fit(table.astype(dict.fromkeys(discrete, object)), discrete)
    return model.sample
