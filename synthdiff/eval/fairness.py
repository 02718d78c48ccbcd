"""How evenly models of real and of synthetic rows serve groups of patients, with intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from synthdiff.data.schema import Schema
from synthdiff.eval.features import patient_numbers
from synthdiff.eval.group_measures import MIN_GROUP_PATIENTS, make_measure
from synthdiff.eval.statistics import interval
from synthdiff.eval.utility import MAX_ROWS, SOURCES, Predictions

CONFIDENCE = 0.99  # dozens of comparisons are made: at 95% one in twenty would be a false alarm
Z = float(stats.norm.ppf((1 + CONFIDENCE) / 2))
REPEATS = 400
HALVES = tuple(f"half {number}" for number in range(6))


def resample_patients(patients: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Row weights [n] of one bootstrap draw of patients."""
    numbers = np.unique(patients, return_inverse=True)[1]
    count = numbers.max() + 1
    return np.bincount(rng.integers(count, size=count), minlength=count)[numbers].astype(float)


def draw_halves(train: pd.DataFrame, schema: Schema, seed: int) -> dict[str, pd.DataFrame]:
    """Six random halves of the training patients: how models vary with the people trained on.

    Scores of models trained on halves vary, given the table, as scores of the whole table do
    between tables (the delete-half jackknife, Shao and Wu 1989).
    """
    rng = np.random.default_rng(seed)
    patients = np.unique(patient_numbers(train, schema), return_inverse=True)[1]
    share = min(0.5, MAX_ROWS / 2 / len(train))
    halves = {}
    for name in HALVES:
        rank = rng.permutation(patients.max() + 1)
        halves[name] = train[rank[patients] < share * len(rank)]
    return halves


@dataclass(frozen=True)
class _Estimate:
    """draws [1 + repeats] over test patients, the estimate first; its variance over training."""

    draws: np.ndarray
    training_variance: float

    def interval(self) -> dict:
        """Centred on the estimate, as bootstrap draws of largest differences are biased upwards.

        Student's t with Satterthwaite's degrees of freedom: few halves give the variance.
        """
        variances = float(np.var(self.draws[1:])), self.training_variance
        total = max(sum(variances), 1e-12)
        degrees = (len(HALVES) - 1) * (total / max(variances[1], 1e-12)) ** 2
        margin = stats.t.ppf((1 + CONFIDENCE) / 2, degrees) * np.sqrt(sum(variances))
        value = self.draws[0]
        return interval(value, value - margin, value + margin, CONFIDENCE)


def _intervals(estimates: dict[str, _Estimate], reason: str) -> dict:
    values = np.array([np.append(e.draws, e.training_variance) for e in estimates.values()])
    if not np.isfinite(values).all():
        return {"skipped": reason}
    return {name: estimate.interval() for name, estimate in estimates.items()}


def _compare(real: np.ndarray, synthetic: np.ndarray, variance: float, **names: float) -> dict:
    """Estimates of both scores, and of scale * (real - synthetic) under each of the names."""
    found = {"trtr": _Estimate(real, variance), "tstr": _Estimate(synthetic, variance)}
    for name, scale in names.items():
        lost = scale * (real - synthetic)
        found[name] = _Estimate(lost, 2 * scale**2 * variance)  # two tables are trained on
    return found


def score_groups(
    predictions: Predictions, codes: np.ndarray, patients: np.ndarray, seed: int
) -> tuple[list[dict], dict]:
    """Scores of each group, and the gaps between groups, of models of real and synthetic rows.

    Per group and score: "trtr", "tstr" (trained on real, on synthetic rows), "gap_points" (100
    times what synthetic training loses) and "excess_points" (how much more it loses there than
    over all test rows). Per gap (largest minus smallest group): "trtr", "tstr", "difference".
    Intervals cover another draw of test patients (400 bootstrap draws, the same for all models)
    and of training patients (`draw_halves`, which must be among the sources).
    """
    rng = np.random.default_rng(seed)
    even = np.ones(len(codes))
    weights = [even, *(resample_patients(patients, rng) for _ in range(REPEATS))]
    found = {}
    for source in (*SOURCES, *HALVES):
        measures = [
            make_measure(predictions, source, where, patients)
            for where in (codes, np.zeros(len(codes), int))
        ]
        times = weights if source in SOURCES else weights[:1]
        found[source] = [[measure(weight) for weight in times] for measure in measures]
    names = list(found["train"][0][0])

    def collect(source: str, which: int, name: str) -> np.ndarray:
        return np.stack([values[name] for values in found[source][which]])

    levels: list[dict] = [{} for _ in range(codes.max() + 1)]
    gaps: dict[str, dict] = {}
    few = f"fewer than {MIN_GROUP_PATIENTS} test patients with and without each class"
    for name in names:
        real, synthetic = (collect(source, 0, name) for source in SOURCES)
        halves = np.stack([collect(half, 0, name)[0] for half in HALVES])
        noise = np.var(halves, axis=0, ddof=1)
        if name.endswith("_gap"):
            pair = _compare(real[:, 0], synthetic[:, 0], noise[0], difference=-1)
            gaps[name] = _intervals(pair, "fewer than two groups can be scored")
            continue
        overall = [collect(source, 1, name) for source in SOURCES]
        excess = 100 * (real - synthetic - (overall[0] - overall[1]))
        halves = halves - np.stack([collect(half, 1, name)[0] for half in HALVES])
        excess_noise = 2 * 100**2 * np.var(halves, axis=0, ddof=1)
        for group, level in enumerate(levels):
            pair = _compare(real[:, group], synthetic[:, group], noise[group], gap_points=100)
            pair["excess_points"] = _Estimate(excess[:, group], excess_noise[group])
            level[name] = _intervals(pair, few)
    return levels, gaps
