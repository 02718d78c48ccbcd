"""Coder for numeric columns: a category that says roughly where, beside a continuous part."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from synthdiff._validate import input_error
from synthdiff.data.categories import count_patients
from synthdiff.data.schema import Column

MAX_KNOTS = 1000
SPIKE_SHARE = 0.005  # a value this common is a category of its own
MAX_SCORE = 4.5  # |z| beyond which the tail is cut: 1 in 150,000
MAX_BINS, BIN_ROWS = 32, 50  # a bin needs this many training rows to be worth a category
STEPS = tuple(part / 10**digits for digits in range(7) for part in (1, 0.5, 0.25))
DATETIME_STEPS = (1.0, 1 / 24, 1 / 1440, 1 / 86400)  # day, hour, minute, second


@dataclass(frozen=True)
class NumericCoder:
    """A number as a gate (its bin, a spike or missing) and a normal score within the bin.

    Bins are equal shares of the values that are no spikes. A category draws steps and modes that
    noise would blur, and the score then places the value within its bin.

    Over all bins the score maps through knots (scores, values) along straight lines. A value that
    `min_patients` people share stands at two knots, the ends of its share, and comes back exactly.
    Any other knot is a mean over the people in a window of neighbouring values, each counted once,
    the lowest and the highest left out: at least `min_patients` are left, so whatever one person's
    value is, even 1e9, it cannot carry a knot beyond the values of others. The first and last such
    knot go on from those inside.
    step: values are multiples of it, or None. lower, upper: bounds of what is generated.
    """

    name: str
    num_bins: int
    spikes: tuple[float, ...]
    has_missing: bool
    scores: tuple[float, ...]
    values: tuple[float, ...]
    step: float | None
    lower: float | None
    upper: float | None

    @classmethod
    def fit(
        cls, values: pd.Series, column: Column, patients: np.ndarray, min_patients: int
    ) -> Self:
        """Finds spikes, granularity and quantile knots on training rows."""
        x = values.to_numpy(dtype=float, na_value=np.nan)
        here = ~np.isnan(x)
        if not here.any():
            raise input_error(f"column {column.name!r}", "all missing in training", "drop it")
        spikes = _find_shared(x[here], patients[here], min_patients, SPIKE_SHARE)
        rest = here & ~np.isin(x, spikes)
        crowd = min_patients + 2  # people in a window: two are left out of its mean
        num_people = len(np.unique(patients[rest]))
        if num_people < 2 * crowd and len(spikes):
            rest = np.zeros_like(rest)  # too few people to draw a curve from: nearest spike
        elif num_people < crowd:
            problem = f"only {num_people} patients have a value, {crowd} are needed"
            raise input_error(f"column {column.name!r}", problem, "drop it or lower min_patients")
        lower = column.lower if column.lower is not None else (0.0 if x[here].min() >= 0 else None)
        scores, knots = np.empty(0), np.empty(0)
        if rest.any():
            scores, knots = _fit_knots(x[rest], patients[rest], min_patients, crowd)
            scores, knots = _extend(scores, knots, lower, column.upper)
        return cls(
            column.name,
            min(MAX_BINS, max(1, int(rest.sum()) // BIN_ROWS)) if rest.any() else 0,
            tuple(spikes.tolist()),
            bool((~here).any()),
            tuple(map(float, scores)),
            tuple(map(float, knots)),
            column.step or _find_step(x[here], values.dtype, column.kind == "datetime"),
            lower,
            column.upper,
        )

    @property
    def has_continuous(self) -> bool:
        return self.num_bins > 0

    @property
    def is_whole(self) -> bool:
        """Whether all that it makes are whole numbers, or whole days."""
        ends = [end for end in (self.lower, self.upper) if end is not None]
        stepped = bool(self.step and self.step % 1 == 0) or not self.has_continuous
        return stepped and all(value % 1 == 0 for value in (*self.spikes, *ends))

    @property
    def cardinality(self) -> int:
        """Categories of the gate: bins, spikes, missing; 0 where there is one bin only."""
        total = self.num_bins + len(self.spikes) + self.has_missing
        return 0 if total == self.num_bins == 1 else total

    @property
    def middles(self) -> np.ndarray:
        """The value in the middle of each category but missing."""
        bins = (np.arange(self.num_bins) + 0.5) / max(self.num_bins, 1)
        inside = np.interp(ndtri(bins), self.scores, self.values) if len(bins) else bins
        return np.append(inside, self.spikes)

    def encode(
        self, values: pd.Series, rng: np.random.Generator | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Gate codes [rows] and normal scores within the bin [rows] (0 where there is no bin).

        rng: spreads a value over its share or step; None puts it in the middle.
        """
        x = values.to_numpy(dtype=float, na_value=np.nan)
        missing, spikes = np.isnan(x), np.asarray(self.spikes)
        middle = self.values or self.spikes
        x = np.where(missing, middle[len(middle) // 2], x)
        gate = np.zeros(len(x), np.int32)
        if len(spikes):
            nearest = np.searchsorted((spikes[1:] + spikes[:-1]) / 2, x)
            hit = (spikes[nearest] == x) | (not self.has_continuous)
            gate = np.where(hit, nearest + self.num_bins, 0)
        if self.has_missing:
            gate = np.where(missing, self.cardinality - 1, gate)
        if not self.has_continuous:
            return gate, np.zeros(len(x))
        share = self._share_below(x, rng) * self.num_bins
        bins = np.clip(share.astype(int), 0, self.num_bins - 1)
        scores = np.clip(ndtri(share - bins), -MAX_SCORE, MAX_SCORE)
        here = gate == 0
        return np.where(here, bins, gate), np.where(here, scores, 0.0)

    def _share_below(self, x: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """Quantile level of each value, spread evenly over its share, or else over its step."""
        values, levels = np.asarray(self.values), ndtr(self.scores)
        last = len(values) - 1
        after = np.searchsorted(values, x, "right")
        left, right = np.clip(after - 1, 0, last), np.clip(after, 0, last)
        nearest = np.where(x - values[left] <= values[right] - x, values[left], values[right])
        x = np.where(levels[right] - levels[left] < 1e-9, nearest, x)  # nobody lives in between
        first, after = np.searchsorted(values, x, "left"), np.searchsorted(values, x, "right")
        shared, half = after - first > 1, (self.step or 0.0) / 2
        low, high = (ndtr(np.interp(x + d, values, self.scores)) for d in (-half, half))
        low = np.where(shared, levels[np.minimum(first, last)], low)
        high = np.where(shared, levels[np.maximum(after - 1, 0)], high)
        return low + (high - low) * (rng.random(len(x)) if rng else 0.5)

    def decode(self, gate: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """float64 [rows], NaN where missing."""
        gate = np.asarray(gate, int)
        x = np.zeros(len(gate))
        if self.has_continuous:
            share = np.clip(gate, 0, self.num_bins - 1) + ndtr(np.nan_to_num(scores))
            x = np.interp(ndtri(share / self.num_bins), self.scores, self.values)
        if self.step:
            x = _snap(x, self.step)
        x = np.clip(x, self.lower, self.upper) if (self.lower, self.upper) != (None, None) else x
        if len(self.spikes):
            at = gate - self.num_bins
            spike = (at >= 0) & (at < len(self.spikes))
            x = np.where(spike, np.asarray(self.spikes)[np.clip(at, 0, len(self.spikes) - 1)], x)
        return np.where(gate == self.cardinality - 1, np.nan, x) if self.has_missing else x

    def to_json(self) -> dict:
        return {"coder": "numeric", **asdict(self)}


def _find_shared(
    x: np.ndarray, patients: np.ndarray, min_patients: int, share: float = 0.0
) -> np.ndarray:
    """Values held by at least `share` of the rows and by min_patients people."""
    levels, codes, counts = np.unique(x, return_inverse=True, return_counts=True)
    common = counts >= max(share * len(x), min_patients)
    people = count_patients(codes, len(levels), patients) >= min_patients
    return levels[common & people]


def _find_step(x: np.ndarray, dtype: Any, is_datetime: bool) -> float | None:
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


def _fit_knots(
    x: np.ndarray, patients: np.ndarray, min_patients: int, crowd: int
) -> tuple[np.ndarray, np.ndarray]:
    """Normal scores and values of the quantile function: shared values, and window means between.

    Values between two shared ones that too few people hold go to the nearer of the two.
    """
    shared = _find_shared(x, patients, min_patients)
    between = np.searchsorted(shared, x)  # the gap before shared value i, or beyond the last
    if len(shared):
        alone = ~np.isin(x, shared)
        people = count_patients(np.where(alone, between, -1), len(shared) + 1, patients)
        few = alone & (people[between] < crowd)
        middle = (shared[1:] + shared[:-1]) / 2
        x = np.where(few, shared[np.searchsorted(middle, x)], x)
    order = np.lexsort((patients, x))
    x, patients = x[order], patients[order]
    starts = np.flatnonzero(np.r_[True, np.diff(_segments(x, shared)) > 0])
    levels, values = [], []
    for start, stop in zip(starts, [*starts[1:], len(x)], strict=True):
        if x[start] in shared:
            levels += [start, stop]
            values += [x[start]] * 2
            continue
        means, middles = _window_means(x[start:stop], patients[start:stop], crowd)
        levels += list(start + middles)
        values += list(means)
    return np.clip(ndtri(np.array(levels) / len(x)), -MAX_SCORE, MAX_SCORE), np.array(values)


def _segments(x: np.ndarray, shared: np.ndarray) -> np.ndarray:
    """Even numbers for the gaps between shared values, odd ones for the values themselves."""
    return np.searchsorted(shared, x, "left") + np.searchsorted(shared, x, "right")


def _window_means(x: np.ndarray, patients: np.ndarray, crowd: int) -> tuple[np.ndarray, np.ndarray]:
    """Increasing means of windows of sorted values, and the rank in the middle of each window."""
    if len(np.unique(patients)) == len(patients):  # each row is a person: nobody to find again
        cuts = _part_rows(len(x), crowd)
        people = [x[a + 1 : b - 1] - x[a] for a, b in cuts]
    else:
        cuts = _cut_windows(patients, crowd)
        people = [_middle_people(x[a:b], patients[a:b]) for a, b in cuts]
    means = np.array([x[a] + p.mean() for (a, _), p in zip(cuts, people, strict=True)])
    middles = np.array([(a + b) / 2 for a, b in cuts])
    means, where = np.unique(means, return_inverse=True)
    middles = np.bincount(where, middles) / np.bincount(where)
    if len(means) == 1:  # too few people for two knots
        half = max(float(np.std(people[0])) / 2, 1e-6 * max(1.0, abs(means[0])))
        half = min(half, means[0] - x[0], x[-1] - means[0]) or half
        means, middles = means[0] + np.array([-half, half]), len(x) * np.array([0.3, 0.7])
    return means, middles


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


def _part_rows(num_rows: int, crowd: int) -> list[tuple[int, int]]:
    """What `_cut_windows` gives where no two rows are of one person."""
    window = max(crowd, num_rows // MAX_KNOTS)
    starts = list(range(0, num_rows, window))
    if len(starts) > 1 and num_rows - starts[-1] < crowd:
        starts.pop()
    return list(zip(starts, [*starts[1:], num_rows], strict=True))


def _middle_people(x: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """Each person's mean above x[0], sorted, without the lowest and the highest person."""
    _, who = np.unique(patients, return_inverse=True)
    return np.sort(np.bincount(who, x - x[0]) / np.bincount(who))[1:-1]


def _extend(
    scores: np.ndarray, values: np.ndarray, lower: float | None, upper: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """Adds end knots at -+MAX_SCORE on the lines through the outer 2 % of knots, within bounds."""
    near = max(1, len(values) // 50)
    if scores[0] > -MAX_SCORE:
        rise = (values[near] - values[0]) / (scores[near] - scores[0])
        low = values[0] - rise * (scores[0] + MAX_SCORE)
        low = low if lower is None else max(low, lower)
        if low < values[0]:
            scores, values = np.append(-MAX_SCORE, scores), np.append(low, values)
    if scores[-1] < MAX_SCORE:
        rise = (values[-1] - values[-1 - near]) / (scores[-1] - scores[-1 - near])
        high = values[-1] + rise * (MAX_SCORE - scores[-1])
        high = high if upper is None else min(high, upper)
        if high > values[-1]:
            scores, values = np.append(scores, MAX_SCORE), np.append(values, high)
    return scores, values
