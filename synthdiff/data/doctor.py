"""Examines a table against its schema before any training, and says how to mend it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandas.api import types

from synthdiff._validate import InputError
from synthdiff.data.conform import (
    Problem,
    blank_to_missing,
    check_header,
    coerce,
    is_text,
    parse_numbers,
    plain,
)
from synthdiff.data.dtypes import count_days
from synthdiff.data.schema import ID_KINDS, Column, Schema
from synthdiff.data.table import as_text, find_formulas

# Below MIN_RECORDS nothing can be learned; below FEW_RECORDS no privacy audit has any power.
MIN_RECORDS = 20
FEW_RECORDS = 200
RARE_CLASS = 20
MAX_EXACT = 2**53  # from here on float64 skips whole numbers
# Share of distinct values, one row per patient, from which a column looks like an identifier;
# a measured whole number may well reach 0.9.
ID_SHARE = {"categorical": 0.9, "integer": 0.99}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong ("error") or doubtful ("warning"); column None is the whole table."""

    level: str
    column: str | None
    code: str
    message: str
    fix: str

    def __str__(self) -> str:
        where = "table" if self.column is None else f"column {self.column!r}"
        return f"{self.level.upper()} {where}: {self.message}. Fix: {self.fix}. [{self.code}]"


def examine(df: pd.DataFrame, schema: Schema) -> list[Finding]:
    """Everything doubtful about the table, errors first.

    Works on a table as read or as conformed; `conform` succeeds on a table without errors.
    """
    try:
        check_header(df)
    except InputError as error:
        return [Finding("error", None, "header", str(error), "give columns distinct text names")]
    if df.empty:
        message = f"is empty, shape {df.shape}"
        return [Finding("error", None, "empty_table", message, "give at least one row and column")]
    findings = []
    for name in schema.names:
        if name not in df.columns:
            message, fix = "is in the schema, not in the table", "add it, or edit the schema"
            findings.append(Finding("error", name, "absent_column", message, fix))
    for name in pd.Index(schema.names)[find_formulas(pd.Series(schema.names))]:
        message, fix = "its name begins as a spreadsheet formula", "rename it"
        findings.append(Finding("warning", name, "formula", message, fix))
    for name in df.columns:
        if name not in schema.names:
            message, fix = (
                "is not in the schema and is left out",
                "add it to the schema, or drop it",
            )
            findings.append(Finding("warning", name, "extra_column", message, fix))
    findings += _check_size(df, schema)
    clean: dict[str, pd.Series] = {}
    for column in schema.columns:
        if column.name in df.columns:
            clean[column.name], problems = coerce(df[column.name], column)
            findings += _check_cells(df[column.name], clean[column.name], column, problems)
    table = pd.DataFrame(clean)
    findings += _check_identifiers(table, schema)
    findings += _check_target(table, schema)
    findings += _check_duplicates(table, schema)
    return sorted(findings, key=lambda finding: finding.level != "error")


def require_healthy(df: pd.DataFrame, schema: Schema) -> list[Finding]:
    """Returns the warnings; raises one InputError that lists every error if there is any."""
    findings = examine(df, schema)
    errors = [finding for finding in findings if finding.level == "error"]
    if errors:
        count = f"{len(errors)} error{'s' * (len(errors) > 1)}"
        raise InputError(f"The table has {count}:\n{format_findings(errors)}")
    return findings


def format_findings(findings: Sequence[Finding]) -> str:
    """One line per finding, for a terminal."""
    return "\n".join(str(finding) for finding in findings) or "No findings."


def _check_size(df: pd.DataFrame, schema: Schema) -> Iterator[Finding]:
    unit, count = "rows", len(df)
    if schema.entity in df.columns:
        ids = blank_to_missing(df[schema.entity])
        unit, count = f"patients in column {schema.entity!r}", as_text(ids).nunique()
        if ids.isna().any():
            row = df.index[ids.isna()][0]
            message = f"id missing at row {row} ({int(ids.isna().sum())} in all)"
            yield Finding(
                "error", schema.entity, "missing_entity", message, "drop or fill those rows"
            )
    if count < MIN_RECORDS:
        message = f"has only {count} {unit}; at least {MIN_RECORDS} are needed"
        yield Finding("error", None, "too_few", message, "give more data")
    elif count < FEW_RECORDS:
        message = f"has only {count} {unit}; a privacy audit needs {FEW_RECORDS} or more"
        yield Finding("warning", None, "too_few", message, "give more data")


def _check_cells(
    raw: pd.Series, clean: pd.Series, column: Column, problems: Sequence[Problem]
) -> Iterator[Finding]:
    problems = [*problems, *_outside_schema(clean, column)]
    for problem in problems:
        yield Finding("error", raw.name, problem.code, problem.describe(raw), problem.fix)
    if column.kind in ID_KINDS:
        return
    distinct = clean.dropna().unique()
    if len(distinct) == 0 and not problems:
        message = f"all {len(raw)} cells are missing"
        yield Finding("error", raw.name, "all_missing", message, "drop the column")
    if len(distinct) == 1:
        message = f"value {plain(distinct[0])!r} in every cell that is not missing"
        yield Finding("warning", raw.name, "constant", message, "drop it, it tells nothing")
    if column.is_categorical and not column.categories and is_text(clean):
        yield from _check_placeholders(clean)
    if column.kind == "integer" and not problems:
        large = clean[np.abs(clean.to_numpy(np.float64, na_value=np.nan)) >= MAX_EXACT]
        if len(large):
            message = f"value {plain(large.iloc[0])} at row {large.index[0]} is beyond 2**53"
            fix = "such numbers come back rounded: if it is an id or a code, make it text"
            yield Finding("warning", raw.name, "huge_integer", message, fix)
    if is_text(clean) and (formulas := find_formulas(clean)).any():
        message = f"value {clean[formulas].iloc[0]!r} begins as a spreadsheet formula"
        fix = "reword it: the scan of a release refuses tables that hold it"
        yield Finding("warning", raw.name, "formula", message, fix)


