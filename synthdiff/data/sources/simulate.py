"""A simulated cohort with thousands of codes, whose joint distribution is known exactly.

Each patient has a hidden class z. Given z all attributes are independent,
  z ~ Categorical(w),  code_j | z ~ Bernoulli(P[z, j]),  male | z ~ Bernoulli(m[z]),
  age | z ~ 18 + 72 Beta(a[z], b[z]),
and the outcome is logistic in age, sex and a few risk codes. Hence
  P(code_i) = sum_z w_z P[z, i]   and   P(code_i, code_j) = sum_z w_z P[z, i] P[z, j].
Prevalences follow Zipf's law, as those of diagnosis codes do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from synthdiff._validate import in_range, positive
from synthdiff.data.schema import Column, Schema
from synthdiff.data.sources.fetch import public_column, with_schema

YOUNGEST, AGE_SPAN = 18.0, 72.0
LIFT = 6.0
CHUNK = 4096


@dataclass(frozen=True)
class Truth:
    """The distribution that the cohort is drawn from; K classes, C codes.

    Attributes:
      codes: C code names, most frequent first.
      class_weights: [K]. code_probs: [K, C]. male_probs: [K].
      age_beta: [K, 2], the Beta parameters of (age - 18) / 72.
      risk: [C], log odds that each code adds to the outcome; mostly 0.
      intercept, age_effect (per decade from 54), male_effect: the outcome's other log odds.
    """

    codes: tuple[str, ...]
    class_weights: np.ndarray
    code_probs: np.ndarray
    male_probs: np.ndarray
    age_beta: np.ndarray
    risk: np.ndarray
    intercept: float = -1.5
    age_effect: float = 0.4
    male_effect: float = 0.5

    @property
    def prevalence(self) -> np.ndarray:
        """[C] marginal probability of each code."""
        return self.class_weights @ self.code_probs

    @property
    def cooccurrence(self) -> np.ndarray:
        """[C, C] probability that a patient has both codes; the diagonal is the prevalence."""
        joint = (self.code_probs.T * self.class_weights) @ self.code_probs
        np.fill_diagonal(joint, self.prevalence)
        return joint

    def outcome_probability(
        self, age: np.ndarray, male: np.ndarray, codes: np.ndarray
    ) -> np.ndarray:
        """[n] exact P(outcome = 1 | age [n], male [n], codes [n, C])."""
        log_odds = self.age_effect * (age - 54) / 10 + self.male_effect * male + codes @ self.risk
        return expit(self.intercept + log_odds)


def make_truth(
    num_codes: int,
    seed: int,
    *,
    num_classes: int = 4,
    max_prevalence: float = 0.3,
    zipf_exponent: float = 0.8,
) -> Truth:
    """Draws a distribution: each code is `LIFT` times likelier in its own class than elsewhere.

    Args:
      max_prevalence: of the most frequent code; the r-th has max_prevalence / r ** zipf_exponent
        (a little less where a class would exceed probability 0.99).
    """
    positive(num_codes=num_codes, num_classes=num_classes, max_prevalence=max_prevalence)
    in_range(0, 0.5, max_prevalence=max_prevalence)
    rng = np.random.default_rng([seed, 0])
    weights = rng.dirichlet(np.full(num_classes, 20.0))
    prevalence = max_prevalence * np.arange(1, num_codes + 1) ** -zipf_exponent
    home = rng.integers(num_classes, size=num_codes)
    lift = np.where(np.arange(num_classes)[:, None] == home, LIFT, 1.0)
    probs = np.minimum(prevalence * lift / (weights @ lift), 0.99)
    risk = np.zeros(num_codes)
    risk[: min(10, num_codes)] = rng.normal(0.0, 0.8, min(10, num_codes))
    width = len(str(num_codes - 1))
    return Truth(
        codes=tuple(f"C{index:0{width}d}" for index in range(num_codes)),
        class_weights=weights,
        code_probs=probs,
        male_probs=rng.uniform(0.2, 0.8, num_classes),
        age_beta=rng.uniform(1.5, 6.0, (num_classes, 2)),
        risk=risk,
    )


def sample_codes(
    truth: Truth, num_patients: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draws hidden classes [n] int and the codes of each patient [n, C] bool."""
    classes = rng.choice(len(truth.class_weights), size=num_patients, p=truth.class_weights)
    codes = np.empty((num_patients, len(truth.codes)), dtype=bool)
    probs = truth.code_probs.astype(np.float32)
    for start in range(0, num_patients, CHUNK):
        part = classes[start : start + CHUNK]
        uniform = rng.random((len(part), codes.shape[1]), dtype=np.float32)
        codes[start : start + CHUNK] = uniform < probs[part]
    return classes, codes


def simulate_cohort(
    num_patients: int, num_codes: int, seed: int, **options: Any
) -> tuple[pd.DataFrame, Schema, Truth]:
    """Draws a cohort: one row per patient with age, sex, a code set and an outcome.

    Args:
      seed: fixes both the distribution and the sample; equal arguments give equal tables.
      options: further arguments of `make_truth`.
    """
    positive(num_patients=num_patients)
    truth = make_truth(num_codes, seed, **options)
    rng = np.random.default_rng([seed, 1])
    classes, codes = sample_codes(truth, num_patients, rng)
    male = rng.random(num_patients) < truth.male_probs[classes]
    age = YOUNGEST + AGE_SPAN * rng.beta(*truth.age_beta[classes].T)
    outcome = rng.random(num_patients) < truth.outcome_probability(age, male, codes)
    df = pd.DataFrame(
        {
            "patient_id": np.arange(num_patients),
            "age": age,
            "sex": np.where(male, "M", "F"),
            "codes": join_codes(codes, truth.codes),
            "outcome": outcome.astype(np.int64),
        }
    )
    columns = (
        Column("patient_id", "entity"),
        public_column("age", "continuous", (YOUNGEST, YOUNGEST + AGE_SPAN)),
        public_column("sex", "categorical", ("F", "M")),
        public_column("codes", "code_set", truth.codes),
        public_column("outcome", "boolean", (0, 1)),
    )
    return *with_schema(df, columns, target="outcome", sensitive=("sex",)), truth


def join_codes(codes: np.ndarray, names: tuple[str, ...]) -> list[str]:
    """Turns a bool matrix [n, C] into n code-set cells; `names` are in sorted order."""
    positions = np.nonzero(codes)[1].tolist()
    stops = np.cumsum(codes.sum(axis=1)).tolist()
    starts = [0, *stops[:-1]]
    labels = [names[position] for position in positions]
    return [";".join(labels[start:stop]) for start, stop in zip(starts, stops, strict=True)]
