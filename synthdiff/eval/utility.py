"""Train on synthetic, test on real: what a model loses by learning from synthetic rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge

from synthdiff.data.schema import Schema
from synthdiff.eval.features import Featurizer, category_keys, fill_empty_columns, numeric_values
from synthdiff.eval.statistics import auc

_MAX_ROWS = 20_000
_MIN_ROWS = 20
_MAX_CLASS_VALUES = 20  # a numeric target with more distinct values is a regression


def _build_models(task: str, seed: int) -> dict[str, tuple[str, object]]:
    """{name: (feature style, unfitted estimator)} of the three families."""
    forest = {"n_estimators": 100, "min_samples_leaf": 3, "n_jobs": -1, "random_state": seed}
    boosting = {"max_iter": 100, "early_stopping": False, "random_state": seed}
    if task == "regression":
        return {
            "ridge_regression": ("linear", Ridge()),
            "random_forest": ("tree", RandomForestRegressor(max_features=0.33, **forest)),
            "gradient_boosting": ("tree", HistGradientBoostingRegressor(**boosting)),
        }
    return {
        "logistic_regression": ("linear", LogisticRegression(max_iter=300)),
        "random_forest": ("tree", RandomForestClassifier(**forest)),
        "gradient_boosting": ("tree", HistGradientBoostingClassifier(**boosting)),
    }


def _score_regression(model: object, features: np.ndarray, target: np.ndarray) -> dict:
    errors = target - model.predict(features)
    return {
        "r2": float(1 - np.mean(errors**2) / np.var(target)),
        "rmse": float(np.sqrt(np.mean(errors**2))),
    }


def _score_classes(model: object, features: np.ndarray, target: np.ndarray) -> dict:
    """Accuracy and the mean one-against-rest AUROC; a class the model never saw has P = 0."""
    probabilities = model.predict_proba(features)
    seen = list(model.classes_)
    areas = []
    for label in np.unique(target):
        column = probabilities[:, seen.index(label)] if label in seen else np.zeros(len(target))
        areas.append(auc(column[target == label], column[target != label]))
    return {
        "accuracy": float(np.mean(model.predict(features) == target)),
        "auroc": float(np.mean(areas)),
    }


def _fit(model: object, features: np.ndarray, target: np.ndarray, task: str) -> object:
    if task == "classification" and len(np.unique(target)) < 2:
        model = DummyClassifier(strategy="prior")
    return model.fit(fill_empty_columns(features), target)


def _gaps(trtr: dict, tstr: dict) -> dict:
    """100 * (real - synthetic); positive means that synthetic training is worse. Not for rmse."""
    return {name: 100 * (trtr[name] - tstr[name]) for name in trtr if name != "rmse"}


def _mean(models: dict[str, dict]) -> dict:
    parts = next(iter(models.values()))
    return {
        part: {
            name: float(np.mean([model[part][name] for model in models.values()]))
            for name in parts[part]
        }
        for part in parts
    }


def train_synthetic_test_real(
    train: pd.DataFrame, test: pd.DataFrame, synthetic: pd.DataFrame, schema: Schema, seed: int
) -> dict:
    """Fits three model families on train and on synthetic rows and scores both on test.

    A numeric target with more than 20 distinct training values is a regression. Rows without
    target are dropped, tables cut to 20,000 rows, and features learnt from train serve both
    fits. Returns {"skipped": reason} where no model can be fitted or scored.
    """
    if schema.target is None:
        return {"skipped": "the schema names no target"}
    column = schema[schema.target]
    if column.kind in ("code_set", "entity"):
        return {"skipped": f"a target of kind {column.kind} cannot be predicted"}
    task = "classification"
    if column.is_numeric and train[column.name].nunique() > _MAX_CLASS_VALUES:
        task = "regression"
    if len(schema.features) < 2:
        return {"skipped": "no column besides the target"}
    rng = np.random.default_rng(seed)
    parts = []
    for where, df in (("train", train), ("synthetic", synthetic), ("test", test)):
        df = df[df[column.name].notna()]
        if len(df) < _MIN_ROWS:
            return {"skipped": f"fewer than {_MIN_ROWS} {where} rows have the target"}
        parts.append(df.iloc[rng.permutation(len(df))[:_MAX_ROWS]])
    if task == "regression":
        targets = [numeric_values(df[column.name], column) for df in parts]
    else:
        targets = [category_keys(df[column.name]).astype(str) for df in parts]
    for where, target in (("train", targets[0]), ("test", targets[2])):
        if len(np.unique(target)) < 2:
            return {"skipped": f"the target has one value only in {where}"}
    featurizer = Featurizer.fit(parts[0], schema, exclude=[column.name])
    features = {
        style: [featurizer.transform(df, style) for df in parts] for style in ("linear", "tree")
    }
    score = _score_regression if task == "regression" else _score_classes
    models = {}
    for name, (style, _) in _build_models(task, seed).items():
        scores = []
        for part in (0, 1):
            estimator = _build_models(task, seed)[name][1]
            model = _fit(estimator, features[style][part], targets[part], task)
            scores.append(score(model, features[style][2], targets[2]))
        models[name] = {"trtr": scores[0], "tstr": scores[1], "gap_points": _gaps(*scores)}
    return {"target": column.name, "task": task, "models": models, "mean": _mean(models)}
