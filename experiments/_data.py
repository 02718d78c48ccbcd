"""Which table a script works on: its flags, how it is read, and its parts by patient."""

from __future__ import annotations

from pathlib import Path

import _visits
import pandas as pd
from _common import FLAGS
from absl import flags

from synthdiff._validate import InputError, input_error
from synthdiff.data import sources
from synthdiff.data.conform import conform
from synthdiff.data.doctor import format_findings, require_healthy
from synthdiff.data.infer import infer_schema
from synthdiff.data.schema import Schema
from synthdiff.data.sdv import from_sdv, is_sdv
from synthdiff.data.split import split_frame
from synthdiff.data.table import read_table

ROLES = ("schema", "entity", "target", "sensitive", "code_sets", "visits", "visit_group")
SPLIT = {"train": 0.6, "test": 0.2, "reference": 0.2}


def define_role_flags() -> None:
    """What the columns of a table are."""
    flags.DEFINE_string("schema", None, "schema.json or SDV metadata of your own table")
    flags.DEFINE_string("entity", None, "column that names the patient of a row (own table)")
    flags.DEFINE_string("target", None, "column that utility tests predict (own table)")
    flags.DEFINE_list("sensitive", [], "columns for subgroup reports (own table)")
    flags.DEFINE_list("code_sets", [], "columns of delimited codes, as name or name=delimiter")
    _visits.define_flags()


def define_data_flags() -> None:
    """Which table, and what its columns are."""
    flags.DEFINE_string("data", "rand_hie", f"{', '.join(sources.DATASETS)}, or a CSV/Parquet file")
    flags.DEFINE_string("data_dir", None, "folder with the data sets; default $SYNTHDIFF_DATA")
    define_role_flags()
    flags.DEFINE_integer("split_seed", 0, "seed of the split into train, test and reference")


def describe_roles() -> dict:
    return {name: FLAGS[name].value for name in ROLES}


def describe_data() -> dict:
    """The data flags as a plain dict: with it, any stage finds the same rows again."""
    names = ("data", "data_dir", *ROLES, "max_visits", "split_seed")
    return {name: FLAGS[name].value for name in names}


def load_table(spec: dict) -> tuple[pd.DataFrame, Schema]:
    """The table as it is, not yet examined, and its schema."""
    if not spec["data"]:
        raise input_error("--data=", "names no table", "name a data set or a CSV or Parquet file")
    if spec["data"] in sources.DATASETS:
        df, schema = sources.load(spec["data"], data_dir=spec["data_dir"])
    elif Path(spec["data"]).exists():
        df = read_table(spec["data"])
        schema = find_schema(df, spec, Path(spec["data"]).stem)
    else:
        raise input_error(
            f"--data={spec['data']}",
            "is neither a known data set nor a file",
            f"use one of {', '.join(sources.DATASETS)}, or an existing CSV or Parquet file",
        )
    return df, _visits.name_roles(schema, spec)


def read_data(spec: dict) -> tuple[pd.DataFrame, Schema]:
    """The conformed table and its schema; prints the doctor's warnings, raises its errors."""
    df, schema = load_table(spec)
    warnings = require_healthy(df, schema)
    if warnings:
        print(format_findings(warnings))
    return conform(df, schema), schema


def find_schema(df: pd.DataFrame, spec: dict, table: str) -> Schema:
    """The schema of a user's table: --schema, ours or SDV's, or else inferred.

    table: its name in SDV metadata of several. The role flags speak where the file does not.
    """
    path = spec["schema"]
    pairs = [item.partition("=") for item in spec["code_sets"]]
    roles = {name: spec[name] for name in ("entity", "target", "sensitive")}
    roles["code_sets"] = {name: delimiter or ";" for name, _, delimiter in pairs}
    if not path:
        return infer_schema(df, **roles)
    data = Schema.read_json(path)
    if not is_sdv(data):
        return Schema.parse(data, path)
    try:
        schema, left_out = from_sdv(data, df, table=table, **roles)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    for name, reason in left_out.items():
        print(f"WARNING column {name!r}: {reason}, so it is left out.")
    return schema


def split_table(df: pd.DataFrame, schema: Schema, seed: int) -> dict[str, pd.DataFrame]:
    """Train, test and reference tables with disjoint patients."""
    return split_frame(df, schema.entity, SPLIT, seed)
