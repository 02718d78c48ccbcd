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
STEPS = tuple(part / 10**digits for digits in range(7) for part in (1, 0.5, 0.25))
DATETIME_STEPS = (1.0, 1 / 24, 1 / 1440, 1 / 86400)  # day, hour, minute, second


@dataclass(frozen=True)
class NumericCoder:
    """A number as a gate (0 = value present, then spikes, then missing) and a normal score.

    The score maps through knots (scores, values) along straight lines. A knot is a mean over the
    people in a window of neighbouring values, each counted once, the lowest and the highest left
    out: at least `min_patients` are left, so whatever one person's value is, even 1e9, it cannot
    carry a knot beyond the values of others. The first and last knot go on from those inside.
    step: values are multiples of it, or None. lower, upper: bounds of what is generated.
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
        crowd = min_patients + 2  # people in a window: two are left out of its mean
        num_people = len(np.unique(patients[rest]))
        if num_people < 2 * crowd and len(spikes):
            rest = np.zeros_like(rest)  # too few people to draw a curve from: nearest spike
        elif num_people < crowd:
            problem = f"only {num_people} patients have a value, {crowd} are needed"
            raise input_error(f"column {column.name!r}", problem, "drop it or lower min_patients")
        step = column.step or _find_step(x[here], values.dtype, column.kind == "datetime")
        jitter = bool(step and len(np.unique(x[rest])) < 0.5 * rest.sum())
        lower = column.lower if column.lower is not None else (0.0 if x[here].min() >= 0 else None)
        scores, knots = (), ()
        if rest.any():
            scores, knots = _fit_knots(x[rest], patients[rest], crowd)
            spread = step / 2 if jitter else 0.0
            scores, knots = _extend(scores, knots, lower, column.upper, spread)
        return cls(
            column.name,
            tuple(spikes.tolist()),
            bool((~here).any()),
            tuple(map(float, scores)),
            tuple(map(float, knots)),
            step,
            jitter,
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
        middle = self.values or self.spikes
        x = np.where(missing, middle[len(middle) // 2], x)
        gate = np.zeros(len(x), np.int32)
        if len(spikes):
            nearest = np.searchsorted((spikes[1:] + spikes[:-1]) / 2, x)
            hit = (spikes[nearest] == x) | (not self.has_continuous)
            gate = np.where(hit, nearest + self.has_continuous, 0)
        if self.has_missing:
            gate = np.where(missing, self.cardinality - 1, gate)
        if not self.has_continuous:
            return gate, np.zeros(len(x))
        if self.jitter:
            x = x + self.step * (rng.random(len(x)) - 0.5)
        scores = np.interp(x, self.values, self.scores)
        return gate, np.where((gate == 0) & ~missing, scores, 0.0)

    def decode(self, gate: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """float64 [rows], NaN where missing."""
        gate = np.asarray(gate, int)
        x = np.zeros(len(gate))
        if self.has_continuous:
            x = np.interp(np.nan_to_num(np.asarray(scores, float)), self.scores, self.values)
        if self.step:
            x = _snap(x, self.step)
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


def _find_step(x: np.ndarray, dtype: object, is_datetime: bool) -> float | None:
    """The largest of the usual steps of which 99.5 % of values are multiples."""
    precise = not (isinstance(dtype, np.dtype) and dtype.kind == "f" and dtype.itemsize < 8)
    tolerance = 1e-12 if precise else 2 * np.finfo(dtype).eps
    for step in DATETIME_STEPS if is_datetime else STEPS:
        if np.mean(np.abs(x - _snap(x, step)) <= tolerance * np.abs(x)) >= 0.995:
            return step
    return None


def _snap(x: np.ndarray, step: float) -> np.ndarray:
    """The nearest multiples of the step: 0.1 * 3 is 3 / 10, as people write it."""
    multiples, per_unit = np.round(x / step), round(1 / step)
    whole = abs(per_unit * step - 1) < 1e-9
    return (multiples / per_unit if whole else multiples * step) + 0.0  # no -0.0


def _fit_knots(x: np.ndarray, patients: np.ndarray, crowd: int) -> tuple[np.ndarray, np.ndarray]:
    """Normal scores and window means at up to MAX_KNOTS quantile levels, both increasing."""
    order = np.lexsort((patients, x))
    x, patients = x[order], patients[order]
    cuts = _cut_windows(patients, crowd)
    people = [_middle_people(x[a:b], patients[a:b]) for a, b in cuts]
    means = np.array([p.mean() for p in people])
    levels = np.array([(a + b) / 2 / len(x) for a, b in cuts])
    values, where = np.unique(x[[a for a, _ in cuts]] + means, return_inverse=True)
    levels = np.bincount(where, levels) / np.bincount(where)
    if len(values) == 1:  # too few people for two knots
        half = max(float(np.std(people[0])) / 2, 1e-6 * max(1.0, abs(values[0])))
        values, levels = values[0] + np.array([-half, half]), np.array([0.3, 0.7])
    return ndtri(levels), values


def _cut_windows(patients: np.ndarray, crowd: int) -> list[tuple[int, int]]:
    """(start, stop) of consecutive windows of rows, each with `crowd` or more people."""
    window = max(crowd, len(patients) // MAX_KNOTS)
    cuts, start = [], 0
    while start < len(patients):
        stop = start + window
        while stop < len(patients) and len(np.unique(patients[start:stop])) < crowd:
            stop += window
        cuts.append((start, min(stop, len(patients))))
        start = stop
    if len(cuts) > 1 and len(np.unique(patients[slice(*cuts[-1])])) < crowd:
        cuts[-2:] = [(cuts[-2][0], cuts[-1][1])]
    return cuts


def _middle_people(x: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """Each person's mean above x[0], sorted, without the lowest and the highest person."""
    _, who = np.unique(patients, return_inverse=True)
    return np.sort(np.bincount(who, x - x[0]) / np.bincount(who))[1:-1]


def _extend(
    scores: np.ndarray, values: np.ndarray, lower: float | None, upper: float | None, spread: float
) -> tuple[np.ndarray, np.ndarray]:
    """Adds end knots at -+MAX_SCORE on the lines through the outer 2 % of knots, within bounds."""
    near = max(1, len(values) // 50)
    rise = (values[near] - values[0]) / (scores[near] - scores[0])
    low = values[0] - rise * (scores[0] + MAX_SCORE)
    rise = (values[-1] - values[-1 - near]) / (scores[-1] - scores[-1 - near])
    high = values[-1] + rise * (MAX_SCORE - scores[-1])
    low = low if lower is None else max(low, lower - spread)
    high = high if upper is None else min(high, upper + spread)
    if low < values[0]:
        scores, values = np.append(-MAX_SCORE, scores), np.append(low, values)
    if high > values[-1]:
        scores, values = np.append(scores, MAX_SCORE), np.append(values, high)
    return scores, values
