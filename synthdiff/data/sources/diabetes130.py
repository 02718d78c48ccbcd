"""Diabetes 130-US hospitals, 1999-2008: 101,766 encounters of 71,518 patients (UCI 296, CC BY 4.0).

Strack et al., BioMed Research International 2014. One row is a hospital stay of 1 to 14 days.

`load_diabetes130` keeps what a researcher would: 47 of the 50 columns. It leaves out
`encounter_id` (an identifier) and `examide` and `citoglipton` (constant). "?" is missing, but
"None" in max_glu_serum and A1Cresult is the codebook's level "not measured". `weight` is missing
in 97 % of the rows and stays, in its published bins. The diagnoses stay whole: 716 to 789 ICD-9
codes per column. The three `_id` columns are categories, whose codes IDs_mapping.csv explains.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from synthdiff.data.schema import Column, Schema
from synthdiff.data.sources.fetch import count_column, locate, public_column, with_schema

SHA256 = "0689e7ec031237dc63031b938805c48377748761a3b26acab621567afa24df97"
URL = "https://archive.ics.uci.edu/static/public/296/diabetes+130-us+hospitals+for+years+1999-2008.zip"
AGE_BINS = tuple(f"[{age}-{age + 10})" for age in range(0, 100, 10))
WEIGHT_BINS = (*(f"[{weight}-{weight + 25})" for weight in range(0, 200, 25)), ">200")
COUNTS = (
    *("num_lab_procedures", "num_medications", "number_outpatient", "number_emergency"),
    *("number_inpatient", "num_procedures", "number_diagnoses"),
)
IDS = ("admission_type_id", "discharge_disposition_id", "admission_source_id")
DIAGNOSES = ("diag_1", "diag_2", "diag_3")
DRUGS = (
    *("metformin", "repaglinide", "nateglinide", "chlorpropamide", "glimepiride", "glipizide"),
    *("glyburide", "tolbutamide", "pioglitazone", "rosiglitazone", "acarbose", "miglitol"),
    *("tolazamide", "insulin", "glyburide-metformin"),
)
RARE_DRUGS = (
    *("acetohexamide", "troglitazone", "glipizide-metformin", "glimepiride-pioglitazone"),
    *("metformin-rosiglitazone", "metformin-pioglitazone"),
)
COLUMNS = (
    Column("patient_nbr", "entity"),
    public_column(
        "race", "categorical", ("AfricanAmerican", "Asian", "Caucasian", "Hispanic", "Other")
    ),
    public_column("gender", "categorical", ("Female", "Male", "Unknown/Invalid")),
    public_column("age", "ordinal", AGE_BINS),
    public_column("weight", "ordinal", WEIGHT_BINS),
    public_column("admission_type_id", "categorical", range(1, 9)),
    public_column("discharge_disposition_id", "categorical", range(1, 31)),
    public_column("admission_source_id", "categorical", (*range(1, 16), *range(17, 27))),
    public_column("time_in_hospital", "integer", (1, 14)),
    Column("payer_code", "categorical"),
    Column("medical_specialty", "categorical"),
    *map(count_column, COUNTS),
    *(Column(name, "categorical") for name in DIAGNOSES),
    public_column("max_glu_serum", "ordinal", ("None", "Norm", ">200", ">300")),
    public_column("A1Cresult", "ordinal", ("None", "Norm", ">7", ">8")),
    *(
        public_column(name, "categorical", ("No", "Down", "Steady", "Up"))
        for name in (*DRUGS, *RARE_DRUGS)
    ),
    public_column("change", "categorical", ("No", "Ch")),
    public_column("diabetesMed", "categorical", ("No", "Yes")),
    public_column("readmitted", "ordinal", ("NO", ">30", "<30")),
)
UNLISTED = ("payer_code", "medical_specialty")  # no codebook lists their values
# First three-digit code of each chapter of ICD-9-CM; codes that begin with V or E follow.
CHAPTERS = {
    **{1: "infectious", 140: "neoplasms", 240: "endocrine", 280: "blood", 290: "mental"},
    **{320: "nervous", 390: "circulatory", 460: "respiratory", 520: "digestive"},
    **{580: "genitourinary", 630: "pregnancy", 680: "skin", 710: "musculoskeletal"},
    **{740: "congenital", 760: "perinatal", 780: "symptoms", 800: "injury"},
}
# Round numbers above what is to be expected in 14 days and the year before, not read off the data.
MOST = dict(zip(COUNTS, (200, 100, 100, 100, 50, 10, 20), strict=True))
ROLES = ("readmitted", ("race", "gender", "age"))  # target, sensitive
BENCHMARK_COLUMNS = (
    *("race", "gender", *IDS, *DIAGNOSES, "max_glu_serum", "A1Cresult", *DRUGS),
    *("change", "diabetesMed"),
)


def load_diabetes130(data_dir: str | Path | None = None) -> tuple[pd.DataFrame, Schema]:
    """Loads the encounters, with `patient_nbr` as the entity."""
    return with_schema(_read(data_dir), COLUMNS, *ROLES)


def load_diabetes130_public(data_dir: str | Path | None = None) -> tuple[pd.DataFrame, Schema]:
    """Loads the 45 columns of which everything is known without the data, for private runs.

    Diagnoses are chapters of ICD-9-CM instead of codes; counts beyond round bounds are cut there.
    """
    df = _read(data_dir)
    for name in DIAGNOSES:
        df[name] = df[name].map(name_chapter, na_action="ignore")
    for name, most in MOST.items():
        df[name] = df[name].clip(upper=most)
    chapters = (*CHAPTERS.values(), "V", "E")
    known = {name: public_column(name, "integer", (0, most)) for name, most in MOST.items()}
    known |= {name: public_column(name, "categorical", chapters) for name in DIAGNOSES}
    columns = (known.get(column.name, column) for column in COLUMNS if column.name not in UNLISTED)
    return with_schema(df, columns, *ROLES)


def name_chapter(code: str) -> str:
    """The chapter of an ICD-9-CM code.

    >>> [name_chapter(code) for code in ("008.45", "250.83", "999", "V57", "E909")]
    ['infectious', 'endocrine', 'injury', 'V', 'E']
    """
    if code[0] in "VE":
        return code[0]
    return CHAPTERS[max(first for first in CHAPTERS if first <= float(code))]


def load_diabetes130_benchmark(
    data_dir: str | Path | None = None,
) -> tuple[pd.DataFrame, Schema]:
    """Loads the 37 columns on which TabDiff (Shi et al., ICLR 2025) reports results.

    9 numbers (age is its bin, 0 to 9), 27 categories in which "empty" stands for missing, and
    `readmitted` as 0 or 1. Nothing marks the patient: the benchmark splits by rows, so one
    patient's encounters fall on both sides. For an audit use `load_diabetes130`.
    """
    df = _read(data_dir)
    df["age"] = df["age"].map({label: index for index, label in enumerate(AGE_BINS)})
    df["readmitted"] = (df["readmitted"] != "NO").astype(np.int64)
    texts = [name for name in BENCHMARK_COLUMNS if name not in IDS]
    df[texts] = df[texts].fillna("empty")
    columns = (
        public_column("age", "integer", (0, 9)),
        public_column("time_in_hospital", "integer", (1, 14)),
        *map(count_column, COUNTS),
        *(Column(name, "categorical") for name in BENCHMARK_COLUMNS),
        public_column("readmitted", "boolean", (0, 1)),
    )
    return with_schema(df, columns, *ROLES)


def _read(data_dir: str | Path | None) -> pd.DataFrame:
    name = "diabetic_data.csv"
    path = locate("diabetes130", name, sha256=SHA256, url=URL, member=name, data_dir=data_dir)
    codes = dict.fromkeys(DIAGNOSES, str)
    return pd.read_csv(path, dtype=codes, na_values=["?"], keep_default_na=False, low_memory=False)
