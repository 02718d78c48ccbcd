"""--start: another run whose codec and weights training begins with."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from _common import FLAGS
from _data import load_table, split_table
from _stages import read_manifest
from absl import flags

from synthdiff._validate import InputError, input_error
from synthdiff.data.conform import conform
from synthdiff.data.schema import Schema
from synthdiff.eval.features import patient_numbers, row_keys
from synthdiff.synthesizer import Synthesizer, load

SAME = 0.5  # share of patients with an equal row that two tables do not have by chance


def define_start_flag() -> None:
    flags.DEFINE_string("start", None, "run folder of a model of a like table, to begin with")


def read_start(
    spec: dict, parts: Mapping[str, pd.DataFrame], schema: Schema, *, private: bool
) -> tuple[Synthesizer | None, dict | None]:
    """The model of --start and what the manifest says of it; of other patients, or of one split.

    parts: of the table of this run. Raises InputError where the model has learnt from patients whom
    this run holds out, or a private run sees through noise alone, also under another name of the
    table; a table that is gone since is known by its name only.
    """
    if not FLAGS.start:
        return None, None
    folder = Path(FLAGS.start)
    model, manifest = load(folder), read_manifest(folder)
    theirs = manifest["data"]
    same = theirs["data"] == spec["data"]
    learnt = np.empty(0, np.uint64) if same else _mark_learnt(theirs, schema)
    if private and (same or _share_known(parts["train"], schema, learnt) > SAME):
        problem = "has learnt from these patients, whom a private run may see through noise alone"
        raise input_error(f"--start={folder}", problem, "begin at a model of other patients")
    held_out = pd.concat([parts[name] for name in ("test", "reference")], ignore_index=True)
    other_split = theirs["split_seed"] != spec["split_seed"]
    if (same and other_split) or _share_known(held_out, schema, learnt) > SAME:
        problem = "was trained on another split of this table, so on patients held out here"
        fix = f"use --split_seed={theirs['split_seed']} and the table that it was trained on"
        raise input_error(f"--start={folder}", problem, fix)
    about = {
        "dataset": manifest["dataset"],
        "patients": manifest["patients"]["train"],
        "differential_privacy": bool(model.privacy),
    }
    if before := manifest.get("start"):  # that run had begun at another too
        about["dataset"] += f" and {before['dataset']}"
        about["patients"] += before["patients"]
        about["differential_privacy"] &= before["differential_privacy"]
    return model, about


def _mark_learnt(theirs: dict, schema: Schema) -> np.ndarray:
    """The marks of the rows that the other run has learnt from; none where they cannot be read."""
    try:
        df, other = load_table(theirs)
        df = split_table(conform(df, other), other, theirs["split_seed"])["train"]
        return _mark_rows(conform(df, schema), schema)
    except (InputError, OSError, KeyError):
        return np.empty(0, np.uint64)


def _share_known(df: pd.DataFrame, schema: Schema, learnt: np.ndarray) -> float:
    """Of the patients of a table, the share with a row that has one of these marks."""
    patients = patient_numbers(df, schema)
    known = np.isin(_mark_rows(df, schema), learnt)
    return len(np.unique(patients[known])) / (int(patients.max()) + 1)


def _mark_rows(df: pd.DataFrame, schema: Schema) -> np.ndarray:
    """uint64 [rows]: equal for equal rows under equal ids, if there are ids."""
    ids = df[schema.entity].astype(str) if schema.entity else pd.Series("", index=df.index)
    return row_keys(df, schema) ^ pd.util.hash_array(ids.to_numpy(object))
