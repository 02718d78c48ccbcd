"""Machine-learning efficiency: how well a model learnt from synthetic rows predicts real ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import ParameterGrid

from synthdiff._progress import track
from synthdiff.eval.protocol.matrix import one_hot_matrix
from synthdiff.eval.protocol.tables import Roles
from synthdiff.eval.protocol.trees import SEED, require_xgboost

GRID = {
    "n_estimators": [10, 50, 100],
    "min_child_weight": [1, 10],
    "max_depth": [5, 10, 20],
    "gamma": [0.0, 1.0],
}
_LOG_RANGE = (1, 20_000)


def _log_target(values: pd.Series) -> np.ndarray:
    return np.log(np.clip(values.to_numpy(float), *_LOG_RANGE))


def _auc(model: Any, features: sparse.csr_matrix, target: np.ndarray, classes: int) -> float:
    """Mean one-against-rest AUC over the classes in `target`; unlearnt classes have P = 0."""
    probabilities = np.zeros((len(target), classes))
    probabilities[:, : model.n_classes_] = model.predict_proba(features)
    present = [k for k in range(classes) if 0 < np.sum(target == k) < len(target)]
    if not present:
        return 0.5
    if classes == 2:
        present = [1]
    return float(np.mean([roc_auc_score(target == k, probabilities[:, k]) for k in present]))


def _negative_rmse(
    model: Any, features: sparse.csr_matrix, target: np.ndarray, classes: int
) -> float:
    return -float(np.sqrt(np.mean((model.predict(features) - target) ** 2)))


def _encode_target(
    tables: list[pd.DataFrame], name: str, regression: bool
) -> tuple[list[np.ndarray], int]:
    """Targets of each table and the number of classes; those of the first table come first."""
    if regression:
        return [_log_target(table[name]) for table in tables], 0
    learnt = sorted(tables[0][name].unique())
    unseen = sorted(set().union(*(table[name].unique() for table in tables[1:])) - set(learnt))
    levels = pd.Index([*learnt, *unseen], dtype=object)
    return [levels.get_indexer(table[name].to_numpy(object)) for table in tables], len(levels)


def _split(fit: pd.DataFrame, val: pd.DataFrame | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows to learn from and those to choose by: `val`, else one ninth of `fit`."""
    if val is not None:
        return fit, val
    order = np.random.default_rng(SEED).permutation(len(fit))
    cut = len(fit) // 9
    return fit.iloc[order[cut:]], fit.iloc[order[:cut]]


def train_synthetic_test_real(
    synthetic: pd.DataFrame,
    test: pd.DataFrame,
    roles: Roles,
    *,
    val: pd.DataFrame | None = None,
    device: str = "cpu",
) -> float | dict:
    """AUC on the real test rows (higher is better), or RMSE (lower) where the target is a number.

    XGBoost on one-hot categories. Each of the 36 settings of `GRID` is fitted on 8/9 of the
    synthetic rows and judged on the rest; the best one counts. `val` are real rows to choose by
    instead, which TabDiff does for Diabetes only. More than two classes: mean one-against-rest AUC.
    A number: the target is log(clip(y, 1, 20000)) everywhere (TabDiff
    leaves it out of the validation rows by mistake), so the RMSE is on the log scale.
    """
    if roles.target is None:
        return {"skipped": "the schema names no target"}
    xgboost = require_xgboost()
    parts = _split(synthetic, val)
    tables = [*parts, test]
    if not len(parts[1]):
        return {"skipped": "fewer than 9 synthetic rows"}
    if any(table[roles.target].isna().any() for table in tables):
        return {"skipped": "the target has missing values"}
    targets, classes = _encode_target(tables, roles.target, roles.is_regression)
    if len(np.unique(targets[0])) < 2:
        return {"skipped": "the synthetic target takes one value only"}
    inputs = roles.inputs
    levels = {name: pd.Index(sorted(parts[0][name].unique())) for name in inputs.categorical}
    features = [
        one_hot_matrix(table[list(inputs.numeric)].to_numpy(float), levels, table)
        for table in tables
    ]
    build = xgboost.XGBRegressor if roles.is_regression else xgboost.XGBClassifier
    score = _negative_rmse if roles.is_regression else _auc
    best, best_model = -np.inf, None
    for settings in track(ParameterGrid(GRID), "settings of MLE", "setting"):
        model = build(tree_method="hist", device=device, random_state=SEED, **settings)
        model.fit(features[0], targets[0])
        judged = score(model, features[1], targets[1], classes)
        if judged > best:
            best, best_model = judged, model
    return abs(score(best_model, features[2], targets[2], classes))
