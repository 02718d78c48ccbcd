"""Looks through a folder that is about to leave the house for real values and for code."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from synthdiff.data.conform import conform
from synthdiff.data.schema import Schema
from synthdiff.data.table import as_text, find_formulas, read_table
from synthdiff.eval.features import long_cells, numeric_values, patient_numbers
from synthdiff.eval.levels import MIN_PATIENTS
from synthdiff.eval.lone_rows import find_lone_rows

TABLES = (".csv", ".parquet")
TEXTS = (".json", ".md", ".html", ".txt")
_SHORTEST_ID = 5  # in running text; shorter ids would be found in every page number
_WORD = re.compile(r"[\w.@-]*\w")
_PICKLE = re.compile(rb"\x80[\x02-\x05]|\Ac[\w.]+\n[\w.]+\n|\A\(?[idl]?p?0?\n?c[\w.]+\n[\w.]+\n")
_ACTIVE = re.compile(
    rb"<script|javascript:|data:text/html|<(iframe|object|embed|base|form|link)\b|http-equiv"
    rb"|<[a-z][^<>]*[\s/\"']on\w+\s*=",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Finding:
    """Something that must not go out: in which file, of which sort, and what, without its value."""

    file: str
    kind: str
    what: str


@dataclass(frozen=True)
class Known:
    """What must not be found: real ids, rare extremes and levels by column, and real rows."""

    ids: set[str]
    extremes: dict[str, list[float]]
    levels: dict[str, set]
    real: Mapping[str, pd.DataFrame]


def scan_folder(
    folder: str | Path, real: Mapping[str, pd.DataFrame], schema: Schema
) -> list[Finding]:
    """Every finding in a folder. real: tables of disjoint patients; "train": those learnt from.

    Real rows: rows of a table that equal rows of one real patient alone, where chance does not
    explain them (`find_lone_rows`). Rare levels: what one real patient alone has in a column of
    levels or codes, unless it is public. Identifiers: ids of real
    patients, in tables and in running text. Extremes: a table reaches, or a text states, the
    largest or smallest value of a column, if fewer than 5 training patients hold it and it is not
    public. Code: any file that is not a plain table or text, and those that hold pickles, active
    HTML or cells that a spreadsheet runs. Each blocks a release.
    """
    everybody = pd.concat(real.values())
    known = Known(
        _real_ids(everybody, schema),
        _rare_extremes(real["train"], schema),
        _rare_levels(everybody, schema),
        real,
    )
    findings = []
    for path in sorted(Path(folder).rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_dir() and not path.is_symlink():
            continue
        found = list(_find_code(path))
        if not found and path.suffix in TABLES:
            found = list(_search_table(path, known, schema))
        elif not found:
            found = list(_search_text(path, known))
        findings += [Finding(name, kind, what) for kind, what in found]
    return findings


def _real_ids(real: pd.DataFrame, schema: Schema) -> set[str]:
    """Ids of patients, and of the groups of visits, in the real tables."""
    named = [name for name in (schema.entity, schema.group) if name]
    return {cell for name in named for cell in as_text(real[name]).dropna()}


def _rare_extremes(train: pd.DataFrame, schema: Schema) -> dict[str, list[float]]:
    """The extremes of numeric columns that fewer than 5 training patients hold."""
    patients = patient_numbers(train, schema)
    found: dict[str, list[float]] = {}
    for column in schema.features:
        if not column.is_numeric or column.public:
            continue
        values = numeric_values(train[column.name], column)
        for end in (np.nanmin, np.nanmax) if np.isfinite(values).any() else ():
            value = end(values)
            if len(np.unique(patients[values == value])) < MIN_PATIENTS:
                found.setdefault(column.name, []).append(float(value))
    return found


def _rare_levels(everybody: pd.DataFrame, schema: Schema) -> dict[str, set]:
    """The levels and codes of each column that one patient alone holds, and no codebook lists."""
    patients, found = patient_numbers(everybody, schema), {}
    for column in schema.features:
        if not column.is_numeric and not column.public:
            rows, values = long_cells(everybody[column.name], column)
            held = pd.DataFrame({"level": values, "whose": patients[rows]}).drop_duplicates()
            found[column.name] = set(held["level"].drop_duplicates(keep=False))
    return found


def _find_copies(table: pd.DataFrame, known: Known, schema: Schema) -> Iterator[tuple[str, str]]:
    """Rows and levels of one real patient alone."""
    lone = find_lone_rows(table, known.real, schema)
    if lone.copied:
        yield (
            "real row",
            f"{len(lone.rows)} rows, the first at {lone.rows[0]}, are each of one real patient "
            f"alone; {int(lone.rare.sum())} of them like no other row, of which fresh rows would "
            f"be {lone.expected:.1f}",
        )
    for name, levels in known.levels.items():
        values = long_cells(table[name], schema[name])[1]
        if count := len(levels.intersection(values)):
            yield "rare level", f"column {name!r} has {count} value(s) of one real patient alone"


def _find_code(path: Path) -> Iterator[tuple[str, str]]:
    """Why a file could do something when it is opened, or cannot be looked through."""
    if path.is_symlink():
        yield "code", "a link: what it points to is not part of the folder"
        return
    if path.suffix not in TABLES + TEXTS:
        yield "code", f"{path.suffix or 'no'} suffix: only plain tables and texts may go out"
        return
    if path.stat().st_mode & 0o111:
        yield "code", "may be executed"
    content = path.read_bytes()
    if path.suffix != ".parquet" and b"\0" in content:
        yield "code", "binary content under the name of a text"
    if path.suffix != ".parquet" and (_PICKLE.search(content) or content.startswith(b"PK")):
        yield "code", "a pickle or an archive under the name of a text"
    if content.startswith(b"#!"):
        yield "code", "a script"
    if path.suffix in (".html", ".md") and _ACTIVE.search(content):
        yield "code", "active content that a browser would run"


def _search_table(path: Path, known: Known, schema: Schema) -> Iterator[tuple[str, str]]:
    raw, named = read_table(path), (schema.entity, schema.group)
    if find_formulas(pd.Series(raw.columns)).any():
        yield "code", "a column name begins as a spreadsheet formula"
    for name in raw.columns:
        cells = as_text(raw[name])
        if schema.entity is None or name in named or not _is_number(raw[name]):
            count = int(cells.isin(known.ids).sum())
            if count:
                yield "identifier", f"{count} cells of column {name!r} are ids of real patients"
        if formulas := int(find_formulas(raw[name]).sum()):
            yield "code", f"{formulas} cells of column {name!r} begin as a spreadsheet formula"
    if any(column.name not in raw for column in schema.features):
        yield "unknown table", "its columns are not those of the schema, so it cannot be compared"
        return
    absent = [name for name in named if name is not None and name not in raw]
    table = conform(raw.assign(**dict.fromkeys(absent, 0)), schema)
    yield from _find_copies(table, known, schema)
    for name, values in known.extremes.items():
        cells = numeric_values(table[name], schema[name])
        hit = sum(bool(np.any(cells == value)) for value in values)
        if hit:
            yield "extreme", f"column {name!r} reaches {hit} extreme(s) that few real patients hold"


def _is_number(cells: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(cells.dtype)


def _search_text(path: Path, known: Known) -> Iterator[tuple[str, str]]:
    text = path.read_text(encoding="utf-8", errors="replace")
    words = set(_WORD.findall(text))
    found = {word for word in words if len(word) >= _SHORTEST_ID} & known.ids
    if found:
        yield "identifier", f"{len(found)} ids of real patients"
    numbers = _numbers(text, words, path.suffix)
    for name, values in known.extremes.items():
        # Whole numbers are counts of many things; one with decimals is hardly there by chance.
        if any(value in numbers for value in values if value % 1):
            yield "extreme", f"states an extreme of column {name!r} that few real patients hold"


def _numbers(text: str, words: set[str], suffix: str) -> set[float]:
    """Every number that a text states."""
    if suffix == ".json":
        numbers: set[float] = set()
        json.loads(text, parse_float=lambda word: numbers.add(float(word)))
        return numbers
    result = set()
    for word in words:
        try:
            result.add(float(word))
        except ValueError:
            continue
    return result
