"""A first guess at a table's schema, to be read and edited by a person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from pandas.api import types

from synthdiff._validate import input_error
from synthdiff.data.conform import (
    blank_to_missing,
    check_header,
    find_collections,
    is_text,
    parse_datetimes,
)
from synthdiff.data.schema import Column, Schema

# A whole-number target with at most this many values is a class label, not a quantity.
MAX_TARGET_CLASSES = 10
CODE_DELIMITER = ";"


def infer_schema(
    df: pd.DataFrame,
    *,
    entity: str | None = None,
    target: str | None = None,
    sensitive: Iterable[str] = (),
    code_sets: Mapping[str, str] | None = None,
) -> Schema:
    """Guesses the kind of every column; the first rule that fits decides.

    1. `entity` -> entity; a key of `code_sets` -> code_set.
    2. pandas Categorical: ordered -> ordinal with its categories, else categorical.
    3. bool values -> boolean.
    4. numbers, all missing or exactly 0 and 1 present -> boolean.
    5. whole numbers (also stored as float, as missing cells force) -> integer, however few
       values; but the target is categorical if it has at most 10 of them.
    6. other numbers -> continuous.
    7. dates, or text that is an ISO date in every cell -> datetime (a text dtype is kept).
    8. other text -> code_set where most cells hold ";" and codes recur across cells, else
       categorical, whatever its cardinality (`examine` reports columns that look like ids) and
       also if it spells numbers ("0389" is a code).

    Only an ordered Categorical's categories are copied: bounds, steps and vocabularies stay open,
    because the codec learns them from training rows alone and under its privacy threshold.

    Args:
      df: the table; see `read_table`.
      entity: column that says whose record a row is.
      target, sensitive: roles, see Schema.
      code_sets: delimiter by column name.

    Raises:
      InputError: no rows or columns, an unknown name, or a type that cannot be modelled.

    >>> df = pd.DataFrame({"id": [1, 1, 2], "age": [40, 41, 70], "icd": ["0389", "0389", "V10"]})
    >>> [(column.name, column.kind) for column in infer_schema(df, entity="id").columns]
    [('id', 'entity'), ('age', 'integer'), ('icd', 'categorical')]
    """
    code_sets = dict(code_sets or {})
    check_header(df)
    if df.empty:
        raise input_error("table", f"is empty, shape {df.shape}", "give at least one row")
    for name in (*code_sets, *((entity,) if entity is not None else ())):
        if name not in df.columns:
            fix = f"use one of {list(df.columns)}"
            raise input_error("table", f"no column named {name!r}", fix)
    columns = []
    for name in df.columns:
        if name == entity:
            column = Column(name, "entity", str(df[name].dtype))
        elif name in code_sets:
            dtype = str(df[name].dtype)
            column = Column(name, "code_set", dtype, delimiter=code_sets[name])
        else:
            column = _infer_column(df[name], is_target=name == target)
        columns.append(column)
    return Schema(tuple(columns), target, tuple(sensitive))


def _infer_column(values: pd.Series, is_target: bool) -> Column:
    name, dtype = values.name, str(values.dtype)
    if isinstance(values.dtype, pd.CategoricalDtype):
        if not values.cat.ordered:
            return Column(name, "categorical", dtype)
        levels = values.cat.categories.tolist()
        if not all(isinstance(level, str | int | float) for level in levels):
            problem = f"category {levels[0]!r} is neither text nor a number"
            raise input_error(f"column {name!r}", problem, "rename the categories to strings")
        return Column(name, "ordinal", dtype, tuple(levels))
    known = blank_to_missing(values).dropna().infer_objects()
    if types.is_object_dtype(known.dtype) and len(known):
        _refuse_lists(known)
    if types.is_bool_dtype(known.dtype):
        return Column(name, "boolean", dtype if types.is_bool_dtype(values.dtype) else "boolean")
    if types.is_numeric_dtype(known.dtype) and not types.is_complex_dtype(known.dtype):
        kind = _number_kind(known, is_target)
        # Numbers held as Python objects get a plain dtype.
        return Column(name, kind, dtype if dtype != "object" else str(known.dtype))
    if types.is_datetime64_any_dtype(known.dtype):
        return Column(name, "datetime", dtype)
    if is_text(known):
        # A few cells first: most text is not dates, and parsing is slow.
        few, all_cells = known.head(100), known
        if len(known) and all(parse_datetimes(part).notna().all() for part in (few, all_cells)):
            return Column(name, "datetime", dtype)
        kind = "code_set" if _looks_like_code_sets(known) else "categorical"
        return Column(name, kind, dtype)
    fix = "convert it to numbers (for example days or seconds), dates or text"
    raise input_error(f"column {name!r}", f"dtype {dtype} cannot be modelled", fix)


def _number_kind(known: pd.Series, is_target: bool) -> str:
    distinct = np.unique(known.to_numpy(np.float64))
    if np.array_equal(distinct, [0, 1]):
        return "boolean"
    if len(distinct) and np.array_equal(distinct, np.rint(distinct)):
        return "categorical" if is_target and len(distinct) <= MAX_TARGET_CLASSES else "integer"
    return "continuous"


def _looks_like_code_sets(known: pd.Series) -> bool:
    """Most cells hold the delimiter, and a code is met twice or more on average."""
    cells = known.astype(str)
    if cells.str.contains(CODE_DELIMITER, regex=False).mean() <= 0.5:
        return False
    codes = cells.str.split(CODE_DELIMITER).explode().str.strip()
    codes = codes[codes != ""]
    return len(codes) >= 2 * codes.nunique()


def _refuse_lists(known: pd.Series) -> None:
    nested = known[find_collections(known)]
    if nested.empty:
        return
    what, fix = "a collection", "name the column in code_sets, or join the codes with ';'"
    if isinstance(nested.iloc[0], bytes):
        what, fix = "bytes", "decode it to text, or drop it"
    problem = f"value {nested.iloc[0]!r} at row {nested.index[0]} is {what}"
    raise input_error(f"column {known.name!r}", problem, fix)
