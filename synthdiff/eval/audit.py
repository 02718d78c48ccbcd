"""The privacy audit: can the synthetic rows tell who was in the training data?

Attacks give lower bounds on exposure. The audit therefore checks itself first (validity), shows
what it would have found (planted leaks), and only then reads the attacks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from synthdiff._validate import InputError, input_error
from synthdiff.data.schema import Schema
from synthdiff.data.visit_plan import plan_visits
from synthdiff.data.visits import widen
from synthdiff.eval.attack_game import (
    Strata,
    attack_game,
    attack_strata,
    find_strata,
    judge_game,
    list_attacks,
    list_tests,
)
from synthdiff.eval.copies import compare_near_copies, list_nearest
from synthdiff.eval.disclosure import audit_disclosure
from synthdiff.eval.features import check_table, hash_rows, patient_numbers
from synthdiff.eval.game import MAX_PATIENTS, Game, rows_of, set_up_game
from synthdiff.eval.hipaa import membership_f1
from synthdiff.eval.lone_rows import find_lone_rows
from synthdiff.eval.membership import Scores, summarise_scores
from synthdiff.eval.policy import evaluate_policy
from synthdiff.eval.verdict import decide_whitebox, join_verdicts
from synthdiff.eval.whitebox import pool_rows

Whitebox = Callable[[pd.DataFrame, pd.DataFrame], tuple[dict[str, np.ndarray], dict]]


@dataclass(frozen=True)
class _Whole:
    """The game on whole patients: every table with one row per patient, all visits in it."""

    game: Game
    schema: Schema
    found: dict
    disclosure: dict

    @property
    def tests(self) -> list[dict]:
        """All results with a p-value."""
        return list_tests(self.found | {"disclosure": self.disclosure})


def _attack_whole_patients(
    game: Game, tables: dict[str, pd.DataFrame], schema: Schema, rng: np.random.Generator
) -> _Whole | dict:
    """Attacks on the same patients' trajectories, or why there are none: {"skipped": reason}.

    How rows become trajectories is learnt from the reference, as all that attacks use. Every
    visit's value is written out, so that the distance of two trajectories is that of their rows.
    """
    try:
        plan = plan_visits(tables["reference"], schema, write_changes=False)
        wide = {part: widen(df, plan) for part, df in tables.items()}
    except (InputError, KeyError) as error:
        return {"skipped": str(error)}
    sides = {"train": game.members, "test": game.nonmembers}
    played = {part: rows_of(wide[part], side, plan.wide, part) for part, side in sides.items()}
    own = set_up_game(wide | played, plan.wide, rng, game.max_patients)
    strata = find_strata(own, wide, plan.wide)
    found, _ = attack_game(own, strata, wide["synthetic"], plan.wide, rng, rng)
    held_out = pd.concat([wide["test"], wide["reference"]], ignore_index=True)
    parts = wide["train"], held_out, wide["synthetic"]
    disclosure = audit_disclosure(*parts, plan.wide, rng, game.max_patients)
    return _Whole(own, plan.wide, found, disclosure)


def _join_whole_patients(
    membership: dict, whole: _Whole | dict, others: Sequence[dict], rng: np.random.Generator
) -> dict:
    """The audit of rows, with the same parts on whole patients, and the worse verdict of both."""
    if not isinstance(whole, _Whole):
        return membership | {"whole_patients": whole}
    game, found = whole.game, whole.found | {"disclosure": whole.disclosure}
    block = judge_game(game, found, rng, [*others, *list_tests(membership)])
    block["copies"]["near"] = compare_near_copies(game)
    block |= {
        "columns": len(whole.schema.features),
        "reference_rows": len(game.reference),
        "synthetic_rows": len(game.synthetic),
    }
    return membership | {"whole_patients": block} | join_verdicts(membership, block)


def _attack_model(
    whitebox: Whitebox,
    game: Game,
    strata: Strata,
    tables: dict[str, pd.DataFrame],
    schema: Schema,
    seed: int,
) -> tuple[dict, dict]:
    """The attacks of someone who holds the model, on the same members, non-members and strata."""
    sides = {"train": game.members, "test": game.nonmembers}
    rows = {part: rows_of(tables[part], side, schema, part) for part, side in sides.items()}
    scores, about = whitebox(rows["train"], rows["test"])
    count = len(rows["train"]) + len(rows["test"])
    pooled = {}
    for name, values in scores.items():
        if np.shape(values) != (count,) or not np.isfinite(values).all():
            problem = f"not finite, or not one for each of {count} rows: shape {np.shape(values)}"
            fix = "return one finite score per row, the members' first"
            raise input_error(f"white-box scores {name!r}", problem, fix)
        pooled[name] = pool_rows(values, game.members, game.nonmembers)
    rng = np.random.default_rng([seed, 1])
    attacks = {
        name: summarise_scores(*found.raw, rng, ranked=found.ranked)
        for name, found in pooled.items()
    }
    return {"attacks": attacks, "strata": attack_strata(strata, game, pooled, rng)}, about


def _audit_members(
    game: Game,
    tables: dict[str, pd.DataFrame],
    schema: Schema,
    whitebox: Whitebox | None,
    seed: int,
    rngs: tuple[np.random.Generator, np.random.Generator, np.random.Generator],
    disclosure: dict,
) -> tuple[dict, dict[str, Scores]]:
    """Membership by rows, by whole patients and by the model; and the scores by rows.

    disclosure: of the rows, which is judged with them.
    """
    rng, strata_rng, whole_rng = rngs
    on_model: dict = {"attacks": {}, "strata": {}}
    about: dict = {}
    strata = find_strata(game, tables, schema)
    if whitebox:
        on_model, about = _attack_model(whitebox, game, strata, tables, schema, seed)
    whole = _attack_whole_patients(game, tables, schema, whole_rng) if schema.order else None
    tests = list_attacks(on_model)
    others = [*tests, *(whole.tests if isinstance(whole, _Whole) else ())]
    found, scores = attack_game(game, strata, tables["synthetic"], schema, rng, strata_rng)
    membership = judge_game(game, found | {"disclosure": disclosure}, rng, others)
    membership["copies"]["near"] = compare_near_copies(game)
    if whole:
        membership = _join_whole_patients(membership, whole, tests, whole_rng)
    if whitebox:
        verdict, reasons = decide_whitebox(game, membership["verdict"], on_model, about)
        membership["whitebox"] = about | on_model | {"verdict": verdict, "reasons": reasons}
    return membership, scores


def audit(
    train: pd.DataFrame,
    test: pd.DataFrame,
    reference: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    seed: int = 0,
    whitebox: Whitebox | None = None,
    max_patients: int = MAX_PATIENTS,
    population: int | None = None,
) -> dict:
    """Attacks `synthetic` and says what that shows.

    train: rows the generator learnt from. test and reference: rows of other patients, drawn
    like train and disjoint from it and from each other; the attacker sees `reference`.
    Members are as many train patients as there are test patients (at most `max_patients` a side).

    The verdict is the first that applies: INVALID (parts share patients, train and test differ
    by themselves, or the null control fails), LEAK DETECTED (Holm-adjusted p < 0.05 of any
    attack, on all or on vulnerable patients only, of the exact copies, or of linkability or
    inference beyond that of held-out patients), INCONCLUSIVE (under 1000 patients a side, or a
    planted leak of 10% goes unseen), NO LEAK DETECTED. `reasons` gives the numbers in words.

    Where rows are visits, the same patients are attacked by whole trajectories too, under
    "whole_patients": Holm's rule counts both, and the verdict is the worse of the two.

    whitebox: attacks on the model itself, called with the rows of the members and of the
    non-members; returns scores per row, the members' first, by attack, and facts to show. They
    have a verdict of their own under "whitebox", for a recipient of the model; Holm's rule counts
    them with the rest.

    population: people of whom the patients of `train` are a part, for the F1 of telling members,
    which means nothing without it; where it is unknown, the patients of all three tables.
    """
    tables = {"train": train, "test": test, "reference": reference, "synthetic": synthetic}
    for part, df in tables.items():
        check_table(df, schema, f"{part} table")
    # One stream per part, so that a change of one leaves the numbers of the others as they are.
    rng, strata_rng, disclosure_rng, f1_rng, whole_rng = map(
        np.random.default_rng, np.random.SeedSequence(seed).spawn(5)
    )
    game = set_up_game(tables, schema, rng, max_patients)
    rngs = rng, strata_rng, whole_rng
    held_out = pd.concat([test, reference], ignore_index=True)
    share = _share_of_patients(train, held_out, schema, population)
    disclosure = audit_disclosure(train, held_out, synthetic, schema, disclosure_rng, max_patients)
    membership, scores = _audit_members(game, tables, schema, whitebox, seed, rngs, disclosure)
    real = {part: tables[part] for part in ("train", "test", "reference")}
    result = {
        **_describe(game),
        "seed": seed,
        "rows_sha256": {part: hash_rows(df, schema) for part, df in tables.items()},
        **membership,
        "lone_rows": find_lone_rows(synthetic, real, schema).to_json(),
        "membership_f1": membership_f1(*scores["distance"].raw, share, f1_rng),
        "nearest": list_nearest(game),
    }
    return result | {"gates": evaluate_policy(result)}


def _describe(game: Game) -> dict:
    return {
        "unit": game.unit,
        "members": game.patients,
        "nonmembers": game.patients,
        "reference_rows": len(game.reference),
        "synthetic_rows": len(game.synthetic),
    }


def _share_of_patients(
    train: pd.DataFrame, held_out: pd.DataFrame, schema: Schema, population: int | None
) -> float:
    """Of the population, by default the patients of both tables, the share that is in the first."""
    first, second = (int(patient_numbers(df, schema).max()) + 1 for df in (train, held_out))
    if population is not None and population < first + second:
        problem = f"{population} people, where the tables hold {first + second} patients"
        raise input_error("population", problem, "count all whom the patients are a part of")
    return first / (population or first + second)
