"""Five tables of the UCI Machine Learning Repository (all CC BY 4.0): one row of `TABLES` each.

adult: 48,842 census answers; the first 32,561 rows are the official training part.
default: 30,000 credit card clients of a bank in Taiwan.
magic: 19,020 simulated telescope events.
beijing: 43,824 hours of air quality; the target pm2.5 is missing in 2,067 of them.
heart_cleveland: 303 patients with suspected heart disease; num = 0 means none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from synthdiff._validate import one_of
from synthdiff.data.schema import Column, Schema
from synthdiff.data.sources.fetch import count_column, locate, public_column, with_schema

UCI = "https://archive.ics.uci.edu/static/public"


@dataclass(frozen=True)
class Table:
    """One table: where its files are, how pandas reads them, and what the columns are.

    files: file name -> sha256, in row order. url: a zip that holds them, unless not `direct`.
    read: further arguments of pandas.read_csv.
    """

    files: Mapping[str, str]
    url: str
    columns: tuple[Column, ...]
    target: str
    sensitive: tuple[str, ...] = ()
    direct: bool = True
    read: Mapping[str, object] = field(default_factory=dict)


def _columns(kind: str, *names: str) -> tuple[Column, ...]:
    step = 1 if kind == "integer" else None
    return tuple(Column(name, kind, step=step) for name in names)


_EDUCATION = (
    *("Preschool", "1st-4th", "5th-6th", "7th-8th", "9th", "10th", "11th", "12th", "HS-grad"),
    *("Some-college", "Assoc-voc", "Assoc-acdm", "Bachelors", "Masters", "Prof-school"),
    "Doctorate",
)
_ADULT = (
    count_column("age"),
    *_columns("categorical", "workclass"),
    count_column("fnlwgt"),
    public_column("education", "ordinal", _EDUCATION),
    public_column("education-num", "integer", (1, 16)),
    *_columns("categorical", "marital-status", "occupation", "relationship", "race", "sex"),
    *map(count_column, ("capital-gain", "capital-loss", "hours-per-week")),
    *_columns("categorical", "native-country"),
    public_column("income", "categorical", ("<=50K", ">50K")),
)
_DEFAULT = (
    count_column("LIMIT_BAL"),
    *_columns("categorical", "SEX", "EDUCATION", "MARRIAGE"),
    count_column("AGE"),
    *_columns("categorical", "PAY_0", *(f"PAY_{month}" for month in range(2, 7))),
    *_columns("integer", *(f"BILL_AMT{month}" for month in range(1, 7))),
    *(count_column(f"PAY_AMT{month}") for month in range(1, 7)),
    public_column("default payment next month", "boolean", (0, 1)),
)
_MAGIC = (
    *_columns("continuous", "fLength", "fWidth", "fSize", "fConc", "fConc1", "fAsym"),
    *_columns("continuous", "fM3Long", "fM3Trans", "fAlpha", "fDist"),
    public_column("class", "categorical", ("g", "h")),
)
_BEIJING = (
    public_column("year", "ordinal", range(2010, 2015)),
    public_column("month", "ordinal", range(1, 13)),
    public_column("day", "ordinal", range(1, 32)),
    public_column("hour", "ordinal", range(24)),
    count_column("pm2.5"),
    *_columns("integer", "DEWP"),
    *_columns("continuous", "TEMP", "PRES"),
    public_column("cbwd", "categorical", ("NE", "NW", "SE", "cv")),
    Column("Iws", "continuous", lower=0),
    *map(count_column, ("Is", "Ir")),
)
_HEART = (
    count_column("age"),
    public_column("sex", "boolean", (0, 1)),
    public_column("cp", "categorical", (1, 2, 3, 4)),
    *map(count_column, ("trestbps", "chol")),
    public_column("fbs", "boolean", (0, 1)),
    public_column("restecg", "categorical", (0, 1, 2)),
    count_column("thalach"),
    public_column("exang", "boolean", (0, 1)),
    Column("oldpeak", "continuous", lower=0),
    public_column("slope", "ordinal", (1, 2, 3)),
    public_column("ca", "ordinal", (0.0, 1.0, 2.0, 3.0)),
    public_column("thal", "categorical", (3.0, 6.0, 7.0)),
    public_column("num", "ordinal", (0, 1, 2, 3, 4)),
)

TABLES = {
    "adult": Table(
        {
            "adult.data": "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
            "adult.test": "a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05",
        },
        f"{UCI}/2/adult.zip",
        _ADULT,
        target="income",
        sensitive=("race", "sex"),
        read={"skipinitialspace": True, "comment": "|"},
    ),
    "default": Table(
        {"default.csv": "eeaaa5addd59a2c56e82cbfca996f37ad98714c0237f1a3cbc8d7e973102966d"},
        "https://archive.ics.uci.edu/dataset/350 (as csv without the ID column)",
        _DEFAULT,
        target="default payment next month",
        sensitive=("SEX", "EDUCATION", "MARRIAGE", "AGE"),
        direct=False,
        read={"header": 0},
    ),
    "magic": Table(
        {"magic04.data": "e9314b7ebd4b4b59a3b3d65f7316663963777b16a46786877651dbbaa640b36a"},
        f"{UCI}/159/magic+gamma+telescope.zip",
        _MAGIC,
        target="class",
    ),
    "beijing": Table(
        {
            "PRSA_data_2010.1.1-2014.12.31.csv": (
                "4127f868775e31b3956522adc0ec75af8937dde6a3896e8beed3a376c6d27f1c"
            )
        },
        f"{UCI}/381/beijing+pm2+5+data.zip",
        _BEIJING,
        target="pm2.5",
        read={"header": 0, "names": None, "na_values": ["NA"]},
    ),
    "heart_cleveland": Table(
        {
            "processed.cleveland.data": (
                "a74b7efa387bc9d108d7d0115d831fe9b414b29ae7124f331b622b4efa0427c8"
            )
        },
        f"{UCI}/45/heart+disease.zip",
        _HEART,
        target="num",
        sensitive=("sex", "age"),
    ),
}


def load_uci(name: str, data_dir: str | Path | None = None) -> tuple[pd.DataFrame, Schema]:
    """Loads one of `TABLES`; "?" is missing. Raises InputError on an unknown name."""
    one_of(TABLES, name=name)
    table = TABLES[name]
    options = {
        **{"header": None, "names": [column.name for column in table.columns]},
        **{"na_values": ["?"], "keep_default_na": False},
        **table.read,
    }
    parts = []
    for filename, sha256 in table.files.items():
        path = locate(
            name,
            filename,
            sha256=sha256,
            url=table.url,
            member=filename,
            direct=table.direct,
            data_dir=data_dir,
        )
        parts.append(pd.read_csv(path, **options))
    df = pd.concat(parts)
    if name == "adult":
        df["income"] = df["income"].str.rstrip(".")
    return with_schema(df, table.columns, table.target, table.sensitive)
