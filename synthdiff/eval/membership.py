"""The membership game at patient level: was this patient in the training data?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from synthdiff.eval import statistics
from synthdiff.eval.attacks import UNCALIBRATED, subtract_baseline
from synthdiff.eval.neighbours import nearest

Attack = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Side:
    """One side of the game, by row: features [n, d], the patient's id [n], row_keys [n]."""

    features: np.ndarray
    patients: np.ndarray
    keys: np.ndarray


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
        "p_value": statistics.membership_p_value(members, nonmembers, ranked=ranked),
        "roc": statistics.roc_points(members, nonmembers),
    }


def run_attack(
    attack: Attack,
    members: Side,
    nonmembers: Side,
    synthetic: np.ndarray,
    reference: np.ndarray,
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
) -> dict:
    """Scores both sides in one call of the attack and sums up per patient.

    One call, so that anything an attack takes from its targets is the same for both sides. The
    AUC of an attack that ignores the reference is of scores less their baseline, and
    "auc_unadjusted" of the scores themselves; the TPR needs no baseline, which would blur a copy.
    """
    targets = np.concatenate([members.features, nonmembers.features])
    cut = len(members.features)

    def by_patient(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        sides = zip((scores[:cut], scores[cut:]), (members, nonmembers), strict=True)
        first, second = (patient_scores(rows, side.patients) for rows, side in sides)
        return first, second

    scores = attack(targets, synthetic, reference)
    raw = by_patient(scores)
    if attack not in UNCALIBRATED:
        return summarise_scores(*raw, rng, confidence=confidence)
    ranked = by_patient(subtract_baseline(scores, attack(targets, reference, reference)))
    result = summarise_scores(*raw, rng, ranked=ranked, confidence=confidence)
    return result | {"auc_unadjusted": statistics.auc_interval(*raw, confidence=confidence)}


def _count_reappearing(keys: np.ndarray, copies: np.ndarray) -> int:
    """Rows that can be paired off with equal synthetic rows, one each; copies [levels]."""
    return int(np.minimum(np.bincount(keys, minlength=len(copies)), copies).sum())


def _closer_to_members(
    synthetic: np.ndarray, members: Side, nonmembers: Side, rng: np.random.Generator
) -> dict:
    """Share of synthetic rows nearer to a member's row than to a non-member's; ties count half.

    The interval takes the synthetic rows around one real patient as one cluster.
    """
    size = min(len(members.features), len(nonmembers.features))
    found, names = [], []
    for offset, side in enumerate((members, nonmembers)):
        kept = rng.permutation(len(side.features))[:size]
        squares, ids = nearest(synthetic, side.features[kept], 1)
        found.append(squares[:, 0])
        patients = np.unique(side.patients, return_inverse=True)[1]
        names.append(2 * patients[kept[ids[:, 0]]] + offset)
    wins = (found[0] < found[1]) + 0.5 * (found[0] == found[1])
    value = float(wins.mean())
    clusters = np.unique(np.where(found[0] <= found[1], *names), return_inverse=True)[1]
    spread = np.sqrt(np.sum(np.bincount(clusters, wins - value) ** 2)) / len(wins)
    margin = norm.ppf(0.975) * spread
    return statistics.interval(value, max(0.0, value - margin), min(1.0, value + margin))


def compare_copies(
    members: Side,
    nonmembers: Side,
    synthetic: np.ndarray,
    synthetic_keys: np.ndarray,
    rng: np.random.Generator,
) -> dict:
    """Exact copies of member rows against those of non-member rows, as many patients each.

    train_share, holdout_share: share of the side's rows that reappear in the synthetic table,
    each paired with a synthetic row of its own, so a copied table of few distinct rows stands
    out too. p_value: one-sided permutation of patients between the sides. A smoke test: most
    leaks are not copies.
    """
    sides = (members, nonmembers)
    keys = np.concatenate([members.keys, nonmembers.keys])
    levels, keys = np.unique(keys, return_inverse=True)
    slots = np.searchsorted(levels, synthetic_keys).clip(max=len(levels) - 1)
    copies = np.bincount(slots[levels[slots] == synthetic_keys], minlength=len(levels))
    cut = len(members.keys)
    observed = [_count_reappearing(side, copies) for side in (keys[:cut], keys[cut:])]
    names = [np.unique(side.patients, return_inverse=True)[1] for side in sides]
    sizes = [int(side.max()) + 1 for side in names]
    patients = np.concatenate([names[0], names[1] + sizes[0]])
    relevant = copies[keys] > 0
    keys, patients = keys[relevant], patients[relevant]
    permuted = []
    for _ in range(999):
        first = (rng.permutation(sum(sizes)) < sizes[0])[patients]
        permuted.append(
            _count_reappearing(keys[first], copies) - _count_reappearing(keys[~first], copies)
        )
    return {
        "train_share": observed[0] / len(members.keys),
        "holdout_share": observed[1] / len(nonmembers.keys),
        "p_value": statistics.permutation_p_value(observed[0] - observed[1], np.array(permuted)),
        "closer_to_train_share": _closer_to_members(synthetic, members, nonmembers, rng),
    }
