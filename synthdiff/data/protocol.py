"""The splits on which the field reports data quality, and ours that share no patient.

adult: the official 32,561 training and 16,281 test rows. default, magic, beijing: 90/10, shuffled
as TabSyn (arXiv 2310.09656) does. diabetes130_rows: the 60/20/20 row split of TabDiff (arXiv
2410.20626), in which one patient's stays fall on both sides. diabetes130_patients: the same columns
and shares split by patient; rand_hie: 60/20/20 by person. Figures of the last two are not
comparable to published ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from synthdiff._validate import one_of
from synthdiff.data.conform import conform
from synthdiff.data.schema import Column, Schema
from synthdiff.data.sources.diabetes130 import load_diabetes130, load_diabetes130_benchmark
from synthdiff.data.sources.rand_hie import load_rand_hie
from synthdiff.data.sources.uci import load_uci
from synthdiff.data.split import split_by_entity

ADULT_TRAIN_ROWS = 32_561
FIRST_SEED = 1234
THREE_WAY = {"train": 0.6, "val": 0.2, "test": 0.2}
Parts = dict[str, np.ndarray]


def shuffle_split(df: pd.DataFrame, categorical: list[str]) -> tuple[Parts, int]:
    """Rows of train (90 %) and test, and the seed that drew them.

    The order of the rows is shuffled with seed 1234, and again, from where it stands, with 1235
    and so on until every level of the categorical columns occurs in train.
    """
    order, size = np.arange(len(df)), int(len(df) * 0.9)
    levels = {name: df[name].nunique(dropna=False) for name in categorical}
    seed = FIRST_SEED
    while True:
        np.random.RandomState(seed).shuffle(order)
        train = df.iloc[order[:size]]
        if all(train[name].nunique(dropna=False) == count for name, count in levels.items()):
            return {"train": order[:size].copy(), "test": order[size:].copy()}, seed
        seed += 1


def _split_adult(data_dir: str | Path | None) -> tuple[pd.DataFrame, Schema, Parts]:
    df, schema = load_uci("adult", data_dir)
    rows = np.arange(len(df))
    return df, schema, {"train": rows[:ADULT_TRAIN_ROWS], "test": rows[ADULT_TRAIN_ROWS:]}


def _split_shuffled(name: str, data_dir: str | Path | None) -> tuple[pd.DataFrame, Schema, Parts]:
    df, schema = load_uci(name, data_dir)
    if name == "beijing":
        df = df.dropna(ignore_index=True)
    inputs = [c.name for c in schema.features if c.is_categorical and c.name != schema.target]
    return df, schema, shuffle_split(df, inputs)[0]


def _split_diabetes_rows(data_dir: str | Path | None) -> tuple[pd.DataFrame, Schema, Parts]:
    df, schema = load_diabetes130_benchmark(data_dir)
    target = df[schema.target].to_numpy()
    rest, test = train_test_split(
        np.arange(len(df)), test_size=0.2, stratify=target, random_state=42
    )
    train, val = train_test_split(rest, test_size=0.25, stratify=target[rest], random_state=42)
    return df, schema, {"train": train, "val": val, "test": test}


def _split_diabetes_patients(data_dir: str | Path | None) -> tuple[pd.DataFrame, Schema, Parts]:
    df, schema = load_diabetes130_benchmark(data_dir)
    patients = load_diabetes130(data_dir)[0]["patient_nbr"]  # both loaders keep the file's order
    df.insert(0, "patient_nbr", patients)
    entity = Column("patient_nbr", "entity", dtype=str(patients.dtype))
    schema = replace(schema, columns=(entity, *schema.columns))
    return df, schema, split_by_entity(patients, len(df), THREE_WAY, 42)


def _split_rand_hie(data_dir: str | Path | None) -> tuple[pd.DataFrame, Schema, Parts]:
    df, schema = load_rand_hie()
    return df, schema, split_by_entity(df[schema.entity], len(df), THREE_WAY, 0)


SPLITS: dict[str, Callable[..., tuple[pd.DataFrame, Schema, Parts]]] = {
    "adult": _split_adult,
    "default": lambda data_dir: _split_shuffled("default", data_dir),
    "magic": lambda data_dir: _split_shuffled("magic", data_dir),
    "beijing": lambda data_dir: _split_shuffled("beijing", data_dir),
    "diabetes130_rows": _split_diabetes_rows,
    "diabetes130_patients": _split_diabetes_patients,
    "rand_hie": _split_rand_hie,
}


def _halve(df: pd.DataFrame, schema: Schema) -> Parts:
    """All rows in two halves; by patient where there is one, else shuffled with seed 1234."""
    if schema.entity:
        return split_by_entity(df[schema.entity], len(df), {"train": 0.5, "test": 0.5}, FIRST_SEED)
    train, test = np.array_split(np.random.RandomState(FIRST_SEED).permutation(len(df)), 2)
    return {"train": train, "test": test}


def load_split(
    name: str, data_dir: str | Path | None = None
) -> tuple[dict[str, pd.DataFrame], Schema]:
    """Conformed tables "train", "test" and, where the protocol has one, "val"; and the schema.

    name: one of `SPLITS`; with "_halves" behind it the same rows in two equal parts, on which the
    literature computes the distance to the closest record. Raises InputError on an unknown name,
    or where the data are absent.
    """
    base = name.removesuffix("_halves")
    one_of(SPLITS, split=base)
    df, schema, parts = SPLITS[base](data_dir)
    df = conform(df, schema)
    if base != name:
        parts = _halve(df, schema)
    return {part: df.iloc[rows].reset_index(drop=True) for part, rows in parts.items()}, schema
