"""The privacy audit: can the synthetic rows tell who was in the training data?

Attacks give lower bounds on exposure. The audit therefore checks itself first (validity), shows
what it would have found (planted leaks), and only then reads the attacks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from synthdiff._validate import input_error
from synthdiff.data.schema import Schema
from synthdiff.eval.attacks import ATTACKS
from synthdiff.eval.controls import (
    TESTS,
    run_blind_control,
    run_null_control,
    run_planted_leak,
)
from synthdiff.eval.copies import compare_copies, compare_near_copies, list_nearest
from synthdiff.eval.disclosure import audit_disclosure
from synthdiff.eval.features import check_table, hash_rows, patient_numbers, row_keys
from synthdiff.eval.game import Game, patient_ids, rows_of, set_up_game
from synthdiff.eval.hipaa import membership_f1
from synthdiff.eval.membership import Scores, score_attack, summarise_attack
from synthdiff.eval.policy import evaluate_policy
from synthdiff.eval.statistics import holm
from synthdiff.eval.strata import audit_strata, find_outliers, find_rare
from synthdiff.eval.verdict import decide, decide_whitebox, smallest_detectable
from synthdiff.eval.whitebox import summarise_rows

Whitebox = Callable[[pd.DataFrame, pd.DataFrame], tuple[dict[str, np.ndarray], dict]]


def audit_membership(
    game: Game,
    synthetic_keys: np.ndarray,
    rng: np.random.Generator,
    on_model: Mapping[str, dict] | None = None,
) -> tuple[dict, dict[str, Scores]]:
    """Every attack, the exact copies and the controls, with the verdict; and the attacks' scores.

    The p-values of the attacks and of the copies are adjusted for all of them together (Holm).
    on_model: results of the attacks on the model itself, which are counted and adjusted in place.
    """
    on_model = on_model or {}
    scores = {
        name: score_attack(attack, game.members, game.nonmembers, game.view)
        for name, attack in ATTACKS.items()
    }
    attacks = {name: summarise_attack(found, rng) for name, found in scores.items()}
    copies = compare_copies(game.members, game.nonmembers, game.synthetic, synthetic_keys, rng)
    results = [copies, *attacks.values(), *on_model.values()]
    adjusted = holm({str(at): result["p_value"] for at, result in enumerate(results)})
    for result, p_value in zip(results, adjusted.values(), strict=True):
        result["p_value_holm"] = p_value
    tests = TESTS + len(on_model)
    controls = {
        "null": run_null_control(game, rng),
        "leak": run_planted_leak(game, 0.10, rng, tests),
        "leak_small": run_planted_leak(game, 0.01, rng, tests),
        "blind": run_blind_control(game, rng),
    }
    verdict, reasons = decide(game, attacks, controls, copies, tests)
    found = {
        "attacks": attacks,
        "controls": controls,
        "copies": copies,
        "minimum_detectable_tpr": smallest_detectable(game, tests),
        "verdict": verdict,
        "reasons": reasons + game.notes,
    }
    return found, scores


def _attack_model(
    whitebox: Whitebox, game: Game, tables: dict[str, pd.DataFrame], schema: Schema, seed: int
) -> tuple[dict[str, dict], dict]:
    """The attacks of someone who holds the model, by the same members and non-members."""
    sides = {"train": game.members, "test": game.nonmembers}
    rows = {part: rows_of(tables[part], side, schema, part) for part, side in sides.items()}
    scores, about = whitebox(rows["train"], rows["test"])
    count = len(rows["train"]) + len(rows["test"])
    rng, results = np.random.default_rng([seed, 1]), {}
    for name, values in scores.items():
        if np.shape(values) != (count,) or not np.isfinite(values).all():
            raise input_error(f"white-box scores {name!r}", "not finite or not one per row", "mend")
        results[name] = summarise_rows(values, game.members, game.nonmembers, rng)
    return results, about


def audit(
    train: pd.DataFrame,
    test: pd.DataFrame,
    reference: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    seed: int = 0,
    whitebox: Whitebox | None = None,
) -> dict:
    """Attacks `synthetic` and says what that shows.

    train: rows the generator learnt from. test and reference: rows of other patients, drawn
    like train and disjoint from it and from each other; the attacker sees `reference`.
    Members are as many train patients as there are test patients (at most 5000 a side).

    The verdict is the first that applies: INVALID (parts share patients, train and test differ
    by themselves, or the null control fails), LEAK DETECTED (Holm-adjusted p < 0.05 of any
    attack or of the exact copies), INCONCLUSIVE (under 1000 patients a side, or a planted leak
    of 10% goes unseen), NO LEAK DETECTED. `reasons` gives the numbers in words.

    whitebox: attacks on the model itself, called with the rows of the members and of the
    non-members; returns scores per row, the members' first, by attack, and facts to show. They
    have a verdict of their own under "whitebox", for a recipient of the model; Holm's rule counts
    them with the rest.
    """
    tables = {"train": train, "test": test, "reference": reference, "synthetic": synthetic}
    for part, df in tables.items():
        check_table(df, schema, f"{part} table")
    # One stream per part, so that a change of one leaves the numbers of the others as they are.
    membership_rng, strata_rng, disclosure_rng, f1_rng = map(
        np.random.default_rng, np.random.SeedSequence(seed).spawn(4)
    )
    game = set_up_game(tables, schema, membership_rng)
    on_model, about = _attack_model(whitebox, game, tables, schema, seed) if whitebox else ({}, {})
    keys = row_keys(synthetic, schema)
    membership, scores = audit_membership(game, keys, membership_rng, on_model)
    membership["copies"]["near"] = compare_near_copies(game)
    if whitebox:
        verdict, reasons = decide_whitebox(game, membership["verdict"], on_model, about)
        block = {**about, "attacks": on_model, "verdict": verdict, "reasons": reasons}
        membership["whitebox"] = block
    held_out = pd.concat([test, reference], ignore_index=True)
    share = _share_of_patients(train, held_out, schema)
    result = {
        "unit": game.unit,
        "members": game.patients,
        "nonmembers": game.patients,
        "reference_rows": len(game.reference),
        "synthetic_rows": len(game.synthetic),
        "seed": seed,
        "rows_sha256": {part: hash_rows(df, schema) for part, df in tables.items()},
        **membership,
        "strata": _audit_strata(game, tables, schema, scores, strata_rng),
        "disclosure": audit_disclosure(train, held_out, synthetic, schema, disclosure_rng),
        "membership_f1": membership_f1(*scores["distance"].raw, share, f1_rng),
        "nearest": list_nearest(game),
    }
    return result | {"gates": evaluate_policy(result)}


def _share_of_patients(train: pd.DataFrame, held_out: pd.DataFrame, schema: Schema) -> float:
    """Of the patients of both tables, the share that is in the first."""
    first, second = (int(patient_numbers(df, schema).max()) + 1 for df in (train, held_out))
    return first / (first + second)


def _audit_strata(
    game: Game,
    tables: dict[str, pd.DataFrame],
    schema: Schema,
    scores: dict[str, Scores],
    rng: np.random.Generator,
) -> dict[str, dict]:
    sides = (game.members, game.nonmembers)
    known = [(side.features, side.patients) for side in sides]
    real = [
        (tables[part], patient_ids(tables[part], schema, part))
        for part in ("train", "test", "reference")
    ]
    strata = {
        "outliers": find_outliers([*known, (game.reference, game.reference_patients)]),
        "rare values": find_rare(real, schema),
    }
    return audit_strata(strata, scores, (game.members.ids, game.nonmembers.ids), rng)
