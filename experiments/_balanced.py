"""Synthetic tables in which the levels of a column have chosen shares."""

import numpy as np
import pandas as pd

from synthdiff._validate import input_error
from synthdiff.data.balance import match_levels, parse_balance, plan_independent, plan_levels
from synthdiff.data.categories import CategoryCoder
from synthdiff.data.conform import coerce
from synthdiff.data.dtypes import to_dtype
from synthdiff.data.schema import Column
from synthdiff.synthesizer import Synthesizer


def find_coder(model: Synthesizer, name: str, balance: str) -> CategoryCoder:
    """The coder of a column that has levels; of a record, where rows are visits."""
    model.codec.schema[name]  # or refused by name
    coder = next((coder for coder in model.codec.coders if coder.name == name), None)
    if not isinstance(coder, CategoryCoder):
        raise input_error(f"--balance={balance}", f"{name!r} has no levels", "name a category")
    return coder


def find_shares(model: Synthesizer, balance: str, train_rows: int) -> tuple[Column, dict]:
    """The column to balance and the share of each level; by default the same for each.

    By default, levels with fewer training rows than min_patients are left out.
    """
    name, _, wanted = parse_balance(balance)
    coder, column = find_coder(model, name, balance), model.codec.schema[name]
    if wanted is not None:
        return column, match_levels(wanted, column, coder.levels)
    enough = np.array(coder.shares) * train_rows >= model.config.min_patients - 0.5
    levels = [level for level, kept in zip(coder.levels, enough, strict=True) if kept]
    return column, dict.fromkeys(levels, 1 / len(levels))


def plan_balanced(
    model: Synthesizer, balance: str, num_rows: int, train_rows: int, seed: int
) -> pd.DataFrame:
    """The balanced columns of the whole table, from which the rest is drawn; rows are records.

    A second column has the shares of the training rows within each level of the first.
    """
    rng = np.random.default_rng([seed, 3])
    column, shares = find_shares(model, balance, train_rows)
    planned = {column.name: plan_levels(shares, num_rows, rng)}
    if second := parse_balance(balance)[1]:
        coder = find_coder(model, second, balance)
        learnt = np.array(coder.shares) / sum(coder.shares)
        fair = dict(zip(coder.levels, learnt, strict=True))
        planned[second] = plan_independent(planned[column.name], fair, rng)
    return pd.DataFrame({k: _to_column(v, model.codec.schema[k]) for k, v in planned.items()})


def _to_column(levels: list, column: Column) -> pd.Series:
    return to_dtype(coerce(pd.Series(levels, dtype=object), column)[0], column)


def draw_balanced(
    model: Synthesizer, balance: str, num_rows: int, train_rows: int, seed: int
) -> pd.DataFrame:
    """A synthetic table with exact shares of a column's levels, the rest drawn given them."""
    return model.impute(plan_balanced(model, balance, num_rows, train_rows, seed), seed=seed)
