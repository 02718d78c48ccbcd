"""Membership attacks that see the synthetic rows and, most of them, a reference sample.

Each takes features of the targets [n, d], the synthetic rows [m, d] and reference rows [r, d]
of the same population, and returns scores [n]: higher means "more likely in the training data".
"""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.isotonic import IsotonicRegression

from synthdiff.eval.neighbours import count_within, nearest

_DENSITY_DIMS = 8
_DENSITY_ROWS = 20_000
_PLAGIARISM_K = 20
_CHUNK = 1024


def _min_sq_distance(targets: np.ndarray, base: np.ndarray) -> np.ndarray:
    return nearest(targets, base, 1)[0][:, 0]


def distance(targets: np.ndarray, synthetic: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Minus the distance to the closest synthetic record."""
    return -np.sqrt(_min_sq_distance(targets, synthetic))


def calibrated_distance(
    targets: np.ndarray, synthetic: np.ndarray, reference: np.ndarray
) -> np.ndarray:
    """How much closer the synthetic rows come than the reference (GAN-Leaks, Chen et al. 2020).

    min_r d(x, r) - min_s d(x, s): a record in a dense region is close to both.
    """
    return np.sqrt(_min_sq_distance(targets, reference)) + distance(targets, synthetic, reference)


def neighbourhood(targets: np.ndarray, synthetic: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Share of synthetic rows within the targets' median nearest distance (Hilprecht 2019)."""
    radius = float(np.median(_min_sq_distance(targets, synthetic)))
    return count_within(targets, synthetic, radius) / len(synthetic)


def _sample(rows: np.ndarray, count: int) -> np.ndarray:
    """At most `count` rows, the same ones at each call."""
    if len(rows) <= count:
        return rows
    return rows[np.random.default_rng(0).choice(len(rows), count, replace=False)]


def _log_density(targets: np.ndarray, base: np.ndarray, bandwidth: float) -> np.ndarray:
    """Log of a Gaussian kernel density at each target, up to one constant. [n]"""
    result = np.empty(len(targets))
    base_norms = np.einsum("md,md->m", base, base)
    for start in range(0, len(targets), _CHUNK):
        rows = targets[start : start + _CHUNK]
        squares = base_norms - 2 * rows @ base.T + np.einsum("nd,nd->n", rows, rows)[:, None]
        result[start : start + _CHUNK] = logsumexp(-squares / (2 * bandwidth**2), axis=1)
    return result - np.log(len(base))


def density_ratio(targets: np.ndarray, synthetic: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """log p_S(x) - log p_R(x) (DOMIAS, van Breugel et al. 2023).

    Gaussian kernels on the whitened first 8 principal components of the reference, with one
    bandwidth for both (Scott's rule at the smaller size), so that sizes do not bias the ratio.
    """
    dims = min(_DENSITY_DIMS, *reference.shape)
    reduce = PCA(dims, whiten=True, svd_solver="full" if dims < 2 else "auto", random_state=0)
    reduce.fit(reference)
    scale = np.sqrt(np.maximum(reduce.explained_variance_, 1e-12))

    def project(rows: np.ndarray) -> np.ndarray:
        return ((rows - reduce.mean_) @ reduce.components_.T / scale).astype(np.float32)

    sampled = project(_sample(synthetic, _DENSITY_ROWS))
    known = project(_sample(reference, _DENSITY_ROWS))
    points = project(targets)
    bandwidth = min(len(sampled), len(known)) ** (-1 / (dims + 4))
    return _log_density(points, sampled, bandwidth) - _log_density(points, known, bandwidth)


def data_plagiarism_index(
    targets: np.ndarray, synthetic: np.ndarray, reference: np.ndarray
) -> np.ndarray:
    """Share of synthetic rows among the 20 nearest of both (Ward et al. 2024, before the ratio).

    Both sides are cut to the same size and mixed, so that ties favour neither.
    """
    size = min(len(synthetic), len(reference))
    rows = np.concatenate([_sample(synthetic, size), _sample(reference, size)])
    order = np.random.default_rng(0).permutation(2 * size)
    _, ids = nearest(targets, rows[order], min(_PLAGIARISM_K, size))
    return np.mean(order[ids] < size, axis=1)


def classifier(targets: np.ndarray, synthetic: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """P(synthetic | x) of boosted trees that tell synthetic from reference rows (as LOGAN)."""
    features = np.concatenate([synthetic, reference])
    labels = np.repeat([1, 0], [len(synthetic), len(reference)])
    model = HistGradientBoostingClassifier(
        max_iter=60, early_stopping=False, class_weight="balanced", random_state=0
    )
    return model.fit(features, labels).predict_proba(targets)[:, 1]


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
    "data_plagiarism_index": data_plagiarism_index,
    "classifier": classifier,
}
UNCALIBRATED = frozenset({distance, neighbourhood})  # these ignore the reference
