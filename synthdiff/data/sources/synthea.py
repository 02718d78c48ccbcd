"""Synthea's csv export: one record per simulated patient (MITRE, Apache-2.0; no real people).

Reads patients.csv and, where present, conditions.csv, medications.csv and allergies.csv, each plain
or .gz. Every other column of patients.csv is left out: identifiers (SSN, DRIVERS, PASSPORT, PREFIX,
FIRST, LAST, SUFFIX, MAIDEN, BIRTHPLACE, ADDRESS, CITY, ZIP, LAT, LON), which no synthetic table
should learn, and STATE and cost columns, which not every version has.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from synthdiff._validate import input_error
from synthdiff.data.schema import Column, Schema
from synthdiff.data.sources.fetch import (
    ENVIRONMENT,
    data_folders,
    find_file,
    public_column,
    with_schema,
)
from synthdiff.data.table import codes_from_long

CODE_TABLES = ("conditions", "medications", "allergies")
PAGE = "https://synthea.mitre.org/downloads"
FEATURES = ("BIRTHDATE", "DEATHDATE", "GENDER", "RACE", "ETHNICITY", "MARITAL")


def load_synthea(data_dir: str | Path | None = None) -> tuple[pd.DataFrame, Schema]:
    """Loads patients with their ever-recorded codes as code sets ("" = none).

    Conditions and allergies are SNOMED CT codes, medications RxNorm codes. The entity is the id
    column (`Id`, in older exports `ID`). DEATHDATE is missing for the living, MARITAL for the
    young. There is no target: choose one.

    Args:
      data_dir: folder with patients.csv; one that holds it as synthea/ or synthea_1k/ works too.

    Raises:
      InputError: no patients table, or it lacks a column.
    """
    folders = data_folders("synthea", "synthea_1k", data_dir=data_dir)
    path = find_file(folders, "patients.csv")
    if path is None:
        where = data_dir if data_dir is not None else f"${ENVIRONMENT}"
        fix = f"get an export from {PAGE} and pass data_dir=<folder> with patients.csv in it"
        raise input_error("synthea", f"no patients.csv under {where}", fix)
    df = pd.read_csv(path)
    entity = "Id" if "Id" in df else "ID"
    for name in (entity, *FEATURES):
        if name not in df:
            raise input_error(str(path), f"no column {name!r}", "export it with Synthea")
    for name in ("BIRTHDATE", "DEATHDATE"):
        df[name] = pd.to_datetime(df[name])
    code_sets = []
    for name in CODE_TABLES:
        table = find_file([path.parent], f"{name}.csv")
        if table is not None:
            long = pd.read_csv(table, usecols=["PATIENT", "CODE"], dtype=str)
            df[name] = df[entity].map(codes_from_long(long, "PATIENT", "CODE")).fillna("")
            code_sets.append(Column(name, "code_set"))
    columns = (
        Column(entity, "entity"),
        Column("BIRTHDATE", "datetime", step=1),
        Column("DEATHDATE", "datetime", step=1),
        public_column("GENDER", "categorical", ("F", "M")),
        *(Column(name, "categorical") for name in ("RACE", "ETHNICITY", "MARITAL")),
        *code_sets,
    )
    return with_schema(df, columns, sensitive=("GENDER", "RACE"))
