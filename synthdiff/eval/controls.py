"""The audit tested on cases with a known answer: no leak, a planted leak, no synthetic rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from synthdiff._progress import track
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
SMALL_LEAK_ATTACKS = ("distance", "calibrated_distance")


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


def _attack(
    game: Game,
    view: View,
    rng: np.random.Generator,
    names: Iterable[str] = tuple(ATTACKS),
    confidence: float = 0.95,
) -> dict[str, dict]:
    """The attacks of these names on the game's patients before another table."""
    scores = {
        name: score_attack(ATTACKS[name], game.members, game.nonmembers, view)
        for name in track(names, "attacks of a control", "attack")
    }
    return {name: summarise_attack(found, rng, confidence) for name, found in scores.items()}


def _describe(results: Mapping[str, dict], shown: str) -> dict:
    """The result of the attack `shown`, and the AUC of every one."""
    each = {name: found["auc"] for name, found in results.items()}
    return {**results[shown], "attack": shown, "auc_by_attack": each}


def run_null_control(game: Game, rng: np.random.Generator) -> dict:
    """Every attack when "synthetic" is fresh real rows: half the reference patients' records.

    The result of the one that strays furthest from chance by AUC; intervals hold for all of them
    at once. p_value_adjusted: the least of all attacks' p-values, times their number, which sees a
    few members found for certain as well.
    """
    patients = np.unique(game.reference_patients)
    half = rng.permutation(patients)[: len(patients) // 2]
    fresh = np.isin(game.reference_patients, half)
    view = View(game.view.targets, game.reference[fresh], game.reference[~fresh])
    confidence = 1 - (1 - CONTROL_CONFIDENCE) / len(ATTACKS)
    results = _attack(game, view, rng, confidence=confidence)

    def stray(name: str) -> float:
        interval = results[name]["auc"]
        return max(interval["lower"] - 0.5, 0.5 - interval["upper"])

    least = min(found["p_value"] for found in results.values())
    described = _describe(results, max(results, key=stray))
    return described | {"p_value_adjusted": min(1.0, len(results) * least)}


def run_planted_leak(
    game: Game,
    share: float,
    rng: np.random.Generator,
    tests: int = TESTS,
    names: Iterable[str] = tuple(ATTACKS),
) -> dict:
    """Copies the records of a share of the members over random synthetic rows and attacks.

    Returns the result of the attack with the smallest p-value, multiplied by `tests`, those in the
    audit: what this finds, the audit's Holm rule finds as well. An attack that found just the
    planted members would have AUC 1/2 + share/2.
    """
    patients = np.unique(game.members.patients)
    planted = rng.choice(patients, max(1, round(share * len(patients))), replace=False)
    copied = np.flatnonzero(np.isin(game.members.patients, planted))
    synthetic = game.synthetic.copy()
    places = rng.permutation(len(synthetic))[: len(copied)]
    copied = copied[: len(places)]
    synthetic[places] = game.members.features[copied]
    results = _attack(game, game.view.replace_synthetic(synthetic), rng, names)
    best = min(results, key=lambda name: results[name]["p_value"])
    adjusted = min(1.0, tests * results[best]["p_value"])
    return {
        **_describe(results, best),
        "planted_share": len(np.unique(game.members.patients[copied])) / len(patients),
        "planted_rows": len(places),
        "p_value_adjusted": adjusted,
        "detected": adjusted < ALPHA,
    }
