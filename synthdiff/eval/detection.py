"""How well boosted trees tell synthetic rows from real test rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier

from synthdiff.data.schema import Schema
from synthdiff.eval.features import Featurizer, fill_empty_columns, patient_numbers
from synthdiff.eval.statistics import auc_interval

MODEL = "HistGradientBoostingClassifier, 5-fold out-of-fold"
_MIN_ROWS = 20
_MAX_ROWS = 10_000
_FOLDS = 5


def _assign_folds(groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A fold per row; rows of a group share theirs. int [n]"""
    index = np.unique(groups, return_inverse=True)[1]
    return (rng.permutation(index.max() + 1) % _FOLDS)[index]


def cross_fitted_scores(
    positives: np.ndarray,
    negatives: np.ndarray,
    positive_groups: np.ndarray,
    negative_groups: np.ndarray,
    rng: np.random.Generator,
    *,
    max_iter: int = 100,
) -> tuple[np.ndarray, np.ndarray]:
    """P(positive) of each row from boosted trees fitted on the other folds' groups.

    Folds are drawn per side, so every fold keeps the class balance (a shared draw would make
    left-out classes rarer in training and pull the AUC below chance).
    """
    features = np.concatenate([positives, negatives])
    labels = np.repeat([1, 0], [len(positives), len(negatives)])
    folds = np.concatenate(
        [_assign_folds(positive_groups, rng), _assign_folds(negative_groups, rng)]
    )
    scores = np.empty(len(labels))
    for fold in np.unique(folds):
        held_out = folds == fold
        model = HistGradientBoostingClassifier(
            max_iter=max_iter, early_stopping=False, random_state=0
        )
        model.fit(fill_empty_columns(features[~held_out]), labels[~held_out])
        scores[held_out] = model.predict_proba(features[held_out])[:, 1]
    return scores[: len(positives)], scores[len(positives) :]


def compare_detection(
    train: pd.DataFrame, test: pd.DataFrame, synthetic: pd.DataFrame, schema: Schema, seed: int
) -> dict:
    """{"auc", "floor", "model"}: of synthetic and of training rows, each among the test rows."""
    found = detection_auc(test, synthetic, schema, seed)
    if "skipped" in found:
        return found
    return {"auc": found, "floor": detection_auc(test, train, schema, seed), "model": MODEL}


def detection_auc(
    real: pd.DataFrame,
    other: pd.DataFrame,
    schema: Schema,
    seed: int,
) -> dict:
    """AUC interval of "this row is synthetic": 0.5 cannot be told apart, 1 always can.

    real: rows the generator has never seen (the test part). Both sides are cut to the smaller
    size, at most 10,000 rows. Rows of a patient stay in one fold and count as one cluster in the
    interval, on both sides: a model that sees one visit of a patient knows the others. Where
    `other` names fewer patients than there are folds, each of its rows is a patient of its own.
    """
    size = min(len(real), len(other), _MAX_ROWS)
    if size < _MIN_ROWS:
        return {"skipped": f"fewer than {_MIN_ROWS} rows on a side"}
    rng = np.random.default_rng(seed)
    real = real.iloc[rng.permutation(len(real))[:size]]
    other = other.iloc[rng.permutation(len(other))[:size]]
    features = Featurizer.fit(real, schema)
    real_groups = patient_numbers(real, schema)
    other_groups = patient_numbers(other, schema)
    if other_groups.max() < _FOLDS - 1:
        other_groups = np.arange(size)
    other_scores, real_scores = cross_fitted_scores(
        features.transform(other, "tree"),
        features.transform(real, "tree"),
        other_groups,
        real_groups,
        rng,
    )
    return auc_interval(
        other_scores, real_scores, member_groups=other_groups, nonmember_groups=real_groups
    )
