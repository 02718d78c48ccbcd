"""The membership game at patient level: was this patient in the training data?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from synthdiff.eval import statistics
from synthdiff.eval.attacks import UNCALIBRATED, View, subtract_baseline

Attack = Callable[[View], np.ndarray]
MIN_STRICT = 1000


@dataclass(frozen=True)
class Side:
    """One side of the game, by row: features [n, d], the patient's id [n], row_keys [n]."""

    features: np.ndarray
    patients: np.ndarray
    keys: np.ndarray

    @property
    def ids(self) -> np.ndarray:
        """The patients, sorted, as `patient_scores` orders them."""
        return np.unique(self.patients)


@dataclass(frozen=True)
class Scores:
    """Scores per patient, (members, non-members), in the order of the sorted ids.

    ranked: what the AUC and its test read, where it is not the raw scores.
    """

    raw: tuple[np.ndarray, np.ndarray]
    ranked: tuple[np.ndarray, np.ndarray]


def patient_scores(row_scores: np.ndarray, entity_ids: np.ndarray) -> np.ndarray:
    """One score per patient, in the order of the sorted ids: the highest of the patient's rows.

    The highest rather than the mean: a model that copied one visit has exposed the patient,
    and the mean would let the other visits hide it. Members and non-members must be drawn
    alike, for a patient with more visits has a higher maximum.
    """
    _, index = np.unique(entity_ids, return_inverse=True)
    scores = np.full(index.max() + 1, -np.inf)
    np.maximum.at(scores, index, row_scores)
    return scores


def average_scores(row_scores: np.ndarray, entity_ids: np.ndarray) -> np.ndarray:
    """One score per patient, in the order of the sorted ids: the mean of the patient's rows.

    For attacks on the model, which learnt from all rows of a member: evidence that is spread over
    them adds up. Those few whom the model remembers best stand out more by their highest score.
    """
    _, index = np.unique(entity_ids, return_inverse=True)
    return np.bincount(index, row_scores) / np.bincount(index)


def score_sides(
    row_scores: np.ndarray,
    members: Side,
    nonmembers: Side,
    pool: Callable[[np.ndarray, np.ndarray], np.ndarray] = patient_scores,
) -> tuple[np.ndarray, np.ndarray]:
    """Scores per patient of both sides, from those of the members' rows, then the non-members'.

    pool: `patient_scores` or `average_scores`.
    """
    own, others = np.split(row_scores, [len(members.patients)])
    return pool(own, members.patients), pool(others, nonmembers.patients)


def summarise_scores(
    members: np.ndarray,
    nonmembers: np.ndarray,
    rng: np.random.Generator,
    *,
    ranked: tuple[np.ndarray, np.ndarray] | None = None,
    confidence: float = 0.95,
) -> dict:
    """The result of one attack from its scores per patient; p_value is one-sided.

    ranked: scores of both sides for the AUC and its test, where they are not the same.
    """
    ranked = (members, nonmembers) if ranked is None else ranked
    return {
        "auc": statistics.auc_interval(*ranked, confidence=confidence),
        "tpr_at_1pct_fpr": statistics.tpr_interval(members, nonmembers, rng=rng),
        "tpr_at_0.1pct_fpr": _strict_tpr(members, nonmembers, rng),
        "p_value": statistics.membership_p_value(members, nonmembers, ranked=ranked),
        "roc": statistics.roc_points(members, nonmembers),
    }


def _strict_tpr(members: np.ndarray, nonmembers: np.ndarray, rng: np.random.Generator) -> dict:
    """TPR at 0.1% FPR, where the non-members are enough to allow one false alarm."""
    if len(nonmembers) < MIN_STRICT:
        return {"skipped": f"{len(nonmembers)} non-members, {MIN_STRICT} are needed"}
    return statistics.tpr_interval(members, nonmembers, rng=rng, fpr=0.001)


def score_attack(attack: Attack, members: Side, nonmembers: Side, view: View) -> Scores:
    """Scores both sides in one call of the attack, whose targets are members, then non-members.

    One call, so that anything an attack takes from its targets is the same for both sides. For
    an attack that ignores the reference, what is ranked is scores less their baseline; the TPR
    needs no baseline, which would blur a copy.
    """
    scores = attack(view)
    raw = score_sides(scores, members, nonmembers)
    if attack not in UNCALIBRATED:
        return Scores(raw, raw)
    rest = subtract_baseline(scores, attack(view.baseline))
    return Scores(raw, score_sides(rest, members, nonmembers))


def summarise_attack(scores: Scores, rng: np.random.Generator, confidence: float = 0.95) -> dict:
    """The result of one attack; "auc_unadjusted" where the AUC is of scores less a baseline."""
    result = summarise_scores(*scores.raw, rng, ranked=scores.ranked, confidence=confidence)
    if scores.ranked is scores.raw:
        return result
    return result | {"auc_unadjusted": statistics.auc_interval(*scores.raw, confidence=confidence)}
