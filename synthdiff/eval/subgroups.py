"""Whether the synthetic table serves every group of the sensitive columns as it serves the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from synthdiff.data.schema import ID_KINDS, Column, Schema
from synthdiff.eval.fairness import CONFIDENCE, Z, score_groups
from synthdiff.eval.features import patient_numbers
from synthdiff.eval.fidelity import shape_scores
from synthdiff.eval.group_measures import MIN_GROUP_PATIENTS
from synthdiff.eval.levels import MIN_PATIENTS, code_levels, level_keys, name_levels
from synthdiff.eval.statistics import clustered_variance, interval
from synthdiff.eval.utility import Predictions

Tables = Mapping[str, pd.DataFrame]  # by part: train, test, synthetic
Arrays = Mapping[str, np.ndarray]

_SUBSAMPLES = 30
_MAX_ROWS = 5000


def _share(inside: Mapping[str, np.ndarray], ids: Mapping[str, np.ndarray]) -> dict:
    """Share of rows in the level. difference: synthetic - train, between patients' errors."""
    shares = {part: float(rows.mean()) for part, rows in inside.items()}
    variance = sum(
        clustered_variance(inside[part].astype(float), ids[part]) for part in ("train", "synthetic")
    )
    value, margin = shares["synthetic"] - shares["train"], Z * np.sqrt(variance)
    return {**shares, "difference": interval(value, value - margin, value + margin, CONFIDENCE)}


