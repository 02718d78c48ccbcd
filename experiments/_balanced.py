"""Synthetic tables in which the levels of one column have chosen shares."""

import numpy as np
import pandas as pd

from synthdiff._validate import input_error
from synthdiff.data.balance import match_levels, parse_balance, plan_levels
from synthdiff.data.categories import CategoryCoder
from synthdiff.data.conform import coerce
from synthdiff.data.dtypes import to_dtype
from synthdiff.data.schema import Column
from synthdiff.synthesizer import Synthesizer


def find_shares(model: Synthesizer, balance: str, train_rows: int) -> tuple[Column, dict]:
    """The column to balance and the share of each level; by default the same for each.

    By default, levels with fewer training rows than min_patients are left out.
    """
    name, wanted = parse_balance(balance)
    column = model.codec.schema[name]
    coder = next((coder for coder in model.codec.coders if coder.name == name), None)
    if not isinstance(coder, CategoryCoder):
        raise input_error(f"--balance={balance}", f"{name!r} has no levels", "name a category")
    if wanted is not None:
        return column, match_levels(wanted, column, coder.levels)
    enough = np.array(coder.shares) * train_rows >= model.config.min_patients - 0.5
    levels = [level for level, kept in zip(coder.levels, enough, strict=True) if kept]
    return column, dict.fromkeys(levels, 1 / len(levels))


def plan_balanced(
    model: Synthesizer, balance: str, num_rows: int, train_rows: int, seed: int
) -> pd.DataFrame:
    """The balanced column of the whole table, from which the rest is drawn."""
    column, shares = find_shares(model, balance, train_rows)
    levels = plan_levels(shares, num_rows, np.random.default_rng([seed, 3]))
    values, _ = coerce(pd.Series(levels, dtype=object), column)
    return pd.DataFrame({column.name: to_dtype(values, column)})


def draw_balanced(
    model: Synthesizer, balance: str, num_rows: int, train_rows: int, seed: int
) -> pd.DataFrame:
    """A synthetic table with exact shares of one column's levels, the rest drawn given it."""
    return model.impute(plan_balanced(model, balance, num_rows, train_rows, seed), seed=seed)
