"""Train on synthetic, test on real: what a model loses by learning from synthetic rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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

from synthdiff.data.schema import ID_KINDS, Schema
from synthdiff.eval.features import Featurizer, category_keys, fill_empty_columns, numeric_values
from synthdiff.eval.statistics import auc

SOURCES = ("train", "synthetic")
TEST = "test"
MAX_ROWS = 20_000
_MIN_ROWS = 20
_MAX_CLASS_VALUES = 20  # a numeric target with more distinct values is a regression


@dataclass(frozen=True)
class Predictions:
    """What models trained on each source table say about the real test rows.

    classes: names, by class number; empty for a regression. rows: positions [n] of the scored
    rows in the test table. truth: their class numbers or values [n].
    predicted: {model: {source: probabilities [n, classes] or values [n]}}.
    """

    target: str
    classes: tuple[str, ...]
    rows: np.ndarray
    truth: np.ndarray
    predicted: dict[str, dict[str, np.ndarray]]

    @property
    def task(self) -> str:
        """classification or regression."""
        return "classification" if self.classes else "regression"


def _build_models(regression: bool, seed: int) -> dict[str, tuple[str, object]]:
    """{name: (feature style, unfitted estimator)} of the three families."""
    forest = {"n_estimators": 100, "min_samples_leaf": 3, "random_state": seed}
    boosting = {"max_iter": 100, "early_stopping": False, "random_state": seed}
    if regression:
        return {
            "ridge_regression": ("linear", Ridge()),
            "random_forest": ("tree", RandomForestRegressor(max_features=0.33, **forest)),
            "gradient_boosting": ("tree", HistGradientBoostingRegressor(**boosting)),
        }
    return {
        "logistic_regression": ("linear", LogisticRegression(solver="newton-cholesky")),
        "random_forest": ("tree", RandomForestClassifier(**forest)),
        "gradient_boosting": ("tree", HistGradientBoostingClassifier(**boosting)),
    }


def _score_regression(predicted: np.ndarray, target: np.ndarray) -> dict:
    errors = target - predicted
    return {
        "r2": float(1 - np.mean(errors**2) / np.var(target)),
        "rmse": float(np.sqrt(np.mean(errors**2))),
    }


def _score_classes(probabilities: np.ndarray, target: np.ndarray) -> dict:
    """Accuracy and the mean one-against-rest AUROC over the classes of the test rows."""
    areas = [
        auc(probabilities[target == label, label], probabilities[target != label, label])
        for label in np.unique(target)
    ]
    return {
        "accuracy": float(np.mean(probabilities.argmax(axis=1) == target)),
        "auroc": float(np.mean(areas)),
    }


def _predict(model: Any, parts: list[np.ndarray], target: np.ndarray, classes: int) -> np.ndarray:
    """Fits on parts[0] and predicts parts[1]: values [n], or probabilities [n, classes].

    A class that the model never saw has probability 0.
    """
    if not classes:
        return model.fit(fill_empty_columns(parts[0]), target).predict(parts[1])
    if len(np.unique(target)) < 2:
        model = DummyClassifier(strategy="prior")
    model.fit(fill_empty_columns(parts[0]), target)
    probabilities = np.zeros((len(parts[1]), classes))
    probabilities[:, model.classes_] = model.predict_proba(parts[1])
    return probabilities


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


def why_no_target(schema: Schema) -> str | None:
    """Why models of the target cannot be fitted, as far as the schema says."""
    if schema.target is None:
        return "the schema names no target"
    kind = schema[schema.target].kind
    if kind in ("code_set", *ID_KINDS):
        return f"a target of kind {kind} cannot be predicted"
    return "no column besides the target" if len(schema.features) < 2 else None


def predict_target(
    sources: Mapping[str, pd.DataFrame], test: pd.DataFrame, schema: Schema, seed: int
) -> Predictions | dict:
    """Fits three model families on each source table and predicts the test rows.

    sources: the first is the real one, from which features are learnt for all of them. A numeric
    target with more than 20 distinct values in it is a regression. Rows without target are
    dropped, tables cut to 20,000 rows. Returns {"skipped": reason} where no model can be fitted.
    """
    reason = why_no_target(schema)
    if reason:
        return {"skipped": reason}
    column = schema[schema.target]
    real = next(iter(sources))
    distinct = sources[real][column.name].nunique()
    regression = column.is_numeric and distinct > _MAX_CLASS_VALUES
    rng = np.random.default_rng(seed)
    parts, rows = {}, np.empty(0, int)
    for where, df in (*sources.items(), (TEST, test)):
        rows = np.flatnonzero(df[column.name].notna())
        if len(rows) < _MIN_ROWS:
            return {"skipped": f"fewer than {_MIN_ROWS} {where} rows have the target"}
        rows = rows[rng.permutation(len(rows))[:MAX_ROWS]]
        parts[where] = df.iloc[rows]
    if regression:
        targets = {where: numeric_values(df[column.name], column) for where, df in parts.items()}
        classes = np.empty(0)
    else:
        keys = {where: category_keys(df[column.name]).astype(str) for where, df in parts.items()}
        classes, numbers = np.unique(np.concatenate(list(keys.values())), return_inverse=True)
        ends = np.cumsum([len(part) for part in keys.values()])[:-1]
        targets = dict(zip(keys, np.split(numbers, ends), strict=True))
    for where in (real, TEST):
        if len(np.unique(targets[where])) < 2:
            return {"skipped": f"the target has one value only in {where}"}
    featurizer = Featurizer.fit(parts[real], schema, exclude=[column.name])
    features = {
        style: {where: featurizer.transform(df, style) for where, df in parts.items()}
        for style in ("linear", "tree")
    }
    predicted: dict[str, dict] = {name: {} for name in _build_models(regression, seed)}
    for name in predicted:
        for where in sources:
            style, model = _build_models(regression, seed)[name]
            pair = [features[style][where], features[style][TEST]]
            predicted[name][where] = _predict(model, pair, targets[where], len(classes))
    return Predictions(column.name, tuple(map(str, classes)), rows, targets[TEST], predicted)


def score_utility(predictions: Predictions | dict) -> dict:
    """Scores of models trained on real ("train") and on "synthetic" rows, and what is lost.

    gap_points: 100 * (real - synthetic), positive where synthetic training is worse.
    """
    if isinstance(predictions, dict):
        return predictions
    score = _score_classes if predictions.classes else _score_regression
    models = {}
    for name, predicted in predictions.predicted.items():
        trtr, tstr = (score(predicted[where], predictions.truth) for where in SOURCES)
        models[name] = {"trtr": trtr, "tstr": tstr, "gap_points": _gaps(trtr, tstr)}
    task = predictions.task
    return {"target": predictions.target, "task": task, "models": models, "mean": _mean(models)}
