"""A cohort among other patients: its rows, and theirs."""

from dataclasses import replace

import pandas as pd

from synthdiff._validate import input_error
from synthdiff.data.schema import Schema
from synthdiff.eval.game import patient_ids

ARMS = ("alone", "pretrained")


def part_cohort(
    df: pd.DataFrame, schema: Schema, cohort: str
) -> tuple[pd.DataFrame, pd.DataFrame, Schema]:
    """Rows of the cohort, rows of all other patients, and the schema without its column."""
    name, _, value = cohort.partition("=")
    if name not in [column.name for column in schema.features]:
        raise input_error(f"--cohort={cohort}", "no such column", "write column=value")
    ids = pd.Series(patient_ids(df, schema, "table"), df.index)
    inside = ids.isin(ids[df[name].astype(str) == value])
    if inside.all() or not inside.any():
        known = ", ".join(map(str, df[name].value_counts().index[:10]))
        problem = "holds every patient or none"
        raise input_error(f"--cohort={cohort}", problem, f"use one of {known}")
    df = df.drop(columns=name)
    columns = tuple(column for column in schema.columns if column.name != name)
    roles = {"target": None} if schema.target == name else {}
    sensitive = tuple(column for column in schema.sensitive if column != name)
    schema = replace(schema, columns=columns, sensitive=sensitive, **roles)
    return df[inside].reset_index(drop=True), df[~inside].reset_index(drop=True), schema
