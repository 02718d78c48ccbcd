"""The privacy audit: can the synthetic rows tell who was in the training data?

Attacks give lower bounds on exposure. The audit therefore checks itself first (validity), shows
what it would have found (planted leaks), and only then reads the attacks.
"""

from __future__ import annotations

from collections.abc import Callable

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
from synthdiff.eval.features import check_table, row_keys
from synthdiff.eval.game import Game, rows_of, set_up_game
from synthdiff.eval.membership import compare_copies, run_attack
from synthdiff.eval.statistics import holm
from synthdiff.eval.verdict import decide, decide_whitebox, smallest_detectable
from synthdiff.eval.whitebox import summarise_rows

Whitebox = Callable[[pd.DataFrame, pd.DataFrame], tuple[dict[str, np.ndarray], dict]]


def _attack(
    game: Game, synthetic_keys: np.ndarray, whitebox: dict[str, dict], rng: np.random.Generator
) -> tuple[dict[str, dict], dict]:
    """Every attack and the exact copies, with p-values adjusted for all of them together.

    whitebox: results of the attacks on the model itself, which are adjusted in place.
    """
    attacks = {
        name: run_attack(
            attack, game.members, game.nonmembers, game.synthetic, game.reference, rng=rng
        )
        for name, attack in ATTACKS.items()
    }
    copies = compare_copies(game.members, game.nonmembers, game.synthetic, synthetic_keys, rng)
    tests = [copies, *attacks.values(), *whitebox.values()]
    adjusted = holm({str(at): test["p_value"] for at, test in enumerate(tests)})
    for test, p_value in zip(tests, adjusted.values(), strict=True):
        test["p_value_holm"] = p_value
    return attacks, copies


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
    rng = np.random.default_rng(seed)
    game = set_up_game(tables, schema, rng)
    on_model, about = {}, {}
    if whitebox:
        on_model, about = _attack_model(whitebox, game, tables, schema, seed)
    tests = TESTS + len(on_model)
    attacks, copies = _attack(game, row_keys(synthetic, schema), on_model, rng)
    controls = {
        "null": run_null_control(game, rng),
        "leak": run_planted_leak(game, 0.10, rng, tests),
        "leak_small": run_planted_leak(game, 0.01, rng, tests),
        "blind": run_blind_control(game, rng),
    }
    verdict, reasons = decide(game, attacks, controls, copies, tests)
    block = {}
    if whitebox:
        found, why = decide_whitebox(game, verdict, on_model, about)
        block = {"whitebox": {**about, "attacks": on_model, "verdict": found, "reasons": why}}
    return {
        "unit": game.unit,
        "members": game.patients,
        "nonmembers": game.patients,
        "reference_rows": len(game.reference),
        "synthetic_rows": len(game.synthetic),
        "attacks": attacks,
        "controls": controls,
        "copies": copies,
        "minimum_detectable_tpr": smallest_detectable(game, tests),
        "verdict": verdict,
        "reasons": reasons + game.notes,
        **block,
    }