def _outside_schema(clean: pd.Series, column: Column) -> Iterator[Problem]:
    """Values outside the declared vocabulary or bounds; raw cells of the same rows are shown."""
    known = clean.notna().to_numpy()
    if column.categories and column.kind == "code_set":
        vocabulary = {str(code) for code in column.categories}
        unseen = [
            isinstance(cell, str)
            and not set(filter(None, cell.split(column.delimiter))) <= vocabulary
            for cell in clean
        ]
        if any(unseen):
            what = f"has a code that is not among the schema's {len(vocabulary)} codes"
            fix = "correct the code, or add it to the schema's categories"
            yield Problem("unseen_category", np.array(unseen), what, fix)
    elif column.categories and column.is_categorical:
        unseen = known & ~clean.isin(list(column.categories)).to_numpy()
        if unseen.any():
            what = f"is not among the schema's categories {_shorten(column.categories)}"
            fix = "correct the value, or add it to the schema's categories"
            yield Problem("unseen_category", unseen, what, fix)
    if column.is_numeric:
        numbers = clean
        if column.kind == "datetime":
            numbers = count_days(clean)
        numbers = numbers.to_numpy(np.float64, na_value=np.nan)
        low = -np.inf if column.lower is None else column.lower
        high = np.inf if column.upper is None else column.upper
        outside = known & ((numbers < low) | (numbers > high))
        if outside.any():
            unit = " (days since 1970-01-01)" if column.kind == "datetime" else ""
            what = f"is outside the schema's bounds [{low:g}, {high:g}]{unit}"
            fix = "correct the value, or widen lower and upper in the schema"
            yield Problem("out_of_bounds", outside, what, fix)


def _shorten(values: Sequence) -> str:
    return ", ".join(map(repr, values[:8])) + (", ..." if len(values) > 8 else "")


def _check_placeholders(clean: pd.Series) -> Iterator[Finding]:
    """A few words among numbers ("?", "unknown") turn a numeric column into text."""
    levels = pd.Series(clean.dropna().unique())
    words = levels[parse_numbers(levels).isna().to_numpy()]
    if 1 <= len(words) <= 3 and len(levels) - len(words) >= 10:
        message = f"value {words.iloc[0]!r} among {len(levels) - len(words)} distinct numbers"
        fix = "make it a number, or add it to the cells that read_table takes as missing"
        yield Finding("warning", clean.name, "mixed_type", message, fix)
    elif (words == "?").any():
        message = f"value '?' in {int((clean == '?').sum())} cells looks like missing"
        fix = "add it to the cells that read_table takes as missing"
        yield Finding("warning", clean.name, "placeholder", message, fix)


def _check_identifiers(table: pd.DataFrame, schema: Schema) -> Iterator[Finding]:
    """Columns that name the patient: nearly all distinct when each patient gives one row."""
    if schema.entity in table.columns:
        table = table.drop_duplicates(schema.entity)
    for column in schema.features:
        if column.name not in table.columns or column.kind not in ID_SHARE:
            continue
        known = table[column.name].dropna()
        if len(known) < MIN_RECORDS or known.nunique() < ID_SHARE[column.kind] * len(known):
            continue
        level = "error" if column.kind == "categorical" else "warning"
        message = f"{known.nunique()} distinct values in {len(known)} records look like an id"
        fix = "drop it, or make it the entity if it names the patient"
        yield Finding(level, column.name, "id_like", message, fix)


def _check_target(table: pd.DataFrame, schema: Schema) -> Iterator[Finding]:
    if schema.target not in table.columns or not schema[schema.target].is_categorical:
        return
    counts = table[schema.target].value_counts()
    if len(counts) == 1:
        message = f"target has the single class {plain(counts.index[0])!r}"
        yield Finding("error", schema.target, "single_class", message, "choose another target")
    for label, count in counts[counts < RARE_CLASS].head(3).items() if len(counts) > 1 else ():
        message = f"target class {plain(label)!r} has only {count} rows"
        fix = "merge it with another class, or expect wide intervals in utility tests"
        yield Finding("warning", schema.target, "rare_class", message, fix)


def _check_duplicates(table: pd.DataFrame, schema: Schema) -> Iterator[Finding]:
    repeated = table.duplicated()
    if repeated.any():
        message = (
            f"{int(repeated.sum())} of {len(table)} rows repeat an earlier row, "
            f"the first at row {table.index[repeated][0]}"
        )
        fix = "drop them if a join or an export made them; else ignore this"
        yield Finding("warning", None, "duplicate_rows", message, fix)
    first: dict[bytes, str] = {}
    for name in (column.name for column in schema.features if column.name in table.columns):
        content = table[name]
        if content.nunique() < 2:
            continue
        if types.is_numeric_dtype(content.dtype):
            content = pd.Series(content.to_numpy(np.float64, na_value=np.nan))
        key = pd.util.hash_pandas_object(content, index=False).to_numpy().tobytes()
        if key in first:
            message = (
                f"value {plain(content.dropna().iloc[0])!r} and all others equal {first[key]!r}"
            )
            yield Finding("warning", name, "duplicate_column", message, "drop one of the two")
        first.setdefault(key, name)
