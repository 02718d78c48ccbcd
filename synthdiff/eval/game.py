"""Who plays the membership game: members, non-members, and the rows that attacks may see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from synthdiff._validate import input_error
from synthdiff.data.schema import Schema
from synthdiff.eval.features import Featurizer, row_keys
from synthdiff.eval.membership import Side

_MIN_PATIENTS = 20
_MAX_PATIENTS = 5000
_MAX_ROWS = 50_000


@dataclass(frozen=True)
class Game:
    """Equally many member and non-member patients, and the rows that attacks may see."""

    unit: str
    members: Side
    nonmembers: Side
    synthetic: np.ndarray
    reference: np.ndarray
    reference_patients: np.ndarray
    overlap: int
    notes: list[str]

    @property
    def patients(self) -> int:
        """Patients on each side."""
        return len(np.unique(self.members.patients))


def _ids(df: pd.DataFrame, schema: Schema, where: str) -> np.ndarray:
    """The patient of each row; every row is its own where the schema has no entity."""
    if schema.entity is None:
        return np.arange(len(df))
    if schema.entity not in df:
        raise input_error(f"{where} table", f"no column {schema.entity!r}", "keep the patient id")
    if df[schema.entity].isna().any():
        raise input_error(f"{where} table", "rows without a patient id", "drop them or fill it")
    return df[schema.entity].to_numpy()


def rows_of(df: pd.DataFrame, side: Side, schema: Schema, where: str) -> pd.DataFrame:
    """The rows of table `df` that make up a side of the game, in the side's order."""
    return df[np.isin(_ids(df, schema, where), side.patients)].reset_index(drop=True)


def _keep_patients(
    df: pd.DataFrame, ids: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[pd.DataFrame, np.ndarray]:
    kept = rng.choice(np.unique(ids), count, replace=False)
    rows = np.isin(ids, kept)
    return df[rows].reset_index(drop=True), ids[rows]


def _cap_rows(
    df: pd.DataFrame, ids: np.ndarray, rng: np.random.Generator
) -> tuple[pd.DataFrame, np.ndarray]:
    if len(df) <= _MAX_ROWS:
        return df, ids
    rows = rng.choice(len(df), _MAX_ROWS, replace=False)
    return df.iloc[rows], ids[rows]


def set_up_game(tables: dict[str, pd.DataFrame], schema: Schema, rng: np.random.Generator) -> Game:
    """Draws equally many member and non-member patients and encodes every table.

    tables: "train", "test", "reference" and "synthetic". Features are learnt from the reference.
    """
    ids = {part: _ids(tables[part], schema, part) for part in ("train", "test", "reference")}
    shared = 0
    if schema.entity is not None:
        for a, b in (("train", "test"), ("train", "reference"), ("test", "reference")):
            shared += len(np.intersect1d(ids[a], ids[b]))
    available = min(len(np.unique(ids["train"])), len(np.unique(ids["test"])))
    if min(available, len(np.unique(ids["reference"]))) < _MIN_PATIENTS:
        raise input_error(
            "audit", f"a part has fewer than {_MIN_PATIENTS} patients", "hold out more patients"
        )
    count = min(available, _MAX_PATIENTS)
    member_rows, member_ids = _keep_patients(tables["train"], ids["train"], count, rng)
    nonmember_rows, nonmember_ids = _keep_patients(tables["test"], ids["test"], count, rng)
    reference, reference_ids = _cap_rows(tables["reference"], ids["reference"], rng)
    synthetic, _ = _cap_rows(tables["synthetic"], np.arange(len(tables["synthetic"])), rng)
    notes = []
    if len(synthetic) < len(tables["synthetic"]):
        notes.append(f"Attacks saw a random {_MAX_ROWS} of {len(tables['synthetic'])} rows.")
    encode = Featurizer.fit(reference, schema).transform
    return Game(
        "row" if schema.entity is None else "patient",
        Side(encode(member_rows), member_ids, row_keys(member_rows, schema)),
        Side(encode(nonmember_rows), nonmember_ids, row_keys(nonmember_rows, schema)),
        encode(synthetic),
        encode(reference),
        reference_ids,
        shared,
        notes,
    )
