"""Gaussian kernel densities in a few whitened dimensions, for attacks that compare densities."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.decomposition import PCA

_DIMS = 8
_CHUNK = 512


def fit_projection(reference: np.ndarray) -> tuple[Callable[[np.ndarray], np.ndarray], int]:
    """A map to the whitened first 8 principal components of `reference` [r, d], and their number.

    Kernel densities are singular on one-hot features and say little in many dimensions.
    """
    dims = min(_DIMS, *reference.shape)
    reduce = PCA(dims, whiten=True, svd_solver="full" if dims < 2 else "auto", random_state=0)
    reduce.fit(reference)
    scale = np.sqrt(np.maximum(reduce.explained_variance_, 1e-12))

    def project(rows: np.ndarray) -> np.ndarray:
        return ((rows - reduce.mean_) @ reduce.components_.T / scale).astype(np.float32)

    return project, dims


def scott_bandwidth(count: int, dims: int) -> float:
    """Scott's rule for `count` points of unit variance."""
    return count ** (-1 / (dims + 4))


def _log_kernel(rows: np.ndarray, base: np.ndarray, bandwidth: float) -> np.ndarray:
    """Log of the Gaussian kernel without its constant, float32 [rows, base]."""
    rows, base = (np.asarray(part, np.float32) / np.float32(bandwidth) for part in (rows, base))
    norms = np.einsum("md,md->m", base, base) / 2
    return np.minimum(rows @ base.T - norms - np.einsum("nd,nd->n", rows, rows)[:, None] / 2, 0)


def log_density_sum(targets: np.ndarray, base: np.ndarray, bandwidth: float) -> np.ndarray:
    """log sum_b K_h(x - b) at each target, float64 [n]; K_h without its constant."""
    result = np.empty(len(targets))
    for start in range(0, len(targets), _CHUNK):
        logs = _log_kernel(targets[start : start + _CHUNK], base, bandwidth)
        top = logs.max(axis=1, keepdims=True)
        total = np.exp(logs - top).sum(axis=1, dtype=np.float64)
        result[start : start + _CHUNK] = np.log(total) + top[:, 0]
    return result


def log_influence(
    targets: np.ndarray, sampled: np.ndarray, known: np.ndarray, bandwidth: float
) -> np.ndarray:
    """sum_s log p_{R + x}(s) - log p_R(s): how much better x makes R explain S. float64 [n]

    targets [n, p], sampled S [m, p], known R [r, p]. With one bandwidth for both densities,
    p_{R + x}(s) = (r p_R(s) + K_h(s - x)) / (r + 1), so that nothing is fitted per target.
    """
    explained = log_density_sum(sampled, known, bandwidth).astype(np.float32)
    result = np.empty(len(targets))
    for start in range(0, len(targets), _CHUNK):
        gain = _log_kernel(targets[start : start + _CHUNK], sampled, bandwidth) - explained
        # Above 60 the 1 in log(1 + e^gain) is lost in rounding, and e^gain would overflow soon.
        gain = np.where(gain > 60, gain, np.log1p(np.exp(np.minimum(gain, 60))))
        result[start : start + _CHUNK] = gain.sum(axis=1, dtype=np.float64)
    return result - len(sampled) * np.log1p(1 / len(known))
