"""Metadata of the Synthetic Data Vault (SDV, SDMetrics): read as a schema, and written for a table.

The format: docs.sdv.dev, "Metadata JSON" and "Sdtypes", versions SINGLE_TABLE_V1 and V1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import pandas as pd
from pandas.api import types

from synthdiff._validate import input_error
from synthdiff.data.conform import DATE_PATTERN, is_text, parse_datetimes, parse_numbers
from synthdiff.data.infer import infer_schema
from synthdiff.data.schema import Column, Schema

SINGLE_TABLE = "SINGLE_TABLE_V1"
MODELLED = ("numerical", "categorical", "boolean", "datetime")
KINDS = {"continuous": "numerical", "integer": "numerical", "ordinal": "categorical",
         "categorical": "categorical", "boolean": "boolean", "datetime": "datetime",
         "entity": "id", "group": "id"}  # fmt: skip


def is_sdv(data: object) -> bool:
    """Whether parsed JSON is SDV metadata and no schema of ours, whose columns are a list."""
    if not isinstance(data, Mapping):
        return False
    return isinstance(data.get("tables"), Mapping) or isinstance(data.get("columns"), Mapping)


def from_sdv(
    data: Mapping,
    df: pd.DataFrame,
    *,
    table: str | None = None,
    entity: str | None = None,
    target: str | None = None,
    sensitive: Iterable[str] = (),
    code_sets: Mapping[str, str] | None = None,
) -> tuple[Schema, dict[str, str]]:
    """The schema that SDV metadata gives to a table, and why other columns are left out.

    numerical, categorical (ordinal where it has an order), boolean and datetime keep their
    meaning, a datetime its datetime_format; what the metadata does not say (whole numbers or not,
    the dtype) is read off `df`.
    sequence_key becomes the entity and sequence_index the order of visits; where there is no
    sequence_key, the primary key becomes the entity. Any other id, personal data (name, email,
    ssn, ...) and unknown columns are never modelled.

    Args:
      data: parsed JSON, of a single table or {"tables": ...}.
      df: the table that it describes.
      table: which of several tables.
      entity, target, sensitive, code_sets: what SDV has no word for; see `infer_schema`. They go
        before the metadata.

    Raises:
      InputError: names the column or table that is absent, the field that cannot be read, or the
        ids of which any could be the patient's.
    """
    found, columns = _pick_table(data, table)
    code_sets = dict(code_sets or {})
    entity = entity or _find_patient(found, columns)
    for name in (*columns, *((entity,) if entity else ()), *code_sets):
        if name not in df.columns:
            fix = "correct the metadata, or add the column"
            raise input_error(f"column {name!r}", "is described, and is not in the table", fix)
    left_out = {
        name: f"sdtype {_sdtype(name, about)!r} is not modelled"
        for name, about in columns.items()
        if _sdtype(name, about) not in MODELLED and name != entity and name not in code_sets
    }
    named = {entity, *columns, *code_sets} - set(left_out)
    kept = df[[name for name in df.columns if name in named]]
    schema = infer_schema(
        kept, entity=entity, target=target, sensitive=sensitive, code_sets=code_sets
    )
    for name in kept.columns:
        if name != entity and name not in code_sets:
            schema = schema.edit(name, **_describe(schema[name], columns[name], df[name]))
    order = found.get("sequence_index")
    return Schema(schema.columns, schema.target, schema.sensitive, order), left_out


def _pick_table(data: Mapping, name: str | None) -> tuple[Mapping, Mapping]:
    """One table's metadata and its columns."""
    if "tables" in data:
        tables = data["tables"]
        if not isinstance(tables, Mapping):
            fix = "see docs.sdv.dev, Metadata JSON"
            raise input_error("SDV metadata", "its tables are not a JSON object", fix)
        if len(tables) == 1:
            (data,) = tables.values()
        elif name in tables:
            data = tables[name]
        else:
            problem = f"describes {len(tables)} tables, none of them {name!r}"
            fix = f"name the file after its table, one of {', '.join(tables)}"
            raise input_error("SDV metadata", problem, fix)
    columns = data.get("columns") if isinstance(data, Mapping) else None
    if not isinstance(columns, Mapping) or not columns:
        raise input_error("SDV metadata", "describes no column", "see docs.sdv.dev, Metadata JSON")
    return data, columns


