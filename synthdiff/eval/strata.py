"""Vulnerable patients: outliers and holders of rare values, found without knowing the members."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from synthdiff.data.schema import Schema
from synthdiff.eval import statistics
from synthdiff.eval.features import category_keys, code_rows
from synthdiff.eval.membership import Scores, patient_scores, summarise_scores
from synthdiff.eval.neighbours import nearest

OUTLIER_SHARE = 0.05
RARE_PATIENTS, RARE_SHARE = 11, 0.01
MIN_STRATUM = 30
_K = 5
_MOST_OWN_ROWS = 64


def outlier_scores(features: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """Mean distance of each row to its 5 nearest rows of other patients. float64 [n]

    As the Achilles score (Meeus et al. 2023, arXiv 2306.10308), over every real row at hand,
    members and others alike, so that the score cannot tell who is a member.
    """
    owner = np.unique(patients, return_inverse=True)[1]
    own = min(int(np.bincount(owner).max()), _MOST_OWN_ROWS)
    k = min(_K + own, len(features))
    squares, ids = nearest(features, features, k)
    others = owner[ids] != owner[:, None]
    first = others & (np.cumsum(others, axis=1) <= _K)
    found = first.sum(axis=1)
    total = np.where(first, np.sqrt(squares), 0).sum(axis=1)
    # All neighbours are the patient's own: the nearest other lies beyond the last of them.
    return np.where(found, total / np.maximum(found, 1), np.sqrt(squares[:, -1]))


def find_outliers(features: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """The 5% of the patients (at least one) with the most outlying row; their sorted ids."""
    scores = patient_scores(outlier_scores(features, patients), patients)
    count = max(1, round(OUTLIER_SHARE * len(scores)))
    return np.sort(np.unique(patients)[np.argsort(-scores, kind="stable")[:count]])


def find_rare(df: pd.DataFrame, patients: np.ndarray, schema: Schema) -> np.ndarray:
    """Patients with a category or code that fewer than 11 patients, or under 1%, have. Sorted ids.

    11 is the smallest cell that US agencies publish. Numbers count in the outliers instead.
    """
    limit = max(RARE_PATIENTS, RARE_SHARE * len(np.unique(patients)))
    rare = []
    for column in schema.features:
        if column.kind == "code_set":
            rows, values = code_rows(df[column.name], column)
        elif column.is_categorical:
            values = category_keys(df[column.name])
            rows = np.flatnonzero(~pd.isna(values))
            values = values[rows]
        else:
            continue
        pairs = pd.DataFrame({"value": values, "patient": patients[rows]}).drop_duplicates()
        few = pairs.groupby("value")["patient"].transform("size") < limit
        rare.append(pairs["patient"][few].to_numpy())
    return np.unique(np.concatenate(rare)) if rare else np.empty(0, np.int64)


def audit_strata(
    strata: Mapping[str, np.ndarray],
    scores: Mapping[str, Scores],
    ids: tuple[np.ndarray, np.ndarray],
    rng: np.random.Generator,
) -> dict[str, dict]:
    """Every attack on the patients of each stratum only.

    strata: ids of its patients. ids: sorted ids of members and non-members, as the scores are
    ordered. The false positive rate is among the stratum's own non-members. Holm's adjustment
    runs over the attacks of a stratum.
    """
    result = {}
    for name, chosen in strata.items():
        inside = [np.isin(side, chosen) for side in ids]
        sizes = [int(side.sum()) for side in inside]
        if min(sizes) < MIN_STRATUM:
            few = f"{sizes[0]} members and {sizes[1]} non-members"
            result[name] = {"skipped": f"{few}; at least {MIN_STRATUM} of each are needed"}
            continue
        attacks = {}
        for attack, found in scores.items():
            raw, ranked = (
                tuple(side[kept] for side, kept in zip(both, inside, strict=True))
                for both in (found.raw, found.ranked)
            )
            attacks[attack] = summarise_scores(*raw, rng, ranked=ranked)
            del attacks[attack]["roc"]
        adjusted = statistics.holm({k: v["p_value"] for k, v in attacks.items()})
        for attack, p_value in adjusted.items():
            attacks[attack]["p_value_holm"] = p_value
        result[name] = {"members": sizes[0], "nonmembers": sizes[1], "attacks": attacks}
    return result
