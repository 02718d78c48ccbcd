"""Coder for numeric columns: spikes and missing values as categories beside a continuous part."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtri

from synthdiff._validate import input_error
from synthdiff.data.categories import count_patients
from synthdiff.data.schema import Column

MAX_KNOTS = 1000
SPIKE_SHARE = 0.005  # a value this common is a category of its own
MAX_SCORE = 4.5  # |z| beyond which the tail is cut: 1 in 150,000


@dataclass(frozen=True)
class NumericCoder:
    """A number as a gate (0 = value present, then spikes, then missing) and a normal score.

    The score maps through knots (scores, values), each value the mean of a window of neighbours
    from `min_patients` or more people; beyond the end knots the map goes on along a straight line.
    step: values are multiples of it, or None. lower, upper: declared bounds.
    """

    name: str
    spikes: tuple[float, ...]
    has_missing: bool
    scores: tuple[float, ...]
    values: tuple[float, ...]
    step: float | None
    jitter: bool
    lower: float | None
    upper: float | None

    @classmethod
    def fit(cls, values: pd.Series, column: Column, patients: np.ndarray, min_patients: int):
        """Finds spikes, granularity and quantile knots on training rows."""
        x = values.to_numpy(dtype=float, na_value=np.nan)
        here = ~np.isnan(x)
        if not here.any():
            raise input_error(f"column {column.name!r}", "all missing in training", "drop it")
        spikes = _find_spikes(x[here], patients[here], min_patients)
        rest = here & ~np.isin(x, spikes)
        if len(np.unique(patients[rest])) < 2 * min_patients and len(spikes):
            rest = np.zeros_like(rest)  # too few people to draw a curve from: nearest spike
        step = column.step or _find_step(x[here])
        knots = _fit_knots(x[rest], patients[rest], min_patients, column.name)
        repeats = rest.any() and len(np.unique(x[rest])) < 0.5 * rest.sum()
        lower = column.lower if column.lower is not None else (0.0 if x[here].min() >= 0 else None)
        return cls(
            column.name,
            tuple(spikes.tolist()),
            bool((~here).any()),
            *knots,
            step,
            bool(step and repeats),
            lower,
            column.upper,
        )

    @property
    def has_continuous(self) -> bool:
        return len(self.scores) > 0

    @property
    def cardinality(self) -> int:
        """Categories of the gate; 0 where there is no gate."""
        extra = len(self.spikes) + self.has_missing
        return extra + self.has_continuous if extra else 0

    def encode(self, values: pd.Series, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Gate codes [rows] and normal scores [rows] (0 where the gate is not 0)."""
        x = values.to_numpy(dtype=float, na_value=np.nan)
        missing, spikes = np.isnan(x), np.asarray(self.spikes)
        x = np.where(missing, self.values[len(self.values) // 2] if self.values else 0.0, x)
        gate = np.zeros(len(x), np.int32)
        if len(spikes):
            nearest = np.argmin(np.abs(x[:, None] - spikes), axis=1)
            hit = (spikes[nearest] == x) | (not self.has_continuous)
            gate = np.where(hit, nearest + self.has_continuous, 0)
        if self.has_missing:
            gate = np.where(missing, self.cardinality - 1, gate)
        if not self.has_continuous:
            return gate, np.zeros(len(x))
        if self.jitter:
            x = x + self.step * (rng.random(len(x)) - 0.5)
        scores = _interpolate(x, np.asarray(self.values), np.asarray(self.scores))
        scores = np.clip(scores, -MAX_SCORE, MAX_SCORE)
        return gate, np.where((gate == 0) & ~missing, scores, 0.0)

    def decode(self, gate: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """float64 [rows], NaN where missing."""
        gate = np.asarray(gate, int)
        x = np.zeros(len(gate))
        if self.has_continuous:
            z = np.clip(np.nan_to_num(np.asarray(scores, float)), -MAX_SCORE, MAX_SCORE)
            x = _interpolate(z, np.asarray(self.scores), np.asarray(self.values))
        if self.step:
            x = np.round(x / self.step) * self.step
            x = np.round(x, max(0, 1 - int(np.floor(np.log10(self.step)))))
        x = np.clip(x, self.lower, self.upper) if (self.lower, self.upper) != (None, None) else x
        if len(self.spikes):
            at = gate - self.has_continuous
            spike = (at >= 0) & (at < len(self.spikes))
            x = np.where(spike, np.asarray(self.spikes)[np.clip(at, 0, len(self.spikes) - 1)], x)
        return np.where(gate == self.cardinality - 1, np.nan, x) if self.has_missing else x

    def to_json(self) -> dict:
        return {"coder": "numeric", **asdict(self)}


def _find_spikes(x: np.ndarray, patients: np.ndarray, min_patients: int) -> np.ndarray:
    """Values held by at least SPIKE_SHARE of the rows and by min_patients people."""
    levels, codes, counts = np.unique(x, return_inverse=True, return_counts=True)
    common = counts >= max(SPIKE_SHARE * len(x), min_patients)
    people = count_patients(codes, len(levels), patients) >= min_patients
    return levels[common & people]


def _find_step(x: np.ndarray) -> float | None:
    """The largest power of ten, 1 to 1e-6, of which 99.5 % of values are multiples."""
    for digits in range(7):
        if np.mean(np.abs(x - np.round(x, digits)) < 1e-9 * np.maximum(1, np.abs(x))) >= 0.995:
            return 10.0**-digits
    return None


def _fit_knots(
    x: np.ndarray, patients: np.ndarray, min_patients: int, name: str
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Normal scores and window means at up to MAX_KNOTS quantile levels, both increasing."""
    if len(x) == 0:
        return (), ()
    order = np.argsort(x, kind="stable")
    x, patients = x[order], patients[order]
    window = max(min_patients, len(x) // MAX_KNOTS)
    cuts, start = [], 0
    while start < len(x):
        stop = start + window
        while stop < len(x) and len(np.unique(patients[start:stop])) < min_patients:
            stop += window
        cuts.append((start, min(stop, len(x))))
        start = stop
    if len(cuts) > 1 and len(np.unique(patients[slice(*cuts[-1])])) < min_patients:
        cuts[-2:] = [(cuts[-2][0], cuts[-1][1])]
    means = np.array([x[a:b].mean() for a, b in cuts])
    levels = np.array([(a + b) / 2 / len(x) for a, b in cuts])
    values, where = np.unique(means, return_inverse=True)
    levels = np.bincount(where, levels) / np.bincount(where)
    if len(values) == 1:  # one value, or too few people for two knots
        values = values[0] + np.array([-0.5, 0.5]) * max(float(np.std(x)), 1e-6)
        levels = np.array([0.3, 0.7])
    return tuple(ndtri(levels).tolist()), tuple(values.tolist())


def _interpolate(x: np.ndarray, at: np.ndarray, to: np.ndarray) -> np.ndarray:
    """Piecewise linear through (at, to), going on beyond the ends with the slope near them."""
    near = max(1, min(len(at) - 1, len(at) // 50))
    low = (to[near] - to[0]) / (at[near] - at[0])
    high = (to[-1] - to[-1 - near]) / (at[-1] - at[-1 - near])
    y = np.interp(x, at, to)
    y = np.where(x < at[0], to[0] + (x - at[0]) * low, y)
    return np.where(x > at[-1], to[-1] + (x - at[-1]) * high, y)