def _find_patient(found: Mapping, columns: Mapping) -> str | None:
    """The column that names the patient; a visit's own id, taken for it, would hide who is who."""
    key, fix = found.get("sequence_key") or found.get("primary_key"), "name the patient (--entity)"
    if not isinstance(key, str | None):
        raise input_error("SDV metadata", f"key {key!r} is not one column", fix)
    ids = [name for name, about in columns.items() if _sdtype(name, about) == "id"]
    keys = list(dict.fromkeys([*([key] if key else []), *ids]))
    if not found.get("sequence_key") and len(keys) > 1:
        raise input_error("SDV metadata", f"has several ids ({', '.join(keys)})", fix)
    return key


def _sdtype(name: str, about: object) -> str:
    if not isinstance(about, Mapping) or not isinstance(about.get("sdtype"), str):
        fix = 'write for example {"sdtype": "numerical"}'
        raise input_error(f"SDV metadata column {name!r}", "has no sdtype", fix)
    return about["sdtype"]


def _describe(guess: Column, about: Mapping, values: pd.Series) -> dict:
    """What the metadata changes in the column that inference found."""
    sdtype = about["sdtype"]
    if sdtype == "categorical" and about.get("order"):
        if not isinstance(about["order"], list | tuple):
            problem = f"order {about['order']!r} is not a list"
            raise input_error(
                f"SDV metadata column {guess.name!r}", problem, 'write ["low", "high"]'
            )
        return {"kind": "ordinal", "categories": tuple(about["order"])}
    parsed = types.is_datetime64_any_dtype(values.dtype)
    if sdtype == "datetime" and not parsed and not _is_iso(form := about.get("datetime_format")):
        dtype = guess.dtype if is_text(values) else "str"  # 20200131 is read as a number
        return {"kind": sdtype, "format": form, "dtype": dtype}
    if sdtype != "numerical":
        keep = sdtype == "categorical" and guess.kind == "ordinal"  # an ordered pandas Categorical
        return {} if keep else {"kind": sdtype}
    form = about.get("computer_representation")
    if form is None:
        numbers = parse_numbers(values).dropna()
        form = "Int64" if len(numbers) and (numbers == numbers.round()).all() else "Float"
    return {"kind": "continuous" if form == "Float" else "integer"}


def _is_iso(form: object) -> bool:
    """Whether dates of this format, or of none, are read without it."""
    if not isinstance(form, str):
        return form is None
    last = datetime(2001, 12, 31, 23, 59, 58)
    text = last.strftime(form)
    return bool(re.fullmatch(DATE_PATTERN, text)) and text.startswith("2001-12-31")


def to_sdv(schema: Schema, df: pd.DataFrame) -> dict:
    """SDV metadata of a table with this schema, as SDV and SDMetrics load it.

    Code sets are "unknown", since SDV would take each set for a category of its own. No primary
    key is named, for a patient may have several rows. Levels of an ordinal column are written
    only where the schema calls them public: someone may be the only one to hold one.
    """
    columns = {
        column.name: {"sdtype": KINDS.get(column.kind, "unknown"), **_details(column, df)}
        for column in schema.columns
    }
    found: dict[str, Any] = {"METADATA_SPEC_VERSION": SINGLE_TABLE, "columns": columns}
    if schema.order:
        found |= {"sequence_key": schema.group or schema.entity, "sequence_index": schema.order}
    return found


def _details(column: Column, df: pd.DataFrame) -> dict:
    if column.kind in ("continuous", "integer"):
        return {"computer_representation": "Int64" if column.kind == "integer" else "Float"}
    if column.kind == "datetime":
        text = is_text(df[column.name]) and column.format
        return {"datetime_format": text or _date_format(df[column.name])}
    if column.kind == "ordinal" and column.public:
        return {"order": list(column.categories)}
    return {"pii": False} if column.kind == "code_set" else {}


def _date_format(values: pd.Series) -> str:
    """How `write_table` writes these dates."""
    dates = parse_datetimes(values).dropna()
    text = "%Y-%m-%d" if (dates == dates.dt.normalize()).all() else "%Y-%m-%d %H:%M:%S"
    zoned = isinstance(values.dtype, pd.DatetimeTZDtype)
    return f"{text}%z" if zoned else text
