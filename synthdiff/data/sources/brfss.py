"""CDC BRFSS 2015 diabetes indicators: 253,680 telephone survey answers, no missing values.

Public domain (CDC); the cleaned table of A. Teboul, which UCI lists as 891. One row per respondent,
so there is no entity column. Levels and bounds come from the BRFSS 2015 codebook.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from synthdiff.data.schema import Column, Schema
from synthdiff.data.sources.fetch import locate, public_column, with_schema

FILENAME = "diabetes_binary_health_indicators_BRFSS2015.csv"
SHA256 = "19f367e3e3350768f0c144c5d73ee5b355f67a57eaaa86ca7bd8aec594d8b1d0"
PAGE = "https://www.kaggle.com/datasets/alexteboul/diabetes-health-indicators-dataset"
BOOLEANS = (
    *("Diabetes_binary", "HighBP", "HighChol", "CholCheck", "Smoker", "Stroke"),
    *("HeartDiseaseorAttack", "PhysActivity", "Fruits", "Veggies", "HvyAlcoholConsump"),
    *("AnyHealthcare", "NoDocbcCost", "DiffWalk", "Sex"),
)
COLUMNS = (
    *(public_column(name, "boolean", (0, 1)) for name in BOOLEANS),
    Column("BMI", "integer", lower=0, step=1),
    public_column("MentHlth", "integer", (0, 30)),
    public_column("PhysHlth", "integer", (0, 30)),
    public_column("GenHlth", "ordinal", range(1, 6)),
    public_column("Age", "ordinal", range(1, 14)),
    public_column("Education", "ordinal", range(1, 7)),
    public_column("Income", "ordinal", range(1, 9)),
)


def load_brfss(data_dir: str | Path | None = None) -> tuple[pd.DataFrame, Schema]:
    """Loads the survey; the target is `Diabetes_binary` (1 = prediabetes or diabetes).

    Sex is 1 for men. Age counts five-year bands from 18-24 (1) to 80 and over (13).
    The published file needs a sign-in, so it has to be on disk.
    """
    path = locate(
        "brfss2015_diabetes", FILENAME, sha256=SHA256, url=PAGE, direct=False, data_dir=data_dir
    )
    sensitive = ("Sex", "Age", "Education", "Income")
    return with_schema(pd.read_csv(path), COLUMNS, target="Diabetes_binary", sensitive=sensitive)
