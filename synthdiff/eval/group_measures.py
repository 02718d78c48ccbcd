"""Scores of a model by group of patients, as functions of row weights.

Every class is scored against the rest and the classes are averaged, so two classes give the
usual binary definitions. A class counts in a group where at least MIN_GROUP_PATIENTS test patients
of that group have it, and as many do not.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from synthdiff.data.categories import count_patients
from synthdiff.eval.utility import Predictions

MIN_GROUP_PATIENTS = 20
SCORES = ("auroc", "accuracy", "calibration_error", "r2")
_BINS = 10

Measure = Callable[[np.ndarray], dict[str, np.ndarray]]


def _divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return numerator / np.where(denominator > 0, denominator, np.nan)


def _range(values: np.ndarray) -> np.ndarray:
    """Largest minus smallest along the groups; NaN where fewer than two have a value."""
    known = np.isfinite(values)
    high = np.where(known, values, -np.inf).max(axis=0)
    low = np.where(known, values, np.inf).min(axis=0)
    return np.where(known.sum(axis=0) > 1, high - low, np.nan)


def _mean(values: np.ndarray, axis: int) -> np.ndarray:
    """Mean of the known values; NaN where there is none."""
    known = np.isfinite(values)
    return _divide(np.where(known, values, 0).sum(axis), known.sum(axis))


class ClassMeasure:
    """A classifier's scores by group of patients, as a function of row weights."""

    def __init__(
        self, probabilities: np.ndarray, truth: np.ndarray, codes: np.ndarray, patients: np.ndarray
    ):
        """probabilities: [n, classes]. truth, codes, patients: class, group and patient [n]."""
        classes = probabilities.shape[1]
        self.codes, self.size = codes, (codes.max() + 1, classes)
        self.cell = codes[:, None] * classes + np.arange(classes)
        self.is_class = truth[:, None] == np.arange(classes)
        predicted = probabilities.argmax(axis=1)
        self.right = predicted == truth
        self.called = predicted[:, None] == np.arange(classes)
        self.error = self.is_class - probabilities
        self.tenth = np.minimum((probabilities * _BINS).astype(int), _BINS - 1)
        distinct, rank = np.unique(probabilities, return_inverse=True)
        keys = self.cell * np.int64(len(distinct)) + rank.reshape(self.cell.shape)
        steps, self.step = np.unique(keys, return_inverse=True)  # ties within a cell share a step
        self.step_cell = steps // len(distinct)
        self.first = np.searchsorted(self.step_cell, np.arange(np.prod(self.size)))
        owners = np.repeat(patients, classes)
        self.valid = np.ones(self.size, bool)
        for side in (self.is_class, ~self.is_class):
            cells = np.where(side, self.cell, -1).ravel()
            counts = count_patients(cells, int(np.prod(self.size)), owners)
            self.valid &= counts.reshape(self.size) >= MIN_GROUP_PATIENTS

    def _where_valid(self, values: np.ndarray) -> np.ndarray:
        return np.where(self.valid, values, np.nan)

    def __call__(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """auroc, accuracy and calibration_error of each group, and equalised_odds_gap [1].

        The latter is the largest difference between groups in the true or in the false positive
        rate (Hardt et al., arXiv 1610.02413), averaged over classes. The calibration error is
        the expected one over ten equal-width bins (Guo et al., arXiv 1706.04599).
        """
        groups, classes = self.size
        cells = groups * classes

        def add(where: np.ndarray, what: np.ndarray, length: int) -> np.ndarray:
            return np.bincount(where.ravel(), (weights[:, None] * what).ravel(), length)

        is_class, rest = self.is_class, ~self.is_class
        yes, no = (add(self.cell, side, cells).reshape(self.size) for side in (is_class, rest))
        rates = [
            _divide(add(self.cell, side & self.called, cells).reshape(self.size), total)
            for side, total in ((is_class, yes), (rest, no))
        ]
        odds = np.max([_range(self._where_valid(rate)) for rate in rates], axis=0)
        ups, downs = (add(self.step, side, len(self.step_cell)) for side in (is_class, rest))
        below = np.append(0, np.cumsum(downs))
        won = ups * (below[:-1] - below[self.first][self.step_cell] + downs / 2)
        won = np.bincount(self.step_cell, won, cells).reshape(self.size)
        bins = add(self.cell * _BINS + self.tenth, self.error, cells * _BINS)
        total = np.bincount(self.codes, weights, groups)
        missed = _divide(np.abs(bins.reshape(*self.size, _BINS)).sum(axis=-1), total[:, None])
        return {
            "auroc": _mean(self._where_valid(_divide(won, yes * no)), 1),
            "accuracy": _divide(np.bincount(self.codes, weights * self.right, groups), total),
            "calibration_error": _mean(self._where_valid(missed), 1),
            "equalised_odds_gap": _mean(odds[None], 1),
        }


def make_value_measure(predicted: np.ndarray, truth: np.ndarray, codes: np.ndarray) -> Measure:
    """Builds `measure(weights [n])` of one regression: r2 [groups] within each group."""
    groups = codes.max() + 1

    def measure(weights: np.ndarray) -> dict[str, np.ndarray]:
        total, values, squares = (
            np.bincount(codes, weights * what, groups) for what in (1, truth, truth**2)
        )
        missed = np.bincount(codes, weights * (truth - predicted) ** 2, groups)
        return {"r2": 1 - _divide(missed, squares - _divide(values**2, total))}

    return measure


def make_measure(
    predictions: Predictions, source: str, codes: np.ndarray, patients: np.ndarray
) -> Measure:
    """The mean over the model families fitted on `source`, with the gaps between groups.

    codes, patients: of the predicted rows; rows with a code below 0 do not count.
    """
    inside = codes >= 0
    truth, codes, patients = predictions.truth[inside], codes[inside], patients[inside]
    measures = [
        ClassMeasure(predicted[source][inside], truth, codes, patients)
        if predictions.classes
        else make_value_measure(predicted[source][inside], truth, codes)
        for predicted in predictions.predicted.values()
    ]

    def measure(weights: np.ndarray) -> dict[str, np.ndarray]:
        found = [measure(weights[inside]) for measure in measures]
        values = {name: np.mean([part[name] for part in found], axis=0) for name in found[0]}
        gaps = {f"{name}_gap": _range(values[name])[None] for name in SCORES if name in values}
        return values | gaps

    return measure