def _subsample_scores(
    train: pd.DataFrame,
    other: pd.DataFrame,
    ids: np.ndarray,
    rows: int,
    schema: Schema,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Mean shape of subsamples of about `rows` rows, by patient, and the variance of that score.

    The delete-d jackknife (Shao and Wu 1989): subsamples of h of n patients vary (n - h) / h
    times as much as the score of the whole.
    """
    numbers = np.unique(ids, return_inverse=True)[1]
    patients = numbers.max() + 1
    kept = max(1, round(patients * rows / len(other)))
    scores = []
    for _ in range(_SUBSAMPLES):
        chosen = np.zeros(patients, bool)
        chosen[rng.permutation(patients)[:kept]] = True
        shape = shape_scores(train, other[chosen[numbers]], schema)
        scores.append(np.mean([column["score"] for column in shape.values()]))
    factor = kept / max(patients - kept, 1)
    return float(np.mean(scores)), factor * float(np.var(scores, ddof=1))


def _shape(tables: Tables, ids: Arrays, schema: Schema, seed: int) -> dict:
    """Mean agreement with the group's training rows of synthetic and of test rows (the floor).

    Both are scored in subsamples of the same size, half of the smaller one, as small samples
    agree less well.
    """
    rng = np.random.default_rng(seed)
    rows = min(len(tables["test"]), len(tables["synthetic"]), _MAX_ROWS) // 2
    train = tables["train"]
    train = train.iloc[rng.permutation(len(train))[:_MAX_ROWS]]
    means, variances = zip(
        *(
            _subsample_scores(train, tables[part], ids[part], rows, schema, rng)
            for part in ("synthetic", "test")
        ),
        strict=True,
    )
    value, margin = means[0] - means[1], Z * np.sqrt(sum(variances))
    difference = interval(value, value - margin, value + margin, CONFIDENCE)
    return {"synthetic": means[0], "floor": means[1], "difference": difference, "rows": rows}


def _exceeds(result: Mapping, name: str) -> bool:
    """Whether an interval of the result lies above 0."""
    return result.get(name, {}).get("lower", 0) > 0


def _flags(level: dict) -> list[str]:
    """Checks of a level whose interval excludes "as good as real": the name of each."""
    share, shape = level["share"]["difference"], level["shape"].get("difference")
    flags = ["share"] if share["lower"] > 0 or share["upper"] < 0 else []
    flags += ["shape"] if shape and shape["upper"] < 0 else []
    if "skipped" in level["scores"]:
        return flags
    scores = level["scores"].items()
    return flags + [name for name, score in scores if _exceeds(score, "excess_points")]


def _why_small(inside: Mapping[str, np.ndarray], ids: Mapping[str, np.ndarray]) -> str | None:
    """Why a level cannot be judged on its own."""
    for part in ("train", "test"):
        if len(np.unique(ids[part][inside[part]])) < MIN_GROUP_PATIENTS:
            return f"fewer than {MIN_GROUP_PATIENTS} {part} patients"
    return None


def _describe_level(
    tables: Tables, ids: Arrays, inside: Arrays, column: Column, schema: Schema, seed: int
) -> dict:
    reason = _why_small(inside, ids)
    if reason:
        return {"skipped": reason}
    patients = {part: len(np.unique(ids[part][inside[part]])) for part in ("train", "test")}
    result = {"patients": patients, "share": _share(inside, ids)}
    columns = schema.columns
    if column.is_categorical:  # constant within its level
        columns = tuple(other for other in columns if other.name != column.name)
    if inside["synthetic"].sum() < MIN_GROUP_PATIENTS:
        result["shape"] = {"skipped": f"fewer than {MIN_GROUP_PATIENTS} synthetic rows"}
    elif all(other.kind in ID_KINDS for other in columns):
        result["shape"] = {"skipped": "no other column"}
    else:
        parts = {part: df[inside[part]] for part, df in tables.items()}
        owners = {part: ids[part][inside[part]] for part in tables}
        result["shape"] = _shape(parts, owners, Schema(columns), seed)
    return result


def _evaluate_column(
    tables: Tables,
    ids: Arrays,
    column: Column,
    schema: Schema,
    predictions: Predictions | dict,
    seed: int,
) -> dict:
    if column.kind in ("code_set", *ID_KINDS):
        return {"skipped": f"a column of kind {column.kind} has no levels to group by"}
    keys, order = level_keys({part: df[column.name] for part, df in tables.items()}, column)
    names, unnamed = name_levels(keys["train"], ids["train"], order)
    levels = {}
    for name in names:
        inside = {part: found == name for part, found in keys.items()}
        levels[name] = _describe_level(tables, ids, inside, column, schema, seed)
    scored = [name for name in names if "skipped" not in levels[name]]
    gaps: dict[str, Any] = {"skipped": "fewer than two levels with enough patients"}
    scores: dict[str, dict] = {}
    if isinstance(predictions, dict):
        gaps = predictions
    elif column.name == predictions.target:
        gaps = {"skipped": "the column is the target"}
    elif len(scored) > 1:
        test_keys = keys["test"][predictions.rows]
        known = [name for name in scored if name in set(test_keys)]
        codes = code_levels(test_keys, known)
        found, gaps = score_groups(predictions, codes, ids["test"][predictions.rows], seed)
        scores = dict(zip(known, found, strict=True))
    for name in scored:
        levels[name]["scores"] = scores.get(name, {"skipped": gaps.get("skipped", "no target")})
        levels[name]["flags"] = _flags(levels[name])
    flags = [
        name for name, gap in gaps.items() if name != "skipped" and _exceeds(gap, "difference")
    ]
    result = {"levels": levels, "gaps": gaps, "flags": flags}
    if unnamed:
        reason = f"not named, as fewer than {MIN_PATIENTS} training patients have each"
        result["unnamed"] = {"levels": unnamed, "skipped": reason}
    return result


def evaluate_subgroups(
    train: pd.DataFrame,
    test: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    predictions: Predictions | dict,
    seed: int = 0,
) -> dict:
    """Share, fidelity and model scores of every level of every sensitive column.

    predictions: on `test`, of models trained on "train", on "synthetic" and on `draw_halves`, or
    why there are none. A level with fewer than 20 training or test patients is {"skipped":
    reason}; levels of fewer than 5 training patients are not named. A check is flagged where its
    99% interval says worse than real: a share that differs, a shape below the floor, a loss of
    score above that of all rows, a gap between levels above that of models of real rows.
    """
    if not schema.sensitive:
        return {"skipped": "the schema names no sensitive column"}
    tables = {"train": train, "test": test, "synthetic": synthetic}
    ids = {part: patient_numbers(df, schema) for part, df in tables.items()}
    columns = {
        name: _evaluate_column(tables, ids, schema[name], schema, predictions, seed)
        for name in schema.sensitive
    }
    return {"confidence": CONFIDENCE, "min_patients": MIN_GROUP_PATIENTS, "columns": columns}
