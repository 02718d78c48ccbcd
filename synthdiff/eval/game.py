"""Who plays the membership game: members, non-members, and the rows that attacks may see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from synthdiff._validate import input_error
from synthdiff.data.schema import Schema
from synthdiff.eval.attacks import View
from synthdiff.eval.features import Featurizer, row_keys
from synthdiff.eval.membership import Side

MIN_PATIENTS = 20
MAX_PATIENTS = 5000
ROWS_PER_PATIENT = 10  # most rows of the synthetic and of the reference table per patient of a side


@dataclass(frozen=True)
class Game:
    """Equally many member and non-member patients, and the rows that attacks may see.

    member_rows, synthetic_rows: where the rows stand in the train and the synthetic table.
    max_patients: how many of a side were wanted at most.
    """

    unit: str
    members: Side
    nonmembers: Side
    synthetic: np.ndarray
    reference: np.ndarray
    reference_patients: np.ndarray
    member_rows: np.ndarray
    synthetic_rows: np.ndarray
    overlap: int
    notes: list[str]
    max_patients: int

    @property
    def patients(self) -> int:
        """Patients on each side."""
        return len(self.members.ids)

    @cached_property
    def view(self) -> View:
        """What every attack sees; its targets are the members' rows, then the non-members'."""
        targets = np.concatenate([self.members.features, self.nonmembers.features])
        return View(targets, self.synthetic, self.reference)


def patient_ids(df: pd.DataFrame, schema: Schema, where: str) -> np.ndarray:
    """The patient of each row; every row is its own where the schema has no entity."""
    if schema.entity is None:
        return np.arange(len(df))
    if schema.entity not in df:
        raise input_error(f"{where} table", f"no column {schema.entity!r}", "keep the patient id")
    if df[schema.entity].isna().any():
        raise input_error(f"{where} table", "rows without a patient id", "drop them or fill it")
    return df[schema.entity].to_numpy()


def require_patients(tables: Mapping[str, pd.DataFrame], schema: Schema) -> None:
    """Raises InputError where a real table has fewer patients than an audit needs."""
    for part in ("train", "test", "reference"):
        count = len(np.unique(patient_ids(tables[part], schema, part)))
        if count < MIN_PATIENTS:
            unit = "rows" if schema.entity is None else "patients"
            problem = f"has {count} {unit}, and an audit needs {MIN_PATIENTS} in each real table"
            fix = "learn from more" if part == "train" else "hold out more"
            raise input_error(f"{part} table", problem, fix)


def rows_of(df: pd.DataFrame, side: Side, schema: Schema, where: str) -> pd.DataFrame:
    """The rows of table `df` that make up a side of the game, in the side's order."""
    return df[np.isin(patient_ids(df, schema, where), side.patients)].reset_index(drop=True)


def _keep_patients(ids: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Row numbers of `count` random patients."""
    return np.flatnonzero(np.isin(ids, rng.choice(np.unique(ids), count, replace=False)))


def cap_rows(count: int, most: int, rng: np.random.Generator) -> np.ndarray:
    """All row numbers, or `most` random ones."""
    if count <= most:
        return np.arange(count)
    return np.sort(rng.choice(count, most, replace=False))


def set_up_game(
    tables: dict[str, pd.DataFrame],
    schema: Schema,
    rng: np.random.Generator,
    max_patients: int = MAX_PATIENTS,
) -> Game:
    """Draws equally many member and non-member patients and encodes every table.

    tables: "train", "test", "reference" and "synthetic". Features are learnt from the reference.
    max_patients: of a side; of the synthetic and of the reference rows ten times as many are seen.
    """
    ids = {part: patient_ids(tables[part], schema, part) for part in ("train", "test", "reference")}
    shared = 0
    if schema.entity is not None:
        for a, b in (("train", "test"), ("train", "reference"), ("test", "reference")):
            shared += len(np.intersect1d(ids[a], ids[b]))
    available = min(len(np.unique(ids["train"])), len(np.unique(ids["test"])))
    require_patients(tables, schema)
    count, total = min(available, max_patients), len(tables["synthetic"])
    most = ROWS_PER_PATIENT * max_patients
    rows = {part: _keep_patients(ids[part], count, rng) for part in ("train", "test")}
    rows |= {part: cap_rows(len(tables[part]), most, rng) for part in ("reference", "synthetic")}
    tables = {part: tables[part].iloc[kept].reset_index(drop=True) for part, kept in rows.items()}
    notes = []
    if len(rows["synthetic"]) < total:
        notes.append(f"Attacks saw a random {most} of {total} rows.")
    encode = Featurizer.fit(tables["reference"], schema).transform

    def make_side(part: str) -> Side:
        return Side(encode(tables[part]), ids[part][rows[part]], row_keys(tables[part], schema))

    return Game(
        unit="row" if schema.entity is None else "patient",
        members=make_side("train"),
        nonmembers=make_side("test"),
        synthetic=encode(tables["synthetic"]),
        reference=encode(tables["reference"]),
        reference_patients=ids["reference"][rows["reference"]],
        member_rows=rows["train"],
        synthetic_rows=rows["synthetic"],
        overlap=shared,
        notes=notes,
        max_patients=max_patients,
    )
