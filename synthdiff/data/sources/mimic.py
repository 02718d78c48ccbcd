"""MIMIC-III and MIMIC-IV: one record per hospital admission or per patient, from the csv files.

The data need a PhysioNet account; nothing is downloaded. Expected layout, each file plain or .gz:
  MIMIC-III  <folder>/ADMISSIONS.csv, PATIENTS.csv, DIAGNOSES_ICD.csv, PROCEDURES_ICD.csv
  MIMIC-IV   <folder>/hosp/admissions.csv, patients.csv, diagnoses_icd.csv, procedures_icd.csv
and, for measurements, LABEVENTS.csv or hosp/labevents.csv.
Both releases have open 100-patient demos with these layouts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd

from synthdiff._validate import input_error, one_of
from synthdiff.data.schema import Column, Schema
from synthdiff.data.sources.fetch import (
    ENVIRONMENT,
    count_column,
    data_folders,
    find_file,
    public_column,
    with_schema,
)
from synthdiff.data.table import codes_from_long

OLDEST = 90
CODE_TABLES = {"diagnoses": "diagnoses_icd", "procedures": "procedures_icd"}
# Frequent measurements in blood, by the itemid that both releases give them.
LABS = {"bicarbonate": 50882, "chloride": 50902, "creatinine": 50912, "glucose": 50931,
        "potassium": 50971, "sodium": 50983, "urea_nitrogen": 51006, "hemoglobin": 51222,
        "platelets": 51265, "white_cells": 51301}  # fmt: skip
PIECE_ROWS = 1_000_000  # of measurements read at once: the file has up to 10^8


def load_mimic(
    data_dir: str | Path | None = None, unit: str = "admission"
) -> tuple[pd.DataFrame, Schema]:
    """Loads demographics, stay and ICD code sets; `subject_id` is the entity.

    Age is in whole years at admission; both releases hide ages over 89, here they all become 90.
    `los_days` is the length of stay. `diagnoses` and `procedures` are code sets ("" = none
    recorded): bare ICD-9 codes in MIMIC-III, "9:4019" or "10:I10" in MIMIC-IV. Each of `LABS` is
    the first value above 0 of the admission, in its usual unit, missing where it was not measured.
    Procedures and measurements are left out where their file is absent, and a measurement that
    nobody has. The target is `hospital_expire_flag`; note that `discharge_location` gives it away.

    Args:
      data_dir: folder as above; a folder that holds it as mimic/ or mimic3_demo/ works too.
      unit: "admission"; "visits" for the same, where a patient's admissions are its visits in
        order of `days` since the first one (MIMIC shifts dates by patient); or "patient" for one
        row each: the first admission's values, the first measured, the last discharge location, the
        union of the codes, the sum of `los_days`, whether any admission ended in death, and
        `num_admissions`.

    Raises:
      InputError: a file or a column is absent.
    """
    one_of(("admission", "visits", "patient"), unit=unit)
    folder = _folder(data_dir)
    admissions = _admissions(folder)
    key = "subject_id" if unit == "patient" else "hadm_id"
    df = _per_patient(admissions) if unit == "patient" else admissions
    code_sets = []
    for name, table in CODE_TABLES.items():
        codes = _codes(folder, table)
        if codes is not None:
            sets = codes_from_long(codes, key, "code")
            df[name] = df[key].map(sets).fillna("")
            code_sets.append(Column(name, "code_set"))
    labs = _labs(folder, key)
    df = df.join(labs, on=key)
    race = "ethnicity" if "ethnicity" in df else "race"
    columns = (
        Column("subject_id", "entity"),
        *([count_column("days")] if unit == "visits" else []),
        public_column("gender", "categorical", ("F", "M")),
        public_column("age", "integer", (0, OLDEST)),
        *(Column(name, "categorical") for name in (race, "insurance", "admission_type")),
        Column("los_days", "continuous"),
        *([count_column("num_admissions")] if unit == "patient" else []),
        Column("discharge_location", "categorical"),
        *code_sets,
        *(Column(name, "continuous", lower=0) for name in labs),
        public_column("hospital_expire_flag", "boolean", (0, 1)),
    )
    df, schema = with_schema(df, columns, "hospital_expire_flag", ("gender", race))
    return df, replace(schema, order="days" if unit == "visits" else None)


def _folder(data_dir: str | Path | None) -> Path:
    """The one folder that all files are read from."""
    for folder in data_folders("mimic", "mimic3_demo", data_dir=data_dir):
        if _find(folder, "admissions"):
            return folder
    where = data_dir if data_dir is not None else f"${ENVIRONMENT}"
    fix = (
        "get the files from https://physionet.org (credentialed access) and pass data_dir=<folder> "
        "with ADMISSIONS.csv.gz (MIMIC-III) or hosp/admissions.csv.gz (MIMIC-IV) in it"
    )
    raise input_error("mimic", f"no admissions table under {where}", fix)


def _find(folder: Path, table: str) -> Path | None:
    names = (f"{table.upper()}.csv", f"{table}.csv", f"hosp/{table}.csv")
    return find_file([folder], *names)


def _read(folder: Path, table: str, *columns: str, optional: tuple[str, ...] = ()) -> pd.DataFrame:
    """Reads the named columns, in lower case; columns with "code" in the name stay text."""
    return next(_read_pieces(folder, table, columns, optional, None))


def _read_pieces(
    folder: Path,
    table: str,
    columns: tuple[str, ...],
    optional: tuple[str, ...],
    num_rows: int | None,
) -> Iterator[pd.DataFrame]:
    """The same in pieces of so many rows; None: all at once."""
    path = _find(folder, table)
    if path is None:
        raise input_error("mimic", f"no {table} table under {folder}", f"add {table}.csv.gz")
    header = {name.lower(): name for name in pd.read_csv(path, nrows=0).columns}
    absent = [name for name in columns if name not in header]
    if absent:
        raise input_error(str(path), f"no column {absent[0]!r}", "use the published file")
    wanted = [header[name] for name in (*columns, *optional) if name in header]
    texts = {name: str for name in wanted if "code" in name.lower()}
    pieces = pd.read_csv(path, usecols=wanted, dtype=texts, chunksize=num_rows)
    for piece in [pieces] if num_rows is None else pieces:
        yield piece.rename(columns=str.lower)


def _admissions(folder: Path) -> pd.DataFrame:
    """One row per admission in time order: ids, stay, demographics and age."""
    columns = ("subject_id", "hadm_id", "admittime", "dischtime", "admission_type", "insurance")
    outcomes = ("discharge_location", "hospital_expire_flag")
    stays = _read(folder, "admissions", *columns, *outcomes, optional=("ethnicity", "race"))
    if not {"ethnicity", "race"} & set(stays):
        raise input_error("mimic admissions", "no column 'race'", "use the published file")
    births = ("dob", "anchor_age", "anchor_year")
    people = _read(folder, "patients", "subject_id", "gender", optional=births)
    df = stays.merge(people, on="subject_id", validate="many_to_one")
    for name in ("admittime", "dischtime"):
        df[name] = pd.to_datetime(df[name])
    df["age"] = _age(df).clip(upper=OLDEST).astype("int64")
    df["los_days"] = (df["dischtime"] - df["admittime"]).dt.total_seconds() / 86_400
    df = df.sort_values(["subject_id", "admittime", "hadm_id"], ignore_index=True)
    start = df.groupby("subject_id")["admittime"].transform("min")
    return df.assign(days=(df["admittime"].dt.normalize() - start.dt.normalize()).dt.days)


def _age(df: pd.DataFrame) -> pd.Series:
    """Whole years at admission, from calendar fields (shifted births overflow nanoseconds)."""
    admitted = df["admittime"].dt
    if "anchor_age" in df:
        return df["anchor_age"] + admitted.year - df["anchor_year"]
    if "dob" not in df:
        raise input_error("mimic patients", "no column 'dob'", "use the published file")
    born = pd.to_datetime(df["dob"]).dt
    before_birthday = admitted.month * 100 + admitted.day < born.month * 100 + born.day
    return admitted.year - born.year - before_birthday


def _per_patient(admissions: pd.DataFrame) -> pd.DataFrame:
    patients = admissions.groupby("subject_id", sort=True)
    df = admissions.drop_duplicates("subject_id").set_index("subject_id")
    df["discharge_location"] = patients["discharge_location"].last(skipna=False)
    df["los_days"] = patients["los_days"].sum(min_count=1)
    df["hospital_expire_flag"] = patients["hospital_expire_flag"].max()
    df["num_admissions"] = patients.size()
    return df.reset_index()


def _labs(folder: Path, key: str) -> pd.DataFrame:
    """The first value of each measurement that anybody has, by admission or patient."""
    if _find(folder, "labevents") is None:
        return pd.DataFrame()
    columns = ("subject_id", "hadm_id", "itemid", "charttime", "valuenum")
    items = {item: name for name, item in LABS.items()}
    kept = []
    for piece in _read_pieces(folder, "labevents", columns, (), PIECE_ROWS):
        known = piece["itemid"].isin(items) & (piece["valuenum"] > 0) & piece["hadm_id"].notna()
        kept.append(piece[known])
    found = pd.concat(kept, ignore_index=True)
    found = found.assign(at=pd.to_datetime(found["charttime"])).sort_values("at", kind="stable")
    first = found.astype({key: "int64"}).groupby([key, "itemid"])["valuenum"].first().unstack()
    return first[[item for item in items if item in first]].rename(columns=items)


def _codes(folder: Path, table: str) -> pd.DataFrame | None:
    """(subject_id, hadm_id, code) rows; None where there is no such file."""
    if _find(folder, table) is None:
        return None
    ids = ("subject_id", "hadm_id")
    df = _read(folder, table, *ids, optional=("icd9_code", "icd_code", "icd_version"))
    if "icd_version" in df:
        df["code"] = df["icd_version"].astype(str) + ":" + df["icd_code"].str.strip()
    elif "icd9_code" in df:
        df["code"] = df["icd9_code"]
    else:
        raise input_error(f"mimic {table}", "no column 'icd9_code'", "use the published file")
    return df
