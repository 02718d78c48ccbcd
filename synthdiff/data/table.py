"""Tables on disk: CSV, TSV and Parquet, without guesses that lose codes or empty sets."""

from __future__ import annotations

import gzip
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from synthdiff._files import write_atomically
from synthdiff._validate import InputError, input_error

MISSING = ("NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "<NA>")
TEXT_SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt")
PARQUET_SUFFIXES = (".parquet", ".pq")
SHARD = re.compile(r"part-(\d+)-of-(\d+)\.parquet")
# The last two of the first group are full-width: some spreadsheets take them for = and @.
_FORMULA = r"[=@＝＠]|[-+－＋].*([A-Za-z_.]\(|[|!])"
# First bytes of what people rename to .csv, what it is, and how to get at the table.
_MAGIC = (
    (b"PAR1", "a Parquet file", "rename it to .parquet"),
    (b"PK\x03\x04", "an Excel file or a zip archive", "save the sheet as CSV, or unpack it"),
    (b"\xd0\xcf\x11\xe0", "an old Excel file", "save the sheet as CSV"),
    (b"\x1f\x8b", "compressed by gzip", "rename it to .csv.gz"),
)
_DELIMITERS = ",;\t|"
_QUOTED = re.compile(rf'(^|[{_DELIMITERS}])"(?:[^"]|"")*"')  # a quoted name
# Stands for "" while pandas writes, which would leave "" and missing alike.
_EMPTY = "\ue000"


def read_table(
    path: str | Path, *, missing: Sequence[str] = MISSING, encoding: str = "utf-8"
) -> pd.DataFrame:
    """Reads .csv, .tsv (also .gz), .parquet or a folder of shards; column names are trimmed.

    In text files cells are trimmed, and a cell is missing if it is empty or one of `missing`; a
    quoted empty cell ("") stays an empty string, which a code set reads as "no codes" and every
    other column as missing. Columns become numbers or booleans only where that loses nothing:
    whole numbers with a leading zero ("0389", "02139") are codes and stay text, and so do dates.
    "None" is not in the default `missing` because it often means "not measured".

    Args:
      path: the file or folder; the delimiter (comma, semicolon, tab or |) is read off its header.
      missing: cells that mean "missing".
      encoding: of a text file.

    Raises:
      InputError: no such file, unknown suffix, content of another kind than the suffix says,
        empty, ragged, badly encoded, NUL bytes, an open quote, or a header with repeated or no
        names; shards missing.
    """
    path = Path(path)
    if path.is_dir():
        return _read_shards(path)
    if not path.is_file():
        raise input_error(str(path), "no such file", "check the path")
    if path.name.lower().endswith(PARQUET_SUFFIXES):
        return _read_parquet(path)
    if not path.name.lower().endswith(TEXT_SUFFIXES):
        raise _unknown_suffix(path)
    try:
        cells = _read_cells(path, encoding)
    except (pa.ArrowException, UnicodeError, EOFError, OSError, LookupError) as error:
        raise _explain(path, error) from error
    typed = {name: _typed(cells[name], missing) for name in cells.column_names}
    return pd.DataFrame(typed)


def write_table(df: pd.DataFrame, path: str | Path, *, private: bool = False) -> None:
    """Writes .csv, .tsv (also .gz) or .parquet; `read_table` gives the same values back.

    An empty string is written as "" and a missing value as nothing. Text that a spreadsheet would
    run as a formula (see `find_formulas`) is written as it is; the scan of a release refuses it.
    The same table gives the same bytes. The file appears whole or not at all; private: for its
    owner only.
    """
    path = Path(path)
    name = path.name.lower()
    if not name.endswith(TEXT_SUFFIXES + PARQUET_SUFFIXES):
        raise _unknown_suffix(path)
    if name.endswith(PARQUET_SUFFIXES):
        try:
            data = df.to_parquet(None, index=False)
        except (pa.ArrowException, TypeError, ValueError) as error:
            fix = "give each column one type (see conform)"
            raise input_error(str(path), f"cannot store the table ({error})", fix) from error
        write_atomically(path, data, private=private)
        return
    text = df.copy(deep=False)
    for column in text.columns[(text == "").any()]:
        text[column] = text[column].astype(object).replace("", _EMPTY)
    delimiter = "\t" if ".tsv" in name else ","
    data = text.to_csv(None, index=False, header=False, sep=delimiter, lineterminator="\n")
    data = delimiter.join(map(_quote_name, text.columns)) + "\n" + data
    data = data.replace(_EMPTY, '""').encode()
    # Without the usual time stamp, so that equal tables give equal files.
    data = gzip.compress(data, mtime=0) if name.endswith(".gz") else data
    write_atomically(path, data, private=private)


def _quote_name(name: object) -> str:
    """A column's name for the header, in which no part of it may be taken for a delimiter."""
    text = str(name)
    if text and not set(text) & set(_DELIMITERS + '"\r\n'):
        return text
    return '"' + text.replace('"', '""') + '"'


def name_shard(number: int, total: int) -> str:
    """The file name of one shard of a table."""
    return f"part-{number:05d}-of-{total:05d}.parquet"


def _read_shards(folder: Path) -> pd.DataFrame:
    """The whole table, in order."""
    found = [match for path in folder.iterdir() if (match := SHARD.fullmatch(path.name))]
    totals = {int(match[2]) for match in found}
    if len(totals) != 1:
        problem = "holds shards of several tables" if totals else "holds no part-*.parquet"
        raise input_error(str(folder), problem, "name a folder of one finished table")
    (total,) = totals
    missing = sorted(set(range(total)) - {int(match[1]) for match in found})
    if missing:
        problem = f"{len(missing)} of {total} shards are missing, the first is {missing[0]}"
        raise input_error(str(folder), problem, "run the same command again to finish it")
    parts = [read_table(folder / name_shard(number, total)) for number in range(total)]
    return pd.concat(parts, ignore_index=True)


def codes_from_long(long: pd.DataFrame, entity: str, code: str, delimiter: str = ";") -> pd.Series:
    """Turns one-row-per-code into one code set per entity.

    Args:
      long: e.g. a diagnosis table, one row per (patient, code).
      entity, code: its columns.
      delimiter: put between the codes of a set.

    Returns:
      Strings of sorted unique codes, named `code`, indexed by entity in sorted order; "" where all
      of an entity's codes are missing. Entities that are not in `long` are not in the result:
      after joining to a patient table, `.fillna("")` says that they have no codes.
    """
    for name in (entity, code):
        if name not in long.columns:
            fix = f"use one of {list(long.columns)}"
            raise input_error("long table", f"no column named {name!r}", fix)
    if long[entity].isna().any():
        row = long.index[long[entity].isna()][0]
        raise input_error(f"column {entity!r}", f"missing at row {row}", "drop or fill those rows")
    codes = as_text(long[code])
    clash = codes[codes.str.contains(delimiter, regex=False, na=False)]
    if len(clash):
        problem = f"code {clash.iloc[0]!r} contains the delimiter {delimiter!r}"
        raise input_error(f"column {code!r}", problem, "pass another delimiter")
    found = codes[codes.notna() & (codes != "")].groupby(long[entity])
    sets = found.agg(lambda group: delimiter.join(sorted(set(group))))
    everyone = pd.Index(np.sort(long[entity].unique()), name=entity)
    return sets.reindex(everyone, fill_value="").rename(code)


def as_text(values: pd.Series) -> pd.Series:
    """Cells as trimmed strings (dtype object): 250.0 becomes "250"; missing is NaN."""

    def text(cell: object) -> str:
        if isinstance(cell, float) and cell.is_integer():
            return str(int(cell))
        return str(cell).strip()

    if isinstance(values.dtype, pd.StringDtype):
        return values.str.strip().astype(object)
    cells = values.astype(object).map(text, na_action="ignore").astype(object)
    return cells.mask(values.isna(), np.nan)


def find_formulas(cells: pd.Series) -> pd.Series:
    """Which cells a spreadsheet would run when it opens the CSV file: boolean [rows].

    = and @ first make any cell a formula. + and - first also stand before plain text ("+/-",
    "-5 to 0"), which does nothing: they count where a function, a program or another sheet is
    called. Numbers such as -5 never count.
    """
    if pd.api.types.is_numeric_dtype(cells.dtype):
        return pd.Series(False, cells.index)
    return as_text(cells).str.match(_FORMULA).fillna(False).astype(bool)


def _unknown_suffix(path: Path) -> InputError:
    known = ", ".join(TEXT_SUFFIXES + PARQUET_SUFFIXES)
    return input_error(str(path), f"unknown file type {path.suffix!r}", f"use one of {known}")


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        _clean_names(path, pq.read_schema(path).names)
        cells = pq.read_table(path)
        _refuse_nul(path, cells)
        df = cells.to_pandas(date_as_object=False)  # Python's own dates begin with year 1
    except (pa.ArrowException, OSError) as error:
        fix = "save the table again as Parquet or CSV"
        raise input_error(str(path), f"not a readable Parquet file ({error})", fix) from error
    # An index with names was columns before someone grouped or joined; another one is row numbers.
    df = df.reset_index(drop=all(name is None for name in df.index.names))
    return df.set_axis(_clean_names(path, list(map(str, df.columns))), axis=1)


def _clean_names(path: Path, names: Sequence[str]) -> list[str]:
    """Trimmed column names; raises InputError for those that would be empty or equal."""
    clean = [name.strip() for name in names]
    for name in clean:
        if not name:
            fix = "name it, or save the table without its row index"
            raise input_error(str(path), "a column has no name", fix)
        if clean.count(name) > 1:
            raise input_error(str(path), f"column {name!r} appears twice", "rename one")
    return clean


def _refuse_other_formats(path: Path, start: bytes, encoding: str) -> None:
    """Raises InputError where the first bytes are those of something else than text."""
    for magic, problem, fix in _MAGIC:
        if start.startswith(magic):
            raise input_error(str(path), f"is {problem}", fix)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")) and encoding.lower().startswith("utf-8"):
        raise input_error(
            str(path), "is UTF-16 text", 'save it as UTF-8, or pass encoding="utf-16"'
        )
    if start[:1000].lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml", b"<table")):
        raise input_error(str(path), "is a web page or XML", "save the table in it as CSV")


def _read_cells(path: Path, encoding: str) -> pa.Table:
    """All cells as text; only unquoted empty cells are null."""
    with pa.input_stream(path, compression="detect") as stream:
        start = stream.read(1 << 20)
    _refuse_other_formats(path, start, encoding)
    start = start.decode(encoding, errors="ignore").lstrip("\ufeff")
    header = start.lstrip("\r\n").partition("\n")[0]
    if "\0" in header:
        problem = "the header holds NUL bytes, so this is no UTF-8 text"
        raise input_error(str(path), problem, "write the table again as UTF-8 text")
    bare = _QUOTED.sub(r"\1", start.lstrip("\r\n")).partition("\n")[0]
    first = "\t" if ".tsv" in path.name.lower() else ""  # where there is none: one column
    delimiter = max(first + _DELIMITERS, key=bare.count)
    parse = pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    # Only a single thread counts rows for its error messages.
    read = pa_csv.ReadOptions(encoding=encoding, use_threads=False)
    with pa_csv.open_csv(path, read_options=read, parse_options=parse) as reader:
        names = reader.schema.names
    clean = _clean_names(path, names)
    convert = pa_csv.ConvertOptions(
        column_types={name: pa.string() for name in names},
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    cells = pa_csv.read_csv(path, read_options=read, parse_options=parse, convert_options=convert)
    cells = cells.rename_columns(clean)
    _refuse_nul(path, cells)
    _refuse_open_quote(path, cells)
    return cells


def _refuse_nul(path: Path, cells: pa.Table) -> None:
    for field in cells.schema:
        text = pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
        if text and pc.any(pc.match_substring(cells[field.name], "\0")).as_py():
            fix = "take them out: no CSV file can hold them"
            raise input_error(f"{path}, column {field.name!r}", "holds NUL bytes", fix)


def _refuse_open_quote(path: Path, cells: pa.Table) -> None:
    """An open quote makes one cell of the rest of the file: the last one, over several lines."""
    last = cells.column(cells.num_columns - 1)
    if not len(last) or "\n" not in (last[-1].as_py() or ""):
        return
    with pa.input_stream(path, compression="detect") as stream:
        quotes = stream.read().count(b'"')
    if quotes % 2:
        problem = f"column {cells.column_names[-1]!r}: a quote is opened and never closed"
        fix = 'close the quote, or double it ("") inside a quoted cell'
        raise input_error(str(path), problem, fix)


def _typed(cells: pa.ChunkedArray, missing: Sequence[str]) -> pd.Series:
    """Numbers or booleans if every cell is one, else text."""
    cells = pc.utf8_trim_whitespace(cells)
    marked = pc.is_in(cells, value_set=pa.array(missing, pa.string()))
    cells = pc.if_else(marked, pa.scalar(None, pa.string()), cells)
    values = pc.if_else(pc.equal(cells, ""), pa.scalar(None, pa.string()), cells)
    known = values.drop_null()
    if len(known) == 0:
        # All "" is a column of empty sets; all missing is a column of nothing.
        return _text(cells) if cells.null_count < len(cells) else pd.Series([np.nan] * len(cells))
    if pc.all(pc.is_in(pc.utf8_lower(known), value_set=pa.array(["true", "false"]))).as_py():
        found = pc.cast(pc.utf8_lower(values), pa.bool_()).to_pandas()
        return found.astype("boolean" if values.null_count else "bool")
    if pc.any(pc.match_substring_regex(known, r"^[-+]?0[0-9]")).as_py():
        return _text(cells)
    for kind in (pa.int64(), pa.float64()):
        try:
            return pc.cast(values, kind).to_pandas()
        except pa.ArrowInvalid:
            continue
    return _text(cells)


def _text(cells: pa.ChunkedArray) -> pd.Series:
    return pd.Series(cells.to_pylist(), dtype=pd.Series([""]).dtype)


def _explain(path: Path, error: Exception) -> InputError:
    """What went wrong while parsing, in words that say what to do."""
    text = str(error)
    if isinstance(error, UnicodeError) or "UTF8" in text or "UTF-8" in text:
        problem, fix = "not UTF-8 text", 'save it as UTF-8 or pass encoding="latin-1"'
    elif "Empty CSV" in text:
        problem, fix = "the file is empty", "give a header line and at least one row"
    elif "Expected" in text and "columns" in text:
        problem = f"rows differ in length ({text.splitlines()[0]})"
        fix = "quote cells that contain the delimiter"
    else:
        problem, fix = f"cannot be parsed ({text})", "save the table again as CSV or Parquet"
    return input_error(str(path), problem, fix)
