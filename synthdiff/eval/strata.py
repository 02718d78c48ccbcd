"""Vulnerable patients: outliers and holders of rare values, found without knowing the members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from synthdiff.data.schema import Schema
from synthdiff.eval.features import long_cells
from synthdiff.eval.membership import Scores, patient_scores, summarise_scores
from synthdiff.eval.neighbours import nearest

OUTLIER_SHARE = 0.05
RARE_PATIENTS, RARE_SHARE = 11, 0.01
RARE_MOST = 0.1  # of all patients: where most hold a rare code, only the rarest are apart
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


def _number(ids: Sequence[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """A number per row that no patient of another part shares, and each part's sorted ids."""
    names, numbers, total = [], [], 0
    for part in ids:
        known, index = np.unique(part, return_inverse=True)
        names.append(known)
        numbers.append(index + total)
        total += len(known)
    return np.concatenate(numbers), names


def _split(chosen: np.ndarray, names: list[np.ndarray]) -> list[np.ndarray]:
    """Patients chosen by number, as ids per part; chosen: bool [patients]."""
    masks = np.split(chosen, np.cumsum([len(part) for part in names])[:-1])
    return [part[mask] for part, mask in zip(names, masks, strict=True)]


def find_outliers(parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
    """The 5% of all patients (at least one) with the most outlying row, as ids per part.

    parts: (features [n, d], patient of each row [n]).
    """
    numbers, names = _number([ids for _, ids in parts])
    rows = outlier_scores(np.concatenate([features for features, _ in parts]), numbers)
    scores = patient_scores(rows, numbers)
    chosen = np.zeros(len(scores), bool)
    chosen[np.argsort(-scores, kind="stable")[: max(1, round(OUTLIER_SHARE * len(scores)))]] = True
    return _split(chosen, names)


def find_rare(parts: Sequence[tuple[pd.DataFrame, np.ndarray]], schema: Schema) -> list[np.ndarray]:
    """Patients with a category or code that few of all patients have, as ids per part.

    Few: under 11, the smallest cell that US agencies publish, or under 1%; where that is more than
    a tenth of all patients, the tenth with the rarest, or else all whose code is the rarest there
    is. parts: (table, patient of each row). Rare numbers make outliers instead.
    """
    numbers, names = _number([ids for _, ids in parts])
    df = pd.concat([table for table, _ in parts], ignore_index=True)
    total = sum(map(len, names))
    limit = max(RARE_PATIENTS, RARE_SHARE * total)
    holders = np.full(total, limit)  # of each patient's rarest value
    for column in (column for column in schema.features if not column.is_numeric):
        rows, values = long_cells(df[column.name], column)
        pairs = pd.DataFrame({"value": values, "patient": numbers[rows]}).drop_duplicates()
        sizes = pairs.groupby("value")["patient"].transform("size").to_numpy(float)
        np.minimum.at(holders, pairs["patient"].to_numpy(np.int64), sizes)
    crowded = np.sort(holders)[int(RARE_MOST * total)]
    limit = min(limit, max(crowded, np.nextafter(holders.min(), np.inf)))
    return _split(holders < limit, names)


def audit_strata(
    strata: Mapping[str, Sequence[np.ndarray]],
    scores: Mapping[str, Scores],
    ids: tuple[np.ndarray, np.ndarray],
    rng: np.random.Generator,
) -> dict[str, dict]:
    """Every attack on the patients of each stratum only.

    strata: ids of its members and of its non-members. ids: sorted ids of all members and
    non-members, as the scores are ordered. The false positive rate is among the stratum's own
    non-members. The p-values are not yet adjusted.
    """
    result = {}
    for name, chosen in strata.items():
        inside = [np.isin(side, chosen[at]) for at, side in enumerate(ids)]
        sizes = [int(side.sum()) for side in inside]
        if min(sizes) < MIN_STRATUM:
            few = f"{sizes[0]} members and {sizes[1]} non-members, {MIN_STRATUM} of each needed"
            result[name] = {"skipped": few, "members": sizes[0], "nonmembers": sizes[1]}
            continue
        attacks = {}
        for attack, found in scores.items():
            (raw, ranked) = (
                [side[kept] for side, kept in zip(both, inside, strict=True)]
                for both in (found.raw, found.ranked)
            )
            attacks[attack] = summarise_scores(raw[0], raw[1], rng, ranked=(ranked[0], ranked[1]))
            del attacks[attack]["roc"]
        result[name] = {"members": sizes[0], "nonmembers": sizes[1], "attacks": attacks}
    return result
