"""Which level each row of a balanced table has: exact shares, in a random order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from synthdiff._validate import input_error, positive
from synthdiff.data.conform import coerce
from synthdiff.data.schema import Column


def plan_levels(shares: Mapping[object, float], num_rows: int, rng: np.random.Generator) -> list:
    """Draws the order of `num_rows` levels, of which each has its share to within one row.

    What is left after rounding down goes to the largest remainders, the first named on a tie.

    Raises:
      InputError: no row, a negative share, or shares that do not sum to 1.

    >>> sorted(plan_levels({"F": 0.5, "M": 0.5}, 5, np.random.default_rng(0)))
    ['F', 'F', 'F', 'M', 'M']
    """
    positive(num_rows=num_rows)
    values = np.array(list(shares.values()), float)
    for level, share in shares.items():
        if not share >= 0:
            raise input_error(f"share of {level!r}", f"{share!r} is negative", "use 0 or more")
    if abs(values.sum() - 1) > 1e-6:
        raise input_error("shares", f"they sum to {values.sum():g}", "make them sum to 1")
    exact = values * num_rows
    counts = np.floor(exact + 1e-9).astype(int)
    order = np.argsort(counts - exact, kind="stable")
    counts[order[: num_rows - counts.sum()]] += 1
    places = rng.permutation(np.repeat(np.arange(len(values)), counts))
    levels = list(shares)
    return [levels[place] for place in places]


def plan_independent(
    first: Sequence, shares: Mapping[object, float], rng: np.random.Generator
) -> list:
    """Levels of a second column for these of a first: the same shares within each level of it.

    >>> plan_independent(["F", "F", "M", "M"], {0: 1.0, 1: 0.0}, np.random.default_rng(0))
    [0, 0, 0, 0]
    """
    codes, levels = pd.factorize(np.array(first, dtype=object))
    planned = np.empty(len(codes), dtype=object)
    for code in range(len(levels)):
        rows = np.flatnonzero(codes == code)
        planned[rows] = plan_levels(shares, len(rows), rng)
    return planned.tolist()


def parse_balance(text: str) -> tuple[str, str | None, dict[str, float] | None]:
    """Column, second column after a star, and shares of the first after a colon, where given.

    >>> parse_balance("sex*died:F=0.7,M=0.3")
    ('sex', 'died', {'F': 0.7, 'M': 0.3})
    """
    names, colon, pairs = text.partition(":")
    name, star, second = names.partition("*")
    if (star and not second) or second == name:
        fix = "write for example sex*died: sex balanced, and died as frequent in each"
        raise input_error(f"--balance={text}", "no second column after the star", fix)
    if not colon:
        return name, second or None, None
    shares = {}
    for pair in pairs.split(","):
        level, equals, share = pair.rpartition("=")
        try:
            if not equals or level in shares:
                raise ValueError
            shares[level] = float(share)
        except ValueError as error:
            where, fix = f"--balance={text}", "write for example sex:F=0.5,M=0.5"
            raise input_error(where, f"{pair!r} is not one level=share", fix) from error
    return name, second or None, shares


def match_levels(
    shares: Mapping[str, float], column: Column, known: Sequence
) -> dict[object, float]:
    """The shares by levels of the column's own type; InputError on a level that is not `known`."""
    values, _ = coerce(pd.Series(list(shares), dtype=object), column)
    for text, value in zip(shares, values, strict=True):
        if value not in list(known):
            where = f"column {column.name!r}"
            raise input_error(where, f"no level {text!r}", f"use one of {list(known)}")
    return dict(zip(values, shares.values(), strict=True))
