"""RAND Health Insurance Experiment: the default data set, carried by the statsmodels wheel.

20,190 person-years of 5,912 people (`zper`) in 2,439 households, who were randomised to insurance
plans in six US sites between 1974 and 1982. Public domain. See `randdesc.txt` beside the file and
Cameron and Trivedi, Microeconometrics (2005), section 20.3.

Kept, unrenamed: 29 of the 45 published columns, and `health` built from three of them. The entity
is the `household`: its people share income, plan, site and deductibles, so one of them in training
and another held out would be told apart by nothing that a model learnt.

Left out, because other columns give them exactly (to the file's 7 digits):
  lfam, lnum = log(num); linc = log(income + 1); lpi = log(max(1, pioff)); lnmeddol = log(meddol);
  binexp = meddol > 0; child = xage < 18; fchild = child * female; logc, a function of plan;
  fmde, a function of plan and mdeoff; xghindx = ghindx with imputed values for the missing ones;
  meddol = outpdol + drugdol + suppdol + inpdol (not so in 2 of the 20,190 rows);
  hlthg, hlthf, hlthp, which become `health`.

Good to know:
  * `plan` determines `coins` and `idp`; a faithful synthetic table keeps that rule. `mdeoff` is
    not determined by plan. Everything but year, xage, time, num, inpmis, and the spending and visit
    columns is constant over a person's years.
  * `black` and `physlm` hold 0 or 1 and, for 81 and 433 people, an imputed mean such as 0.5112414.
    Such a value was not observed: here it is missing.
  * `mhi`, `disea` and `educdec` also hold imputed means (6, 4 and 6 distinct values, on 3,729,
    8,001 and 227 rows). They stay as published: nothing marks them but their odd decimals.
  * Every column is marked public. Shares and indices have the bounds of their definition; the
    codebook bounds no amount and no count, so these have round numbers far above what a person
    of that time would need in a year. They clip nothing in the published file.
  * `ghindx` (general health index) is really missing in 5,223 rows.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

from synthdiff._validate import input_error
from synthdiff.data.schema import Column, Schema
from synthdiff.data.sources.fetch import public_column, verify, with_schema

SHA256 = "fe64f3c8e987779daa6052dd756d9ce277e025330f5549126c7c2f6a3c9c5541"
HEALTH = ("poor", "fair", "good", "excellent")
IMPUTED_BOOLEANS = ("black", "physlm")
MOST_DOLLARS = {"outpdol": 10_000, "drugdol": 2000, "suppdol": 2000, "mentdol": 5000,
                "inpdol": 100_000}  # fmt: skip
MOST_VISITS = {"totadm": 20, "mdvis": 150, "notmdvis": 200, "mentvis": 100}


COLUMNS = (
    Column("household", "entity"),
    public_column("site", "categorical", range(1, 7)),
    public_column("plan", "categorical", (*range(1, 12), *range(13, 20))),
    public_column("coins", "ordinal", (0, 25, 50, 95, 100)),
    public_column("idp", "boolean", (0, 1)),
    public_column("mdeoff", "continuous", (0, 1000)),
    public_column("pioff", "continuous", (0, 2000)),
    public_column("tookphys", "boolean", (0, 1)),
    public_column("year", "ordinal", range(1, 6)),
    public_column("time", "continuous", (0, 1)),
    public_column("xage", "continuous", (0, 110)),
    public_column("female", "boolean", (0, 1)),
    public_column("black", "boolean", (False, True)),
    public_column("income", "continuous", (0, 50_000)),
    public_column("educdec", "continuous", (0, 30)),
    public_column("num", "integer", (1, 30)),
    public_column("health", "ordinal", HEALTH),
    public_column("mhi", "continuous", (0, 100)),
    public_column("ghindx", "continuous", (0, 100)),
    public_column("disea", "continuous", (0, 100)),
    public_column("physlm", "boolean", (False, True)),
    *(public_column(name, "continuous", (0, most)) for name, most in MOST_DOLLARS.items()),
    *(public_column(name, "integer", (0, most)) for name, most in MOST_VISITS.items()),
    public_column("inpmis", "boolean", (0, 1)),
)


def load_rand_hie(visits: bool = False) -> tuple[pd.DataFrame, Schema]:
    """Loads the 20,190 person-years; needs no download.

    visits: the years of one `person` (the file's zper) are its visits, in order of `year`; without
    it each year is a record of its own and the person is left out.

    The target is `health` (self-rated, asked at the start), the outcome that the study is known
    for: the other columns predict it for unseen people (boosted trees: macro AUROC about 0.80), but
    none gives it away. It is constant over a person's years, so a split by rows would leak it.

    Raises:
      InputError: statsmodels is missing or carries another file.
    """
    df = pd.read_csv(_installed_file())
    df["household"] = number_households(df)
    answers = df[["hlthg", "hlthf", "hlthp"]].to_numpy(bool).T
    df["health"] = np.select(list(answers), ["good", "fair", "poor"], default="excellent")
    for name in IMPUTED_BOOLEANS:
        df[name] = df[name].where(df[name].isin([0, 1])).astype("boolean")
    columns = (Column("person", "group"), *COLUMNS) if visits else COLUMNS
    df = df.rename(columns={"zper": "person"})
    df, schema = with_schema(df, columns, target="health", sensitive=("black", "female"))
    return df, replace(schema, order="year" if visits else None)


def number_households(df: pd.DataFrame) -> pd.Series:
    """The household of each row, numbered from 1.

    The file has no such column, but ids of one household's people follow one another and share
    site, plan, income and size. In all but 3 of the 2,439 households found the size is no smaller
    than the number of people.
    """
    people = df.drop_duplicates("zper").sort_values("zper")
    shared = people[["site", "plan", "income", "num"]]
    household = (shared != shared.shift()).any(axis=1).cumsum()
    return df["zper"].map(dict(zip(people["zper"], household, strict=True)))


def _installed_file() -> Path:
    """The file in the installed wheel, found without importing statsmodels."""
    spec = find_spec("statsmodels")
    if spec is None or not spec.submodule_search_locations:
        raise input_error("rand_hie", "statsmodels is not installed", "pip install statsmodels")
    path = Path(spec.submodule_search_locations[0]) / "datasets/randhie/src/randhie.csv"
    verify(path, SHA256)
    return path
