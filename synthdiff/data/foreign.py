"""A table of any other generator: what must change before it can be judged, and what to doubt."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from synthdiff._validate import input_error
from synthdiff.data.conform import blank_to_missing, check_header, parse_numbers, plain
from synthdiff.data.dtypes import fresh_ids
from synthdiff.data.schema import Column, Schema
from synthdiff.data.table import as_text

_SHOWN = 5  # levels that a warning names


def adapt(df: pd.DataFrame, schema: Schema) -> tuple[pd.DataFrame, list[str]]:
    """The table with ids where it has none and whole numbers where there must be, and what changed.

    Many generators leave the id column out, and write 79.5 in a column of whole numbers. Without
    ids each row counts as a patient. The input is not changed.

    Raises:
      InputError: the rows are visits and nobody says whose; column names that no table may have.
    """
    check_header(df)
    df, notes = df.copy(deep=False), []
    for name in filter(None, (schema.entity, schema.group)):
        if name in df.columns and not blank_to_missing(df[name]).isna().all():
            continue
        if schema.order or schema.group:
            problem = "names nobody, so whose visits the rows are cannot be told"
            raise input_error(f"column {name!r}", problem, "write the generator's own ids into it")
        df[name] = fresh_ids(len(df), schema[name]).set_axis(df.index)
        notes.append(f"column {name!r} names nobody: each row counts as a patient of its own")
    for column in schema.columns:
        if column.kind == "integer" and column.name in df.columns:
            numbers = parse_numbers(blank_to_missing(df[column.name]))
            floats = numbers.to_numpy(np.float64, na_value=np.nan)
            broken = np.isfinite(floats) & (floats != np.rint(floats))
            if broken.any():
                rounded = pd.Series(np.rint(floats), df.index)
                df[column.name] = df[column.name].astype(object).mask(broken, rounded)
                count = f"{int(broken.sum())} of {len(df)} values"
                notes.append(f"column {column.name!r}: {count} were not whole and were rounded")
    return df, notes


def find_unknown(df: pd.DataFrame, known: pd.DataFrame, schema: Schema) -> Iterator[str]:
    """In words, levels and codes of a conformed table that another one and the schema lack."""
    for column in schema.features:
        if column.is_numeric:
            continue
        listed = {str(plain(value)) for value in column.categories}
        levels = _levels(df[column.name], column) - _levels(known[column.name], column) - listed
        if levels:
            names = ", ".join(map(repr, sorted(levels)[:_SHOWN]))
            more = ", ..." if len(levels) > _SHOWN else ""
            what = f"{len(levels)} level{'s' * (len(levels) > 1)}"
            yield f"column {column.name!r}: {what} that training rows never have: {names}{more}"


def _levels(values: pd.Series, column: Column) -> set[str]:
    text = as_text(values.drop_duplicates().dropna())
    if column.kind == "code_set":
        text = text.str.split(column.delimiter).explode()
    return set(text) - {""}
