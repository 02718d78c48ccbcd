"""Membership attacks that see the synthetic rows and, most of them, a reference sample.

Each takes a View and returns scores [n]: higher means "more likely in the training data".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.isotonic import IsotonicRegression

from synthdiff.eval.densities import (
    fit_projection,
    log_density_sum,
    log_influence,
    scott_bandwidth,
)
from synthdiff.eval.neighbours import count_within, nearest

_DENSITY_ROWS = 20_000
_PLAGIARISM_K = 20


@dataclass(frozen=True)
class View:
    """What an attacker sees: features of targets [n, d], synthetic [m, d] and reference [r, d].

    targets: the records whose membership is asked. reference: real rows of the same population.
    Nearest distances are searched once, however many attacks read them.
    """

    targets: np.ndarray
    synthetic: np.ndarray
    reference: np.ndarray

    @cached_property
    def synthetic_nearest(self) -> tuple[np.ndarray, np.ndarray]:
        """Distance of each target to its nearest synthetic row [n], and that row's number [n]."""
        squares, ids = nearest(self.targets, self.synthetic, 1)
        return np.sqrt(squares[:, 0]), ids[:, 0]

    @property
    def synthetic_gap(self) -> np.ndarray:
        """Distance of each target to its nearest synthetic row. [n]"""
        return self.synthetic_nearest[0]

    @cached_property
    def reference_gap(self) -> np.ndarray:
        """Distance of each target to its nearest reference row. [n]"""
        return np.sqrt(nearest(self.targets, self.reference, 1)[0][:, 0])

    def replace_synthetic(self, synthetic: np.ndarray) -> View:
        """The same attacker before another synthetic table."""
        view = View(self.targets, synthetic, self.reference)
        view.__dict__["reference_gap"] = self.reference_gap
        return view

    @cached_property
    def baseline(self) -> View:
        """The same attacker, with the reference in the place of the synthetic rows."""
        view = self.replace_synthetic(self.reference)
        view.__dict__["synthetic_nearest"] = (self.reference_gap, None)
        return view


def distance(view: View) -> np.ndarray:
    """Minus the distance to the closest synthetic record."""
    return -view.synthetic_gap


def calibrated_distance(view: View) -> np.ndarray:
    """How much closer the synthetic rows come than the reference (GAN-Leaks, Chen et al. 2020).

    min_r d(x, r) - min_s d(x, s): a record in a dense region is close to both.
    """
    return view.reference_gap - view.synthetic_gap


def neighbourhood(view: View) -> np.ndarray:
    """Share of synthetic rows within the targets' median nearest distance (Hilprecht 2019)."""
    sq_radius = float(np.median(view.synthetic_gap**2))
    return count_within(view.targets, view.synthetic, sq_radius) / len(view.synthetic)


def _sample(rows: np.ndarray, count: int) -> np.ndarray:
    """At most `count` rows, the same ones at each call."""
    if len(rows) <= count:
        return rows
    return rows[np.random.default_rng(0).choice(len(rows), count, replace=False)]


def _density_view(view: View) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Targets, synthetic and reference rows in whitened dimensions, and one bandwidth for all.

    Scott's rule at the smaller size serves both tables, so that sizes do not bias a ratio.
    """
    project, dims = fit_projection(view.reference)
    sampled, known = (
        project(_sample(rows, _DENSITY_ROWS)) for rows in (view.synthetic, view.reference)
    )
    bandwidth = scott_bandwidth(min(len(sampled), len(known)), dims)
    return project(view.targets), sampled, known, bandwidth


def density_ratio(view: View) -> np.ndarray:
    """log p_S(x) - log p_R(x) (DOMIAS, van Breugel et al. 2023)."""
    points, sampled, known, bandwidth = _density_view(view)
    found = log_density_sum(points, sampled, bandwidth) - np.log(len(sampled))
    return found - log_density_sum(points, known, bandwidth) + np.log(len(known))


def likelihood_influence(view: View) -> np.ndarray:
    """How much better the reference explains the synthetic rows once x joins it (Gen-LRA).

    The likelihood ratio of Ward et al. 2024, of all synthetic rows and with a fixed bandwidth.
    """
    return log_influence(*_density_view(view))


def data_plagiarism_index(view: View) -> np.ndarray:
    """Share of synthetic rows among the 20 nearest of both (Ward et al. 2024, before the ratio).

    Both sides are cut to the same size and mixed, so that ties favour neither.
    """
    size = min(len(view.synthetic), len(view.reference))
    rows = np.concatenate([_sample(view.synthetic, size), _sample(view.reference, size)])
    order = np.random.default_rng(0).permutation(2 * size)
    _, ids = nearest(view.targets, rows[order], min(_PLAGIARISM_K, size))
    return np.mean(order[ids] < size, axis=1)


def classifier(view: View) -> np.ndarray:
    """P(synthetic | x) of boosted trees that tell synthetic from reference rows (as LOGAN)."""
    features = np.concatenate([view.synthetic, view.reference])
    labels = np.repeat([1, 0], [len(view.synthetic), len(view.reference)])
    model = HistGradientBoostingClassifier(
        max_iter=60, early_stopping=False, class_weight="balanced", random_state=0
    )
    return model.fit(features, labels).predict_proba(view.targets)[:, 1]


def subtract_baseline(scores: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    """Scores [n] less what the same attack's scores against the reference let one expect.

    For attacks that ignore the reference. Targets in a dense region score higher against any
    table, real or synthetic, so members that lie denser by the luck of the split look exposed.
    The expectation is an isotonic regression over all targets, blind to who is a member: the
    rest is as exchangeable as the scores were, so a p-value of it keeps its level. A split that
    is biased by design is removed in part only; finding it is the blind control's task.
    """
    return scores - IsotonicRegression().fit(baseline, scores).predict(baseline)


ATTACKS = {
    "distance": distance,
    "calibrated_distance": calibrated_distance,
    "neighbourhood": neighbourhood,
    "density_ratio": density_ratio,
    "likelihood_influence": likelihood_influence,
    "data_plagiarism_index": data_plagiarism_index,
    "classifier": classifier,
}
UNCALIBRATED = frozenset({distance, neighbourhood})  # these ignore the reference
