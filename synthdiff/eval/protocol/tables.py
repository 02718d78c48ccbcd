"""Tables in the form that the protocol reads: float64 numbers and string categories."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from synthdiff._validate import input_error
from synthdiff.data.schema import Schema
from synthdiff.eval.features import category_keys, check_table, numeric_values

MISSING = "nan"


@dataclass(frozen=True)
class Roles:
    """Names of the numeric and the categorical columns; the target is one of either."""

    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    target: str | None = None

    @classmethod
    def from_schema(cls, schema: Schema) -> Roles:
        """Raises InputError on a code set: the protocol knows numbers and categories only."""
        for column in schema.features:
            if column.kind == "code_set":
                where, problem = (
                    f"column {column.name!r}",
                    "a code set has no place in the protocol",
                )
                raise input_error(where, problem, "turn it into one 0/1 column per code")
        return cls(
            tuple(column.name for column in schema.features if column.is_numeric),
            tuple(column.name for column in schema.features if column.is_categorical),
            schema.target,
        )

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.numeric, *self.categorical)

    @property
    def is_regression(self) -> bool:
        return self.target in self.numeric

    @property
    def inputs(self) -> Roles:
        """The roles without the target."""
        numeric, categorical = (
            tuple(name for name in names if name != self.target)
            for names in (self.numeric, self.categorical)
        )
        return Roles(numeric, categorical)


def prepare(df: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """The modelled columns: numbers as float64 (NaN is missing), categories as strings.

    A missing category is the level "nan", and 1, 1.0 and True are one level, as after a trip
    through a text file. The entity column is left out.
    """
    check_table(df, schema, "table")
    columns = {}
    for column in schema.features:
        series = df[column.name]
        if column.is_numeric:
            columns[column.name] = numeric_values(series, column)
        else:
            keys = category_keys(series)
            columns[column.name] = np.where(pd.isna(keys), MISSING, keys).astype(object)
    return pd.DataFrame({name: pd.Series(v, dtype=v.dtype) for name, v in columns.items()})


def joint_codes(tables: list[pd.DataFrame], name: str) -> tuple[list[np.ndarray], int]:
    """Level numbers of a category in each table, in sorted order of the union, and their count."""
    both = np.concatenate([table[name].to_numpy(object) for table in tables])
    codes, levels = pd.factorize(both, sort=True)
    ends = np.cumsum([len(table) for table in tables])[:-1]
    return np.split(codes, ends), len(levels)


def cut_to_equal(
    first: pd.DataFrame, second: pd.DataFrame, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draws rows of the longer table without replacement, so that both are equally long."""
    rng = np.random.default_rng(seed)
    size = min(len(first), len(second))
    cut = [
        table
        if len(table) == size
        else table.iloc[rng.choice(len(table), size, replace=False)].reset_index(drop=True)
        for table in (first, second)
    ]
    return cut[0], cut[1]
