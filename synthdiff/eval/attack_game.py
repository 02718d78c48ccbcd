"""Every attack on one game, and the verdict on it beside its controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from synthdiff._progress import track
from synthdiff.data.schema import Schema
from synthdiff.eval.attacks import ATTACKS
from synthdiff.eval.controls import (
    SMALL_LEAK_ATTACKS,
    run_blind_control,
    run_null_control,
    run_planted_leak,
)
from synthdiff.eval.copies import compare_copies
from synthdiff.eval.disclosure import list_tested
from synthdiff.eval.features import row_keys
from synthdiff.eval.game import Game, patient_ids
from synthdiff.eval.membership import Scores, score_attack, summarise_attack
from synthdiff.eval.statistics import adjust_together
from synthdiff.eval.strata import audit_strata, find_outliers, find_rare
from synthdiff.eval.verdict import decide, smallest_detectable

Strata = Mapping[str, Sequence[np.ndarray]]  # ids of the members, then of the non-members


def find_strata(game: Game, tables: dict[str, pd.DataFrame], schema: Schema) -> Strata:
    """Outliers and holders of rare values, found once for all attacks on the same patients."""
    sides = (game.members, game.nonmembers)
    known = [(side.features, side.patients) for side in sides]
    real = [
        (tables[part], patient_ids(tables[part], schema, part))
        for part in ("train", "test", "reference")
    ]
    return {
        "outliers": find_outliers([*known, (game.reference, game.reference_patients)]),
        "rare values": find_rare(real, schema),
    }


def attack_strata(
    strata: Strata, game: Game, scores: Mapping[str, Scores], rng: np.random.Generator
) -> dict[str, dict]:
    """The attacks with these scores on the patients of each stratum only."""
    return audit_strata(strata, scores, (game.members.ids, game.nonmembers.ids), rng)


def attack_game(
    game: Game,
    strata: Strata,
    synthetic: pd.DataFrame,
    schema: Schema,
    rng: np.random.Generator,
    strata_rng: np.random.Generator,
) -> tuple[dict, dict[str, Scores]]:
    """Every attack, on all and on the strata, and the exact copies, p-values not yet adjusted; and
    the attacks' scores.
    """
    scores = {
        name: score_attack(attack, game.members, game.nonmembers, game.view)
        for name, attack in track(ATTACKS.items(), "attacks", "attack")
    }
    attacks = {name: summarise_attack(found, rng) for name, found in scores.items()}
    keys = row_keys(synthetic, schema)
    copies = compare_copies(game.members, game.nonmembers, game.synthetic, keys, rng)
    apart = attack_strata(strata, game, scores, strata_rng)
    return {"attacks": attacks, "copies": copies, "strata": apart}, scores


def list_tests(found: Mapping) -> list[dict]:
    """The results of `attack_game`, and of "disclosure" if there, that count for the verdict."""
    risks = list_tested(found.get("disclosure") or {}).values()
    return [found["copies"], *list_attacks(found), *risks]


def list_attacks(found: Mapping) -> list[dict]:
    """The results of attacks on all patients and on each stratum."""
    strata = (stratum.get("attacks", {}) for stratum in found["strata"].values())
    return [*found["attacks"].values(), *(r for s in strata for r in s.values())]


def judge_game(
    game: Game, found: Mapping, rng: np.random.Generator, others: Sequence[dict] = ()
) -> dict:
    """`found` with controls and the verdict on it, its p-values adjusted in place.

    others: results of further attacks of the same audit; all p-values are adjusted together (Holm).
    """
    results = [*list_tests(found), *others]
    adjust_together(results)
    tests = len(results)
    controls = {
        "null": run_null_control(game, rng),
        "leak": run_planted_leak(game, 0.10, rng, tests),
        "leak_small": run_planted_leak(game, 0.01, rng, tests, SMALL_LEAK_ATTACKS),
        "blind": run_blind_control(game, rng),
    }
    verdict, reasons = decide(game, found, controls, tests)
    return {
        **found,
        "controls": controls,
        "minimum_detectable_tpr": smallest_detectable(game, tests),
        "verdict": verdict,
        "reasons": reasons + game.notes,
    }
