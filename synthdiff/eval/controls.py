"""The audit tested on cases with a known answer: no leak, a planted leak, no synthetic rows."""

from __future__ import annotations

import numpy as np

from synthdiff.eval.attacks import ATTACKS, View
from synthdiff.eval.detection import cross_fitted_scores
from synthdiff.eval.game import Game
from synthdiff.eval.membership import (
    patient_scores,
    score_attack,
    summarise_attack,
    summarise_scores,
)

ALPHA = 0.05
TESTS = len(ATTACKS) + 1  # and the exact copies
CONTROL_CONFIDENCE = 0.99  # the checks gate the verdict: 95% would void one sound audit in ten
NULL_ATTACK = "calibrated_distance"
PLANT_ATTACKS = ("distance", "calibrated_distance")


def run_blind_control(game: Game, rng: np.random.Generator) -> dict:
    """Tells members from non-members by the record alone: nothing but a bad split can help."""
    members, nonmembers = game.members, game.nonmembers
    scores = cross_fitted_scores(
        members.features,
        nonmembers.features,
        members.patients,
        nonmembers.patients,
        rng,
        max_iter=50,
    )
    return summarise_scores(
        patient_scores(scores[0], members.patients),
        patient_scores(scores[1], nonmembers.patients),
        rng,
        confidence=CONTROL_CONFIDENCE,
    )


def run_null_control(game: Game, rng: np.random.Generator) -> dict:
    """The attack when "synthetic" is fresh real rows: half the reference patients' records."""
    patients = np.unique(game.reference_patients)
    half = rng.permutation(patients)[: len(patients) // 2]
    fresh = np.isin(game.reference_patients, half)
    view = View(game.view.targets, game.reference[fresh], game.reference[~fresh])
    scores = score_attack(ATTACKS[NULL_ATTACK], game.members, game.nonmembers, view)
    return summarise_attack(scores, rng, CONTROL_CONFIDENCE)


def run_planted_leak(
    game: Game, share: float, rng: np.random.Generator, tests: int = TESTS
) -> dict:
    """Copies the records of a share of the members over random synthetic rows and attacks.

    Runs the two distance attacks and returns the one with the smaller p-value, multiplied by
    `tests`, those in the audit: what this finds, the audit's Holm rule finds as well.
    """
    patients = np.unique(game.members.patients)
    planted = rng.choice(patients, max(1, round(share * len(patients))), replace=False)
    copied = game.members.features[np.isin(game.members.patients, planted)]
    synthetic = game.synthetic.copy()
    places = rng.permutation(len(synthetic))[: len(copied)]
    synthetic[places] = copied[: len(places)]
    view = game.view.replace_synthetic(synthetic)
    results = {}
    for name in PLANT_ATTACKS:
        scores = score_attack(ATTACKS[name], game.members, game.nonmembers, view)
        results[name] = summarise_attack(scores, rng)
    best = min(results, key=lambda name: results[name]["p_value"])
    adjusted = min(1.0, tests * results[best]["p_value"])
    return {
        **results[best],
        "attack": best,
        "planted_share": len(planted) / len(patients),
        "planted_rows": len(places),
        "p_value_adjusted": adjusted,
        "detected": adjusted < ALPHA,
    }
